#include "library.h"

#include <dlfcn.h>
#include <string.h>

bool gic_load_library(const gic_library *library) {
    for (const char *const *file = library->files; *file != NULL; file++) {
        void *handle = dlopen(*file, RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL) continue;
        bool complete = true;
        for (const gic_function *function = library->functions; function->name != NULL; function++) {
            void *symbol = dlsym(handle, function->name);
            memcpy(function->address, &symbol, sizeof symbol);
            complete = complete && symbol != NULL;
        }
        if (complete && (library->accept == NULL || library->accept())) return true;
        dlclose(handle);
    }
    return false;
}

gic_status gic_missing_library(const gic_library *library, gic_message *message) {
    return gic_fail(message, GIC_NO_DECODER, "reading %s needs %s, which is not installed: apt-get install %s",
                    library->format, library->files[0], library->package);
}

gic_status gic_not_built(const char *format, const char *package, gic_message *message) {
    return gic_fail(message, GIC_NO_DECODER,
                    "this build reads no %s, since its header was missing: apt-get install %s, then build again", format,
                    package);
}

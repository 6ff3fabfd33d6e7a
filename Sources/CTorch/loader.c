// Opens the shared library of shim/ at the first call and forwards every function of ctorch_functions.def to it.
//
// A library that is opened runs its code, so the places it is looked for are few and none of them is the current folder:
//   1. the file that $GMAIL_TORCH_SHIM names;
//   2. beside the program, and of a program in a folder `bin` in `lib` beside that; /proc/self/exe says where the program lies,
//      never argv[0], which has no folder when a program is started through PATH;
//   3. .build/torch-shim of this package's checkout, for a program that lies in that .build (`swift build`, `swift test`);
//   4. $XDG_DATA_HOME/gmail/<interface version> (~/.local/share by default), where `swift package torch-shim` puts it.
#define _GNU_SOURCE
#include "ctorch.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHIM_NAME "libgmail-torch.so"

static struct {
#define CT_FN(name, params, args) CTStatus(*name) params;
#include "ctorch_functions.def"
#undef CT_FN
    const char *(*last_error)(void);
} table;

static _Atomic int load_state = 0;  // 0 untried, 1 loaded, 2 failed
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char message[4 * PATH_MAX];
static char loaded_path[PATH_MAX];

static bool is_file(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

/// Cuts a path to its folder; false at the root.
static bool parent(char *path) {
    char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) return false;
    *slash = 0;
    return true;
}

static bool is_named(const char *folder, const char *name) {
    const char *slash = strrchr(folder, '/');
    return slash != NULL && strcmp(slash + 1, name) == 0;
}

/// Writes a path into `out`; false when it does not fit, so that no cut path is ever opened.
__attribute__((format(printf, 2, 3))) static bool join(char out[PATH_MAX], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(out, PATH_MAX, format, arguments);
    va_end(arguments);
    return length > 0 && length < PATH_MAX;
}

/// The places of this process that may hold the shim, the first before the next.
struct Places {
    char paths[4][PATH_MAX];
    int count;
};

__attribute__((format(printf, 2, 3))) static void add(struct Places *places, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(places->paths[places->count], PATH_MAX, format, arguments);
    va_end(arguments);
    if (length > 0 && length < PATH_MAX) places->count++;
}

static struct Places places_of_shim(void) {
    struct Places places = {.count = 0};
    char folder[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (length > 0 && length < (ssize_t)sizeof folder - 1 && folder[0] == '/') {
        folder[length] = 0;
        if (parent(folder)) {
            add(&places, "%s/" SHIM_NAME, folder);
            if (is_named(folder, "bin")) add(&places, "%s/../lib/" SHIM_NAME, folder);
            // Up to the .build that the program lies in, and no further.
            bool is_below = true;
            while (!is_named(folder, ".build") && is_below) is_below = parent(folder);
            char mark[PATH_MAX];
            if (is_below && join(mark, "%s/../Sources/CTorch/include/ctorch.h", folder) && is_file(mark)) {
                add(&places, "%s/torch-shim/" SHIM_NAME, folder);
            }
        }
    }
    // As the XDG base directory specification has it, a relative path counts as none.
    const char *data = secure_getenv("XDG_DATA_HOME"), *home = secure_getenv("HOME");
    if (data != NULL && data[0] == '/') {
        add(&places, "%s/gmail/%d/" SHIM_NAME, data, CT_ABI_VERSION);
    } else if (home != NULL && home[0] == '/') {
        add(&places, "%s/.local/share/gmail/%d/" SHIM_NAME, home, CT_ABI_VERSION);
    }
    return places;
}

/// Writes the path of the shim into `out`; false, with a message, when there is none.
static bool find_shim(char out[PATH_MAX]) {
    const char *given = secure_getenv("GMAIL_TORCH_SHIM");
    if (given != NULL && given[0] != 0) {
        // A path that was given is used or complained about, never passed over.
        if (is_file(given) && realpath(given, out) != NULL) return true;
        snprintf(message, sizeof message, "GMAIL_TORCH_SHIM names '%s', which is no file; expected the path of " SHIM_NAME, given);
        return false;
    }
    const struct Places places = places_of_shim();
    for (int i = 0; i < places.count; i++) {
        if (is_file(places.paths[i]) && realpath(places.paths[i], out) != NULL) return true;
    }
    int at = snprintf(message, sizeof message, "the libtorch shim " SHIM_NAME " was not found; looked for");
    for (int i = 0; i < places.count && at < (int)sizeof message; i++) {
        at += snprintf(message + at, sizeof message - at, "%s %s", i == 0 ? "" : ",", places.paths[i]);
    }
    if (at < (int)sizeof message) {
        snprintf(message + at, sizeof message - at,
                 "; build it with `make build` in a checkout of gmail, with `swift package torch-shim` in a package that depends on "
                 "it, or name it in GMAIL_TORCH_SHIM");
    }
    return false;
}

/// libtorch's OpenMP (libgomp) lets a thread that is done wait for the others in a loop of some milliseconds before it gives
/// its core away. On a machine that is busy with something else one of the others may have been put aside, and then this very
/// loop keeps the core from it: every operation takes a slice of the scheduler. A shorter loop ends that. libgomp reads the
/// environment when it is loaded; what the user has set stays.
static void shorten_waiting(void) {
    if (getenv("OMP_WAIT_POLICY") == NULL) setenv("GOMP_SPINCOUNT", "10000", 0);
}

static int load_locked(void) {
    char path[PATH_MAX];
    if (!find_shim(path)) return 2;
    shorten_waiting();
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        snprintf(message, sizeof message, "cannot open the libtorch shim %s: %s; rebuild it with `make build`", path, dlerror());
        return 2;
    }
    CTStatus (*abi)(int32_t *) = (CTStatus(*)(int32_t *))dlsym(handle, "ct_abi_version");
    int32_t version = -1;
    if (abi == NULL || abi(&version) != CT_OK || version != CT_ABI_VERSION) {
        snprintf(message, sizeof message,
                 "the libtorch shim %s speaks version %d of the interface, this program version %d; rebuild it with "
                 "`scripts/build-torch-shim.sh`", path, version, CT_ABI_VERSION);
        return 2;
    }
#define CT_FN(name, params, args)                                                                             \
    table.name = (CTStatus(*) params)dlsym(handle, #name);                                                    \
    if (table.name == NULL) {                                                                                 \
        snprintf(message, sizeof message, "the libtorch shim %s lacks %s; rebuild it with `make build`", path, #name); \
        return 2;                                                                                             \
    }
#include "ctorch_functions.def"
#undef CT_FN
    table.last_error = (const char *(*)(void))dlsym(handle, "ct_last_error");
    if (table.last_error == NULL) {
        snprintf(message, sizeof message, "the libtorch shim %s lacks ct_last_error; rebuild it with `make build`", path);
        return 2;
    }
    if (table.ct_settle_cpu_kernels() != CT_OK) {
        snprintf(message, sizeof message, "%s", table.last_error());
        return 2;
    }
    strcpy(loaded_path, path);
    return 1;
}

CTStatus ct_load(void) {
    if (atomic_load_explicit(&load_state, memory_order_acquire) == 1) return CT_OK;
    pthread_mutex_lock(&lock);
    int now = atomic_load_explicit(&load_state, memory_order_relaxed);
    if (now != 1) {
        now = load_locked();
        atomic_store_explicit(&load_state, now, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    return now == 1 ? CT_OK : CT_NOT_LOADED;
}

const char *ct_last_error(void) {
    return atomic_load_explicit(&load_state, memory_order_acquire) == 1 ? table.last_error() : message;
}

const char *ct_loaded_path(void) { return loaded_path; }

static _Thread_local bool scope_failed = false;

bool ct_scope_failed(void) { return scope_failed; }

void ct_set_scope_failed(bool failed) { scope_failed = failed; }

#define CT_FN(name, params, args)                                                              \
    CTStatus name params {                                                                     \
        if (__builtin_expect(atomic_load_explicit(&load_state, memory_order_acquire) != 1, 0)) {    \
            CTStatus status = ct_load();                                                       \
            if (status != CT_OK) return status;                                                \
        }                                                                                      \
        return table.name args;                                                                \
    }
#include "ctorch_functions.def"
#undef CT_FN

// Opens the shared library of shim/ at the first call and forwards every function of ctorch_functions.def to it.
//
// Search order: $GMAIL_TORCH_SHIM, then libgmail-torch.so beside the running image, then ../lib beside it, then
// .build/torch-shim of the folders above the image (a package checkout).
#define _GNU_SOURCE
#include "ctorch.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
static char message[8192];
static char loaded_path[PATH_MAX];

static bool parent(char *path) {
    char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) return false;
    *slash = 0;
    return true;
}

/// Writes the first existing candidate into `out`; false when there is none.
static bool find_shim(char *out, size_t capacity) {
    const char *given = getenv("GMAIL_TORCH_SHIM");
    if (given != NULL && given[0] != 0) {
        snprintf(out, capacity, "%s", given);
        return true;  // a path that was given is used or complained about, never passed over
    }
    Dl_info info;
    char folder[PATH_MAX];
    if (dladdr((void *)&find_shim, &info) == 0 || info.dli_fname == NULL || realpath(info.dli_fname, folder) == NULL) {
        ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
        if (n <= 0) return false;
        folder[n] = 0;
    }
    if (!parent(folder)) return false;
    const char *const near[] = {"%s/" SHIM_NAME, "%s/../lib/" SHIM_NAME};
    for (int i = 0; i < 2; i++) {
        snprintf(out, capacity, near[i], folder);
        if (access(out, R_OK) == 0) return true;
    }
    do {
        snprintf(out, capacity, "%s/.build/torch-shim/" SHIM_NAME, folder);
        if (access(out, R_OK) == 0) return true;
    } while (parent(folder));
    return false;
}

/// libtorch's OpenMP (libgomp) lets a thread that is done wait for the others in a loop of some milliseconds before it gives
/// its core away. On a machine that is busy with something else one of the others may have been put aside, and then this very
/// loop keeps the core from it: every operation takes a slice of the scheduler. A shorter loop ends that. libgomp reads the
/// environment when it is loaded; what the user has set stays.
static void shorten_waiting(void) {
    if (getenv("OMP_WAIT_POLICY") == NULL) setenv("GOMP_SPINCOUNT", "10000", 0);
}

static int load_locked(const char *path) {
    char found[PATH_MAX];
    if (path == NULL) {
        if (!find_shim(found, sizeof found)) {
            snprintf(message, sizeof message,
                     "the libtorch shim " SHIM_NAME " was not found beside the program; build it with `make build`, or "
                     "`scripts/build-torch-shim.sh` for another libtorch, or name it in GMAIL_TORCH_SHIM");
            return 2;
        }
        path = found;
    }
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
    // Before the first product: a run that changed its kernels half-way would not repeat itself.
    bool onednn = false;
    if (table.ct_choose_float32_products(&onednn) != CT_OK) {
        snprintf(message, sizeof message, "the libtorch shim %s: %s", path, table.last_error());
        return 2;
    }
    snprintf(loaded_path, sizeof loaded_path, "%s", path);
    return 1;
}

CTStatus ct_load(const char *path) {
    if (atomic_load_explicit(&load_state, memory_order_acquire) == 1) return CT_OK;
    pthread_mutex_lock(&lock);
    int now = atomic_load_explicit(&load_state, memory_order_relaxed);
    if (now != 1) {
        now = load_locked(path);
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
            CTStatus status = ct_load(NULL);                                                   \
            if (status != CT_OK) return status;                                                \
        }                                                                                      \
        return table.name args;                                                                \
    }
#include "ctorch_functions.def"
#undef CT_FN

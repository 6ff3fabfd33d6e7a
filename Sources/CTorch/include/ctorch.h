// The C face of libtorch. Swift sees this header alone; torch headers stay inside shim/.
//
// Contract, for every function:
//   * it never lets a C++ exception out: the result is a CTStatus, the message stays with the calling
//     thread and ct_last_error() returns it until that thread's next failure;
//   * `CTTensor` arguments are borrowed; a `CTTensor *out` receives a new reference (+1) that the caller
//     gives back with ct_tensor_free; out-parameters are written only on CT_OK;
//   * sizes are int64_t; a shape travels as pointer and length; an absent tensor is NULL.
//
// The functions live in a shared library of their own (shim/, built by scripts/build-torch-shim.sh), which
// loader.c opens at the first call. So the program starts without libtorch, and a machine with another
// libtorch (2.11 to 2.13, CPU or CUDA) needs that library rebuilt and nothing else.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Raised whenever a function is added, removed, changes its parameters or computes something else: a library that
/// `swift package torch-shim` built for an older package must not be taken for this one's.
#define CT_ABI_VERSION 7

typedef struct CTTensorOpaque *CTTensor;
typedef struct CTGeneratorOpaque *CTGenerator;
typedef struct CTGuardOpaque *CTGuard;
typedef struct CTPickleOpaque *CTPickle;

typedef int32_t CTStatus;
enum {
    CT_OK = 0,
    CT_ERROR = 1,          ///< libtorch refused: shapes, dtypes, arguments
    CT_OUT_OF_MEMORY = 2,  ///< host or device memory
    CT_NOT_LOADED = 3,     ///< the shim or libtorch could not be opened
};

/// Numbers of c10::ScalarType; shim/tensor.cpp asserts that they agree.
enum {
    CT_UINT8 = 0,
    CT_INT8 = 1,
    CT_INT16 = 2,
    CT_INT32 = 3,
    CT_INT64 = 4,
    CT_FLOAT16 = 5,
    CT_FLOAT32 = 6,
    CT_FLOAT64 = 7,
    CT_BOOL = 11,
    CT_BFLOAT16 = 15,
};

/// Device: type and index in one value, so that it passes as an integer. CPU is 0, CUDA device i is 0x100 + i.
typedef int32_t CTDevice;
#define CT_DEVICE_CPU 0
#define CT_DEVICE_CUDA(i) (0x100 + (i))

enum CTUnary {
    CT_NEG, CT_ABS, CT_EXP, CT_LOG, CT_SQRT, CT_RSQRT, CT_SIN, CT_COS, CT_TANH, CT_SIGMOID, CT_RELU, CT_SILU,
    CT_GELU, CT_GELU_TANH, CT_QUICK_GELU, CT_ROUND, CT_SQUARE, CT_LOGICAL_NOT, CT_ISFINITE,
};

enum CTBinary {
    CT_ADD, CT_SUB, CT_MUL, CT_DIV, CT_POW, CT_MAXIMUM, CT_EQ, CT_NE, CT_LT, CT_LE, CT_GT, CT_GE, CT_AND, CT_OR,
    CT_MATMUL, CT_REMAINDER,
};

enum CTReduce {
    CT_SUM, CT_MEAN, CT_AMAX, CT_AMIN, CT_VAR, CT_NORM2, CT_LOGSUMEXP, CT_ARGMAX, CT_ANY, CT_ALL, CT_CUMSUM,
};

enum CTActivation { CT_ACT_NONE, CT_ACT_RELU, CT_ACT_GELU, CT_ACT_SWISH };

/// Opens the shim at once instead of at the first call; loader.c says where it is looked for.
CTStatus ct_load(void);
/// The message of this thread's last failure; "" before any.
const char *ct_last_error(void);
/// Where the shim was opened from; "" before that.
const char *ct_loaded_path(void);

/// Whether this thread's innermost catching scope has failed: its remaining operations are then not run. Kept here
/// because Swift has no cheap thread-local storage.
bool ct_scope_failed(void);
void ct_set_scope_failed(bool failed);

/// Called when a tensor made over foreign memory dies; may run on any thread.
typedef void (*CTDeleter)(void *context);

#define CT_FN(name, params, args) CTStatus name params;
#include "ctorch_functions.def"
#undef CT_FN

#ifdef __cplusplus
}
#endif

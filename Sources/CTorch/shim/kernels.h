// The kernels of our own by name: which of them this process uses, and how often each has run (kernels.cpp).
#pragma once

#include <c10/core/ScalarType.h>

namespace shim {

/// What the CPU is, as far as the choice of kernels depends on it.
struct CPU {
    bool is_amd, is_intel;
    /// The instructions of lanes.h, unless libtorch is told to leave them alone (ATEN_CPU_CAPABILITY).
    bool has_avx512;
    bool has_avx2;
    /// Products of bfloat16 numbers (AVX512_BF16), with AVX-512.
    bool has_bf16;
    /// Matrix units (AMX), whatever libtorch is told.
    bool has_amx;
    /// For people: "AMD with AVX-512 and bfloat16".
    const char *description;
};

const CPU &cpu();

/// In the order of their names in kernels.cpp.
enum class Kernel {
    onednn_products,
    packed_layers,
    packed_weights,
    wide_products,
    head_attention,
    added_norm,
    lora,
    low_rank,
    quick_gelu,
    few_rows,
    best_tokens,
    cached_attention,
    cross_entropy,
    gated_gelu,
    group_norm,
    winograd,
    count,
};

/// Whether the CPU runs it, its rule wants it on such a CPU, and GMAIL_CPU_KERNELS does not say otherwise.
bool uses(Kernel kernel);

/// The same of kernels that are chosen for each dtype: `packed_layers` and `packed_weights`.
bool uses(Kernel kernel, at::ScalarType dtype);

/// Counts a run, so that a test can tell whether a kernel ran at all.
void count(Kernel kernel);

}  // namespace shim

// Which library multiplies float32 matrices: MKL, libtorch's default, or oneDNN.
//
// MKL knows Intel's CPUs; on AMD's with AVX-512 it uses a kernel of half the width and reaches less than half of what oneDNN does
// (measured with libtorch 2.13 on Zen 5: 215 against 480 GFLOP/s). libtorch gives float32 products to oneDNN only together
// with the permission to round their operands to bfloat16. oneDNN makes use of that where the CPU has AMX, and nowhere else;
// so the permission is given where there is none, and a product whose operands bfloat16 cannot hold is the proof.
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "frozen.h"
#include "protect.h"

using namespace shim;

namespace {

bool has_amx() {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1);
#else
    return false;
#endif
}

bool is_amd_with_avx512() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_is("amd") && __builtin_cpu_supports("avx512f");
#else
    return false;
#endif
}

void give_to_onednn(bool on) {
    at::globalContext().setFloat32Precision(at::Float32Backend::MKLDNN, at::Float32Op::MATMUL,
                                            on ? at::Float32Precision::BF16 : at::Float32Precision::NONE);
}

/// Whether products are of float32: operands of 24 significant bits against the same product in float64.
bool is_exact() {
    auto x = at::linspace(-1, 1, 96 * 160, at::kFloat).sin_().view({96, 160}), w = at::linspace(0, 3, 160 * 80, at::kFloat).cos_().view({160, 80});
    auto difference = x.mm(w).to(at::kDouble) - x.to(at::kDouble).mm(w.to(at::kDouble));
    return difference.abs().max().item<double>() < 1e-4;  // float32: 1e-5, bfloat16: 1e-1
}

bool choose() {
    const char *asked = std::getenv("GMAIL_FLOAT32_PRODUCTS");
    const bool is_named = asked != nullptr && asked[0] != 0;
    TORCH_CHECK(!is_named || !std::strcmp(asked, "mkl") || !std::strcmp(asked, "onednn"), "GMAIL_FLOAT32_PRODUCTS is '", asked,
                "', expected mkl or onednn");
    const bool wants = is_named ? !std::strcmp(asked, "onednn") : is_amd_with_avx512();
    if (!wants || !at::globalContext().hasMKLDNN() || has_amx()) return false;
    at::NoGradGuard guard;
    c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    give_to_onednn(true);
    if (is_exact()) return true;
    give_to_onednn(false);
    return false;
}

}  // namespace

namespace shim {

bool float32_products_by_onednn() {
    static const bool chosen = choose();
    return chosen;
}

}  // namespace shim

extern "C" {

CTStatus ct_choose_float32_products(bool *onednn) {
    return protect([&] { *onednn = float32_products_by_onednn(); });
}

}  // extern "C"

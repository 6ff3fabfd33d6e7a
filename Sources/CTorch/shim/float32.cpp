// Which library multiplies float32 matrices: MKL, libtorch's default, or oneDNN.
//
// MKL knows Intel's CPUs; on AMD's with AVX-512 it uses a kernel of half the width and reaches less than half of what oneDNN does
// (measured with libtorch 2.13 on Zen 5: 215 against 480 GFLOP/s). libtorch gives float32 products to oneDNN only together
// with the permission to round their operands to bfloat16. oneDNN makes use of that where the CPU has AMX, and nowhere else;
// so the permission is given where there is none, and a product whose operands bfloat16 cannot hold is the proof.
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>

#include "frozen.h"
#include "kernels.h"
#include "protect.h"

using namespace shim;

namespace {

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
    if (!uses(Kernel::onednn_products)) return false;
    at::NoGradGuard guard;
    c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    give_to_onednn(true);
    if (is_exact()) {
        count(Kernel::onednn_products);
        return true;
    }
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

// Products of bfloat16 and float16 numbers on a CPU that has no instructions for them.
//
// Below AVX-512 libtorch multiplies such matrices with loops of its own, at about a tenth of the float32 rate, and
// convolves at less than a hundredth (docs/cpu.md). Both sum in float32 and round the sum; widening the
// operands, multiplying in float32 and rounding once is the same arithmetic in another order, at nearly the float32 rate.
// Weights and activations stay as narrow in memory as they were; only the operands of the product at hand are wide.
//
// The kernels below stand in libtorch's dispatcher in the place of its own, so that forward and backward passes, fused
// operations and autocast all meet them. Operands of other dtypes go straight on to libtorch's kernels.
#include <ATen/CPUFunctions.h>
#include <ATen/CompositeExplicitAutogradFunctions.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include "kernels.h"

namespace {

using at::Scalar;
using at::Tensor;

bool is_narrow(const Tensor &x) {
    const bool is = x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf;
    if (is) shim::count(shim::Kernel::wide_products);
    return is;
}

Tensor wide(const Tensor &x) { return x.to(at::kFloat); }

std::optional<Tensor> wide(const std::optional<Tensor> &x) { return x ? std::optional(wide(*x)) : x; }

Tensor mm(const Tensor &a, const Tensor &b) {
    return is_narrow(a) ? at::cpu::mm(wide(a), wide(b)).to(a.scalar_type()) : at::cpu::mm(a, b);
}

Tensor &mm_out(const Tensor &a, const Tensor &b, Tensor &out) {
    return is_narrow(a) ? out.copy_(at::cpu::mm(wide(a), wide(b))) : at::cpu::mm_out(out, a, b);
}

Tensor addmm(const Tensor &c, const Tensor &a, const Tensor &b, const Scalar &beta, const Scalar &alpha) {
    return is_narrow(a) ? at::cpu::addmm(wide(c), wide(a), wide(b), beta, alpha).to(a.scalar_type()) : at::cpu::addmm(c, a, b, beta, alpha);
}

Tensor &addmm_out(const Tensor &c, const Tensor &a, const Tensor &b, const Scalar &beta, const Scalar &alpha, Tensor &out) {
    return is_narrow(a) ? out.copy_(at::cpu::addmm(wide(c), wide(a), wide(b), beta, alpha))
                        : at::cpu::addmm_out(out, c, a, b, beta, alpha);
}

Tensor &addmm_in_place(Tensor &c, const Tensor &a, const Tensor &b, const Scalar &beta, const Scalar &alpha) {
    return is_narrow(a) ? c.copy_(at::cpu::addmm(wide(c), wide(a), wide(b), beta, alpha)) : at::cpu::addmm_(c, a, b, beta, alpha);
}

Tensor bmm(const Tensor &a, const Tensor &b) {
    if (!is_narrow(a)) return at::cpu::bmm(a, b);
    return at::cpu::bmm(wide(a), wide(b)).to(a.scalar_type());
}

Tensor &bmm_out(const Tensor &a, const Tensor &b, Tensor &out) {
    return is_narrow(a) ? out.copy_(at::cpu::bmm(wide(a), wide(b))) : at::cpu::bmm_out(out, a, b);
}

Tensor baddbmm(const Tensor &c, const Tensor &a, const Tensor &b, const Scalar &beta, const Scalar &alpha) {
    if (!is_narrow(a)) return at::cpu::baddbmm(c, a, b, beta, alpha);
    return at::cpu::baddbmm(wide(c), wide(a), wide(b), beta, alpha).to(a.scalar_type());
}

Tensor &baddbmm_out(const Tensor &c, const Tensor &a, const Tensor &b, const Scalar &beta, const Scalar &alpha, Tensor &out) {
    return is_narrow(a) ? out.copy_(at::cpu::baddbmm(wide(c), wide(a), wide(b), beta, alpha))
                        : at::cpu::baddbmm_out(out, c, a, b, beta, alpha);
}

Tensor &baddbmm_in_place(Tensor &c, const Tensor &a, const Tensor &b, const Scalar &beta, const Scalar &alpha) {
    return is_narrow(a) ? c.copy_(at::cpu::baddbmm(wide(c), wide(a), wide(b), beta, alpha))
                        : at::cpu::baddbmm_(c, a, b, beta, alpha);
}

Tensor convolution(const Tensor &x, const Tensor &weight, const std::optional<Tensor> &bias, at::IntArrayRef stride,
                   at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed, at::IntArrayRef output_padding,
                   int64_t groups) {
    if (!is_narrow(x)) {
        return at::compositeexplicitautograd::convolution(x, weight, bias, stride, padding, dilation, transposed,
                                                          output_padding, groups);
    }
    return at::compositeexplicitautograd::convolution(wide(x), wide(weight), wide(bias), stride, padding, dilation, transposed,
                                                      output_padding, groups)
        .to(x.scalar_type());
}

Tensor narrowed(const Tensor &x, at::ScalarType dtype) { return x.defined() ? x.to(dtype) : x; }

std::tuple<Tensor, Tensor, Tensor> convolution_backward(const Tensor &dy, const Tensor &x, const Tensor &weight,
                                                        at::OptionalIntArrayRef bias_sizes, at::IntArrayRef stride,
                                                        at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                                                        at::IntArrayRef output_padding, int64_t groups,
                                                        std::array<bool, 3> wanted) {
    if (!is_narrow(dy)) {
        return at::compositeexplicitautograd::convolution_backward(dy, x, weight, bias_sizes, stride, padding, dilation,
                                                                   transposed, output_padding, groups, wanted);
    }
    auto [dx, dweight, dbias] = at::compositeexplicitautograd::convolution_backward(
        wide(dy), wide(x), wide(weight), bias_sizes, stride, padding, dilation, transposed, output_padding, groups, wanted);
    auto dtype = dy.scalar_type();
    return {narrowed(dx, dtype), narrowed(dweight, dtype), narrowed(dbias, dtype)};
}

/// libtorch warns when a kernel takes another's place; here that is the purpose.
struct Silence : c10::WarningHandler {
    void process(const c10::Warning &) override {}
};

void take_over(torch::Library &library) {
    if (!shim::uses(shim::Kernel::wide_products)) return;
    Silence silence;
    c10::WarningUtils::WarningHandlerGuard guard(&silence);
    library.impl("mm", mm);
    library.impl("mm.out", mm_out);
    library.impl("addmm", addmm);
    library.impl("addmm.out", addmm_out);
    library.impl("addmm_", addmm_in_place);
    library.impl("bmm", bmm);
    library.impl("bmm.out", bmm_out);
    library.impl("baddbmm", baddbmm);
    library.impl("baddbmm.out", baddbmm_out);
    library.impl("baddbmm_", baddbmm_in_place);
    library.impl("convolution", convolution);
    library.impl("convolution_backward", convolution_backward);
}

}  // namespace

// When the shim is loaded.
TORCH_LIBRARY_IMPL(aten, CPU, library) { take_over(library); }

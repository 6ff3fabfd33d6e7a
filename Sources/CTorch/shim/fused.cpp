// Kernels of our own over libtorch's: the same mathematics in fewer passes over memory.
#include "lanes.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <malloc.h>

#include "kernels.h"
#include "protect.h"

using namespace shim;

namespace {

constexpr double kQuick = 1.702;
// Elements that one pass handles: in and out fit the second-level cache of one core together.
constexpr int64_t kBlock = 32 * 1024;

/// Applies `body(begin, end)` to blocks of a flat range, on all threads.
template <typename Body>
void in_blocks(int64_t count, Body body) {
    // Modes belong to threads; the others of a loop start without.
    const bool is_inference = c10::InferenceMode::is_enabled();
    at::parallel_for(0, (count + kBlock - 1) / kBlock, 1, [&](int64_t first, int64_t last) {
        c10::InferenceMode inference(is_inference);
        at::NoGradGuard guard;
        for (int64_t block = first; block < last; block++) {
            body(block * kBlock, std::min(count, (block + 1) * kBlock));
        }
    });
}

#if defined(__x86_64__)

/// sigmoid(1.702 x).
SHIM_LANES inline __m512 gate(__m512 x) {
    const __m512 power = lanes::power_of_two(_mm512_mul_ps(x, _mm512_set1_ps(static_cast<float>(-kQuick * M_LOG2E))));
    return _mm512_div_ps(_mm512_set1_ps(1), _mm512_add_ps(_mm512_set1_ps(1), power));
}

/// y = x · gate(x); without dy, else y = dy · (gate + 1.702 x gate (1 - gate)).
template <typename Number, bool isBackward>
SHIM_LANES void quick_gelu_lanes(const Number *x, const Number *dy, Number *y, int64_t count) {
    auto at = [&](int64_t i, __mmask16 mask) SHIM_LANES {
        const __m512 v = lanes::load(x + i, mask), g = gate(v);
        if constexpr (!isBackward) return _mm512_mul_ps(v, g);
        const __m512 slope = _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(static_cast<float>(kQuick)), v), _mm512_sub_ps(_mm512_set1_ps(1), g));
        return _mm512_mul_ps(lanes::load(dy + i, mask), _mm512_fmadd_ps(g, slope, g));
    };
    int64_t i = 0;
    for (; i + lanes::kCount <= count; i += lanes::kCount) lanes::store(y + i, at(i, 0xffff));
    if (i < count) {
        Number rest[lanes::kCount];
        lanes::store(rest, at(i, lanes::first(count - i)));
        std::copy(rest, rest + (count - i), y + i);
    }
}

/// Whether it was done here.
template <bool isBackward>
bool quick_gelu_by_lanes(const at::Tensor &x, const at::Tensor &dy, const at::Tensor &y) {
    const auto dtype = x.scalar_type();
    if (!cpu().has_avx512 || (dtype != at::kFloat && dtype != at::kBFloat16) || (isBackward && dy.scalar_type() != dtype)) return false;
    auto run = [&]<typename Number>() {
        const Number *in = x.const_data_ptr<Number>(), *gradient = isBackward ? dy.const_data_ptr<Number>() : nullptr;
        Number *out = y.mutable_data_ptr<Number>();
        at::parallel_for(0, x.numel(), kBlock, [&](int64_t begin, int64_t end) {
            quick_gelu_lanes<Number, isBackward>(in + begin, isBackward ? gradient + begin : nullptr, out + begin, end - begin);
        });
    };
    if (dtype == at::kFloat) run.template operator()<float>();
    else run.template operator()<at::BFloat16>();
    return true;
}

#else

template <bool isBackward>
bool quick_gelu_by_lanes(const at::Tensor &, const at::Tensor &, const at::Tensor &) { return false; }

#endif

/// x * sigmoid(1.702 x) = silu(1.702 x) / 1.702, block by block, so that only the first read and last write leave the cache.
void quick_gelu_into(const at::Tensor &x, const at::Tensor &y) {
    if (!x.device().is_cpu()) {
        auto scaled = x * kQuick;
        at::silu_(scaled);
        at::mul_out(const_cast<at::Tensor &>(y), scaled, at::scalar_tensor(1 / kQuick, x.options()));
        return;
    }
    if (quick_gelu_by_lanes<false>(x, {}, y)) return;
    auto in = x.view(-1), out = y.view(-1);
    in_blocks(x.numel(), [&](int64_t begin, int64_t end) {
        auto a = in.slice(0, begin, end), b = out.slice(0, begin, end);
        if (a.data_ptr() != b.data_ptr()) b.copy_(a);
        b.mul_(kQuick);
        at::silu_(b);
        b.mul_(1 / kQuick);
    });
}

struct QuickGELU : torch::autograd::Function<QuickGELU> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &input) {
        auto x = input.contiguous();
        context->save_for_backward({x});
        auto y = at::empty_like(x);
        quick_gelu_into(x, y);
        return y;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   torch::autograd::variable_list gradients) {
        auto x = context->get_saved_variables()[0];
        auto dy = gradients[0].contiguous();
        if (!x.device().is_cpu()) return {at::silu_backward(dy, x * kQuick)};
        auto dx = at::empty_like(x);
        if (quick_gelu_by_lanes<true>(x, dy, dx)) return {dx};
        auto in = x.view(-1), grad = dy.view(-1), out = dx.view(-1);
        in_blocks(x.numel(), [&](int64_t begin, int64_t end) {
            auto b = out.slice(0, begin, end);
            b.copy_(at::silu_backward(grad.slice(0, begin, end), in.slice(0, begin, end) * kQuick));
        });
        return {dx};
    }
};

}  // namespace

namespace shim {

at::Tensor quick_gelu(const at::Tensor &x) {
    if (!uses(Kernel::quick_gelu)) return x * at::sigmoid(x * kQuick);
    count(Kernel::quick_gelu);
    if (at::GradMode::is_enabled() && x.requires_grad()) return QuickGELU::apply(x);
    auto dense = x.contiguous();
    auto y = at::empty_like(dense);
    quick_gelu_into(dense, y);
    return y;
}

}  // namespace shim

extern "C" {

CTStatus ct_activation_(int32_t op, CTTensor x) {
    return protect([&] {
        at::NoGradGuard guard;
        auto &t = get(x);
        TORCH_CHECK(!(t.requires_grad() && t.is_leaf()), "an activation in place would overwrite a parameter");
        switch (op) {
            case CT_QUICK_GELU:
                TORCH_CHECK(t.is_contiguous(), "quick GELU in place needs contiguous memory");
                if (!uses(Kernel::quick_gelu)) {
                    t.mul_(at::sigmoid(t * kQuick));
                    return;
                }
                count(Kernel::quick_gelu);
                quick_gelu_into(t, t);
                return;
            case CT_GELU: at::gelu_(t); return;
            case CT_GELU_TANH: at::gelu_(t, "tanh"); return;
            case CT_RELU: at::relu_(t); return;
            case CT_SILU: at::silu_(t); return;
        }
        TORCH_CHECK(false, "activation ", op, " has no form in place");
    });
}

CTStatus ct_keep_freed_memory(void) {
    // glibc gives large blocks back to the kernel at every free and takes them anew, page fault by page fault; for
    // activations of tens of MiB that costs as much as the arithmetic. Keep them in the heap instead.
    return protect([&] {
        mallopt(M_MMAP_MAX, 0);  // the threshold itself cannot be set above 32 MiB
        mallopt(M_TRIM_THRESHOLD, 2047 << 20);
        mallopt(M_TOP_PAD, 64 << 20);
    });
}

}  // extern "C"

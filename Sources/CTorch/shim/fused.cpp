// Kernels of our own over libtorch's: the same mathematics in fewer passes over memory.
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <malloc.h>

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

/// x * sigmoid(1.702 x) = silu(1.702 x) / 1.702, block by block, so that only the first read and last write leave the cache.
void quick_gelu_into(const at::Tensor &x, const at::Tensor &y) {
    if (!x.device().is_cpu()) {
        auto scaled = x * kQuick;
        at::silu_(scaled);
        at::mul_out(const_cast<at::Tensor &>(y), scaled, at::scalar_tensor(1 / kQuick, x.options()));
        return;
    }
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
            case CT_QUICK_GELU: TORCH_CHECK(t.is_contiguous(), "quick GELU in place needs contiguous memory"); quick_gelu_into(t, t); return;
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

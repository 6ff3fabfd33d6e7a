// A linear layer with a low-rank update (LoRA) as one differentiable operation.
//
// Composed from libtorch's operations, the layer would keep x twice (once per product, and once more per dtype under
// autocast), and y, a full-size update and their sum would each pass through memory. Here the update is accumulated by
// the matrix products themselves, and only x and x·Aᵀ are kept for the backward pass.
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "protect.h"

using namespace shim;

namespace {

/// The dtype that autocast gives matrix products on this device, or none outside of it.
std::optional<at::ScalarType> autocast_dtype(const at::Tensor &x) {
    auto type = x.device().type();
    if (!at::autocast::is_autocast_enabled(type)) return std::nullopt;
    return at::autocast::get_autocast_dtype(type);
}

at::Tensor rows(const at::Tensor &x) { return x.reshape({-1, x.size(-1)}); }

std::vector<int64_t> shape_with(const at::Tensor &x, int64_t last) {
    auto shape = x.sizes().vec();
    shape.back() = last;
    return shape;
}

/// y = x·Wᵀ + bias + scale · low·Bᵀ over rows.
at::Tensor combine(const at::Tensor &x, const at::Tensor &weight, const std::optional<at::Tensor> &bias,
                   const at::Tensor &low, const at::Tensor &b, double scale) {
    auto y = at::linear(x, weight, bias);  // [N, out]
    return y.addmm_(low, b.t(), 1, scale);
}

struct LoRALinear : torch::autograd::Function<LoRALinear> {
    /// `dropped` is the input of the low-rank branch: x itself, or x after dropout.
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &x, const at::Tensor &dropped,
                              const at::Tensor &weight, const std::optional<at::Tensor> &bias, const at::Tensor &a,
                              const at::Tensor &b, double scale, bool same) {
        auto x2 = rows(x);                                     // [N, in]
        auto branch = same ? x2 : rows(dropped);               // [N, in]
        auto low = branch.matmul(a.t());                       // [N, r]
        auto y = combine(x2, weight, bias, low, b, scale);     // [N, out]
        context->save_for_backward({branch, low, weight, a, b});
        context->saved_data["scale"] = scale;
        context->saved_data["same"] = same;
        context->saved_data["x_grad"] = x.requires_grad();
        context->saved_data["dropped_grad"] = !same && dropped.requires_grad();
        context->saved_data["shape"] = x.sizes().vec();
        return y.view(shape_with(x, weight.size(0)));
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   torch::autograd::variable_list gradients) {
        auto saved = context->get_saved_variables();
        const auto &branch = saved[0], &low = saved[1], &weight = saved[2], &a = saved[3], &b = saved[4];
        auto scale = context->saved_data["scale"].toDouble();
        auto same = context->saved_data["same"].toBool();
        auto shape = context->saved_data["shape"].toIntVector();
        auto dy = rows(gradients[0]);                          // [N, out]
        auto dlow = dy.matmul(b).mul_(scale);                  // [N, r]
        at::Tensor dx, ddropped;
        if (context->saved_data["x_grad"].toBool()) {
            dx = dy.matmul(weight);                            // [N, in]
            if (same) dx.addmm_(dlow, a);
            dx = dx.view(shape);
        }
        if (context->saved_data["dropped_grad"].toBool()) ddropped = dlow.matmul(a).view(shape);
        auto da = dlow.t().matmul(branch);                     // [r, in]
        auto db = dy.t().matmul(low).mul_(scale);              // [out, r]
        return {dx, ddropped, {}, {}, da, db, {}, {}};
    }
};

}  // namespace

extern "C" {

CTStatus ct_lora_linear(CTTensor x, CTTensor low_input, CTTensor weight, CTTensor bias, CTTensor a, CTTensor b,
                        double scale, CTTensor *out) {
    return protect([&] {
        auto input = get(x), w = get(weight), up = get(b), down = get(a);
        auto bias_ = optional(bias);
        bool same = low_input == nullptr;
        auto dropped = same ? input : get(low_input);
        if (auto dtype = autocast_dtype(input)) {
            // What autocast would do operand by operand; x once for both products. The casts of A and B are recorded.
            input = input.to(*dtype);
            dropped = same ? input : dropped.to(*dtype);
            w = w.to(*dtype);
            if (bias_) bias_ = bias_->to(*dtype);
            down = down.to(*dtype);
            up = up.to(*dtype);
        }
        // The operands are cast: what follows computes in the dtype it is given.
        c10::impl::ExcludeDispatchKeyGuard guard(c10::autocast_dispatch_keyset);
        bool recording = at::GradMode::is_enabled() &&
                         (input.requires_grad() || dropped.requires_grad() || down.requires_grad() || up.requires_grad());
        if (!recording) {
            auto low = rows(dropped).matmul(down.t());
            give(out, combine(rows(input), w, bias_, low, up, scale).view(shape_with(input, w.size(0))));
            return;
        }
        if (w.requires_grad() || (bias_ && bias_->requires_grad())) {
            // The fused backward gives none to the base weight: whoever trains it too gets libtorch's own graph.
            auto low = at::linear(dropped, down);
            give(out, at::linear(input, w, bias_) + at::linear(low, up) * scale);
            return;
        }
        give(out, LoRALinear::apply(input, dropped, w, bias_, down, up, scale, same));
    });
}

}  // extern "C"

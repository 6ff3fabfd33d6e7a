// Linear layers with a low-rank update (LoRA), several of them on one input, as one differentiable operation.
//
// Composed from libtorch's operations, each layer would keep x for itself (and, under autocast, a cast copy of it), and
// y, a full-size update and their sum would pass through memory one after the other. Here x is cast and kept once, the
// updates are accumulated by the matrix products themselves, and the backward pass gathers the gradient of x in one
// buffer. The frozen weights get no gradient.
#include <torch/csrc/autograd/custom_function.h>

#include "frozen.h"
#include "kernels.h"
#include "low_rank.h"
#include "protect.h"

using namespace shim;

namespace {

at::Tensor rows(const at::Tensor &x) { return x.reshape({-1, x.size(-1)}); }

std::vector<int64_t> shape_with(const at::Tensor &x, int64_t last) {
    auto shape = x.sizes().vec();
    shape.back() = last;
    return shape;
}

/// dy [N, out] · weight [out, in].
at::Tensor back_through(const at::Tensor &dy, const at::Tensor &weight, bool packed) {
    return packed ? packed_product(dy.contiguous(), weight, /*transposed=*/true, std::nullopt) : dy.matmul(weight);
}

struct Layer {
    at::Tensor weight;               // [out, in]; as it lies where it is packed, else in the dtype of the product
    std::optional<at::Tensor> bias;  // [out]
    at::Tensor a;                    // [r, in]
    at::Tensor b;                    // [out, r]
    double scale;
    bool packed;
};

/// A struct of its own, since autograd counts a bare vector's elements as inputs.
struct Layers {
    std::vector<Layer> list;
};

/// The low-rank inputs of all layers side by side: x·[A₁; A₂; …]ᵀ, [N, r₁ + r₂ + …].
at::Tensor joined_a(const std::vector<Layer> &layers) {
    if (layers.size() == 1) return layers[0].a;
    std::vector<at::Tensor> parts;
    for (auto &layer : layers) parts.push_back(layer.a);
    return at::cat(parts);
}

/// x·Aᵀ of rows, [N, R].
at::Tensor low_inputs(const at::Tensor &x, const at::Tensor &a) {
    return low_rank::takes(x, a.size(0)) ? low_rank::inputs(x, a) : x.matmul(a.t());
}

/// x·Wᵀ + bias + scale · low·Bᵀ of every layer, over rows.
std::vector<at::Tensor> outputs(const at::Tensor &x, const at::Tensor &low, const std::vector<Layer> &layers) {
    std::vector<at::Tensor> result;
    int64_t column = 0;
    for (auto &layer : layers) {
        auto rank = layer.a.size(0);
        auto y = layer.packed ? packed_product(x, layer.weight, /*transposed=*/false, layer.bias)
                              : at::linear(x, layer.weight, layer.bias);  // [N, out]
        result.push_back(y.addmm_(low.narrow(1, column, rank), layer.b.t(), 1, layer.scale));
        column += rank;
    }
    return result;
}

/// Inputs in the order of autograd: x, dropped, then (a, b) of every layer. Frozen tensors ride in `layers`.
struct LoRALinears : torch::autograd::Function<LoRALinears> {
    static torch::autograd::variable_list forward(torch::autograd::AutogradContext *context, const at::Tensor &x,
                                                  const at::Tensor &dropped, bool same, at::TensorList adapters,
                                                  const Layers &all) {
        const auto &layers = all.list;
        auto x2 = rows(x).contiguous();             // [N, in]
        auto branch = same ? x2 : rows(dropped);    // [N, in]
        auto a = joined_a(layers);                  // [R, in]
        auto low = low_inputs(branch, a);           // [N, R]
        auto ys = outputs(x2, low, layers);
        std::vector<at::Tensor> saved{branch, low, a};
        std::vector<double> scales;
        c10::List<bool> packed;
        for (auto &layer : layers) {
            saved.push_back(layer.weight);
            saved.push_back(layer.b);
            scales.push_back(layer.scale);
            packed.push_back(layer.packed);
        }
        context->save_for_backward(saved);
        context->saved_data["scales"] = scales;
        context->saved_data["packed"] = packed;
        context->saved_data["same"] = same;
        context->saved_data["x_grad"] = x.requires_grad();
        context->saved_data["dropped_grad"] = !same && dropped.requires_grad();
        context->saved_data["shape"] = x.sizes().vec();
        for (size_t i = 0; i < layers.size(); i++) ys[i] = ys[i].view(shape_with(x, layers[i].weight.size(0)));
        return ys;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   torch::autograd::variable_list gradients) {
        auto saved = context->get_saved_variables();
        const auto &branch = saved[0], &low = saved[1], &a = saved[2];
        auto scales = context->saved_data["scales"].toDoubleVector();
        auto packed = context->saved_data["packed"].toBoolList();
        auto same = context->saved_data["same"].toBool();
        auto x_grad = context->saved_data["x_grad"].toBool();
        auto shape = context->saved_data["shape"].toIntVector();
        auto dlow = at::empty_like(low);            // [N, R]
        at::Tensor dx, ddropped;
        std::vector<at::Tensor> db(scales.size());
        int64_t column = 0;
        for (size_t i = 0; i < scales.size(); i++) {
            const auto &weight = saved[3 + 2 * i], &b = saved[4 + 2 * i];
            auto rank = b.size(1);
            auto part = dlow.narrow(1, column, rank);
            if (gradients[i].defined()) {
                auto dy = rows(gradients[i]);       // [N, out]
                auto own = low.narrow(1, column, rank);
                if (low_rank::takes(dy, rank)) {
                    db[i] = low_rank::back(dy, b, own, scales[i], part);     // [out, r]
                } else {
                    part.copy_(dy.matmul(b)).mul_(scales[i]);
                    db[i] = dy.t().matmul(own).mul_(scales[i]);              // [out, r]
                }
                if (x_grad) {
                    auto part = back_through(dy, weight, packed[i]);  // [N, in]
                    dx = dx.defined() ? dx.add_(part) : part;
                }
            } else {
                part.zero_();
            }
            column += rank;
        }
        if (x_grad && dx.defined()) {
            if (same) dx.addmm_(dlow, a);
            dx = dx.view(shape);
        }
        if (context->saved_data["dropped_grad"].toBool()) ddropped = dlow.matmul(a).view(shape);
        auto da = low_rank::takes(branch, dlow.size(1)) ? low_rank::gathered(dlow, branch) : dlow.t().matmul(branch);  // [R, in]
        torch::autograd::variable_list result{dx, ddropped, {}};
        column = 0;
        for (size_t i = 0; i < scales.size(); i++) {
            auto rank = saved[4 + 2 * i].size(1);
            result.push_back(da.narrow(0, column, rank));
            result.push_back(db[i]);
            column += rank;
        }
        result.emplace_back();
        return result;
    }
};

bool trains_base(const std::vector<Layer> &layers) {
    for (auto &layer : layers) {
        if (layer.weight.requires_grad() || (layer.bias && layer.bias->requires_grad())) return true;
    }
    return false;
}

}  // namespace

extern "C" {

CTStatus ct_lora_linears(CTTensor x, CTTensor low_input, int32_t count, const CTTensor *weights, const CTTensor *biases,
                         const CTTensor *as, const CTTensor *bs, const double *scales, CTTensor *outs) {
    return protect([&] {
        auto input = get(x);
        bool same = low_input == nullptr;
        auto dropped = same ? input : get(low_input);
        auto dtype = autocast_dtype(input);
        if (dtype) {
            // What autocast would do operand by operand. The casts of A and B are recorded.
            input = input.to(*dtype);
            dropped = same ? input : dropped.to(*dtype);
        }
        std::vector<Layer> layers;
        std::vector<at::Tensor> adapters;
        bool needs_graph = input.requires_grad() || dropped.requires_grad();
        for (int32_t i = 0; i < count; i++) {
            Layer layer{get(weights[i]), optional(biases[i]), get(as[i]), get(bs[i]), scales[i], false};
            layer.packed = uses(Kernel::lora) && packs(layer.weight, input, input.scalar_type()) && !(layer.bias && layer.bias->requires_grad());
            if (dtype) {
                if (!layer.packed) layer.weight = cast_weight(layer.weight, *dtype);
                if (layer.bias) layer.bias = cast_weight(*layer.bias, *dtype);
                layer.a = layer.a.to(*dtype);
                layer.b = layer.b.to(*dtype);
            }
            needs_graph = needs_graph || layer.a.requires_grad() || layer.b.requires_grad();
            adapters.push_back(layer.a);
            adapters.push_back(layer.b);
            layers.push_back(std::move(layer));
        }
        // The operands are cast: what follows computes in the dtype it is given.
        c10::impl::ExcludeDispatchKeyGuard guard(c10::autocast_dispatch_keyset);
        std::vector<at::Tensor> ys;
        if (!uses(Kernel::lora) || (at::GradMode::is_enabled() && trains_base(layers))) {
            // The fused backward gives none to the base weight: whoever trains it too gets libtorch's own graph.
            for (auto &layer : layers) {
                auto update = at::linear(at::linear(dropped, layer.a), layer.b) * layer.scale;
                ys.push_back(at::linear(input, layer.weight, layer.bias) + update);
            }
        } else if (at::GradMode::is_enabled() && needs_graph) {
            shim::count(Kernel::lora);
            ys = LoRALinears::apply(input, dropped, same, at::TensorList(adapters), Layers{layers});
        } else {
            shim::count(Kernel::lora);
            at::NoGradGuard no_grad;
            ys = outputs(rows(input).contiguous(), low_inputs(rows(dropped), joined_a(layers)), layers);
            for (int32_t i = 0; i < count; i++) ys[i] = ys[i].view(shape_with(input, layers[i].weight.size(0)));
        }
        for (int32_t i = 0; i < count; i++) give(&outs[i], ys[i]);
    });
}

}  // extern "C"

// Layers: the compound operations that a model names.
#include <ATen/core/dispatch/Dispatcher.h>

#include <limits>

#include "frozen.h"
#include "kernels.h"
#include "onednn.h"
#include "protect.h"

using namespace shim;

namespace {

using LinearUnary = at::Tensor(const at::Tensor &, const at::Tensor &, const std::optional<at::Tensor> &, std::string_view,
                               c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
using LinearBinary = at::Tensor(const at::Tensor &, const at::Tensor &, const at::Tensor &,
                                const std::optional<at::Tensor> &, std::string_view);

// The dispatcher is the address book of operators without a C++ function.
const c10::TypedOperatorHandle<LinearBinary> &onednn_linear_binary() {
    static auto op =
        c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "binary").typed<LinearBinary>();
    return op;
}

std::string_view activation_name(int32_t activation) {
    switch (activation) {
        case CT_ACT_NONE: return "none";
        case CT_ACT_RELU: return "relu";
        case CT_ACT_GELU: return "gelu";
        case CT_ACT_SWISH: return "swish";
    }
    TORCH_CHECK(false, "unknown fused activation ", activation);
}

std::optional<std::string_view> activation_algorithm(int32_t activation) {
    return activation == CT_ACT_GELU ? std::optional<std::string_view>("none") : std::nullopt;
}

}  // namespace

namespace shim::onednn {

at::Tensor pack(const at::Tensor &weight) {
    auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_reorder_linear_weight", "");
    torch::jit::Stack stack{weight, c10::IValue(kTypicalRows)};
    op.callBoxed(stack);
    return stack.at(0).toTensor();
}

at::Tensor linear(const at::Tensor &x, const at::Tensor &weight, const std::optional<at::Tensor> &bias, std::string_view activation,
                  std::optional<std::string_view> algorithm) {
    static auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<LinearUnary>();
    return op.call(x, weight, bias, activation, c10::List<std::optional<at::Scalar>>(), algorithm);
}

}  // namespace shim::onednn

extern "C" {

CTStatus ct_linear(CTTensor x, CTTensor weight, CTTensor bias, CTTensor *out) {
    return protect([&] {
        auto &in = get(x);
        auto dtype = autocast_dtype(in);
        if (auto y = packed_linear(in, get(weight), false, optional(bias), dtype.value_or(in.scalar_type()))) {
            give(out, *y);
            return;
        }
        auto b = optional(bias);
        if (b) b = dtype ? cast_weight(*b, *dtype) : widened(*b, in);
        give(out, at::linear(in, dtype ? cast_weight(get(weight), *dtype) : widened(get(weight), in), b));
    });
}

CTStatus ct_onednn_pack_linear(CTTensor weight, CTTensor *out) {
    return protect([&] { give(out, onednn::pack(get(weight))); });
}

CTStatus ct_onednn_linear(CTTensor x, CTTensor packed, CTTensor bias, int32_t activation, CTTensor *out) {
    return protect([&] {
        count(Kernel::packed_layers);
        give(out, onednn::linear(get(x), get(packed), optional(bias), activation_name(activation), activation_algorithm(activation)));
    });
}

CTStatus ct_onednn_linear_add(CTTensor x, CTTensor other, CTTensor packed, CTTensor bias, CTTensor *out) {
    return protect([&] {
        count(Kernel::packed_layers);
        give(out, onednn_linear_binary().call(get(x), get(other), get(packed), optional(bias), "add"));
    });
}

CTStatus ct_conv2d(CTTensor x, CTTensor weight, CTTensor bias, int64_t stride, int64_t padding, int64_t groups, CTTensor *out) {
    return protect([&] {
        auto &in = get(x);
        auto filters = widened(get(weight), in);
        give(out, at::conv2d(in, filters, widened(optional(bias), in), {stride, stride}, {padding, padding}, {1, 1}, groups));
    });
}

CTStatus ct_embedding(CTTensor weight, CTTensor indices, CTTensor *out) {
    return protect([&] { give(out, at::embedding(get(weight), get(indices))); });
}

CTStatus ct_layer_norm(CTTensor x, CTTensor weight, CTTensor bias, double eps, CTTensor *out) {
    return protect([&] {
        auto &in = get(x);
        give(out, at::layer_norm(in, {in.size(-1)}, widened(optional(weight), in), widened(optional(bias), in), eps));
    });
}

CTStatus ct_group_norm(CTTensor x, int64_t groups, CTTensor weight, CTTensor bias, double eps, CTTensor *out) {
    return protect([&] {
        auto &in = get(x);
        give(out, at::group_norm(in, groups, widened(optional(weight), in), widened(optional(bias), in), eps));
    });
}

CTStatus ct_batch_norm(CTTensor x, CTTensor weight, CTTensor bias, CTTensor mean, CTTensor var, bool training,
                       double momentum, double eps, CTTensor *out) {
    return protect([&] {
        give(out, at::batch_norm(get(x), optional(weight), optional(bias), optional(mean), optional(var), training, momentum,
                                 eps, /*cudnn_enabled=*/true));
    });
}

CTStatus ct_dropout(CTTensor x, double p, CTGenerator g, CTTensor *out) {
    return protect([&] {
        TORCH_CHECK(p >= 0 && p < 1, "dropout probability ", p, " is not in [0, 1)");
        // at::dropout draws from the global generator; a run that resumes bit for bit passes its own.
        auto keep = at::empty_like(get(x)).bernoulli_(1 - p, *reinterpret_cast<at::Generator *>(g));
        give(out, get(x) * keep.div_(1 - p));
    });
}

CTStatus ct_attention(CTTensor q, CTTensor k, CTTensor v, CTTensor mask, bool causal, double scale, CTTensor *out) {
    return protect([&] {
        give(out, at::scaled_dot_product_attention(get(q), get(k), get(v), optional(mask), 0.0, causal,
                                                   scale > 0 ? std::optional<double>(scale) : std::nullopt));
    });
}

CTStatus ct_cross_entropy(CTTensor logits, CTTensor targets, int64_t ignore, double smoothing, int32_t reduction, CTTensor *out) {
    return protect([&] {
        give(out, at::cross_entropy_loss(get(logits), get(targets), {}, reduction, ignore, smoothing));
    });
}

CTStatus ct_mse_loss(CTTensor a, CTTensor b, CTTensor *out) {
    return protect([&] { give(out, at::mse_loss(get(a), get(b))); });
}

CTStatus ct_upsample_nearest2d(CTTensor x, int64_t factor, CTTensor *out) {
    return protect([&] {
        auto shape = get(x).sizes();
        give(out, at::upsample_nearest2d(get(x), {shape[2] * factor, shape[3] * factor}));
    });
}

}  // extern "C"

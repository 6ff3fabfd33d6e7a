// Frozen weights: cast or packed once and kept.
//
// libtorch's autocast keeps the cast copy of a weight for the length of a region, and only of weights that are trained; a frozen
// weight is converted again at every use, and oneDNN lays every weight out anew at every product. A model that is fine-tuned
// through adapters is frozen almost whole: its weights are packed once for the forward and once for the backward pass.
//
// Packing is asked for by a scope, never by what happens to be packed already: a product must round the same way in an
// uninterrupted run and in a resumed one.
#include "frozen.h"

#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <map>
#include <mutex>
#include <unordered_map>

#include "kernels.h"
#include "onednn.h"
#include "protect.h"

using namespace shim;

namespace {

enum class Form { cast, packed, packed_transposed };

struct Kept {
    c10::weak_intrusive_ptr<c10::TensorImpl> source;
    const void *data;   // another memory under the same handle is another weight
    uint32_t version;   // counts writes in place
    std::map<std::pair<at::ScalarType, Form>, at::Tensor> forms;
};

std::mutex guard;
// Never destroyed: at exit libtorch's allocators may be gone before this library's statics are.
auto &kept = *new std::unordered_map<c10::TensorImpl *, Kept>;

thread_local bool is_packing = false;

/// Fewest rows of x for which a packed layout pays.
constexpr int64_t kFewestRows = 16;

bool is_frozen(const at::Tensor &weight) {
    return weight.is_floating_point() && !weight.requires_grad() && weight.is_leaf() && !weight.is_view() && !weight.is_inference();
}

/// The form of a frozen weight, made by `make` where there is none.
template <typename Make>
at::Tensor form_of(const at::Tensor &weight, at::ScalarType dtype, Form form, Make make) {
    auto impl = weight.unsafeGetTensorImpl();
    auto version = static_cast<uint32_t>(weight._version());
    std::lock_guard lock(guard);
    auto found = kept.find(impl);
    if (found != kept.end()) {
        auto &entry = found->second;
        if (entry.source.expired() || entry.data != weight.const_data_ptr() || entry.version != version) {
            kept.erase(found);
            found = kept.end();
        }
    }
    if (found == kept.end()) {
        for (auto entry = kept.begin(); entry != kept.end();) {
            entry = entry->second.source.expired() ? kept.erase(entry) : std::next(entry);
        }
        found = kept.emplace(impl, Kept{c10::weak_intrusive_ptr<c10::TensorImpl>(weight.getIntrusivePtr()), weight.const_data_ptr(), version, {}})
                    .first;
    }
    auto &forms = found->second.forms;
    auto place = forms.find({dtype, form});
    if (place != forms.end()) return place->second;
    at::NoGradGuard no_grad;
    // What is made in inference mode cannot be used in training afterwards.
    c10::InferenceMode normal(false);
    return forms.emplace(std::pair(dtype, form), make()).first->second;
}

at::Tensor pack(const at::Tensor &weight, at::ScalarType dtype, bool transposed) {
    return onednn::pack((transposed ? weight.t() : weight).to(dtype).contiguous());
}

at::Tensor rows_of(const at::Tensor &x, at::ScalarType dtype) { return x.reshape({-1, x.size(-1)}).to(dtype).contiguous(); }

struct PackedLinear : torch::autograd::Function<PackedLinear> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &x, const at::Tensor &weight, bool in_out,
                              const std::optional<at::Tensor> &bias, int64_t dtype) {
        context->saved_data["weight"] = weight;
        context->saved_data["in_out"] = in_out;
        context->saved_data["x_dtype"] = static_cast<int64_t>(x.scalar_type());
        auto shape = x.sizes().vec();
        shape.back() = weight.size(in_out ? 1 : 0);
        return packed_product(rows_of(x, static_cast<at::ScalarType>(dtype)), weight, in_out, bias).view(shape);
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list gradients) {
        auto weight = context->saved_data["weight"].toTensor();
        const bool in_out = context->saved_data["in_out"].toBool();
        auto shape = gradients[0].sizes().vec();
        shape.back() = weight.size(in_out ? 0 : 1);
        auto dx = packed_product(rows_of(gradients[0], gradients[0].scalar_type()), weight, !in_out, std::nullopt);
        return {dx.view(shape).to(static_cast<at::ScalarType>(context->saved_data["x_dtype"].toInt())), {}, {}, {}, {}};
    }
};

}  // namespace

namespace shim {

std::optional<at::ScalarType> autocast_dtype(const at::Tensor &x) {
    auto type = x.device().type();
    if (!at::autocast::is_autocast_enabled(type)) return std::nullopt;
    return at::autocast::get_autocast_dtype(type);
}

at::Tensor cast_weight(const at::Tensor &weight, at::ScalarType dtype) {
    if (weight.scalar_type() == dtype) return weight;
    if (weight.scalar_type() != at::kFloat || !is_frozen(weight) || c10::InferenceMode::is_enabled()) return weight.to(dtype);
    return form_of(weight, dtype, Form::cast, [&] { return weight.to(dtype); });
}

PackingGuard::PackingGuard() : before(is_packing) { is_packing = true; }
PackingGuard::~PackingGuard() { is_packing = before; }

bool packs(const at::Tensor &weight, const at::Tensor &x, at::ScalarType dtype) {
    if (!is_packing || weight.dim() != 2 || !weight.is_cpu() || !x.is_cpu() || x.dim() < 1 || !is_frozen(weight)) return false;
    return x.size(-1) > 0 && x.numel() / x.size(-1) >= kFewestRows && uses(Kernel::packed_weights, dtype);
}

at::Tensor packed_product(const at::Tensor &x, const at::Tensor &weight, bool transposed, const std::optional<at::Tensor> &bias) {
    const auto dtype = x.scalar_type();
    auto packed = form_of(weight, dtype, transposed ? Form::packed_transposed : Form::packed,
                          [&] { return pack(weight, dtype, transposed); });
    count(Kernel::packed_weights);
    at::NoGradGuard no_grad;
    return onednn::linear(x, packed, bias);
}

std::optional<at::Tensor> packed_linear(const at::Tensor &x, const at::Tensor &weight, bool in_out, const std::optional<at::Tensor> &bias,
                                        at::ScalarType dtype) {
    if (!packs(weight, x, dtype) || x.size(-1) != weight.size(in_out ? 0 : 1) || (bias && bias->requires_grad())) return std::nullopt;
    auto cast = bias ? std::optional(cast_weight(*bias, dtype)) : bias;
    // The operands are cast: what follows computes in the dtype it is given.
    c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    if (needs_gradient(x)) return PackedLinear::apply(x, weight, in_out, cast, static_cast<int64_t>(dtype));
    auto shape = x.sizes().vec();
    shape.back() = weight.size(in_out ? 1 : 0);
    return packed_product(rows_of(x, dtype), weight, in_out, cast).view(shape);
}

}  // namespace shim

extern "C" {

CTStatus ct_autocast_input(CTTensor x, CTTensor *out) {
    return protect([&] {
        auto dtype = autocast_dtype(get(x));
        give(out, dtype && get(x).is_floating_point() ? get(x).to(*dtype) : get(x));
    });
}

CTStatus ct_packing_enter(CTGuard *out) {
    return protect([&] { *out = reinterpret_cast<CTGuard>(new PackingGuard()); });
}

CTStatus ct_packing_exit(CTGuard guard) {
    return protect([&] { delete reinterpret_cast<PackingGuard *>(guard); });
}

}  // extern "C"

// Frozen weights under autocast: cast once and kept.
//
// libtorch's autocast keeps the cast copy of a weight for the length of a region, and only of weights that are trained;
// a frozen weight is converted again at every use. A model that is fine-tuned through adapters is frozen almost whole.
#include <ATen/autocast_mode.h>

#include <mutex>
#include <unordered_map>

#include "protect.h"

using namespace shim;

namespace {

struct Kept {
    c10::weak_intrusive_ptr<c10::TensorImpl> source;
    const void *data;   // another memory under the same handle is another weight
    uint32_t version;   // counts writes in place
    at::Tensor cast;
};

std::mutex guard;
// Never destroyed: at exit libtorch's allocators may be gone before this library's statics are.
auto &kept = *new std::unordered_map<c10::TensorImpl *, Kept>;

}  // namespace

namespace shim {

std::optional<at::ScalarType> autocast_dtype(const at::Tensor &x) {
    auto type = x.device().type();
    if (!at::autocast::is_autocast_enabled(type)) return std::nullopt;
    return at::autocast::get_autocast_dtype(type);
}

at::Tensor cast_weight(const at::Tensor &weight, at::ScalarType dtype) {
    if (weight.scalar_type() == dtype) return weight;
    bool keep = weight.scalar_type() == at::kFloat && !weight.requires_grad() && weight.is_leaf() && !weight.is_view() &&
                !weight.is_inference();
    // What is made in inference mode cannot be used in training afterwards.
    if (!keep || c10::InferenceMode::is_enabled()) return weight.to(dtype);
    auto impl = weight.unsafeGetTensorImpl();
    auto version = static_cast<uint32_t>(weight._version());
    std::lock_guard lock(guard);
    auto found = kept.find(impl);
    if (found != kept.end()) {
        auto &entry = found->second;
        if (!entry.source.expired() && entry.data == weight.const_data_ptr() && entry.version == version &&
            entry.cast.scalar_type() == dtype) {
            return entry.cast;
        }
        kept.erase(found);
    }
    for (auto entry = kept.begin(); entry != kept.end();) {
        entry = entry->second.source.expired() ? kept.erase(entry) : std::next(entry);
    }
    at::NoGradGuard no_grad;
    auto cast = weight.to(dtype);
    kept.emplace(impl, Kept{c10::weak_intrusive_ptr<c10::TensorImpl>(weight.getIntrusivePtr()), weight.const_data_ptr(),
                            version, cast});
    return cast;
}

}  // namespace shim

extern "C" {

CTStatus ct_autocast_input(CTTensor x, CTTensor *out) {
    return protect([&] {
        auto dtype = autocast_dtype(get(x));
        give(out, dtype && get(x).is_floating_point() ? get(x).to(*dtype) : get(x));
    });
}

}  // extern "C"

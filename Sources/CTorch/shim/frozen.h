// Frozen weights in the form that products want: cast or packed once and kept (frozen.cpp).
#pragma once

#include <ATen/ATen.h>

#include <optional>

namespace shim {

/// A weight in the dtype of autocast; of a frozen one the copy is kept while the weight lives unchanged.
at::Tensor cast_weight(const at::Tensor &weight, at::ScalarType dtype);

/// Whether `packed_product` takes this weight `[out, in]` (or `[in, out]`) for an x of this dtype: inside `ct_packing_enter`, a
/// frozen weight, a CPU for which oneDNN's packed layout is the fastest.
bool packs(const at::Tensor &weight, const at::Tensor &x, at::ScalarType dtype);

/// x `[N, in]` · weight `[out, in]`ᵀ + bias; with `transposed` x `[N, out]` · weight. x and bias are of one dtype, to which the weight
/// is cast as it is packed. Records no gradient.
at::Tensor packed_product(const at::Tensor &x, const at::Tensor &weight, bool transposed, const std::optional<at::Tensor> &bias);

/// x `[..., in]` · weight + bias with the gradient of x, through `packed_product`; nothing where it does not apply.
std::optional<at::Tensor> packed_linear(const at::Tensor &x, const at::Tensor &weight, bool in_out, const std::optional<at::Tensor> &bias,
                                        at::ScalarType dtype);

/// Whether float32 products go to oneDNN (float32.cpp).
bool float32_products_by_onednn();

struct PackingGuard {
    PackingGuard();
    ~PackingGuard();
    PackingGuard(const PackingGuard &) = delete;

private:
    bool before;
};

}  // namespace shim

// Products with the thin matrices of low-rank updates (low_rank.cpp).
#pragma once

#include <ATen/ATen.h>

namespace shim::low_rank {

/// Whether the products below take rows `[N, width]` of x and this many ranks: dense float32 or bfloat16 on a CPU with AVX-512.
bool takes(const at::Tensor &x, int64_t ranks);

/// x `[N, in]` · a `[R, in]`ᵀ, `[N, R]` in the dtype of x.
at::Tensor inputs(const at::Tensor &x, const at::Tensor &a);

/// Backward of scale · low · bᵀ: writes scale · dy · b into dlow `[N, r]` (columns of a wider one), and gives scale · dyᵀ · low,
/// `[out, r]`; dy `[N, out]`, b `[out, r]`, low `[N, r]`.
at::Tensor back(const at::Tensor &dy, const at::Tensor &b, const at::Tensor &low, double scale, const at::Tensor &dlow);

/// dlow `[N, R]`ᵀ · x `[N, in]`, `[R, in]` in the dtype of x.
at::Tensor gathered(const at::Tensor &dlow, const at::Tensor &x);

}  // namespace shim::low_rank

// Attention head by head on CPUs with AVX-512 (head_attention.cpp).
#pragma once

#include <ATen/ATen.h>

namespace shim {

/// Whether `head_attention` takes these tokens: q `[B, P, C]`, k and v `[B, S, C]` of one dtype, float32 or bfloat16.
bool has_head_attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, int64_t heads);

/// softmax(scale · q · kᵀ) · v of every head, `[B, P, C]`, with gradients. `causal`: position p sees the keys up to p + S - P, and P
/// is at most S.
at::Tensor head_attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, int64_t heads, bool causal,
                          double scale);

}  // namespace shim

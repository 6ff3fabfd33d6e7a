// Attention on tokens as linear layers give them: by heads side by side where there is a kernel for it, else by libtorch's.
#include <cmath>

#include "head_attention.h"
#include "protect.h"

using namespace shim;

extern "C" {

CTStatus ct_heads_attention(CTTensor q, CTTensor k, CTTensor v, int64_t heads, bool causal, double scale, CTTensor *out) {
    return protect([&] {
        auto &a = get(q), &b = get(k), &c = get(v);
        TORCH_CHECK(a.dim() == 3 && b.dim() == 3 && b.sizes() == c.sizes() && a.size(0) == b.size(0) && a.size(2) == b.size(2),
                    "attention of tokens ", a.sizes(), " to keys ", b.sizes(), " and values ", c.sizes());
        TORCH_CHECK(heads > 0 && a.size(2) % heads == 0, a.size(2), " channels for ", heads, " heads");
        TORCH_CHECK(!causal || a.size(1) <= b.size(1), "causal attention of ", a.size(1), " positions to ", b.size(1), " keys");
        const int64_t width = a.size(2) / heads;
        const double usual = 1 / std::sqrt(static_cast<double>(width));
        if (has_head_attention(a, b, c, heads)) {
            give(out, head_attention(a, b, c, heads, causal, scale > 0 ? scale : usual));
            return;
        }
        auto split = [&](const at::Tensor &x) { return x.reshape({x.size(0), -1, heads, width}).transpose(1, 2); };
        // libtorch's diagonal starts at the first key.
        std::optional<at::Tensor> mask;
        if (causal && a.size(1) != b.size(1)) {
            mask = at::ones({a.size(1), b.size(1)}, a.options().dtype(at::kBool)).tril_(b.size(1) - a.size(1));
        }
        auto mixed = at::scaled_dot_product_attention(split(a), split(b), split(c), mask, 0.0, causal && !mask,
                                                      scale > 0 ? std::optional<double>(scale) : std::nullopt);  // [B, A, P, d]
        give(out, mixed.transpose(1, 2).reshape(a.sizes()));
    });
}

}  // extern "C"

// Linear layers over many rows on CPUs with AVX2: weights are brought into panels as they are needed and widened on the way, so
// that they may lie in bfloat16, and bias and residual sum are added while a block of results is in the cache.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <memory>

#include "protect.h"
#include "tiles.h"

using namespace shim;

namespace {

// Panels of a block of columns: 160 columns, few enough to share a layer of 320 between two threads.
constexpr int64_t kPanels = 10;
// Fewest rows that are worth packing the weight.
constexpr int64_t kFewestRows = 64;

inline float wide(float x) { return x; }
inline float wide(at::BFloat16 x) { return static_cast<float>(x); }

/// Rows `[16][depth]` of a weight as one panel `[depth][16]`.
template <typename Number>
void pack(const Number *weight, int64_t depth, float *out) {
    for (int64_t k = 0; k < depth; k++) {
        for (int64_t j = 0; j < tiles::kColumns; j++) *out++ = wide(weight[j * depth + k]);
    }
}

/// x `[rows, depth]` · weight `[columns, depth]`ᵀ + bias + other, into y `[rows, columns]`.
template <typename Number>
void product(const float *x, int64_t rows, int64_t depth, const Number *weight, int64_t columns, const float *bias, const float *other,
             float *y) {
    const int64_t panels = columns / tiles::kColumns, groups = (panels + kPanels - 1) / kPanels;
    const int64_t shares = std::min<int64_t>((at::get_num_threads() + groups - 1) / groups, (rows + tiles::kRows - 1) / tiles::kRows);
    const int64_t share = (rows + shares - 1) / shares;
    at::parallel_for(0, groups * shares, 1, [&](int64_t first, int64_t last) {
        std::unique_ptr<float[]> packed(new float[static_cast<size_t>(kPanels * depth * tiles::kColumns)]);
        for (int64_t i = first; i < last; i++) {
            const int64_t start = i / shares * kPanels, count = std::min(kPanels, panels - start);
            const int64_t column = start * tiles::kColumns, width = count * tiles::kColumns;
            for (int64_t j = 0; j < count; j++) {
                pack(weight + (column + j * tiles::kColumns) * depth, depth, packed.get() + j * depth * tiles::kColumns);
            }
            const int64_t end = std::min(rows, (i % shares + 1) * share);
            for (int64_t row = i % shares * share; row < end; row += tiles::kRows) {
                const int64_t height = std::min(tiles::kRows, end - row);
                tiles::multiply(x + row * depth, depth, height, packed.get(), count, depth, y + row * columns + column, columns);
                if (bias == nullptr && other == nullptr) continue;
                for (int64_t r = row; r < row + height; r++) {
                    float *to = y + r * columns + column;
                    if (bias != nullptr) {
                        for (int64_t c = 0; c < width; c++) to[c] += bias[column + c];
                    }
                    if (other != nullptr) {
                        const float *from = other + r * columns + column;
                        for (int64_t c = 0; c < width; c++) to[c] += from[c];
                    }
                }
            }
        }
    });
}

}  // namespace

extern "C" {

CTStatus ct_tiled_linear(CTTensor x, CTTensor weight, CTTensor bias, CTTensor other, CTTensor *out) {
    return protect([&] {
        auto &in = get(x), &w = get(weight);
        auto shift = optional(bias), more = optional(other);
        auto records = [](const std::optional<at::Tensor> &t) { return t && at::GradMode::is_enabled() && t->requires_grad(); };
        auto is_plain = [](const at::Tensor &t) { return t.is_cpu() && t.is_contiguous() && t.scalar_type() == at::kFloat; };
        const bool is_narrow = w.scalar_type() == at::kBFloat16;
        const int64_t depth = in.size(-1), rows = depth == 0 ? 0 : in.numel() / depth;
        const bool is_own = tiles::are_fastest() && is_plain(in) && w.is_cpu() && w.is_contiguous() && w.dim() == 2 &&
                            (is_narrow || w.scalar_type() == at::kFloat) && w.size(1) == depth && w.size(0) % tiles::kColumns == 0 &&
                            rows >= kFewestRows && !autocast_dtype(in) && !records(in) && !records(w) && !records(shift) && !records(more);
        if (!is_own) {
            CTTensor made = nullptr;
            if (auto status = ct_linear(x, weight, bias, &made); status != CT_OK) TORCH_CHECK(false, ct_last_error());
            std::unique_ptr<at::Tensor> result(reinterpret_cast<at::Tensor *>(made));
            give(out, more ? *more + *result : *result);
            return;
        }
        auto shape = in.sizes().vec();
        shape.back() = w.size(0);
        auto y = at::empty(shape, in.options());
        if (shift) shift = shift->to(at::kFloat).contiguous();
        if (more) {
            TORCH_CHECK(more->sizes() == y.sizes(), "a residual of ", more->sizes(), " for results of ", y.sizes());
            more = more->to(at::kFloat).contiguous();
        }
        const float *add = shift ? shift->const_data_ptr<float>() : nullptr, *residual = more ? more->const_data_ptr<float>() : nullptr;
        if (is_narrow) {
            product(in.const_data_ptr<float>(), rows, depth, w.const_data_ptr<at::BFloat16>(), w.size(0), add, residual, y.mutable_data_ptr<float>());
        } else {
            product(in.const_data_ptr<float>(), rows, depth, w.const_data_ptr<float>(), w.size(0), add, residual, y.mutable_data_ptr<float>());
        }
        give(out, y);
    });
}

}  // extern "C"

// Attention on tokens as linear layers give them, forward and backward, one head at a time in one core's cache.
//
// libtorch's fused attention multiplies its blocks through a general matrix product, which for heads of some dozens of positions
// costs more in calls than in arithmetic, and takes a slow path on CPUs that MKL does not know. Here the products are small
// loops over registers, and the scores of a block never leave the cache. Forward: blocks of keys with running maxima and sums
// (Milakov & Gimelshein 2018; Dao et al. 2022), scores transposed, so that maxima and sums run over registers. Backward: the
// weights are made again from the saved logarithms of the sums. All arithmetic is float32, also for bfloat16 tokens.
#include "lanes.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>

#include "head_attention.h"
#include "kernels.h"

namespace shim {

#if defined(__x86_64__)
namespace {

constexpr int64_t W = lanes::kCount;
constexpr int64_t kQueries = 64;   // of a block
constexpr int64_t kKeys = 256;     // of a block of the forward pass
constexpr int64_t kWidest = 256;   // head
constexpr int64_t kMostKeys = 8192;  // that the backward pass keeps a block of queries' scores for

/// c[R][16 C] (= or +=) aᵀ · b over `depth` rows: a[depth][>= R], b[depth][16 C]. Sums stay in registers.
template <int R, int C>
SHIM_LANES inline void tile(int64_t depth, const float *a, int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc,
                            bool adds) {
    __m512 s[R][C];
#pragma GCC unroll 12
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
        for (int j = 0; j < C; j++) s[r][j] = adds ? _mm512_loadu_ps(c + r * ldc + j * W) : _mm512_setzero_ps();
    }
    for (int64_t k = 0; k < depth; k++, a += lda, b += ldb) {
        __m512 y[C];
#pragma GCC unroll 2
        for (int j = 0; j < C; j++) y[j] = _mm512_loadu_ps(b + j * W);
#pragma GCC unroll 12
        for (int r = 0; r < R; r++) {
            const __m512 x = _mm512_set1_ps(a[r]);
#pragma GCC unroll 2
            for (int j = 0; j < C; j++) s[r][j] = _mm512_fmadd_ps(x, y[j], s[r][j]);
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
        for (int j = 0; j < C; j++) _mm512_storeu_ps(c + r * ldc + j * W, s[r][j]);
    }
}

template <int C>
SHIM_LANES void columns(int64_t rows, int64_t depth, const float *a, int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc,
                        bool adds) {
    int64_t r = 0;
    for (; r + 12 <= rows; r += 12) tile<12, C>(depth, a + r, lda, b, ldb, c + r * ldc, ldc, adds);
    a += r;
    c += r * ldc;
    switch (rows - r) {
        case 1: return tile<1, C>(depth, a, lda, b, ldb, c, ldc, adds);
        case 2: return tile<2, C>(depth, a, lda, b, ldb, c, ldc, adds);
        case 3: return tile<3, C>(depth, a, lda, b, ldb, c, ldc, adds);
        case 4: return tile<4, C>(depth, a, lda, b, ldb, c, ldc, adds);
        case 5: return tile<5, C>(depth, a, lda, b, ldb, c, ldc, adds);
        case 6: return tile<6, C>(depth, a, lda, b, ldb, c, ldc, adds);
        case 7: return tile<7, C>(depth, a, lda, b, ldb, c, ldc, adds);
        case 8: return tile<8, C>(depth, a, lda, b, ldb, c, ldc, adds);
        case 9: return tile<9, C>(depth, a, lda, b, ldb, c, ldc, adds);
        case 10: return tile<10, C>(depth, a, lda, b, ldb, c, ldc, adds);
        case 11: return tile<11, C>(depth, a, lda, b, ldb, c, ldc, adds);
    }
}

/// c[rows][width] (= or +=) aᵀ · b, a[depth][rows], b[depth][width]; `width` counts in whole lanes.
SHIM_LANES void multiply(int64_t rows, int64_t width, int64_t depth, const float *a, int64_t lda, const float *b, int64_t ldb,
                         float *c, int64_t ldc, bool adds) {
    int64_t j = 0;
    for (; j + 2 * W <= width; j += 2 * W) columns<2>(rows, depth, a, lda, b + j, ldb, c + j, ldc, adds);
    if (j < width) columns<1>(rows, depth, a, lda, b + j, ldb, c + j, ldc, adds);
}

/// Distance of rows of `count` numbers, such that the lines of a column do not all fall into the same few sets of the cache.
constexpr int64_t spread(int64_t count) { return count % 128 == 0 ? count + W : count; }

/// Rows of one head: `[count][width]`, `stride` apart.
template <typename Number>
struct Rows {
    Number *data;
    int64_t stride, count;

    Rows part(int64_t first, int64_t most) const { return {data + first * stride, stride, std::min(most, count - first)}; }
};

/// out[c][r] = scale · x[r][c], rows `stride` apart; columns up to `padded` that have no row are 0.
template <typename Number>
SHIM_LANES void transposed(const Rows<const Number> &x, int64_t width, float scale, int64_t padded, int64_t stride, float *out) {
    const __m512 factor = _mm512_set1_ps(scale);
    for (int64_t r = 0; r < padded; r += W) {
        for (int64_t c = 0; c < width; c += W) {
            __m512 block[16];
#pragma GCC unroll 16
            for (int i = 0; i < 16; i++) {
                block[i] = r + i < x.count ? _mm512_mul_ps(factor, lanes::load(x.data + (r + i) * x.stride + c)) : _mm512_setzero_ps();
            }
            lanes::transpose(block);
#pragma GCC unroll 16
            for (int i = 0; i < 16; i++) lanes::store(out + (c + i) * stride + r, block[i]);
        }
    }
}

/// out[r][c] = scale · x[r][c], dense.
template <typename Number>
SHIM_LANES void dense(const Rows<const Number> &x, int64_t width, float scale, float *out) {
    const __m512 factor = _mm512_set1_ps(scale);
    for (int64_t r = 0; r < x.count; r++) {
        for (int64_t c = 0; c < width; c += W) lanes::store(out + r * width + c, _mm512_mul_ps(factor, lanes::load(x.data + r * x.stride + c)));
    }
}

struct Free {
    void operator()(float *memory) const { std::free(memory); }
};

/// This thread's memory for blocks, kept from call to call.
float *space(int64_t count) {
    static thread_local std::unique_ptr<float, Free> memory;
    static thread_local int64_t size = 0;
    if (count > size) {
        memory.reset(static_cast<float *>(std::aligned_alloc(64, static_cast<size_t>((count * 4 + 63) / 64 * 64))));
        size = memory ? count : 0;
        if (!memory) throw std::bad_alloc();
    }
    return memory.get();
}

/// Tokens of one head's forward pass; `scale` turns products into powers of two.
template <typename Number>
struct Forward {
    Rows<const Number> q, k, v;
    Rows<Number> out;
    float *logarithms;  // [P], of the rows' sums, in powers of two; or null
    int64_t width;
    float scale;
    bool causal;
};

/// Scores of a block, transposed `[keys][kQueries]`, become weights relative to the largest of a query so far.
/// - `factors`: of what came before.
SHIM_LANES void weigh(float *scores, int64_t keys, float *highs, float *sums, float *factors) {
    for (int64_t i = 0; i < kQueries; i += W) {
        __m512 high = _mm512_loadu_ps(highs + i);
        const __m512 before = high;
        for (int64_t j = 0; j < keys; j++) high = _mm512_max_ps(high, _mm512_loadu_ps(scores + j * kQueries + i));
        // A query that sees no key of this block and saw none before: nothing is subtracted from -infinity.
        const __m512 shift = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(high, _mm512_set1_ps(-INFINITY), _CMP_NEQ_UQ), high);
        __m512 sum = _mm512_setzero_ps();
        for (int64_t j = 0; j < keys; j++) {
            float *at = scores + j * kQueries + i;
            const __m512 weight = lanes::power_of_two(_mm512_sub_ps(_mm512_loadu_ps(at), shift));
            sum = _mm512_add_ps(sum, weight);
            _mm512_storeu_ps(at, weight);
        }
        const __m512 factor = lanes::power_of_two(_mm512_sub_ps(before, shift));
        _mm512_storeu_ps(factors + i, factor);
        _mm512_storeu_ps(sums + i, _mm512_fmadd_ps(_mm512_loadu_ps(sums + i), factor, sum));
        _mm512_storeu_ps(highs + i, high);
    }
}

template <typename Number>
SHIM_LANES void forward(const Forward<Number> &head) {
    const int64_t width = head.width, keys = head.k.count, queries = head.q.count;
    const int64_t offset = keys - queries;  // of the causal diagonal
    const int64_t stride = spread(std::min(lanes::rounded_up(keys), kKeys)), blocks = (keys + kKeys - 1) / kKeys;
    constexpr bool is_wide = std::is_same_v<Number, float>;
    float *qT = space(width * kQueries + blocks * width * stride + (is_wide ? 0 : keys * width) + kKeys * kQueries + kQueries * width + 3 * kQueries);
    float *kT = qT + width * kQueries, *wide = kT + blocks * width * stride, *scores = wide + (is_wide ? 0 : keys * width);
    float *mixed = scores + kKeys * kQueries, *highs = mixed + kQueries * width, *sums = highs + kQueries, *factors = sums + kQueries;
    for (int64_t b = 0; b < blocks; b++) {
        const auto part = head.k.part(b * kKeys, kKeys);
        transposed(part, width, 1, lanes::rounded_up(part.count), stride, kT + b * width * stride);
    }
    const float *values = nullptr;
    int64_t values_stride = width;
    if constexpr (is_wide) {
        values = head.v.data;
        values_stride = head.v.stride;
    } else {
        dense(head.v, width, 1, wide);
        values = wide;
    }
    for (int64_t first = 0; first < queries; first += kQueries) {
        const auto block = head.q.part(first, kQueries);
        const int64_t columns = lanes::rounded_up(block.count);
        transposed(block, width, head.scale, kQueries, kQueries, qT);
        for (int64_t i = 0; i < kQueries; i++) {
            highs[i] = -std::numeric_limits<float>::infinity();
            sums[i] = 0;
        }
        const int64_t seen = head.causal ? std::min(keys, first + block.count + offset) : keys;
        for (int64_t start = 0; start < seen; start += kKeys) {
            const int64_t count = std::min(kKeys, seen - start);
            multiply(count, columns, width, kT + start / kKeys * width * stride, stride, qT, kQueries, scores, kQueries, false);
            if (head.causal) {
                for (int64_t j = 0; j < count; j++) {
                    const int64_t blind = std::min(block.count, start + j - offset - first);  // queries before this key
                    for (int64_t i = 0; i < blind; i++) scores[j * kQueries + i] = -std::numeric_limits<float>::infinity();
                }
            }
            for (int64_t i = columns; i < kQueries; i += W) {
                for (int64_t j = 0; j < count; j++) _mm512_storeu_ps(scores + j * kQueries + i, _mm512_setzero_ps());
            }
            weigh(scores, count, highs, sums, factors);
            if (start > 0) {
                for (int64_t i = 0; i < block.count; i++) {
                    if (factors[i] == 1) continue;
                    const __m512 factor = _mm512_set1_ps(factors[i]);
                    for (int64_t c = 0; c < width; c += W) {
                        _mm512_storeu_ps(mixed + i * width + c, _mm512_mul_ps(factor, _mm512_loadu_ps(mixed + i * width + c)));
                    }
                }
            }
            multiply(block.count, width, count, scores, kQueries, values + start * values_stride, values_stride, mixed, width, start > 0);
        }
        for (int64_t i = 0; i < block.count; i++) {
            const __m512 inverse = _mm512_set1_ps(1 / sums[i]);
            for (int64_t c = 0; c < width; c += W) {
                lanes::store(head.out.data + (first + i) * head.out.stride + c, _mm512_mul_ps(inverse, _mm512_loadu_ps(mixed + i * width + c)));
            }
            if (head.logarithms != nullptr) head.logarithms[first + i] = highs[i] + std::log2(sums[i]);
        }
    }
}

template <typename Number>
struct Backward {
    Rows<const Number> q, k, v, out, dout;
    Rows<Number> dq, dk, dv;
    const float *logarithms;
    int64_t width;
    float scale;  // of products, before they become powers of two
    bool causal;
};

SHIM_LANES inline float total(__m512 x) { return _mm512_reduce_add_ps(x); }

template <typename Number>
SHIM_LANES void backward(const Backward<Number> &head) {
    const int64_t width = head.width, keys = head.k.count, padded = lanes::rounded_up(keys), queries = head.q.count;
    const int64_t offset = keys - queries, stride = spread(padded);
    const float scale2 = head.scale * static_cast<float>(M_LOG2E);
    float *kT = space(2 * width * stride + 3 * width * padded + 4 * width * kQueries + 2 * kQueries * stride + kQueries * padded);
    float *vT = kT + width * stride, *k = vT + width * stride;                       // [width][stride] twice, [padded][width]
    float *dk = k + width * padded, *dv = dk + width * padded;                       // [padded][width]
    float *qT = dv + width * padded, *q = qT + width * kQueries, *doutT = q + width * kQueries;
    float *dout = doutT + width * kQueries;                                          // [kQueries][width], as q; the T ones [width][kQueries]
    float *weights = dout + width * kQueries, *ds = weights + kQueries * stride;     // [kQueries][stride]
    float *dsT = ds + kQueries * stride;                                             // [padded][kQueries]
    transposed(head.k, width, 1, padded, stride, kT);
    transposed(head.v, width, 1, padded, stride, vT);
    dense(head.k, width, 1, k);
    for (int64_t first = 0; first < queries; first += kQueries) {
        const auto block = head.q.part(first, kQueries);
        const auto gradient = head.dout.part(first, kQueries);
        const auto result = head.out.part(first, kQueries);
        transposed(block, width, scale2, kQueries, kQueries, qT);
        dense(block, width, head.scale, q);
        transposed(gradient, width, 1, kQueries, kQueries, doutT);
        dense(gradient, width, 1, dout);
        multiply(block.count, padded, width, qT, kQueries, kT, stride, weights, stride, false);
        multiply(block.count, padded, width, doutT, kQueries, vT, stride, ds, stride, false);
        for (int64_t i = 0; i < block.count; i++) {
            __m512 products = _mm512_setzero_ps();
            for (int64_t c = 0; c < width; c += W) {
                products = _mm512_fmadd_ps(_mm512_loadu_ps(dout + i * width + c), lanes::load(result.data + i * result.stride + c), products);
            }
            const __m512 delta = _mm512_set1_ps(total(products)), logarithm = _mm512_set1_ps(head.logarithms[first + i]);
            const int64_t seen = head.causal ? std::min(keys, first + i + offset + 1) : keys;
            for (int64_t j = 0; j < padded; j += W) {
                float *at = weights + i * stride + j, *to = ds + i * stride + j;
                const __mmask16 mask = j >= seen ? 0 : seen - j >= W ? 0xffff : lanes::first(seen - j);
                const __m512 weight = _mm512_maskz_mov_ps(mask, lanes::power_of_two(_mm512_sub_ps(_mm512_loadu_ps(at), logarithm)));
                _mm512_storeu_ps(at, weight);
                _mm512_storeu_ps(to, _mm512_mul_ps(weight, _mm512_sub_ps(_mm512_loadu_ps(to), delta)));
            }
        }
        // What no query of the block sees is 0 in both, and so adds nothing.
        multiply(keys, width, block.count, weights, stride, dout, width, dv, width, first > 0);
        multiply(keys, width, block.count, ds, stride, q, width, dk, width, first > 0);
        transposed(Rows<const float>{ds, stride, block.count}, padded, head.scale, kQueries, kQueries, dsT);
        multiply(block.count, width, keys, dsT, kQueries, k, width, dout, width, false);  // dq, where dout was
        for (int64_t i = 0; i < block.count; i++) {
            for (int64_t c = 0; c < width; c += W) {
                lanes::store(head.dq.data + (first + i) * head.dq.stride + c, _mm512_loadu_ps(dout + i * width + c));
            }
        }
    }
    for (int64_t j = 0; j < keys; j++) {
        for (int64_t c = 0; c < width; c += W) {
            lanes::store(head.dk.data + j * head.dk.stride + c, _mm512_loadu_ps(dk + j * width + c));
            lanes::store(head.dv.data + j * head.dv.stride + c, _mm512_loadu_ps(dv + j * width + c));
        }
    }
}

/// Head `i` of tokens `[B, T, C]`, counted through the batch.
template <typename Number>
Rows<const Number> rows(const at::Tensor &x, int64_t i, int64_t heads) {
    return {x.const_data_ptr<Number>() + i / heads * x.stride(0) + i % heads * (x.size(2) / heads), x.stride(1), x.size(1)};
}

template <typename Number>
Rows<Number> written_rows(const at::Tensor &x, int64_t i, int64_t heads) {
    return {x.mutable_data_ptr<Number>() + i / heads * x.stride(0) + i % heads * (x.size(2) / heads), x.stride(1), x.size(1)};
}

at::Tensor made(const at::Tensor &q) { return at::empty(q.sizes(), q.options()); }

at::Tensor forward_pass(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, int64_t heads, bool causal, double scale,
                        at::Tensor *logarithms) {
    const int64_t width = q.size(2) / heads, count = q.size(0) * heads;
    auto out = made(q);
    float *logs = nullptr;
    if (logarithms != nullptr) {
        *logarithms = at::empty({count, q.size(1)}, q.options().dtype(at::kFloat));
        logs = logarithms->mutable_data_ptr<float>();
    }
    const auto in_powers = static_cast<float>(M_LOG2E * scale);
    auto run = [&]<typename Number>() {
        at::parallel_for(0, count, 1, [&](int64_t first, int64_t last) {
            for (int64_t i = first; i < last; i++) {
                forward(Forward<Number>{rows<Number>(q, i, heads), rows<Number>(k, i, heads), rows<Number>(v, i, heads),
                                        written_rows<Number>(out, i, heads), logs ? logs + i * q.size(1) : nullptr, width, in_powers, causal});
            }
        });
    };
    if (q.scalar_type() == at::kFloat) run.template operator()<float>();
    else run.template operator()<at::BFloat16>();
    return out;
}

struct HeadAttention : torch::autograd::Function<HeadAttention> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                              int64_t heads, bool causal, double scale) {
        at::Tensor logarithms;
        auto out = forward_pass(q, k, v, heads, causal, scale, &logarithms);
        context->save_for_backward({q, k, v, out, logarithms});
        context->saved_data["heads"] = heads;
        context->saved_data["causal"] = causal;
        context->saved_data["scale"] = scale;
        return out;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list gradients) {
        auto saved = context->get_saved_variables();
        const auto &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &logarithms = saved[4];
        const int64_t heads = context->saved_data["heads"].toInt(), width = q.size(2) / heads;
        const bool causal = context->saved_data["causal"].toBool();
        auto dout = gradients[0].to(q.scalar_type()).contiguous();
        auto dq = made(q), dk = made(k), dv = made(v);
        const float *logs = logarithms.const_data_ptr<float>();
        const auto scale = static_cast<float>(context->saved_data["scale"].toDouble());
        auto run = [&]<typename Number>() {
            at::parallel_for(0, q.size(0) * heads, 1, [&](int64_t first, int64_t last) {
                for (int64_t i = first; i < last; i++) {
                    shim::backward(Backward<Number>{rows<Number>(q, i, heads), rows<Number>(k, i, heads), rows<Number>(v, i, heads),
                                                    rows<Number>(out, i, heads), rows<Number>(dout, i, heads), written_rows<Number>(dq, i, heads),
                                                    written_rows<Number>(dk, i, heads), written_rows<Number>(dv, i, heads),
                                                    logs + i * q.size(1), width, scale, causal});
                }
            });
        };
        if (q.scalar_type() == at::kFloat) run.template operator()<float>();
        else run.template operator()<at::BFloat16>();
        return {dq, dk, dv, {}, {}, {}};
    }
};

}  // namespace
#endif

bool has_head_attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, int64_t heads) {
#if defined(__x86_64__)
    if (!uses(Kernel::head_attention)) return false;
    const auto dtype = q.scalar_type();
    if (dtype != at::kFloat && dtype != at::kBFloat16) return false;
    for (auto *x : {&q, &k, &v}) {
        if (!x->is_cpu() || x->scalar_type() != dtype || x->stride(2) != 1 || x->is_conj() || x->is_neg()) return false;
    }
    const int64_t width = q.size(2) / heads;
    return width % lanes::kCount == 0 && width <= kWidest && q.size(1) > 0 && k.size(1) > 0 && k.size(1) <= kMostKeys;
#else
    return false;
#endif
}

at::Tensor head_attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, int64_t heads, bool causal, double scale) {
#if defined(__x86_64__)
    count(Kernel::head_attention);
    if (at::GradMode::is_enabled() && (q.requires_grad() || k.requires_grad() || v.requires_grad())) {
        return HeadAttention::apply(q, k, v, heads, causal, scale);
    }
    return forward_pass(q, k, v, heads, causal, scale, nullptr);
#else
    TORCH_CHECK(false, "no attention kernel for this CPU");
#endif
}

}  // namespace shim

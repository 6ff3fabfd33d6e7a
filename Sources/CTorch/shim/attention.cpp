// Attention over many positions without the matrix of scores: block by block with running maxima and sums (Milakov &
// Gimelshein 2018; Dao et al. 2022), on tokens as linear layers give them.
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>
#include <vector>

#include "head_attention.h"
#include "protect.h"
#include "tiles.h"

using namespace shim;

namespace {

// Queries and keys of one step: 96 x 256 scores and the keys and values they meet fit the second-level cache.
constexpr int64_t kQueries = 96;
constexpr int64_t kKeys = 256;
// Widest head; wider ones would not leave room in the cache.
constexpr int64_t kWidest = 128;

/// Rows `[first, first + count)` of one head, `[count][width]` with `stride` between rows; what is beyond `count` is zero.
struct Rows {
    const float *data;
    int64_t stride, count;

    float at(int64_t row, int64_t column) const { return row < count ? data[row * stride + column] : 0; }
};

/// Keys in panels of 16: `[⌈count / 16⌉][width][16]`.
void pack_keys(const Rows &keys, int64_t width, float *out) {
    for (int64_t first = 0; first < keys.count; first += tiles::kColumns) {
        for (int64_t c = 0; c < width; c++) {
            for (int64_t j = 0; j < tiles::kColumns; j++) *out++ = keys.at(first + j, c);
        }
    }
}

/// Values in panels of 16 columns: `[width / 16][padded][16]`.
void pack_values(const Rows &values, int64_t width, int64_t padded, float *out) {
    for (int64_t first = 0; first < width; first += tiles::kColumns) {
        for (int64_t row = 0; row < padded; row++) {
            for (int64_t j = 0; j < tiles::kColumns; j++) *out++ = values.at(row, first + j);
        }
    }
}

#if defined(__x86_64__)

/// 2^x of eight numbers up to 0: the exponent as an integer, the fraction by a polynomial (relative error 1e-7); 0 below -126.
SHIM_TILES inline __m256 power_of_two(__m256 x) {
    x = _mm256_max_ps(_mm256_set1_ps(-127), x);  // in this order NaN stays NaN
    const __m256 whole = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m256 f = _mm256_sub_ps(x, whole);  // -1/2...1/2
    __m256 p = _mm256_set1_ps(1.535336188319500e-4f);
    for (float c : {1.339887440266574e-3f, 9.618437357674640e-3f, 5.550332471162809e-2f, 2.402264791363012e-1f,
                    6.931472028550421e-1f, 1.0f}) {
        p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(c));
    }
    const __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(exponent));
}

SHIM_TILES inline float largest(__m256 v) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

SHIM_TILES inline float total(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/// One row of scores (in powers of two) to weights relative to the largest so far; the row's results so far are scaled to it.
/// - `count`: a multiple of 16.
SHIM_TILES void weigh(float *scores, int64_t count, float &high, float &sum, float *mixed, int64_t width) {
    __m256 a = _mm256_loadu_ps(scores), b = _mm256_loadu_ps(scores + 8);
    for (int64_t i = 16; i < count; i += 16) {
        a = _mm256_max_ps(a, _mm256_loadu_ps(scores + i));
        b = _mm256_max_ps(b, _mm256_loadu_ps(scores + i + 8));
    }
    const float now = std::max(high, largest(_mm256_max_ps(a, b)));
    const __m256 shift = _mm256_set1_ps(now);
    a = b = _mm256_setzero_ps();
    for (int64_t i = 0; i < count; i += 16) {
        const __m256 left = power_of_two(_mm256_sub_ps(_mm256_loadu_ps(scores + i), shift));
        const __m256 right = power_of_two(_mm256_sub_ps(_mm256_loadu_ps(scores + i + 8), shift));
        _mm256_storeu_ps(scores + i, left);
        _mm256_storeu_ps(scores + i + 8, right);
        a = _mm256_add_ps(a, left);
        b = _mm256_add_ps(b, right);
    }
    const float factor = now > high ? std::exp2(high - now) : 1;
    if (now > high) {
        const __m256 scale = _mm256_set1_ps(factor);
        for (int64_t i = 0; i < width; i += 8) _mm256_storeu_ps(mixed + i, _mm256_mul_ps(_mm256_loadu_ps(mixed + i), scale));
    }
    sum = sum * factor + total(_mm256_add_ps(a, b));
    high = now;
}

#else

void weigh(float *scores, int64_t count, float &high, float &sum, float *mixed, int64_t width) {
    float now = high, added = 0;
    for (int64_t i = 0; i < count; i++) now = std::max(now, scores[i]);
    for (int64_t i = 0; i < count; i++) added += scores[i] = std::exp2(scores[i] - now);
    const float factor = std::exp2(high - now);
    for (int64_t i = 0; i < width; i++) mixed[i] *= factor;
    sum = sum * factor + added;
    high = now;
}

#endif

/// What one thread needs for a block of queries.
struct Workspace {
    std::vector<float> queries, scores, mixed, highs, sums;

    explicit Workspace(int64_t width)
        : queries(static_cast<size_t>(kQueries * width)), scores(static_cast<size_t>(kQueries * kKeys)),
          mixed(static_cast<size_t>(kQueries * width)), highs(static_cast<size_t>(kQueries)), sums(static_cast<size_t>(kQueries)) {}
};

/// Up to kQueries queries of one head against all its keys; `scale` counts in powers of two.
void attend(const Rows &queries, const float *keys, const float *values, int64_t key_count, int64_t padded, int64_t width, float scale,
            Workspace &work, float *out, int64_t out_stride) {
    for (int64_t row = 0; row < queries.count; row++) {
        for (int64_t c = 0; c < width; c++) work.queries[static_cast<size_t>(row * width + c)] = queries.data[row * queries.stride + c] * scale;
    }
    std::fill(work.mixed.begin(), work.mixed.end(), 0.0f);
    std::fill(work.highs.begin(), work.highs.end(), -std::numeric_limits<float>::infinity());
    std::fill(work.sums.begin(), work.sums.end(), 0.0f);
    float *scores = work.scores.data(), *mixed = work.mixed.data();
    for (int64_t first = 0; first < padded; first += kKeys) {
        const int64_t count = std::min(kKeys, padded - first), real = std::min(count, key_count - first);
        tiles::multiply(work.queries.data(), width, queries.count, keys + first * width, count / tiles::kColumns, width, scores, kKeys);
        for (int64_t row = 0; row < queries.count; row++) {
            float *line = scores + row * kKeys;
            std::fill(line + real, line + count, -std::numeric_limits<float>::infinity());
            weigh(line, count, work.highs[static_cast<size_t>(row)], work.sums[static_cast<size_t>(row)], mixed + row * width, width);
        }
        for (int64_t c = 0; c < width; c += tiles::kColumns) {
            tiles::panel(scores, kKeys, queries.count, values + c * padded + first * tiles::kColumns, count, mixed + c, width, true);
        }
    }
    for (int64_t row = 0; row < queries.count; row++) {
        const float inverse = 1 / work.sums[static_cast<size_t>(row)];
        for (int64_t c = 0; c < width; c++) out[row * out_stride + c] = mixed[row * width + c] * inverse;
    }
}

/// Float32 tokens on the CPU: q `[B, P, C]`, k and v `[B, S, C]`, the last dimension dense.
at::Tensor attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, int64_t heads) {
    const int64_t batch = q.size(0), positions = q.size(1), channels = q.size(2), width = channels / heads, keys = k.size(1);
    const int64_t padded = (keys + tiles::kColumns - 1) / tiles::kColumns * tiles::kColumns;
    auto y = at::empty({batch, positions, channels}, q.options());
    auto packed = at::empty({2, batch * heads, padded * width}, q.options());
    float *packed_keys = packed.mutable_data_ptr<float>(), *packed_values = packed_keys + batch * heads * padded * width;
    const float *qs = q.const_data_ptr<float>(), *ks = k.const_data_ptr<float>(), *vs = v.const_data_ptr<float>();
    float *out = y.mutable_data_ptr<float>();
    at::parallel_for(0, batch * heads, 1, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i++) {
            const int64_t b = i / heads, column = i % heads * width;
            pack_keys({ks + b * k.stride(0) + column, k.stride(1), keys}, width, packed_keys + i * padded * width);
            pack_values({vs + b * v.stride(0) + column, v.stride(1), keys}, width, padded, packed_values + i * padded * width);
        }
    });
    const int64_t blocks = (positions + kQueries - 1) / kQueries;
    const float scale = static_cast<float>(M_LOG2E / std::sqrt(static_cast<double>(width)));
    at::parallel_for(0, batch * heads * blocks, 1, [&](int64_t first, int64_t last) {
        Workspace work(width);
        for (int64_t i = first; i < last; i++) {
            const int64_t head = i / blocks, b = head / heads, column = head % heads * width, start = i % blocks * kQueries;
            attend({qs + b * q.stride(0) + start * q.stride(1) + column, q.stride(1), std::min(kQueries, positions - start)},
                   packed_keys + head * padded * width, packed_values + head * padded * width, keys, padded, width, scale, work,
                   out + (b * positions + start) * channels + column, channels);
        }
    });
    return y;
}

}  // namespace

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
        bool is_own = !causal && (scale <= 0 || scale == usual) && tiles::are_fastest() && width % tiles::kColumns == 0 && width <= kWidest && !autocast_dtype(a) && b.size(1) > 0;
        for (auto *x : {&a, &b, &c}) {
            is_own = is_own && x->is_cpu() && x->scalar_type() == at::kFloat && x->stride(2) == 1 &&
                     !(at::GradMode::is_enabled() && x->requires_grad());
        }
        if (is_own) {
            give(out, attention(a, b, c, heads));
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

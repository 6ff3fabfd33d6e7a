// Products of a few rows: what a decoding step of a language model does with every weight of the model.
//
// Such a step runs at the speed at which memory delivers weights. General matrix products copy the weight into their own layout
// first, which costs more than the product; the kernels here read it once, from end to end, as it lies.
#include "lanes.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>

#include "frozen.h"
#include "kernels.h"
#include "protect.h"

using namespace shim;

namespace {

// One row is libtorch's own matrix-vector product, which reads the weight once too.
[[maybe_unused]] constexpr int64_t kFewestRows = 2, kMostRows = 8;

#if defined(__x86_64__)
#define SHIM_AVX2 __attribute__((target("avx2,fma")))

/// y[m][0..<n] += x[m][0..<k] · w[0..<k][0..<n], w with rows of `stride` floats. M rows of x (stride ldx) and y (ldy).
template <int M>
SHIM_AVX2 void add_products(const float *x, int64_t ldx, const float *w, int64_t stride, float *y, int64_t ldy, int64_t k,
                            int64_t n) {
    int64_t i = 0;
    for (; i + 4 <= k; i += 4) {
        const float *w0 = w + i * stride, *w1 = w0 + stride, *w2 = w1 + stride, *w3 = w2 + stride;
        float f[M][4];
        for (int m = 0; m < M; m++) {
            for (int j = 0; j < 4; j++) f[m][j] = x[m * ldx + i + j];
        }
        int64_t c = 0;
        for (; c + 8 <= n; c += 8) {
            __m256 a = _mm256_loadu_ps(w0 + c), b = _mm256_loadu_ps(w1 + c), d = _mm256_loadu_ps(w2 + c),
                   e = _mm256_loadu_ps(w3 + c);
#pragma GCC unroll 8
            for (int m = 0; m < M; m++) {
                __m256 sum = _mm256_loadu_ps(y + m * ldy + c);
                sum = _mm256_fmadd_ps(_mm256_broadcast_ss(&f[m][0]), a, sum);
                sum = _mm256_fmadd_ps(_mm256_broadcast_ss(&f[m][1]), b, sum);
                sum = _mm256_fmadd_ps(_mm256_broadcast_ss(&f[m][2]), d, sum);
                sum = _mm256_fmadd_ps(_mm256_broadcast_ss(&f[m][3]), e, sum);
                _mm256_storeu_ps(y + m * ldy + c, sum);
            }
        }
        for (; c < n; c++) {
            for (int m = 0; m < M; m++) {
                y[m * ldy + c] += f[m][0] * w0[c] + f[m][1] * w1[c] + f[m][2] * w2[c] + f[m][3] * w3[c];
            }
        }
    }
    for (; i < k; i++) {
        for (int m = 0; m < M; m++) {
            for (int64_t c = 0; c < n; c++) y[m * ldy + c] += x[m * ldx + i] * w[i * stride + c];
        }
    }
}

SHIM_AVX2 inline float total(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

/// y[m][r] = x[m] · w[r] for `count` rows of w, each of k floats.
template <int M>
SHIM_AVX2 void dot_rows(const float *x, int64_t ldx, const float *w, float *y, int64_t ldy, int64_t k, int64_t count) {
    for (int64_t r = 0; r < count; r++) {
        const float *row = w + r * k;
        __m256 sums[M];
#pragma GCC unroll 8
        for (int m = 0; m < M; m++) sums[m] = _mm256_setzero_ps();
        int64_t i = 0;
        for (; i + 8 <= k; i += 8) {
            __m256 v = _mm256_loadu_ps(row + i);
#pragma GCC unroll 8
            for (int m = 0; m < M; m++) sums[m] = _mm256_fmadd_ps(v, _mm256_loadu_ps(x + m * ldx + i), sums[m]);
        }
#pragma GCC unroll 8
        for (int m = 0; m < M; m++) {
            float sum = total(sums[m]);
            for (int64_t j = i; j < k; j++) sum += row[j] * x[m * ldx + j];
            y[m * ldy + r] = sum;
        }
    }
}

/// The same with sixteen lanes: what x gives to J rows of w stays in registers while they stream past.
template <int M>
SHIM_LANES void add_products_wide(const float *x, int64_t ldx, const float *w, int64_t stride, float *y, int64_t ldy, int64_t k,
                                  int64_t n) {
    constexpr int J = M <= 5 ? 4 : 2;
    for (int64_t i = 0; i < k; i += J) {
        const auto rows = std::min<int64_t>(J, k - i);
        const float *from[J];
        __m512 f[M][J];
#pragma GCC unroll 4
        for (int j = 0; j < J; j++) {
            from[j] = w + (j < rows ? i + j : i) * stride;
#pragma GCC unroll 8
            for (int m = 0; m < M; m++) f[m][j] = _mm512_set1_ps(j < rows ? x[m * ldx + i + j] : 0);
        }
        int64_t c = 0;
        for (; c + lanes::kCount <= n; c += lanes::kCount) {
            __m512 v[J];
#pragma GCC unroll 4
            for (int j = 0; j < J; j++) {
                v[j] = lanes::load(from[j] + c);
                // The rows that come next: the CPU's own prefetching starts anew with every page. Beyond the end it does nothing.
                _mm_prefetch(reinterpret_cast<const char *>(from[j] + J * stride + c), _MM_HINT_T0);
            }
#pragma GCC unroll 8
            for (int m = 0; m < M; m++) {
                __m512 sum = lanes::load(y + m * ldy + c);
#pragma GCC unroll 4
                for (int j = 0; j < J; j++) sum = _mm512_fmadd_ps(f[m][j], v[j], sum);
                lanes::store(y + m * ldy + c, sum);
            }
        }
        for (; c < n; c++) {
            for (int m = 0; m < M; m++) {
                for (int64_t j = 0; j < rows; j++) y[m * ldy + c] += x[m * ldx + i + j] * from[j][c];
            }
        }
    }
}

/// The same with sixteen lanes, two rows of w at a time.
template <int M>
SHIM_LANES void dot_rows_wide(const float *x, int64_t ldx, const float *w, float *y, int64_t ldy, int64_t k, int64_t count) {
    for (int64_t r = 0; r < count; r += 2) {
        const bool is_pair = r + 1 < count;
        const float *row = w + r * k, *next = is_pair ? row + k : row;
        __m512 sums[M][2];
#pragma GCC unroll 8
        for (int m = 0; m < M; m++) sums[m][0] = sums[m][1] = _mm512_setzero_ps();
        auto add = [&](int64_t i, __mmask16 mask) SHIM_LANES {
            const __m512 a = lanes::load(row + i, mask), b = lanes::load(next + i, mask);
            _mm_prefetch(reinterpret_cast<const char *>(row + 4 * k + i), _MM_HINT_T0);
            _mm_prefetch(reinterpret_cast<const char *>(next + 4 * k + i), _MM_HINT_T0);
#pragma GCC unroll 8
            for (int m = 0; m < M; m++) {
                const __m512 v = lanes::load(x + m * ldx + i, mask);
                sums[m][0] = _mm512_fmadd_ps(a, v, sums[m][0]);
                sums[m][1] = _mm512_fmadd_ps(b, v, sums[m][1]);
            }
        };
        int64_t i = 0;
        for (; i + lanes::kCount <= k; i += lanes::kCount) add(i, 0xffff);
        if (i < k) add(i, lanes::first(k - i));
#pragma GCC unroll 8
        for (int m = 0; m < M; m++) {
            y[m * ldy + r] = _mm512_reduce_add_ps(sums[m][0]);
            if (is_pair) y[m * ldy + r + 1] = _mm512_reduce_add_ps(sums[m][1]);
        }
    }
}

template <template <int> class Product, typename... Arguments>
void with_rows(int64_t rows, Arguments... arguments) {
    switch (rows) {
        case 2: return Product<2>::run(arguments...);
        case 3: return Product<3>::run(arguments...);
        case 4: return Product<4>::run(arguments...);
        case 5: return Product<5>::run(arguments...);
        case 6: return Product<6>::run(arguments...);
        case 7: return Product<7>::run(arguments...);
        case 8: return Product<8>::run(arguments...);
    }
}

template <int M>
struct AddProducts {
    template <typename... A>
    static void run(A... a) {
        cpu().has_avx512 ? add_products_wide<M>(a...) : add_products<M>(a...);
    }
};

template <int M>
struct DotRows {
    template <typename... A>
    static void run(A... a) {
        cpu().has_avx512 ? dot_rows_wide<M>(a...) : dot_rows<M>(a...);
    }
};

/// x [M, k] · w [k, n] + bias. Threads share the rows of w, each reading its part from end to end.
at::Tensor product_in_out(const at::Tensor &x, const at::Tensor &w, const std::optional<at::Tensor> &bias) {
    auto rows = x.size(0), k = w.size(0), n = w.size(1);
    auto threads = std::max<int64_t>(1, std::min<int64_t>(at::get_num_threads(), k * n / 65536));
    auto part = ((k + threads - 1) / threads + 3) / 4 * 4;
    threads = (k + part - 1) / part;
    auto partial = at::zeros({threads, rows, n}, x.options());
    auto *sums = partial.mutable_data_ptr<float>();
    const auto *xs = x.const_data_ptr<float>(), *ws = w.const_data_ptr<float>();
    // Sums of one block of columns stay in the cache while rows of w stream past; with sixteen lanes in the second, which is
    // quick enough, so that w is read from end to end.
    const int64_t columns = cpu().has_avx512 ? 16384 : std::max<int64_t>(256, 4096 / rows / 8 * 8);
    at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
        for (auto t = first; t < last; t++) {
            auto begin = t * part, end = std::min(k, begin + part);
            for (int64_t c = 0; c < n; c += columns) {
                with_rows<AddProducts>(rows, xs + begin, k, ws + begin * n + c, n, sums + t * rows * n + c, n, end - begin,
                                       std::min(columns, n - c));
            }
        }
    });
    auto y = partial[0];
    for (int64_t t = 1; t < threads; t++) y.add_(partial[t]);
    if (bias) y.add_(*bias);
    return y;
}

/// x [M, k] · w [n, k]ᵀ + bias.
at::Tensor product_out_in(const at::Tensor &x, const at::Tensor &w, const std::optional<at::Tensor> &bias) {
    auto rows = x.size(0), n = w.size(0), k = w.size(1);
    auto y = at::empty({rows, n}, x.options());
    auto *ys = y.mutable_data_ptr<float>();
    const auto *xs = x.const_data_ptr<float>(), *ws = w.const_data_ptr<float>();
    at::parallel_for(0, n, std::max<int64_t>(1, 65536 / k), [&](int64_t first, int64_t last) {
        with_rows<DotRows>(rows, xs, k, ws + first * k, ys + first, n, k, last - first);
    });
    if (bias) y.add_(*bias);
    return y;
}

#endif
}  // namespace

extern "C" {

CTStatus ct_few_rows_linear(CTTensor x, CTTensor weight, bool in_out, CTTensor bias, CTTensor *out) {
    return protect([&] {
        const auto &w = get(weight);
        auto b = optional(bias);
        const auto &input = get(x);
        auto k = input.size(-1);
        auto rows = k > 0 ? input.numel() / k : 0;
#if defined(__x86_64__)
        if (uses(Kernel::few_rows) && rows >= kFewestRows && rows <= kMostRows && w.numel() >= 65536 && is_plain(input) && is_plain(w) &&
            (!b || is_plain(*b)) && w.size(in_out ? 0 : 1) == k && !at::autocast::is_autocast_enabled(at::kCPU)) {
            count(Kernel::few_rows);
            auto shape = input.sizes().vec();
            shape.back() = w.size(in_out ? 1 : 0);
            auto flat = input.view({rows, k});
            give(out, (in_out ? product_in_out(flat, w, b) : product_out_in(flat, w, b)).view(shape));
            return;
        }
#endif
        auto dtype = autocast_dtype(input);
        if (auto y = packed_linear(input, w, in_out, b, dtype.value_or(input.scalar_type()))) {
            give(out, *y);
            return;
        }
        if (b) b = dtype ? cast_weight(*b, *dtype) : widened(*b, input);
        auto cast = dtype ? cast_weight(w, *dtype) : widened(w, input);
        give(out, at::linear(input, in_out ? cast.t() : cast, b));
    });
}

}  // extern "C"

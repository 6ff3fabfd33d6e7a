// float32 matrix products for CPUs with AVX2 and without AVX-512.
//
// MKL, which libtorch calls, reaches about two thirds of what such CPUs' multipliers deliver (and less where the output is
// wide); this reaches more than four fifths. The scheme is Goto's ("Anatomy of High-Performance Matrix Multiplication",
// 2008): b is packed into panels of 16 columns, a into panels of 6 rows, and one tile of 6 x 16 sums stays in registers
// while a panel of each passes by. A panel of b stays in the first cache, a block of a in the second.
#include "gemm.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "protect.h"

using namespace shim;

#if defined(__x86_64__)
namespace {

#define SHIM_AVX2 __attribute__((target("avx2,fma")))

constexpr int64_t kHeight = 6;     // of a tile
constexpr int64_t kWidth = 16;     // of a tile
constexpr int64_t kDepth = 384;    // of packed panels, at most
constexpr int64_t kRows = 96;      // of a packed block of a
constexpr int64_t kColumns = 2048; // of a packed block of b

enum class Into { set, add };

/// R rows of c (= or +=) panel of a · panel of b, both of depth k.
template <int R, Into I>
SHIM_AVX2 void tile(int64_t k, const float *a, const float *b, const float *bias, float *c, int64_t ldc) {
    __m256 s[R][2];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
        s[r][0] = I == Into::set && bias ? _mm256_loadu_ps(bias) : _mm256_setzero_ps();
        s[r][1] = I == Into::set && bias ? _mm256_loadu_ps(bias + 8) : _mm256_setzero_ps();
        _mm_prefetch(reinterpret_cast<const char *>(c + r * ldc), _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char *>(c + r * ldc + kWidth - 1), _MM_HINT_T0);
    }
#pragma GCC unroll 4
    for (int64_t i = 0; i < k; i++) {
        __m256 left = _mm256_load_ps(b), right = _mm256_load_ps(b + 8);
#pragma GCC unroll 6
        for (int r = 0; r < R; r++) {
            __m256 x = _mm256_broadcast_ss(a + r);
            s[r][0] = _mm256_fmadd_ps(x, left, s[r][0]);
            s[r][1] = _mm256_fmadd_ps(x, right, s[r][1]);
        }
        a += kHeight;
        b += kWidth;
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
        float *y = c + r * ldc;
        if (I == Into::add) {
            s[r][0] = _mm256_add_ps(s[r][0], _mm256_loadu_ps(y));
            s[r][1] = _mm256_add_ps(s[r][1], _mm256_loadu_ps(y + 8));
        }
        _mm256_storeu_ps(y, s[r][0]);
        _mm256_storeu_ps(y + 8, s[r][1]);
    }
}

template <Into I>
SHIM_AVX2 inline void rows_of_tile(int64_t rows, int64_t k, const float *a, const float *b, const float *bias, float *c,
                                   int64_t ldc) {
    switch (rows) {
        case 6: return tile<6, I>(k, a, b, bias, c, ldc);
        case 5: return tile<5, I>(k, a, b, bias, c, ldc);
        case 4: return tile<4, I>(k, a, b, bias, c, ldc);
        case 3: return tile<3, I>(k, a, b, bias, c, ldc);
        case 2: return tile<2, I>(k, a, b, bias, c, ldc);
        case 1: return tile<1, I>(k, a, b, bias, c, ldc);
    }
}

SHIM_AVX2 inline void transpose8(const float *in, int64_t stride, float *out, int64_t out_stride) {
    __m256 r[8], t[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(in + i * stride);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(out + i * out_stride, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(out + (i + 4) * out_stride, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

/// Packs up to W lines (rows of a, columns of b), `line` apart and with elements `step` apart, side by side:
/// out[i · W + l] is element i of line l; missing lines are 0.
template <int W>
SHIM_AVX2 void pack(const float *x, int64_t line, int64_t step, int64_t lines, int64_t k, float *out) {
    int64_t i = 0;
    if (lines < W) {
        for (; i < k; i++) {
            for (int64_t l = 0; l < W; l++) out[i * W + l] = l < lines ? x[l * line + i * step] : 0;
        }
        return;
    }
    if (line == 1) {
        for (; i < k; i++) std::memcpy(out + i * W, x + i * step, W * sizeof(float));
        return;
    }
    if constexpr (W == kWidth) {
        for (; step == 1 && i + 8 <= k; i += 8) {
            transpose8(x + i, line, out + i * W, W);
            transpose8(x + 8 * line + i, line, out + i * W + 8, W);
        }
    } else {
        for (; step == 1 && i + 4 <= k; i += 4) {
#pragma GCC unroll 3
            for (int l = 0; l + 2 <= W; l += 2) {
                __m128 a = _mm_loadu_ps(x + l * line + i), b = _mm_loadu_ps(x + (l + 1) * line + i);
                __m128 low = _mm_unpacklo_ps(a, b), high = _mm_unpackhi_ps(a, b);
                _mm_storel_pi(reinterpret_cast<__m64 *>(out + i * W + l), low);
                _mm_storeh_pi(reinterpret_cast<__m64 *>(out + (i + 1) * W + l), low);
                _mm_storel_pi(reinterpret_cast<__m64 *>(out + (i + 2) * W + l), high);
                _mm_storeh_pi(reinterpret_cast<__m64 *>(out + (i + 3) * W + l), high);
            }
        }
    }
    for (; i < k; i++) {
        for (int64_t l = 0; l < W; l++) out[i * W + l] = x[l * line + i * step];
    }
}

struct Free {
    void operator()(float *memory) const { std::free(memory); }
};

/// This thread's packed blocks, kept from product to product.
struct Space {
    std::unique_ptr<float, Free> memory;
    int64_t size = 0;

    float *of(int64_t count) {
        if (count > size) {
            memory.reset(static_cast<float *>(std::aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64)));
            size = memory ? count : 0;
            if (!memory) throw std::bad_alloc();
        }
        return memory.get();
    }
};

/// The product on one thread.
SHIM_AVX2 void product(int64_t m, int64_t n, int64_t k, MatrixView a, MatrixView b, const float *bias, float *c, int64_t ldc,
                       bool adds) {
    static thread_local Space space;
    // Equal pieces: a thin last one would cost a pass over c for little.
    const auto pieces = (k + kDepth - 1) / kDepth;
    const auto deep = ((k + pieces - 1) / pieces + 7) / 8 * 8;
    const auto wide = std::min(kColumns, (n + kWidth - 1) / kWidth * kWidth);
    float *pa = space.of(kRows * deep + wide * deep);
    float *pb = pa + kRows * deep;
    alignas(32) float corner[kHeight * kWidth];
    for (int64_t j0 = 0; j0 < n; j0 += wide) {
        const auto columns = std::min(wide, n - j0);
        for (int64_t p = 0; p < k; p += deep) {
            const auto depth = std::min(deep, k - p);
            for (int64_t j = 0; j < columns; j += kWidth) {
                pack<kWidth>(b.data + p * b.row + (j0 + j) * b.column, b.column, b.row, std::min(kWidth, columns - j), depth,
                             pb + j * depth);
            }
            const bool add = adds || p > 0;
            for (int64_t i0 = 0; i0 < m; i0 += kRows) {
                const auto rows = std::min(kRows, m - i0);
                for (int64_t i = 0; i < rows; i += kHeight) {
                    pack<kHeight>(a.data + (i0 + i) * a.row + p * a.column, a.row, a.column, std::min(kHeight, rows - i),
                                  depth, pa + i * depth);
                }
                for (int64_t j = 0; j < columns; j += kWidth) {
                    const auto width = std::min(kWidth, columns - j);
                    const float *added = bias && !add ? bias + j0 + j : nullptr;
                    for (int64_t i = 0; i < rows; i += kHeight) {
                        const auto height = std::min(kHeight, rows - i);
                        float *y = c + (i0 + i) * ldc + j0 + j;
                        if (width == kWidth) {
                            if (add) rows_of_tile<Into::add>(height, depth, pa + i * depth, pb + j * depth, nullptr, y, ldc);
                            else rows_of_tile<Into::set>(height, depth, pa + i * depth, pb + j * depth, added, y, ldc);
                            continue;
                        }
                        rows_of_tile<Into::set>(height, depth, pa + i * depth, pb + j * depth, nullptr, corner, kWidth);
                        for (int64_t r = 0; r < height; r++) {
                            for (int64_t q = 0; q < width; q++) {
                                auto before = add ? y[r * ldc + q] : added ? added[q] : 0;
                                y[r * ldc + q] = before + corner[r * kWidth + q];
                            }
                        }
                    }
                }
            }
        }
    }
}

bool is_matrix(const at::Tensor &w) {
    return w.dim() == 2 && w.device().is_cpu() && w.scalar_type() == at::kFloat && w.layout() == at::kStrided &&
           !w.is_conj() && !w.is_neg() &&
           ((w.stride(1) == 1 && w.stride(0) >= w.size(1)) || (w.stride(0) == 1 && w.stride(1) >= w.size(0)));
}

MatrixView view(const at::Tensor &w) { return {w.const_data_ptr<float>(), w.stride(0), w.stride(1)}; }

/// a [m, k] · b [k, n] + bias, as a new tensor.
at::Tensor product_of(const at::Tensor &a, const at::Tensor &b, const at::Tensor &bias) {
    auto c = at::empty({a.size(0), b.size(1)}, a.options());
    matrix_product(a.size(0), b.size(1), a.size(1), view(a), view(b), bias.defined() ? bias.const_data_ptr<float>() : nullptr,
                   c.mutable_data_ptr<float>(), b.size(1), false);
    return c;
}

at::Tensor rows_of(const at::Tensor &x) { return x.reshape({-1, x.size(-1)}).contiguous(); }

at::Tensor linear(const at::Tensor &x, const at::Tensor &weight, bool in_out, const at::Tensor &bias) {
    auto shape = x.sizes().vec();
    shape.back() = weight.size(in_out ? 1 : 0);
    return product_of(rows_of(x), in_out ? weight : weight.t(), bias.defined() ? bias.contiguous() : bias).view(shape);
}

struct DenseLinear : torch::autograd::Function<DenseLinear> {
    // The bias is optional to autograd too: an undefined tensor has no device, which it asks every input for.
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &x, const at::Tensor &weight,
                              bool in_out, const std::optional<at::Tensor> &bias) {
        // What no gradient needs is not kept: x of a frozen weight, the weight under an input without gradient.
        context->save_for_backward({weight.requires_grad() ? x : at::Tensor(), x.requires_grad() ? weight : at::Tensor()});
        context->saved_data["in_out"] = in_out;
        context->saved_data["bias"] = bias && bias->requires_grad();
        return linear(x, weight, in_out, bias.value_or(at::Tensor()));
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   torch::autograd::variable_list gradients) {
        auto saved = context->get_saved_variables();
        auto &x = saved[0], &weight = saved[1];
        bool in_out = context->saved_data["in_out"].toBool();
        auto dy = rows_of(gradients[0]);  // [N, out]
        torch::autograd::variable_list result(4);
        if (weight.defined()) {
            auto shape = gradients[0].sizes().vec();
            shape.back() = weight.size(in_out ? 0 : 1);
            result[0] = product_of(dy, in_out ? weight.t() : weight, {}).view(shape);
        }
        if (x.defined()) {
            auto rows = rows_of(x);  // [N, in]
            result[1] = in_out ? product_of(rows.t(), dy, {}) : product_of(dy.t(), rows, {});
        }
        if (context->saved_data["bias"].toBool()) result[3] = dy.sum(0);
        return result;
    }
};

}  // namespace
#endif

namespace shim {

bool has_matrix_product() {
#if defined(__x86_64__)
    // Where there is AVX-512, MKL uses it and wins.
    static const bool found = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                              !__builtin_cpu_supports("avx512f");
    return found;
#else
    return false;
#endif
}

void matrix_product(int64_t m, int64_t n, int64_t k, MatrixView a, MatrixView b, const float *bias, float *c, int64_t ldc,
                    bool adds) {
#if defined(__x86_64__)
    if (m == 0 || n == 0) return;
    TORCH_CHECK(k > 0, "a product over nothing");
    // Threads form a grid over c, shaped so that together they pack the least.
    const int64_t threads = at::in_parallel_region() ? 1 : std::min<int64_t>(at::get_num_threads(), 1 + m * n * k / (1 << 20));
    int64_t down = 1;
    for (int64_t d = 1; d <= threads; d++) {
        if (threads % d == 0 && d * n + threads / d * m < down * n + threads / down * m) down = d;
    }
    const int64_t across = threads / down;
    const auto height = ((m + down - 1) / down + kHeight - 1) / kHeight * kHeight;
    const auto width = ((n + across - 1) / across + kWidth - 1) / kWidth * kWidth;
    at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
        for (auto t = first; t < last; t++) {
            const auto i = t / across * height, j = t % across * width;
            if (i >= m || j >= n) continue;
            product(std::min(height, m - i), std::min(width, n - j), k, {a.data + i * a.row, a.row, a.column},
                    {b.data + j * b.column, b.row, b.column}, bias ? bias + j : nullptr, c + i * ldc + j, ldc, adds);
        }
    });
#else
    TORCH_CHECK(false, "no matrix product for this CPU");
#endif
}

std::optional<at::Tensor> dense_linear(const at::Tensor &x, const at::Tensor &weight, bool in_out,
                                       const std::optional<at::Tensor> &bias) {
#if defined(__x86_64__)
    if (!has_matrix_product() || !x.device().is_cpu() || x.scalar_type() != at::kFloat || x.dim() < 1 || !is_matrix(weight) ||
        at::autocast::is_autocast_enabled(at::kCPU)) {
        return std::nullopt;
    }
    const auto k = x.size(-1), n = weight.size(in_out ? 1 : 0);
#if !defined(_OPENMP)
    // at::parallel_for is one thread then, and MKL on several is quicker.
    if (at::get_num_threads() > 1) return std::nullopt;
#endif
    // Shapes that do not match are libtorch's to refuse, few rows and small products its to compute.
    if (k != weight.size(in_out ? 0 : 1) || k < 16 || n < 16) return std::nullopt;
    const auto rows = x.numel() / k;
    if (rows < 9 || rows * k * n < (1 << 18)) return std::nullopt;
    if (bias && (bias->dim() != 1 || bias->size(0) != n || bias->scalar_type() != at::kFloat || !bias->device().is_cpu())) {
        return std::nullopt;
    }
    if (at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad() || (bias && bias->requires_grad()))) {
        return DenseLinear::apply(x, weight, in_out, bias);
    }
    return linear(x, weight, in_out, bias.value_or(at::Tensor()));
#else
    return std::nullopt;
#endif
}

}  // namespace shim

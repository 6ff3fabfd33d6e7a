// Products of float32 matrices whose right side lies in panels of 16 columns: what Winograd's convolution and attention spend
// their time on. The panels are made once and read many times, so nothing is copied at the product itself, as a general
// matrix product must do.
#pragma once

#include <algorithm>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#define SHIM_TILES __attribute__((target("avx2,fma")))
#endif

namespace shim::tiles {

/// Columns of a panel.
constexpr int64_t kColumns = 16;
/// Rows of a panel that one pass reads: 20 KiB stay in the first-level cache while rows of the left side go by.
constexpr int64_t kDepth = 320;
/// Rows of the left side that one pass reads: with `kDepth` they stay in the second-level cache for all panels.
constexpr int64_t kRows = 192;

#if defined(__x86_64__)

/// Whether these products are the fastest here: with AVX-512, which they do not use, libtorch's are.
inline bool are_fastest() {
    static const bool found = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && !__builtin_cpu_supports("avx512f");
    return found;
}

/// c[R][16] = a[R][depth] · b[depth][16], plus what is in c where `adds`. Twelve sums stay in registers.
template <int R>
SHIM_TILES inline void tile(const float *a, int64_t lda, const float *b, int64_t depth, float *c, int64_t ldc, bool adds) {
    __m256 sums[R][2];
    const float *rows[R];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
        rows[r] = a + r * lda;
        sums[r][0] = adds ? _mm256_loadu_ps(c + r * ldc) : _mm256_setzero_ps();
        sums[r][1] = adds ? _mm256_loadu_ps(c + r * ldc + 8) : _mm256_setzero_ps();
    }
    for (int64_t k = 0; k < depth; k++, b += kColumns) {
        const __m256 left = _mm256_loadu_ps(b), right = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
        for (int r = 0; r < R; r++) {
            const __m256 x = _mm256_broadcast_ss(rows[r] + k);
            sums[r][0] = _mm256_fmadd_ps(x, left, sums[r][0]);
            sums[r][1] = _mm256_fmadd_ps(x, right, sums[r][1]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
        _mm256_storeu_ps(c + r * ldc, sums[r][0]);
        _mm256_storeu_ps(c + r * ldc + 8, sums[r][1]);
    }
}

/// c[rows][16] = a[rows][depth] · b[depth][16], plus what is in c where `adds`.
SHIM_TILES inline void panel(const float *a, int64_t lda, int64_t rows, const float *b, int64_t depth, float *c, int64_t ldc, bool adds) {
    int64_t r = 0;
    for (; r + 6 <= rows; r += 6) tile<6>(a + r * lda, lda, b, depth, c + r * ldc, ldc, adds);
    a += r * lda;
    c += r * ldc;
    switch (rows - r) {
        case 1: return tile<1>(a, lda, b, depth, c, ldc, adds);
        case 2: return tile<2>(a, lda, b, depth, c, ldc, adds);
        case 3: return tile<3>(a, lda, b, depth, c, ldc, adds);
        case 4: return tile<4>(a, lda, b, depth, c, ldc, adds);
        case 5: return tile<5>(a, lda, b, depth, c, ldc, adds);
    }
}

#else

inline bool are_fastest() { return false; }

inline void panel(const float *a, int64_t lda, int64_t rows, const float *b, int64_t depth, float *c, int64_t ldc, bool adds) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t j = 0; j < kColumns; j++) {
            float sum = adds ? c[r * ldc + j] : 0;
            for (int64_t k = 0; k < depth; k++) sum += a[r * lda + k] * b[k * kColumns + j];
            c[r * ldc + j] = sum;
        }
    }
}

#endif

/// c[rows][16 · panels] = a[rows][depth] · b, with b as `panels` panels of `depth` rows, one after another. Each sum is made in
/// the same order whatever `rows` is.
inline void multiply(const float *a, int64_t lda, int64_t rows, const float *b, int64_t panels, int64_t depth, float *c, int64_t ldc) {
    for (int64_t row = 0; row < rows; row += kRows) {
        const int64_t height = std::min(kRows, rows - row);
        for (int64_t k = 0; k < depth; k += kDepth) {
            const int64_t part = std::min(kDepth, depth - k);
            for (int64_t j = 0; j < panels; j++) {
                panel(a + row * lda + k, lda, height, b + (j * depth + k) * kColumns, part, c + row * ldc + j * kColumns, ldc, k > 0);
            }
        }
    }
}

}  // namespace shim::tiles

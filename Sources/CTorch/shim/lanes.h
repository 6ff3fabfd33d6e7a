// Sixteen float32 numbers at a time, for kernels of our own on CPUs with AVX-512. Memory may hold float32 or bfloat16; the
// arithmetic is float32 either way. What is marked SHIM_LANES runs where `cpu().has_avx512`.
#pragma once

#if defined(__x86_64__)
// GCC 12 warns of variables in its own intrinsics that are left without a value on purpose (its bug 105593); include this file
// before any other that brings them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

#include <c10/util/BFloat16.h>

#include <cmath>
#include <cstdint>

#if defined(__x86_64__)
#define SHIM_LANES __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#endif

namespace shim::lanes {

constexpr int64_t kCount = 16;

inline int64_t rounded_up(int64_t count) { return (count + kCount - 1) / kCount * kCount; }

#if defined(__x86_64__)

SHIM_LANES inline __mmask16 first(int64_t count) { return static_cast<__mmask16>((1u << count) - 1); }

SHIM_LANES inline __m512 load(const float *x) { return _mm512_loadu_ps(x); }
SHIM_LANES inline __m512 load(const float *x, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, x); }

SHIM_LANES inline __m512 widened(__m256i x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
SHIM_LANES inline __m512 load(const c10::BFloat16 *x) {
    return widened(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(x)));
}
SHIM_LANES inline __m512 load(const c10::BFloat16 *x, __mmask16 mask) { return widened(_mm256_maskz_loadu_epi16(mask, x)); }

SHIM_LANES inline void store(float *x, __m512 v) { _mm512_storeu_ps(x, v); }

/// Rounds to the nearest, ties to even; NaN stays NaN.
SHIM_LANES inline void store(c10::BFloat16 *x, __m512 v) {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff));
    rounded = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), _mm512_set1_epi32(0x7fc00000));
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(x), _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
}

/// 2^x: the exponent as an integer, the fraction by a polynomial (relative error 1e-7). NaN stays NaN.
SHIM_LANES inline __m512 power_of_two(__m512 x) {
    const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 f = _mm512_sub_ps(x, whole);  // -1/2...1/2
    __m512 p = _mm512_set1_ps(1.535336188319500e-4f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.339887440266574e-3f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.618437357674640e-3f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.550332471162809e-2f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.402264791363012e-1f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.931472028550421e-1f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
    const __m512 scaled = _mm512_scalef_ps(p, whole);  // 0 and infinity where float32 ends
    // -infinity less its own rounding is no number, its power is 0.
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(-INFINITY), _CMP_NEQ_UQ), scaled);
}

/// Turns 16 rows of 16 into 16 columns.
SHIM_LANES inline void transpose(__m512 (&r)[16]) {
    __m512 t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
    }
    // Lane q of r[4 g + c] holds rows 4 g to 4 g + 3 of column 4 q + c.
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        t[c] = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x88);           // lanes 0 and 2 of groups 0 and 1
        t[4 + c] = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xdd);       // lanes 1 and 3
        t[8 + c] = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x88);  // of groups 2 and 3
        t[12 + c] = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xdd);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        r[c] = _mm512_shuffle_f32x4(t[c], t[8 + c], 0x88);
        r[8 + c] = _mm512_shuffle_f32x4(t[c], t[8 + c], 0xdd);
        r[4 + c] = _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0x88);
        r[12 + c] = _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0xdd);
    }
}

#endif

}  // namespace shim::lanes

// The two passes of resample.c with AVX2. A 32-bit multiply costs two micro-operations on many CPUs and handles eight
// values. Splitting each coefficient into 16-bit halves lets `vpmaddwd` multiply sixteen values and add neighbouring
// taps in one. Sums are exact integers, so the bytes are those of the portable pass.
#include "resample.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))

// Sums of the high and low halves to 22-bit fixed point, rounded.
AVX2 static inline __m256i joined(__m256i high, __m256i low) {
    __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, gic_low_bits), low);
    return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(1 << (gic_precision - 1))), gic_precision);
}

// The two lanes hold partial sums of one pixel's four channels (the fourth is unused): add, clip, store. Storing four
// bytes is faster than three. The next pixel overwrites the fourth byte, so the last pixel of a row must not write it.
AVX2 static inline __attribute__((always_inline)) void store_pixel(uint8_t *target, __m256i high, __m256i low,
                                                                   bool last) {
    __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, gic_low_bits), low);
    __m128i both = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    both = _mm_srai_epi32(_mm_add_epi32(both, _mm_set1_epi32(1 << (gic_precision - 1))), gic_precision);
    both = _mm_packs_epi32(both, both);
    both = _mm_packus_epi16(both, both);
    uint32_t pixel = (uint32_t)_mm_cvtsi128_si32(both);
    memcpy(target, &pixel, last ? 3 : 4);
}

// `n` rows at once (1 or 4), so that a coefficient is fetched and spread once for all of them.
AVX2 static inline __attribute__((always_inline)) void rows_avx2(const gic_axis *axis, const uint8_t *const *rows,
                                                                 uint8_t *const *targets, const int n) {
    // Four pixels (12 bytes) to 16-bit pairs of taps per channel: taps 0, 1 in the low lane, 2, 3 in the high one.
    const __m256i spread_pixels =
        _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                         6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    const __m256i spread_weights = _mm256_setr_epi8(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3,  //
                                                    4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
    const size_t stride = (size_t)axis->stride;
    for (int32_t x = 0; x < axis->count; x++) {
        const int16_t *highs = axis->high + stride * (size_t)x, *lows = axis->low + stride * (size_t)x;
        const size_t offset = (size_t)axis->first[x] * 3;
        __m256i high[4], low[4];
        for (int i = 0; i < n; i++) high[i] = low[i] = _mm256_setzero_si256();
        for (int32_t k = 0; k < axis->taps[x]; k += 4) {
            int64_t packed_high, packed_low;
            memcpy(&packed_high, highs + k, 8);
            memcpy(&packed_low, lows + k, 8);
            const __m256i wh = _mm256_shuffle_epi8(_mm256_set1_epi64x(packed_high), spread_weights);
            const __m256i wl = _mm256_shuffle_epi8(_mm256_set1_epi64x(packed_low), spread_weights);
            for (int i = 0; i < n; i++) {
                const __m128i bytes = _mm_loadu_si128((const __m128i *)(rows[i] + offset + (size_t)k * 3));
                const __m256i taps = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), spread_pixels);
                high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(taps, wh));
                low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(taps, wl));
            }
        }
        uint8_t *const *to = targets;
        const size_t at = 3 * (size_t)x;
        if (x + 1 < axis->count) {
            for (int i = 0; i < n; i++) store_pixel(to[i] + at, high[i], low[i], false);
        } else {
            for (int i = 0; i < n; i++) store_pixel(to[i] + at, high[i], low[i], true);
        }
    }
}

AVX2 void gic_horizontal_avx2(const gic_axis *axis, const uint8_t *source, size_t source_stride,
                              const uint8_t *source_end, int32_t count, uint8_t *target, size_t target_stride,
                              uint8_t *padded_row) {
    const size_t reach = gic_padded_row_bytes(axis);
    int32_t y = 0;
    for (; y + 4 <= count; y += 4) {
        const uint8_t *from = source + source_stride * (size_t)y;
        if ((size_t)(source_end - from) < source_stride * 3 + reach) break;
        const uint8_t *const rows[4] = {from, from + source_stride, from + 2 * source_stride, from + 3 * source_stride};
        uint8_t *to = target + target_stride * (size_t)y;
        uint8_t *const targets[4] = {to, to + target_stride, to + 2 * target_stride, to + 3 * target_stride};
        rows_avx2(axis, rows, targets, 4);
    }
    for (; y < count; y++) {
        const uint8_t *row = source + source_stride * (size_t)y;
        // Loads of 16 bytes may reach past the row (their weights are zero there), but not past the image.
        if ((size_t)(source_end - row) < reach) {
            size_t present = (size_t)(source_end - row);
            memcpy(padded_row, row, present);
            memset(padded_row + present, 0, reach - present);
            row = padded_row;
        }
        uint8_t *to = target + target_stride * (size_t)y;
        rows_avx2(axis, &row, &to, 1);
    }
}

AVX2 void gic_vertical_avx2(const int32_t taps, const int32_t *weights, const int16_t *high, const int16_t *low,
                            const uint8_t *source, size_t source_stride, size_t bytes, uint8_t *target) {
    const __m256i zero = _mm256_setzero_si256();
    size_t x = 0;
    for (; x + 32 <= bytes; x += 32) {
        __m256i h0 = zero, h1 = zero, h2 = zero, h3 = zero, l0 = zero, l1 = zero, l2 = zero, l3 = zero;
        for (int32_t k = 0; k < taps; k += 2) {
            const uint8_t *row = source + source_stride * (size_t)k + x;
            const __m256i a = _mm256_loadu_si256((const __m256i *)row);
            // An odd tap count: the weight past the last one is zero, so any row serves as its partner.
            const __m256i b = _mm256_loadu_si256((const __m256i *)(k + 1 < taps ? row + source_stride : row));
            int32_t packed_high, packed_low;
            memcpy(&packed_high, high + k, 4);
            memcpy(&packed_low, low + k, 4);
            const __m256i wh = _mm256_set1_epi32(packed_high), wl = _mm256_set1_epi32(packed_low);
            const __m256i first = _mm256_unpacklo_epi8(a, b), second = _mm256_unpackhi_epi8(a, b);
            const __m256i p0 = _mm256_unpacklo_epi8(first, zero), p1 = _mm256_unpackhi_epi8(first, zero);
            const __m256i p2 = _mm256_unpacklo_epi8(second, zero), p3 = _mm256_unpackhi_epi8(second, zero);
            h0 = _mm256_add_epi32(h0, _mm256_madd_epi16(p0, wh)), l0 = _mm256_add_epi32(l0, _mm256_madd_epi16(p0, wl));
            h1 = _mm256_add_epi32(h1, _mm256_madd_epi16(p1, wh)), l1 = _mm256_add_epi32(l1, _mm256_madd_epi16(p1, wl));
            h2 = _mm256_add_epi32(h2, _mm256_madd_epi16(p2, wh)), l2 = _mm256_add_epi32(l2, _mm256_madd_epi16(p2, wl));
            h3 = _mm256_add_epi32(h3, _mm256_madd_epi16(p3, wh)), l3 = _mm256_add_epi32(l3, _mm256_madd_epi16(p3, wl));
        }
        const __m256i words0 = _mm256_packs_epi32(joined(h0, l0), joined(h1, l1));
        const __m256i words1 = _mm256_packs_epi32(joined(h2, l2), joined(h3, l3));
        _mm256_storeu_si256((__m256i *)(target + x), _mm256_packus_epi16(words0, words1));
    }
    for (; x < bytes; x++) {
        int32_t sum = 1 << (gic_precision - 1);
        for (int32_t k = 0; k < taps; k++) sum += source[source_stride * (size_t)k + x] * weights[k];
        target[x] = gic_clip8(sum);
    }
}

#endif

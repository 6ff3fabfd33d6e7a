// One axis of a separable filter, shared by the portable and the AVX2 pass.
#pragma once

#include "internal.h"

// Pillow keeps 8 bits for the value and 2 for overshoot of the 32-bit sum; the rest is the coefficients' fraction.
enum { gic_precision = 32 - 8 - 2 };
// Coefficients are also kept as high and low halves for 16-bit multiplies: k = high * 2^12 + low, 0 <= low < 2^12.
enum { gic_low_bits = 12 };

typedef struct gic_axis {
    int32_t count;   // outputs
    int32_t stride;  // coefficients per output, a multiple of 4, zero-filled past `taps`
    int32_t *first;  // [count] first source index
    int32_t *taps;   // [count] how many source values
    int32_t *weights;        // [count, stride]
    int16_t *high, *low;     // [count, stride]
    bool halves_fit;         // every weight's high half fits 16 bits
} gic_axis;

#if defined(__x86_64__)
// Rows [0, rows) of `source` (pixel triples, `source_stride` bytes apart, ending at `source_end`) to `target` rows of
// `axis->count` pixels. `padded_row` is scratch of `gic_padded_row_bytes`.
void gic_horizontal_avx2(const gic_axis *axis, const uint8_t *source, size_t source_stride, const uint8_t *source_end,
                         int32_t rows, uint8_t *target, size_t target_stride, uint8_t *padded_row);
// One output row: `taps` source rows `source_stride` apart, `bytes` wide.
void gic_vertical_avx2(const int32_t taps, const int32_t *weights, const int16_t *high, const int16_t *low,
                       const uint8_t *source, size_t source_stride, size_t bytes, uint8_t *target);
#endif

// Bytes of scratch that the horizontal pass needs for a row that ends too close to the end of the source.
size_t gic_padded_row_bytes(const gic_axis *axis);

static inline uint8_t gic_clip8(int32_t sum) {
    int32_t value = sum >> gic_precision;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

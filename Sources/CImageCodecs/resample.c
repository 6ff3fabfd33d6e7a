// Pillow's `Image.resize` for 8-bit RGB, bit for bit: a separable filter that is widened when shrinking, 22-bit
// fixed-point coefficients, and a rounding to 8 bits between the passes. Only the requested part of the result is
// computed. Each output depends only on its own sources, so the values are those of the whole resize.
#include "resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A fused multiply-add would round coefficients differently from Pillow's.
#pragma STDC FP_CONTRACT OFF

static double box_filter(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double bilinear_filter(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming_filter(double x) {
    x = fabs(x);
    if (x == 0.0) return 1.0;
    if (x >= 1.0) return 0.0;
    x = x * M_PI;
    return sin(x) / x * (0.54 + 0.46 * cos(x));
}

// Keys' cubic with a = -0.5.
static double bicubic_filter(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double sinc(double x) {
    if (x == 0.0) return 1.0;
    x = x * M_PI;
    return sin(x) / x;
}

static double lanczos_filter(double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

typedef struct kernel {
    double (*value)(double);
    double support;
} kernel;

static bool find_kernel(gic_filter filter, kernel *found) {
    switch (filter) {
    case GIC_FILTER_LANCZOS: *found = (kernel){lanczos_filter, 3.0}; return true;
    case GIC_FILTER_BILINEAR: *found = (kernel){bilinear_filter, 1.0}; return true;
    case GIC_FILTER_BICUBIC: *found = (kernel){bicubic_filter, 2.0}; return true;
    case GIC_FILTER_BOX: *found = (kernel){box_filter, 0.5}; return true;
    case GIC_FILTER_HAMMING: *found = (kernel){hamming_filter, 1.0}; return true;
    default: return false;
    }
}

typedef struct geometry {
    double scale, support, inverse;
    int32_t source;
} geometry;

static geometry axis_geometry(const kernel *filter, int32_t source, int32_t target) {
    geometry g;
    g.scale = (double)source / target;
    double widened = g.scale < 1.0 ? 1.0 : g.scale;
    g.support = filter->support * widened;
    g.inverse = 1.0 / widened;
    g.source = source;
    return g;
}

// Sources [*first, *end) of output `index`.
static void output_bounds(const geometry *g, int32_t index, int32_t *first, int32_t *end, double *center) {
    *center = (index + 0.5) * g->scale;
    int32_t low = (int32_t)(*center - g->support + 0.5), high = (int32_t)(*center + g->support + 0.5);
    *first = low < 0 ? 0 : low;
    *end = high > g->source ? g->source : high;
}

static void axis_free(gic_axis *axis) {
    free(axis->first);
    free(axis->taps);
    free(axis->weights);
    free(axis->high);
    free(axis->low);
    memset(axis, 0, sizeof *axis);
}

static gic_status axis_make(const kernel *filter, int32_t source, int32_t target, int32_t start, int32_t count,
                            gic_axis *axis) {
    memset(axis, 0, sizeof *axis);
    const geometry g = axis_geometry(filter, source, target);
    const size_t taps = (size_t)ceil(g.support) * 2 + 1, stride = (taps + 3) / 4 * 4;
    axis->count = count;
    axis->stride = (int32_t)stride;
    axis->first = calloc((size_t)count, sizeof *axis->first);
    axis->taps = calloc((size_t)count, sizeof *axis->taps);
    axis->weights = calloc((size_t)count * stride, sizeof *axis->weights);
    axis->high = calloc((size_t)count * stride, sizeof *axis->high);
    axis->low = calloc((size_t)count * stride, sizeof *axis->low);
    double *values = calloc(stride, sizeof *values);
    if (!axis->first || !axis->taps || !axis->weights || !axis->high || !axis->low || !values) {
        axis_free(axis);
        free(values);
        return GIC_OUT_OF_MEMORY;
    }
    axis->halves_fit = true;
    for (int32_t i = 0; i < count; i++) {
        int32_t first, end;
        double center, total = 0.0;
        output_bounds(&g, start + i, &first, &end, &center);
        const int32_t n = end - first;
        for (int32_t k = 0; k < n; k++) {
            values[k] = filter->value((k + first - center + 0.5) * g.inverse);
            total += values[k];
        }
        axis->first[i] = first;
        axis->taps[i] = n;
        for (int32_t k = 0; k < n; k++) {
            double value = total != 0.0 ? values[k] / total : values[k];
            int32_t weight = (int32_t)((value < 0 ? -0.5 : 0.5) + value * (1 << gic_precision));
            int32_t high = weight >> gic_low_bits;
            const size_t at = (size_t)i * stride + (size_t)k;
            axis->weights[at] = weight;
            axis->high[at] = (int16_t)high;
            axis->low[at] = (int16_t)(weight & ((1 << gic_low_bits) - 1));
            if (high < INT16_MIN || high > INT16_MAX) axis->halves_fit = false;
        }
    }
    free(values);
    return GIC_OK;
}

size_t gic_padded_row_bytes(const gic_axis *axis) {
    size_t most = 0;
    for (int32_t i = 0; i < axis->count; i++) {
        size_t end = ((size_t)axis->first[i] + (size_t)(axis->taps[i] + 3) / 4 * 4) * 3 + 4;
        if (end > most) most = end;
    }
    return most;
}

static void horizontal(const gic_axis *axis, const uint8_t *source, size_t source_stride, int32_t rows,
                       uint8_t *target, size_t target_stride) {
    for (int32_t y = 0; y < rows; y++, source += source_stride, target += target_stride) {
        for (int32_t x = 0; x < axis->count; x++) {
            const int32_t *weights = axis->weights + (size_t)x * (size_t)axis->stride;
            const uint8_t *pixel = source + (size_t)axis->first[x] * 3;
            int32_t r = 1 << (gic_precision - 1), g = r, b = r;
            for (int32_t k = 0; k < axis->taps[x]; k++, pixel += 3) {
                r += pixel[0] * weights[k], g += pixel[1] * weights[k], b += pixel[2] * weights[k];
            }
            target[3 * x] = gic_clip8(r), target[3 * x + 1] = gic_clip8(g), target[3 * x + 2] = gic_clip8(b);
        }
    }
}

static void vertical_row(int32_t taps, const int32_t *weights, const uint8_t *source, size_t source_stride,
                         size_t bytes, uint8_t *target) {
    // Blocks keep the sums in registers or in the first-level cache while the rows pass.
    enum { block = 64 };
    for (size_t start = 0; start < bytes; start += block) {
        const size_t n = bytes - start < block ? bytes - start : block;
        int32_t sums[block];
        for (size_t i = 0; i < n; i++) sums[i] = 1 << (gic_precision - 1);
        for (int32_t k = 0; k < taps; k++) {
            const uint8_t *row = source + source_stride * (size_t)k + start;
            const int32_t weight = weights[k];
            for (size_t i = 0; i < n; i++) sums[i] += row[i] * weight;
        }
        for (size_t i = 0; i < n; i++) target[start + i] = gic_clip8(sums[i]);
    }
}

int32_t gic_has_avx2(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") != 0;
#else
    return 0;
#endif
}

static bool request_is_valid(const gic_resample_request *r) {
    return r->source_width > 0 && r->source_height > 0 && r->target_width > 0 && r->target_height > 0 && r->left >= 0 &&
           r->top >= 0 && r->width > 0 && r->height > 0 && r->left <= r->target_width - r->width &&
           r->top <= r->target_height - r->height;
}

// Pillow's nearest neighbour accumulates the step by addition instead of multiplying, and the accumulated rounding is
// part of its result.
static void nearest_indices(int32_t source, int32_t target, int32_t start, int32_t count, int32_t *indices) {
    const double step = (double)source / target;
    double position = step * 0.5;
    for (int32_t i = 0; i < start + count; i++, position += step) {
        if (i < start) continue;
        int32_t index = (int32_t)position;
        indices[i - start] = index < source ? index : source - 1;
    }
}

static gic_status nearest(const gic_resample_request *r, const uint8_t *source, uint8_t *target) {
    int32_t *columns = malloc(((size_t)r->width + (size_t)r->height) * sizeof *columns);
    if (columns == NULL) return GIC_OUT_OF_MEMORY;
    int32_t *rows = columns + r->width;
    nearest_indices(r->source_width, r->target_width, r->left, r->width, columns);
    nearest_indices(r->source_height, r->target_height, r->top, r->height, rows);
    for (int32_t y = 0; y < r->height; y++) {
        const uint8_t *row = source + (size_t)rows[y] * (size_t)r->source_width * 3;
        for (int32_t x = 0; x < r->width; x++, target += 3) memcpy(target, row + (size_t)columns[x] * 3, 3);
    }
    free(columns);
    return GIC_OK;
}

static void axis_window(const kernel *filter, int32_t source, int32_t target, int32_t start, int32_t count,
                        int32_t *first, int32_t *end) {
    if (source == target) {
        *first = start;
        *end = start + count;
        return;
    }
    const geometry g = axis_geometry(filter, source, target);
    double center;
    int32_t ignored;
    output_bounds(&g, start, first, &ignored, &center);
    output_bounds(&g, start + count - 1, &ignored, end, &center);
}

gic_status gic_resample_window(const gic_resample_request *r, int32_t *left, int32_t *top, int32_t *right,
                               int32_t *bottom) {
    if (!request_is_valid(r)) return GIC_BAD_ARGUMENT;
    kernel filter;
    if (r->filter == GIC_FILTER_NEAREST) {
        filter.support = 1.0;  // one source per output, wherever in its cell
    } else if (!find_kernel(r->filter, &filter)) {
        return GIC_BAD_ARGUMENT;
    }
    axis_window(&filter, r->source_width, r->target_width, r->left, r->width, left, right);
    axis_window(&filter, r->source_height, r->target_height, r->top, r->height, top, bottom);
    return GIC_OK;
}

// Pillow 13 runs the vertical pass first when it removes more than twice as many rows as columns are removed. The
// rounding between the passes makes the order part of the result.
static bool vertical_first(const gic_resample_request *r) {
    const int64_t fewer_rows = (int64_t)r->source_height - r->target_height;
    const int64_t fewer_columns = (int64_t)r->source_width - r->target_width;
    return fewer_rows > 0 && fewer_rows > 2 * fewer_columns;
}

typedef struct pixel_rows {
    const uint8_t *bytes;
    size_t stride;
    const uint8_t *end;  // of the memory that may be read
} pixel_rows;

static gic_status run_horizontal(const gic_axis *axis, pixel_rows source, int32_t count, uint8_t *target,
                                 size_t target_stride, bool portable) {
#if defined(__x86_64__)
    if (!portable && axis->halves_fit && gic_has_avx2()) {
        uint8_t *padded = malloc(gic_padded_row_bytes(axis));
        if (padded == NULL) return GIC_OUT_OF_MEMORY;
        gic_horizontal_avx2(axis, source.bytes, source.stride, source.end, count, target, target_stride, padded);
        free(padded);
        return GIC_OK;
    }
#else
    (void)portable;
#endif
    horizontal(axis, source.bytes, source.stride, count, target, target_stride);
    return GIC_OK;
}

// `source` begins with source row `first_row` of the axis.
static void run_vertical(const gic_axis *axis, pixel_rows source, int32_t first_row, size_t row_bytes, uint8_t *target,
                         bool portable) {
#if defined(__x86_64__)
    const bool fast = !portable && axis->halves_fit && gic_has_avx2();
#else
    (void)portable;
#endif
    for (int32_t y = 0; y < axis->count; y++, target += row_bytes) {
        const uint8_t *from = source.bytes + source.stride * (size_t)(axis->first[y] - first_row);
        const size_t at = (size_t)y * (size_t)axis->stride;
#if defined(__x86_64__)
        if (fast) {
            gic_vertical_avx2(axis->taps[y], axis->weights + at, axis->high + at, axis->low + at, from, source.stride,
                              row_bytes, target);
            continue;
        }
#endif
        vertical_row(axis->taps[y], axis->weights + at, from, source.stride, row_bytes, target);
    }
}

gic_status gic_resample(const gic_resample_request *r, const uint8_t *source, uint8_t *target) {
    int32_t left, top, right, bottom;
    gic_status status = gic_resample_window(r, &left, &top, &right, &bottom);
    if (status != GIC_OK) return status;
    const size_t source_stride = (size_t)r->source_width * 3, target_stride = (size_t)r->width * 3;
    const uint8_t *source_end = source + source_stride * (size_t)r->source_height;
    const bool resizes_width = r->source_width != r->target_width;
    const bool resizes_height = r->source_height != r->target_height;
    if (!resizes_width && !resizes_height) {
        for (int32_t y = 0; y < r->height; y++) {
            memcpy(target + target_stride * (size_t)y,
                   source + source_stride * (size_t)(r->top + y) + (size_t)r->left * 3, target_stride);
        }
        return GIC_OK;
    }
    if (r->filter == GIC_FILTER_NEAREST) return nearest(r, source, target);

    const bool portable = r->portable != 0, both = resizes_width && resizes_height;
    const bool down_first = both && vertical_first(r);
    kernel filter;
    find_kernel(r->filter, &filter);  // the window was found with it
    gic_axis across, down;
    memset(&across, 0, sizeof across);
    memset(&down, 0, sizeof down);
    uint8_t *between = NULL;
    if (resizes_width) status = axis_make(&filter, r->source_width, r->target_width, r->left, r->width, &across);
    if (status == GIC_OK && resizes_height) {
        status = axis_make(&filter, r->source_height, r->target_height, r->top, r->height, &down);
    }
    // The result of the first pass: whole-width rows of the window, or window rows of the result's width.
    const size_t between_stride = down_first ? (size_t)(right - left) * 3 : target_stride;
    const size_t between_bytes = between_stride * (size_t)(down_first ? r->height : bottom - top);
    if (status == GIC_OK && both) {
        between = malloc(between_bytes);
        if (between == NULL) status = GIC_OUT_OF_MEMORY;
    }
    if (status == GIC_OK) {
        const uint8_t *first_row = source + source_stride * (size_t)top;
        const pixel_rows rows = {first_row, source_stride, source_end};
        const pixel_rows columns = {first_row + (size_t)left * 3, source_stride, source_end};
        const pixel_rows middle = {between, between_stride, between + between_bytes};
        if (down_first) {
            run_vertical(&down, columns, top, between_stride, between, portable);
            for (int32_t x = 0; x < across.count; x++) across.first[x] -= left;
            status = run_horizontal(&across, middle, r->height, target, target_stride, portable);
        } else if (both) {
            status = run_horizontal(&across, rows, bottom - top, between, between_stride, portable);
            if (status == GIC_OK) run_vertical(&down, middle, top, target_stride, target, portable);
        } else if (resizes_width) {
            status = run_horizontal(&across, rows, r->height, target, target_stride, portable);
        } else {
            run_vertical(&down, columns, top, target_stride, target, portable);
        }
    }
    free(between);
    axis_free(&across);
    axis_free(&down);
    return status;
}

void gic_planar_lookup(const uint8_t *source, int32_t width, int32_t height, const float *tables, float *planes,
                       int32_t plane_width, int32_t plane_height, int32_t left, int32_t top) {
    const size_t plane = (size_t)plane_width * (size_t)plane_height;
    const float *reds = tables, *greens = tables + 256, *blues = tables + 512;
    for (int32_t y = 0; y < height; y++) {
        float *r = planes + (size_t)(top + y) * (size_t)plane_width + (size_t)left, *g = r + plane, *b = g + plane;
        for (int32_t x = 0; x < width; x++, source += 3) {
            r[x] = reds[source[0]], g[x] = greens[source[1]], b[x] = blues[source[2]];
        }
    }
}

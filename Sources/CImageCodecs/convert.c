// Four channels to RGB, and the orientation transposes, in Pillow's integer arithmetic.
#include "internal.h"

#include <string.h>

// a * b / 255, rounded.
static inline int times(int a, int b) {
    int product = a * b + 128;
    return ((product >> 8) + product) >> 8;
}

static inline uint8_t clip(int value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

// Ink amounts c, m, y over black ink k.
static inline void inks(const uint8_t *cmyk, uint8_t *rgb) {
    const int light = 255 - cmyk[3];
    for (int i = 0; i < 3; i++) rgb[i] = clip(light - times(cmyk[i], light));
}

// A colour of this alpha over white. Pillow's `alpha_composite` works with 7 more bits than it keeps.
static inline uint8_t over_white(int colour, int alpha) {
    int sum = (colour * alpha + 255 * (255 - alpha) + 128) << 7;
    return (uint8_t)((((sum >> 8) + sum) >> 8) >> 7);
}

void gic_to_rgb(const uint8_t *source, size_t count, gic_mode mode, gic_alpha alpha, uint8_t *target) {
    for (size_t i = 0; i < count; i++, source += 4, target += 3) {
        // A copy: the target may overlap the source.
        const uint8_t pixel[4] = {source[0], source[1], source[2], source[3]};
        if (mode == GIC_MODE_CMYK) {
            inks(pixel, target);
        } else if (alpha == GIC_ALPHA_DROP || pixel[3] == 255) {
            memcpy(target, pixel, 3);
        } else {
            for (int c = 0; c < 3; c++) target[c] = over_white(pixel[c], pixel[3]);
        }
    }
}

void gic_split(const uint8_t *source, size_t count, gic_mode mode, uint8_t *colour, uint8_t *fourth) {
    for (size_t i = 0; i < count; i++, source += 4, colour += 3, fourth += 3) {
        const int last = source[3];
        for (int c = 0; c < 3; c++) {
            colour[c] = mode == GIC_MODE_CMYK ? source[c] : (uint8_t)times(source[c], last);
            fourth[c] = (uint8_t)last;
        }
    }
}

void gic_join(const uint8_t *colour, const uint8_t *fourth, size_t count, gic_mode mode, uint8_t *target) {
    for (size_t i = 0; i < count; i++, colour += 3, fourth += 3, target += 3) {
        const uint8_t pixel[4] = {colour[0], colour[1], colour[2], fourth[0]};
        if (mode == GIC_MODE_CMYK) {
            inks(pixel, target);
            continue;
        }
        const int alpha = pixel[3];
        for (int c = 0; c < 3; c++) {
            target[c] = alpha == 0 || alpha == 255 ? pixel[c] : clip(255 * pixel[c] / alpha);
        }
    }
}

static inline void orient(const uint8_t *source, int32_t width, int32_t height, int32_t orientation, uint8_t *target,
                          const int size) {
    const ptrdiff_t row = (ptrdiff_t)width * size, last_row = row * (height - 1), last_pixel = row - size;
    // Where target pixel (0, 0) comes from, and how far the source moves with each target column and row.
    ptrdiff_t start = 0, across = size, down = row;
    switch (orientation) {
    case 2: start = last_pixel, across = -size; break;
    case 3: start = last_row + last_pixel, across = -size, down = -row; break;
    case 4: start = last_row, down = -row; break;
    case 5: across = row, down = size; break;
    case 6: start = last_row, across = -row, down = size; break;
    case 7: start = last_row + last_pixel, across = -row, down = -size; break;
    case 8: start = last_pixel, across = row, down = -size; break;
    default: break;
    }
    const bool swaps = orientation >= 5;
    const int32_t target_width = swaps ? height : width, target_height = swaps ? width : height;
    // Where the axes swap, neighbours in a target row are a whole source row apart. Working in strips keeps their cache
    // lines until the next target row needs the pixels beside them.
    enum { strip = 64 };
    for (int32_t left = 0; left < target_width; left += strip) {
        const int32_t right = target_width - left < strip ? target_width : left + strip;
        for (int32_t y = 0; y < target_height; y++) {
            ptrdiff_t from = start + down * y + across * left;
            uint8_t *to = target + ((size_t)y * (size_t)target_width + (size_t)left) * (size_t)size;
            for (int32_t x = left; x < right; x++, from += across, to += size) {
                to[0] = source[from], to[1] = source[from + 1], to[2] = source[from + 2];
                if (size == 4) to[3] = source[from + 3];
            }
        }
    }
}

void gic_orient(const uint8_t *source, int32_t width, int32_t height, int32_t channels, int32_t orientation,
                uint8_t *target) {
    if (channels == 4) {
        orient(source, width, height, orientation, target, 4);
    } else {
        orient(source, width, height, orientation, target, 3);
    }
}

// Shared by the codec files; not part of the module's surface.
#pragma once

#include "CImageCodecs.h"

#include <stdarg.h>
#include <stdbool.h>

struct gic_decoder {
    const uint8_t *bytes;
    size_t count;
    gic_info info;
    int32_t window_left, window_top, window_right, window_bottom;
    int32_t scale_denominator;  // JPEG only: 1, 2, 4, 8
    int64_t maximum_pixels;
    void *state;                           // what a format's header keeps for its read
    void (*close)(gic_decoder *decoder);  // frees `state`; may be NULL
};

// Writes the message and returns `status`, so that a failure takes one statement.
gic_status gic_fail(gic_message *message, gic_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Zero dimension and pixel limit, for a header's declared size.
gic_status gic_check_size(int64_t width, int64_t height, int64_t maximum_pixels, gic_message *message);

// Orientation 1...8 from a TIFF block (with or without "Exif\0\0"); 0 when it holds no such tag.
int32_t gic_exif_orientation(const uint8_t *bytes, size_t count);

// Orientation from an XMP packet as Pillow looks for it; 0 when there is none.
int32_t gic_xmp_orientation(const uint8_t *bytes, size_t count);

// Finds the format of the bytes, or why it is not decoded.
gic_status gic_find_format(const uint8_t *bytes, size_t count, gic_format *format, gic_message *message);

// Sets width, height and channels of a decoder's info after checking the size.
gic_status gic_set_size(gic_decoder *decoder, int64_t width, int64_t height, int32_t channels, gic_message *message);

// Whether the library that decodes the format can be loaded; GIC_NO_DECODER names the package.
gic_status gic_tiff_check(gic_message *message);
gic_status gic_avif_check(gic_message *message);
gic_status gic_heif_check(gic_message *message);

// Each format: `header` fills `decoder->info` from the first bytes, `read` decodes into `pixels`.
gic_status gic_jpeg_header(gic_decoder *decoder, gic_message *message);
gic_status gic_jpeg_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message);
gic_status gic_png_header(gic_decoder *decoder, gic_message *message);
gic_status gic_png_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message);
gic_status gic_webp_header(gic_decoder *decoder, gic_message *message);
gic_status gic_webp_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message);
gic_status gic_gif_header(gic_decoder *decoder, gic_message *message);
gic_status gic_gif_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message);
gic_status gic_bmp_header(gic_decoder *decoder, gic_message *message);
gic_status gic_bmp_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message);
gic_status gic_tiff_header(gic_decoder *decoder, gic_message *message);
gic_status gic_tiff_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message);
gic_status gic_avif_header(gic_decoder *decoder, gic_message *message);
gic_status gic_avif_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message);
gic_status gic_heif_header(gic_decoder *decoder, gic_message *message);
gic_status gic_heif_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message);

static inline uint32_t gic_le16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }
static inline uint32_t gic_le24(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16; }
static inline uint32_t gic_le32(const uint8_t *p) { return gic_le24(p) | (uint32_t)p[3] << 24; }
static inline uint32_t gic_be32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

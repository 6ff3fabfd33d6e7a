// Image files to interleaved 8-bit pixels and back, and Pillow's two-pass resampling, behind a plain C interface.
//
// Every call returns a status; the message of a failure is in the caller's `gic_message`. No call exits the process or
// lets a longjmp cross this boundary, and nothing is printed (except that dav1d, which libavif may use, reports damaged
// AVIF data on standard error). A decoder belongs to one thread at a time. libjpeg, libpng and libwebp are linked.
// libtiff, libavif and libheif are loaded when the first file needs them (library.h), so that a program starts without
// them; which of them are loaded is the only global state.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gic_status {
    GIC_OK = 0,
    GIC_EMPTY = 1,           // zero bytes
    GIC_TRUNCATED = 2,       // the bytes end before the image does
    GIC_CORRUPT = 3,         // the bytes contradict their format
    GIC_UNSUPPORTED = 4,     // another format, or a variant of a known one that is not decoded
    GIC_TOO_LARGE = 5,       // the header declares more pixels than the limit
    GIC_ZERO_DIMENSION = 6,  // the header declares no rows or no columns
    GIC_OUT_OF_MEMORY = 7,
    GIC_BAD_ARGUMENT = 8,
    GIC_NO_DECODER = 9,  // the library that decodes this format is not there
} gic_status;

typedef enum gic_format {
    GIC_FORMAT_UNKNOWN = 0,
    GIC_FORMAT_JPEG = 1,
    GIC_FORMAT_PNG = 2,
    GIC_FORMAT_WEBP = 3,
    GIC_FORMAT_GIF = 4,
    GIC_FORMAT_BMP = 5,
    GIC_FORMAT_TIFF = 6,
    GIC_FORMAT_AVIF = 7,
    GIC_FORMAT_HEIF = 8,
} gic_format;

// What a file stores, as far as a resize before the conversion to RGB must know it (Pillow's modes).
typedef enum gic_mode {
    GIC_MODE_RGB = 0,      // grey or RGB, perhaps with one transparent colour
    GIC_MODE_INDEXED = 1,  // a palette or two levels: resized by nearest neighbour
    GIC_MODE_ALPHA = 2,    // an alpha channel: resized premultiplied
    GIC_MODE_CMYK = 3,     // amounts of ink
    GIC_MODE_OTHER = 4,    // grey of more than 8 bits, a palette with alpha: resized as such, which is not implemented
} gic_mode;

typedef struct gic_message {
    char text[240];
} gic_message;

// What the header says. `width` and `height` are those of the pixels that `gic_decoder_read` writes (after a reduced
// scale, before orientation); `source_*` are those of the header.
typedef struct gic_info {
    gic_format format;
    int32_t width, height;
    int32_t source_width, source_height;
    int32_t orientation;  // EXIF 1...8; 1 when the file has none, or one out of range
    int32_t always_turned;  // nonzero where Pillow turns the image however it is opened (TIFF)
    gic_mode mode;
    int32_t channels;  // of the pixels that `gic_decoder_read` writes: 3 (RGB), 4 (RGB and alpha, or CMYK)
} gic_info;

typedef struct gic_decoder gic_decoder;

// GIC_OK when files of the format can be decoded here; otherwise the message says what to install.
gic_status gic_check_format(gic_format format, gic_message *message);

// Reads the header of `bytes` (borrowed until `gic_decoder_close`). `maximum_pixels` is checked against the header
// before anything of the image's size is allocated.
gic_status gic_decoder_open(const uint8_t *bytes, size_t count, int64_t maximum_pixels, gic_decoder **decoder,
                            gic_info *info, gic_message *message);

// Decodes a JPEG at the smallest of the scales 1/1, 1/2, 1/4, 1/8 whose sides still reach `least_width` and
// `least_height` (before orientation), and updates `info`. Does nothing to other formats. Call before
// `gic_decoder_set_window`.
void gic_decoder_reduce(gic_decoder *decoder, int32_t least_width, int32_t least_height, gic_info *info);

// Declares that the caller will read only the rectangle [left, right) x [top, bottom) of the output: the decoder may
// leave other pixels of the buffer unwritten. Pixels inside are the same as without a window.
void gic_decoder_set_window(gic_decoder *decoder, int32_t left, int32_t top, int32_t right, int32_t bottom);

// Decodes into `pixels`: `height` rows of `width` pixels of `channels` bytes, row after row. Once per decoder. After a
// failure the content of `pixels` is unspecified.
gic_status gic_decoder_read(gic_decoder *decoder, uint8_t *pixels, size_t count, gic_message *message);

void gic_decoder_close(gic_decoder *decoder);

// EXIF orientation 2...8 applied to `source` (width x height pixels of `channels` bytes, 3 or 4); 5...8 swap the axes.
// Buffers do not overlap.
void gic_orient(const uint8_t *source, int32_t width, int32_t height, int32_t channels, int32_t orientation,
                uint8_t *target);

// ---- Four channels to RGB -------------------------------------------------------------------------------------------
// Pillow's integer arithmetic, checked against it for every pair of values.

typedef enum gic_alpha {
    GIC_ALPHA_DROP = 0,   // `convert("RGB")`
    GIC_ALPHA_WHITE = 1,  // `alpha_composite` over opaque white, then `convert("RGB")`
} gic_alpha;

// `count` pixels of four channels, which `mode` explains, to RGB. `target` may be `source`.
void gic_to_rgb(const uint8_t *source, size_t count, gic_mode mode, gic_alpha alpha, uint8_t *target);

// Four channels to two images of three, so that each may be resized as RGB: `colour` gets the first three channels, of
// GIC_MODE_ALPHA multiplied by alpha; `fourth` gets the last one three times.
void gic_split(const uint8_t *source, size_t count, gic_mode mode, uint8_t *colour, uint8_t *fourth);

// The way back: `count` pixels of both to RGB, alpha divided out and dropped, or inks converted. `target` may be `colour`.
void gic_join(const uint8_t *colour, const uint8_t *fourth, size_t count, gic_mode mode, uint8_t *target);

// ---- Resampling -----------------------------------------------------------------------------------------------------

// The values are Pillow's `Image.Resampling`.
typedef enum gic_filter {
    GIC_FILTER_NEAREST = 0,
    GIC_FILTER_LANCZOS = 1,
    GIC_FILTER_BILINEAR = 2,
    GIC_FILTER_BICUBIC = 3,
    GIC_FILTER_BOX = 4,
    GIC_FILTER_HAMMING = 5,
} gic_filter;

typedef struct gic_resample_request {
    int32_t source_width, source_height;
    int32_t target_width, target_height;  // of the whole resized image
    int32_t left, top, width, height;     // the part of it to compute
    gic_filter filter;
    int32_t portable;  // nonzero: never use AVX2 (tests compare both paths)
} gic_resample_request;

// The source rectangle that the request reads: [left, right) x [top, bottom).
gic_status gic_resample_window(const gic_resample_request *request, int32_t *left, int32_t *top, int32_t *right,
                               int32_t *bottom);

// Writes the requested part of the resized image to `target`, `width * 3` bytes per row.
gic_status gic_resample(const gic_resample_request *request, const uint8_t *source, uint8_t *target);

// Interleaved RGB rows to three float planes through one 256-entry table per channel (`tables`: 3 x 256). Row y of the
// source goes to row `top + y` of each plane, starting at column `left`; planes are `plane_width` x `plane_height`.
void gic_planar_lookup(const uint8_t *source, int32_t width, int32_t height, const float *tables, float *planes,
                       int32_t plane_width, int32_t plane_height, int32_t left, int32_t top);

// Nonzero when this machine uses the AVX2 pass.
int32_t gic_has_avx2(void);

// ---- Encoding -------------------------------------------------------------------------------------------------------

// On success `*bytes` is malloc'd and `*count` long; the caller releases it with `gic_free`.
gic_status gic_encode_png(const uint8_t *pixels, int32_t width, int32_t height, int32_t compression_level,
                          uint8_t **bytes, size_t *count, gic_message *message);
gic_status gic_encode_jpeg(const uint8_t *pixels, int32_t width, int32_t height, int32_t quality,
                           int32_t full_chroma, uint8_t **bytes, size_t *count, gic_message *message);

void gic_free(void *memory);

#ifdef __cplusplus
}
#endif

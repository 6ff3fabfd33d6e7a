// Format by magic bytes, the size guard, and the orientation transposes.
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

gic_status gic_fail(gic_message *message, gic_status status, const char *format, ...) {
    if (message != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(message->text, sizeof message->text, format, arguments);
        va_end(arguments);
    }
    return status;
}

gic_status gic_check_size(int64_t width, int64_t height, int64_t maximum_pixels, gic_message *message) {
    if (width <= 0 || height <= 0) {
        return gic_fail(message, GIC_ZERO_DIMENSION, "the header declares %lld x %lld pixels", (long long)width,
                        (long long)height);
    }
    // Both fit 32 bits, so the product fits 64.
    if (width * height > maximum_pixels || width > INT32_MAX / 4 || height > INT32_MAX / 4) {
        return gic_fail(message, GIC_TOO_LARGE, "the header declares %lld x %lld pixels", (long long)width,
                        (long long)height);
    }
    return GIC_OK;
}

static const uint8_t png_magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

static bool starts(const uint8_t *bytes, size_t count, const void *magic, size_t length) {
    return count >= length && memcmp(bytes, magic, length) == 0;
}

// The name of a well-known format that is not decoded here, so that the error can say it.
static const char *foreign_format(const uint8_t *bytes, size_t count) {
    if (starts(bytes, count, "GIF8", 4)) return "GIF";
    if (starts(bytes, count, "BM", 2)) return "BMP";
    if (starts(bytes, count, "II*\0", 4) || starts(bytes, count, "MM\0*", 4)) return "TIFF";
    if (starts(bytes, count, "\0\0\0\x0cjP  ", 8) || starts(bytes, count, "\xff\x4f\xff\x51", 4)) return "JPEG 2000";
    if (starts(bytes, count, "%PDF", 4)) return "PDF";
    if (starts(bytes, count, "<svg", 4) || starts(bytes, count, "<?xml", 5)) return "SVG or XML";
    if (starts(bytes, count, "\0\0\0\x0cJXL ", 8) || starts(bytes, count, "\xff\x0a", 2)) return "JPEG XL";
    if (count >= 12 && memcmp(bytes + 4, "ftyp", 4) == 0) {
        return memcmp(bytes + 8, "avi", 3) == 0 ? "AVIF" : "HEIF or another ISO media file";
    }
    return NULL;
}

static gic_status find_format(const uint8_t *bytes, size_t count, gic_format *format, gic_message *message) {
    if (starts(bytes, count, "\xff\xd8\xff", 3)) {
        *format = GIC_FORMAT_JPEG;
        return GIC_OK;
    }
    if (starts(bytes, count, png_magic, 8)) {
        *format = GIC_FORMAT_PNG;
        return GIC_OK;
    }
    if (count >= 16 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) {
        *format = GIC_FORMAT_WEBP;
        return GIC_OK;
    }
    // Fewer bytes than a signature, but so far agreeing with one: cut off rather than foreign.
    bool prefix = (count < 3 && memcmp(bytes, "\xff\xd8\xff", count) == 0) ||
                  (count < 8 && memcmp(bytes, png_magic, count) == 0) ||
                  (count < 16 && memcmp(bytes, "RIFF", count < 4 ? count : 4) == 0 &&
                   (count <= 8 || memcmp(bytes + 8, "WEBP", count - 8 < 4 ? count - 8 : 4) == 0));
    if (prefix) return gic_fail(message, GIC_TRUNCATED, "only %zu bytes", count);
    const char *name = foreign_format(bytes, count);
    if (name != NULL) return gic_fail(message, GIC_UNSUPPORTED, "the bytes are %s", name);
    char digits[3 * 8 + 1] = "";
    for (size_t i = 0; i < count && i < 8; i++) snprintf(digits + 3 * i, 4, "%02x ", bytes[i]);
    return gic_fail(message, GIC_UNSUPPORTED, "the bytes begin %s", digits);
}

gic_status gic_decoder_open(const uint8_t *bytes, size_t count, int64_t maximum_pixels, gic_decoder **result,
                            gic_info *info, gic_message *message) {
    *result = NULL;
    if (count == 0) return gic_fail(message, GIC_EMPTY, "0 bytes");
    gic_format format = GIC_FORMAT_UNKNOWN;
    gic_status status = find_format(bytes, count, &format, message);
    if (status != GIC_OK) return status;

    gic_decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL) return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory for a decoder");
    decoder->bytes = bytes;
    decoder->count = count;
    decoder->info.format = format;
    decoder->info.orientation = 1;
    decoder->scale_denominator = 1;
    switch (format) {
    case GIC_FORMAT_JPEG: status = gic_jpeg_header(decoder, maximum_pixels, message); break;
    case GIC_FORMAT_PNG: status = gic_png_header(decoder, maximum_pixels, message); break;
    default: status = gic_webp_header(decoder, maximum_pixels, message); break;
    }
    if (status != GIC_OK) {
        free(decoder);
        return status;
    }
    gic_decoder_set_window(decoder, 0, 0, decoder->info.width, decoder->info.height);
    *info = decoder->info;
    *result = decoder;
    return GIC_OK;
}

void gic_decoder_reduce(gic_decoder *decoder, int32_t least_width, int32_t least_height, gic_info *info) {
    gic_info *own = &decoder->info;
    if (own->format == GIC_FORMAT_JPEG && least_width > 0 && least_height > 0) {
        // Pillow's draft: the whole number of times that the wanted size goes into the image, down to a power of two.
        int32_t across = own->source_width / least_width, down = own->source_height / least_height;
        int32_t times = across < down ? across : down, n = 8;
        while (n > 1 && times < n) n /= 2;
        decoder->scale_denominator = n;
        own->width = (own->source_width + n - 1) / n;
        own->height = (own->source_height + n - 1) / n;
        gic_decoder_set_window(decoder, 0, 0, own->width, own->height);
    }
    *info = *own;
}

void gic_decoder_set_window(gic_decoder *decoder, int32_t left, int32_t top, int32_t right, int32_t bottom) {
    decoder->window_left = left < 0 ? 0 : left;
    decoder->window_top = top < 0 ? 0 : top;
    decoder->window_right = right > decoder->info.width ? decoder->info.width : right;
    decoder->window_bottom = bottom > decoder->info.height ? decoder->info.height : bottom;
}

gic_status gic_decoder_read(gic_decoder *decoder, uint8_t *pixels, size_t count, gic_message *message) {
    size_t needed = (size_t)decoder->info.width * (size_t)decoder->info.height * 3;
    if (count < needed) {
        return gic_fail(message, GIC_BAD_ARGUMENT, "the pixel buffer holds %zu bytes, the image needs %zu", count,
                        needed);
    }
    switch (decoder->info.format) {
    case GIC_FORMAT_JPEG: return gic_jpeg_read(decoder, pixels, message);
    case GIC_FORMAT_PNG: return gic_png_read(decoder, pixels, message);
    default: return gic_webp_read(decoder, pixels, message);
    }
}

void gic_decoder_close(gic_decoder *decoder) { free(decoder); }

void gic_free(void *memory) { free(memory); }

void gic_orient(const uint8_t *source, int32_t width, int32_t height, int32_t orientation, uint8_t *target) {
    const ptrdiff_t row = (ptrdiff_t)width * 3, last_row = row * (height - 1), last_pixel = row - 3;
    // Where target pixel (0, 0) comes from, and how far the source moves with each target column and row.
    ptrdiff_t start = 0, across = 3, down = row;
    switch (orientation) {
    case 2: start = last_pixel, across = -3; break;
    case 3: start = last_row + last_pixel, across = -3, down = -row; break;
    case 4: start = last_row, down = -row; break;
    case 5: across = row, down = 3; break;
    case 6: start = last_row, across = -row, down = 3; break;
    case 7: start = last_row + last_pixel, across = -row, down = -3; break;
    case 8: start = last_pixel, across = row, down = -3; break;
    default: break;
    }
    const bool swaps = orientation >= 5;
    const int32_t target_width = swaps ? height : width, target_height = swaps ? width : height;
    // Where axes swap, neighbours in a target row lie a source row apart: strips keep their cache lines until the next
    // target row wants the pixel beside.
    enum { strip = 64 };
    for (int32_t left = 0; left < target_width; left += strip) {
        const int32_t right = target_width - left < strip ? target_width : left + strip;
        for (int32_t y = 0; y < target_height; y++) {
            ptrdiff_t from = start + down * y + across * left;
            uint8_t *to = target + ((size_t)y * (size_t)target_width + (size_t)left) * 3;
            for (int32_t x = left; x < right; x++, from += across, to += 3) {
                to[0] = source[from], to[1] = source[from + 1], to[2] = source[from + 2];
            }
        }
    }
}

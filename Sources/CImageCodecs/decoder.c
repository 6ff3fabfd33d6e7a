// One decoder for all formats: the size guard, the reduced scale, the window, and the format's own code by table.
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

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
    // The sides are checked first, so that their product fits into 64 bits.
    if (width > INT32_MAX / 4 || height > INT32_MAX / 4 || width * height > maximum_pixels) {
        return gic_fail(message, GIC_TOO_LARGE, "the header declares %lld x %lld pixels", (long long)width,
                        (long long)height);
    }
    return GIC_OK;
}

gic_status gic_set_size(gic_decoder *decoder, int64_t width, int64_t height, int32_t channels, gic_message *message) {
    gic_status status = gic_check_size(width, height, decoder->maximum_pixels, message);
    if (status != GIC_OK) return status;
    decoder->info.width = decoder->info.source_width = (int32_t)width;
    decoder->info.height = decoder->info.source_height = (int32_t)height;
    decoder->info.channels = channels;
    return GIC_OK;
}

typedef struct codec {
    gic_status (*check)(gic_message *);  // NULL where the library is linked
    gic_status (*header)(gic_decoder *, gic_message *);
    gic_status (*read)(gic_decoder *, uint8_t *, gic_message *);
} codec;

static const codec codecs[] = {
    [GIC_FORMAT_JPEG] = {NULL, gic_jpeg_header, gic_jpeg_read},
    [GIC_FORMAT_PNG] = {NULL, gic_png_header, gic_png_read},
    [GIC_FORMAT_WEBP] = {NULL, gic_webp_header, gic_webp_read},
    [GIC_FORMAT_GIF] = {NULL, gic_gif_header, gic_gif_read},
    [GIC_FORMAT_BMP] = {NULL, gic_bmp_header, gic_bmp_read},
    [GIC_FORMAT_TIFF] = {gic_tiff_check, gic_tiff_header, gic_tiff_read},
    [GIC_FORMAT_AVIF] = {gic_avif_check, gic_avif_header, gic_avif_read},
    [GIC_FORMAT_HEIF] = {gic_heif_check, gic_heif_header, gic_heif_read},
};

gic_status gic_check_format(gic_format format, gic_message *message) {
    if (format <= GIC_FORMAT_UNKNOWN || format > GIC_FORMAT_HEIF) {
        return gic_fail(message, GIC_BAD_ARGUMENT, "no format %d", (int)format);
    }
    return codecs[format].check != NULL ? codecs[format].check(message) : GIC_OK;
}

gic_status gic_decoder_open(const uint8_t *bytes, size_t count, int64_t maximum_pixels, gic_decoder **result,
                            gic_info *info, gic_message *message) {
    *result = NULL;
    if (count == 0) return gic_fail(message, GIC_EMPTY, "0 bytes");
    gic_format format = GIC_FORMAT_UNKNOWN;
    gic_status status = gic_find_format(bytes, count, &format, message);
    if (status != GIC_OK) return status;

    gic_decoder *decoder = calloc(1, sizeof *decoder);
    if (decoder == NULL) return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory for a decoder");
    decoder->bytes = bytes;
    decoder->count = count;
    decoder->info.format = format;
    decoder->info.orientation = 1;
    decoder->scale_denominator = 1;
    decoder->maximum_pixels = maximum_pixels;
    status = codecs[format].header(decoder, message);
    if (status != GIC_OK) {
        gic_decoder_close(decoder);
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
        // Pillow's draft: how many times the wanted size fits into the image, rounded down to a power of two.
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
    const gic_info *info = &decoder->info;
    size_t needed = (size_t)info->width * (size_t)info->height * (size_t)info->channels;
    if (count < needed) {
        return gic_fail(message, GIC_BAD_ARGUMENT, "the pixel buffer holds %zu bytes, the image needs %zu", count,
                        needed);
    }
    return codecs[info->format].read(decoder, pixels, message);
}

void gic_decoder_close(gic_decoder *decoder) {
    if (decoder->close != NULL) decoder->close(decoder);
    free(decoder);
}

void gic_free(void *memory) { free(memory); }

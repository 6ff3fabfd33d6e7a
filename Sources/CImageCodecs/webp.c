// WebP through libwebp: lossy, lossless, with alpha, and the first frame of an animation on Pillow's canvas (transparent
// black, which is black where the file says that it has no alpha).
#include "internal.h"

#include <string.h>

#include <webp/decode.h>

typedef struct frame {
    const uint8_t *bytes;  // what WebPDecode takes
    size_t count;
    int32_t x, y, width, height;
    int32_t canvas_width, canvas_height;
    int32_t orientation;
    bool has_alpha;
} frame;

static gic_status webp_status(VP8StatusCode code, size_t count, gic_message *message) {
    switch (code) {
    case VP8_STATUS_OK: return GIC_OK;
    case VP8_STATUS_OUT_OF_MEMORY: return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory to decode WebP");
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        return gic_fail(message, GIC_TRUNCATED, "the WebP data ends early, after %zu bytes", count);
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return gic_fail(message, GIC_UNSUPPORTED, "a WebP feature that libwebp does not decode");
    case VP8_STATUS_BITSTREAM_ERROR: return gic_fail(message, GIC_CORRUPT, "the WebP bitstream is damaged");
    default: return gic_fail(message, GIC_CORRUPT, "libwebp status %d", (int)code);
    }
}

static gic_status find_frame(const gic_decoder *decoder, frame *found, gic_message *message) {
    const uint8_t *bytes = decoder->bytes;
    const size_t count = decoder->count;
    memset(found, 0, sizeof *found);
    WebPBitstreamFeatures features;
    VP8StatusCode code = WebPGetFeatures(bytes, count, &features);
    if (code != VP8_STATUS_OK) return webp_status(code, count, message);
    found->canvas_width = features.width;
    found->canvas_height = features.height;
    found->has_alpha = features.has_alpha;
    found->bytes = bytes;
    found->count = count;
    found->width = features.width;
    found->height = features.height;
    if (memcmp(bytes + 12, "VP8X", 4) != 0) return GIC_OK;

    // Extended layout: metadata chunks, and the frames of an animation.
    int32_t exif = 0, xmp = 0;
    bool has_frame = false;
    size_t at = 12;
    while (at < count && count - at >= 8) {
        const uint8_t *data = bytes + at + 8;
        size_t length = gic_le32(bytes + at + 4), present = count - at - 8;
        bool complete = length <= present;
        if (memcmp(bytes + at, "EXIF", 4) == 0 && complete) exif = gic_exif_orientation(data, length);
        if (memcmp(bytes + at, "XMP ", 4) == 0 && complete) xmp = gic_xmp_orientation(data, length);
        if (features.has_animation && !has_frame && memcmp(bytes + at, "ANMF", 4) == 0) {
            if (!complete || length < 16) {
                return webp_status(complete ? VP8_STATUS_BITSTREAM_ERROR : VP8_STATUS_NOT_ENOUGH_DATA, count, message);
            }
            found->x = (int32_t)gic_le24(data) * 2;
            found->y = (int32_t)gic_le24(data + 3) * 2;
            found->width = (int32_t)gic_le24(data + 6) + 1;
            found->height = (int32_t)gic_le24(data + 9) + 1;
            found->bytes = data + 16;
            found->count = length - 16;
            has_frame = true;
        }
        if (!complete) break;
        at += 8 + length + (length & 1);
    }
    int32_t orientation = exif != 0 ? exif : xmp;
    found->orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
    if (features.has_animation) {
        // One frame would be enough, but Pillow reads an animation whole or not at all, and a truncated file should be
        // reported.
        if (count - 8 < gic_le32(bytes + 4)) return webp_status(VP8_STATUS_NOT_ENOUGH_DATA, count, message);
        if (!has_frame) return webp_status(VP8_STATUS_NOT_ENOUGH_DATA, count, message);
        if ((int64_t)found->x + found->width > found->canvas_width ||
            (int64_t)found->y + found->height > found->canvas_height) {
            return gic_fail(message, GIC_CORRUPT, "the first WebP frame lies outside its canvas");
        }
        code = WebPGetFeatures(found->bytes, found->count, &features);
        if (code != VP8_STATUS_OK) return webp_status(code, count, message);
        if (features.width != found->width || features.height != found->height) {
            return gic_fail(message, GIC_CORRUPT, "the first WebP frame is %d x %d, its header says %d x %d",
                            features.width, features.height, found->width, found->height);
        }
    }
    return GIC_OK;
}

gic_status gic_webp_header(gic_decoder *decoder, gic_message *message) {
    frame first;
    gic_status status = find_frame(decoder, &first, message);
    if (status != GIC_OK) return status;
    decoder->info.orientation = first.orientation == 0 ? 1 : first.orientation;
    decoder->info.mode = first.has_alpha ? GIC_MODE_ALPHA : GIC_MODE_RGB;
    return gic_set_size(decoder, first.canvas_width, first.canvas_height, first.has_alpha ? 4 : 3, message);
}

gic_status gic_webp_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message) {
    frame first;
    gic_status status = find_frame(decoder, &first, message);
    if (status != GIC_OK) return status;
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) {
        return gic_fail(message, GIC_UNSUPPORTED, "libwebp's version differs from the one compiled against");
    }
    const size_t channels = (size_t)decoder->info.channels;
    const size_t stride = (size_t)first.canvas_width * channels, size = stride * (size_t)first.canvas_height;
    if (first.width != first.canvas_width || first.height != first.canvas_height) memset(pixels, 0, size);
    const size_t start = stride * (size_t)first.y + (size_t)first.x * channels;
    config.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = pixels + start;
    config.output.u.RGBA.stride = (int)stride;
    config.output.u.RGBA.size = size - start;
    VP8StatusCode code = WebPDecode(first.bytes, first.count, &config);
    WebPFreeDecBuffer(&config.output);
    return webp_status(code, decoder->count, message);
}

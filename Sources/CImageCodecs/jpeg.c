// JPEG through libjpeg-turbo's libjpeg API: accurate integer DCT and smooth chroma upsampling, libjpeg's defaults and
// Pillow's.
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include <setjmp.h>

// A photograph has one scan, a progressive one about ten. Each scan costs a pass over the whole image, however few
// bytes it has, so a small file with many of them would keep a decoder busy for minutes. Scans are counted before
// anything is decoded: more than `usual_scans` are accepted while scans times pixels stay below `maximum_passes`, which
// takes about a second.
enum { usual_scans = 20, maximum_scans = 100 };
static const int64_t maximum_passes = 1000000000;

// Pixels decoded beyond each side of a window, so that upsampling at the window's edge reads true neighbours: one
// largest MCU on each side.
enum { window_margin = 32 };

typedef struct error_manager {
    struct jpeg_error_mgr base;
    jmp_buf escape;
    gic_status status;
    gic_message *message;
} error_manager;

typedef struct source_manager {
    struct jpeg_source_mgr base;
    bool exhausted;  // the decoder asked for bytes past the end
} source_manager;

static gic_status status_of(int code) {
    switch (code) {
    case JERR_OUT_OF_MEMORY: return GIC_OUT_OF_MEMORY;
    case JERR_EMPTY_IMAGE: return GIC_ZERO_DIMENSION;
    case JERR_IMAGE_TOO_BIG: return GIC_TOO_LARGE;
    case JERR_INPUT_EOF: return GIC_TRUNCATED;
    case JERR_SOF_UNSUPPORTED:
    case JERR_BAD_PRECISION:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_ARITH_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_CCIR601_NOTIMPL: return GIC_UNSUPPORTED;
    default: return GIC_CORRUPT;
    }
}

static void error_exit(j_common_ptr common) {
    error_manager *errors = (error_manager *)common->err;
    char text[JMSG_LENGTH_MAX];
    errors->base.format_message(common, text);
    errors->status = gic_fail(errors->message, status_of(errors->base.msg_code), "%s", text);
    longjmp(errors->escape, 1);
}

static void ignore_output(j_common_ptr common) { (void)common; }

static void source_nothing(j_decompress_ptr jpeg) { (void)jpeg; }

// All bytes are there from the start, so a request for more means that the file ends too early. The answer "suspend",
// which Pillow's reader gives too, makes that visible; libjpeg's own memory source would invent an end marker.
static boolean source_fill(j_decompress_ptr jpeg) {
    ((source_manager *)jpeg->src)->exhausted = true;
    return FALSE;
}

static void source_skip(j_decompress_ptr jpeg, long count) {
    source_manager *source = (source_manager *)jpeg->src;
    if (count <= 0) return;
    size_t step = (size_t)count;
    if (step > source->base.bytes_in_buffer) {
        step = source->base.bytes_in_buffer;
        source->exhausted = true;
    }
    source->base.next_input_byte += step;
    source->base.bytes_in_buffer -= step;
}

static void use_errors(error_manager *errors, gic_message *message) {
    jpeg_std_error(&errors->base);
    errors->base.error_exit = error_exit;
    errors->base.output_message = ignore_output;
    errors->status = GIC_OK;
    errors->message = message;
}

static void use_source(source_manager *source, const gic_decoder *decoder) {
    memset(source, 0, sizeof *source);
    source->base.init_source = source_nothing;
    source->base.fill_input_buffer = source_fill;
    source->base.skip_input_data = source_skip;
    source->base.resync_to_restart = jpeg_resync_to_restart;
    source->base.term_source = source_nothing;
    source->base.next_input_byte = decoder->bytes;
    source->base.bytes_in_buffer = decoder->count;
}

static gic_status truncated(gic_message *message, const gic_decoder *decoder) {
    return gic_fail(message, GIC_TRUNCATED, "the JPEG data ends early, after %zu bytes", decoder->count);
}

// EXIF that is split over several APP1 markers continues without its prefix; Pillow joins it.
static int32_t marker_orientation(j_decompress_ptr jpeg) {
    size_t total = 0;
    uint32_t pieces = 0;
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m != NULL; m = m->next) {
        if (m->data_length >= 6 && memcmp(m->data, "Exif\0\0", 6) == 0) total += m->data_length, pieces++;
    }
    int32_t orientation = 0;
    uint8_t *joined = pieces > 1 ? malloc(total) : NULL;
    size_t length = 0;
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m != NULL; m = m->next) {
        if (m->data_length < 6 || memcmp(m->data, "Exif\0\0", 6) != 0) continue;
        if (joined == NULL) {
            orientation = gic_exif_orientation(m->data, m->data_length);
            break;
        }
        size_t skip = length == 0 ? 0 : 6;
        memcpy(joined + length, m->data + skip, m->data_length - skip);
        length += m->data_length - skip;
    }
    if (joined != NULL) orientation = gic_exif_orientation(joined, length);
    free(joined);
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m != NULL && orientation == 0; m = m->next) {
        if (m->data_length > sizeof xmp && memcmp(m->data, xmp, sizeof xmp) == 0) {
            orientation = gic_xmp_orientation(m->data + sizeof xmp, m->data_length - sizeof xmp);
        }
    }
    return orientation >= 1 && orientation <= 8 ? orientation : 1;
}

// Counts the scans in the file. Segments are skipped by their length, coded data up to the next marker that is neither
// a stuffed byte nor a restart. Counting ends at the first bytes that are no marker, where decoding will end too.
static int64_t count_scans(const uint8_t *bytes, size_t count) {
    int64_t scans = 0;
    size_t at = 2;
    while (at < count) {
        // Decoders search for the next marker, whatever stands between.
        const uint8_t *hit = memchr(bytes + at, 0xff, count - at);
        if (hit == NULL) break;
        at = (size_t)(hit - bytes) + 1;
        if (at >= count) break;
        const uint8_t marker = bytes[at];
        if (marker == 0xff) continue;
        at++;
        if (marker == 0xd9) break;
        if (marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd8)) continue;
        if (marker == 0xda) scans++;
        if (count - at < 2) break;
        const size_t length = (size_t)bytes[at] << 8 | bytes[at + 1];
        if (length < 2) break;
        at += length;
    }
    return scans;
}

static gic_status check_scans(const gic_decoder *decoder, gic_message *message) {
    const int64_t scans = count_scans(decoder->bytes, decoder->count);
    const int64_t pixels = (int64_t)decoder->info.width * decoder->info.height;
    if (scans <= usual_scans || (scans <= maximum_scans && scans * pixels <= maximum_passes)) return GIC_OK;
    return gic_fail(message, GIC_CORRUPT, "it has %lld scans over %d x %d pixels, more than encoders write",
                    (long long)scans, decoder->info.width, decoder->info.height);
}

gic_status gic_jpeg_header(gic_decoder *decoder, gic_message *message) {
    struct jpeg_decompress_struct jpeg;
    error_manager errors;
    source_manager source;
    memset(&jpeg, 0, sizeof jpeg);
    use_errors(&errors, message);
    jpeg.err = &errors.base;
    use_source(&source, decoder);
    if (setjmp(errors.escape)) {
        jpeg_destroy_decompress(&jpeg);
        return errors.status;
    }
    jpeg_create_decompress(&jpeg);
    jpeg.src = &source.base;
    jpeg_save_markers(&jpeg, JPEG_APP0 + 1, 0xffff);
    int found = jpeg_read_header(&jpeg, TRUE);
    gic_status status = GIC_OK;
    if (found != JPEG_HEADER_OK) {
        status = truncated(message, decoder);
    } else {
        const bool cmyk = jpeg.num_components == 4;
        status = gic_set_size(decoder, jpeg.image_width, jpeg.image_height, cmyk ? 4 : 3, message);
        if (status == GIC_OK && !cmyk && jpeg.num_components != 1 && jpeg.num_components != 3) {
            status = gic_fail(message, GIC_UNSUPPORTED, "a JPEG of %d components; 1, 3 and 4 are decoded",
                              jpeg.num_components);
        }
        if (status == GIC_OK && (jpeg.progressive_mode || jpeg_has_multiple_scans(&jpeg))) {
            status = check_scans(decoder, message);
        }
        decoder->info.mode = cmyk ? GIC_MODE_CMYK : GIC_MODE_RGB;
        decoder->info.orientation = marker_orientation(&jpeg);
    }
    jpeg_destroy_decompress(&jpeg);
    return status;
}

// Reads lines from the decoder's position on into their place, up to `end`; false when the data ends first.
static bool read_rows(j_decompress_ptr jpeg, uint8_t *pixels, const gic_info *info, int32_t left, uint32_t end) {
    const size_t channels = (size_t)info->channels, stride = (size_t)info->width * channels;
    JSAMPROW rows[8];
    while (jpeg->output_scanline < end) {
        uint32_t y = jpeg->output_scanline, wanted = end - y < 8 ? end - y : 8;
        uint8_t *target = pixels + stride * y + (size_t)left * channels;
        for (uint32_t i = 0; i < wanted; i++) rows[i] = target + stride * i;
        const uint32_t got = jpeg_read_scanlines(jpeg, rows, wanted);
        if (got == 0) return false;
        if (channels != 4) continue;
        // Adobe's writers store inks inverted, and Pillow treats every file with four components as one of theirs.
        for (uint32_t i = 0; i < got; i++) {
            for (size_t x = 0; x < (size_t)jpeg->output_width * 4; x++) rows[i][x] = (uint8_t)~rows[i][x];
        }
    }
    return true;
}

gic_status gic_jpeg_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message) {
    struct jpeg_decompress_struct jpeg;
    error_manager errors;
    source_manager source;
    memset(&jpeg, 0, sizeof jpeg);
    use_errors(&errors, message);
    jpeg.err = &errors.base;
    use_source(&source, decoder);
    if (setjmp(errors.escape)) {
        jpeg_destroy_decompress(&jpeg);
        return errors.status;
    }
    jpeg_create_decompress(&jpeg);
    jpeg.src = &source.base;

    gic_status status = GIC_OK;
    if (jpeg_read_header(&jpeg, TRUE) != JPEG_HEADER_OK) {
        jpeg_destroy_decompress(&jpeg);
        return truncated(message, decoder);
    }
    jpeg.out_color_space = decoder->info.channels == 4 ? JCS_CMYK : JCS_RGB;  // libjpeg also makes RGB of grey
    jpeg.scale_num = 1;
    jpeg.scale_denom = (unsigned)decoder->scale_denominator;
    if (!jpeg_start_decompress(&jpeg)) {
        jpeg_destroy_decompress(&jpeg);
        return truncated(message, decoder);
    }

    const int32_t width = decoder->info.width, height = decoder->info.height;
    if (jpeg.output_width != (JDIMENSION)width || jpeg.output_height != (JDIMENSION)height) {
        jpeg_destroy_decompress(&jpeg);
        return gic_fail(message, GIC_CORRUPT, "the JPEG decodes to %u x %u, its header said %d x %d", jpeg.output_width,
                        jpeg.output_height, width, height);
    }
    // In baseline files with one scan, what the caller will not look at gets no inverse DCT, upsampling or colour
    // conversion. The entropy-coded data is still read to its end, so a truncated file is still noticed. Progressive
    // files are decoded whole, because libjpeg smooths incomplete ones over several blocks.
    bool whole = jpeg.progressive_mode || jpeg_has_multiple_scans(&jpeg) || decoder->scale_denominator != 1;
    int32_t left = 0, top = 0, bottom = height;
    if (!whole) {
        top = decoder->window_top - window_margin;
        top = top < 0 ? 0 : top;
        bottom = decoder->window_bottom + window_margin;
        bottom = bottom > height ? height : bottom;
        int32_t first = decoder->window_left - window_margin, last = decoder->window_right + window_margin;
        first = first < 0 ? 0 : first;
        last = last > width ? width : last;
        if (first < last && last - first < width) {
            JDIMENSION x = (JDIMENSION)first, w = (JDIMENSION)(last - first);
            jpeg_crop_scanline(&jpeg, &x, &w);
            left = (int32_t)x;
        }
    }
    if (top > 0) jpeg_skip_scanlines(&jpeg, (JDIMENSION)top);
    if (!read_rows(&jpeg, pixels, &decoder->info, left, (uint32_t)bottom)) status = truncated(message, decoder);
    if (status == GIC_OK && bottom < height) {
        // Skipping to the very end would read nothing; asking for the last row makes libjpeg decode up to it.
        if (height - bottom > 1) jpeg_skip_scanlines(&jpeg, (JDIMENSION)(height - bottom - 1));
        if (!read_rows(&jpeg, pixels, &decoder->info, left, (uint32_t)height)) status = truncated(message, decoder);
    }
    // Skipping does not report that the data ends too early, but the source does.
    if (status == GIC_OK && (top > 0 || bottom < height) && source.exhausted) status = truncated(message, decoder);
    jpeg_destroy_decompress(&jpeg);
    return status;
}

// PNG through libpng, every colour type and depth, with Pillow's values: 16-bit colour and grey with alpha keep the
// high byte; 16-bit grey is clipped to 255 (Pillow holds it as integers, and their conversion clips). An alpha channel
// or tRNS makes a fourth channel.
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include <png.h>

typedef struct reader {
    const uint8_t *bytes;
    size_t left;
    bool exhausted;
    gic_status status;
    gic_message *message;
} reader;

static void read_bytes(png_structp png, png_bytep target, size_t count) {
    reader *input = png_get_io_ptr(png);
    if (count > input->left) {
        input->exhausted = true;
        png_error(png, "the PNG data ends early");
    }
    memcpy(target, input->bytes, count);
    input->bytes += count;
    input->left -= count;
}

static void on_error(png_structp png, png_const_charp text) {
    reader *input = png_get_error_ptr(png);
    gic_status status = input->exhausted ? GIC_TRUNCATED : GIC_CORRUPT;
    input->status = gic_fail(input->message, status, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) { (void)png, (void)text; }

// What the chunks beside the pixels say. They are walked here and not by libpng, because the orientation may stand
// after the pixels, and reading it must not cost a decode.
static void walk_chunks(gic_decoder *decoder, bool *has_transparency) {
    const uint8_t *bytes = decoder->bytes;
    const size_t count = decoder->count;
    int32_t exif = 0, xmp = 0;
    bool in_pixels = false;
    size_t at = 8;
    while (at <= count && count - at >= 12) {
        size_t length = gic_be32(bytes + at);
        const uint8_t *type = bytes + at + 4, *data = bytes + at + 8;
        if (memcmp(type, "IDAT", 4) == 0) in_pixels = true;
        if (length > count - at - 12) break;
        if (memcmp(type, "tRNS", 4) == 0 && !in_pixels) *has_transparency = true;
        if (memcmp(type, "eXIf", 4) == 0) exif = gic_exif_orientation(data, length);
        static const char key[] = "XML:com.adobe.xmp";
        // iTXt: keyword, 0, compression flag, method, language, 0, translated keyword, 0, text. Only plain text.
        if (memcmp(type, "iTXt", 4) == 0 && length > sizeof key + 2 && memcmp(data, key, sizeof key) == 0 &&
            data[sizeof key] == 0) {
            xmp = gic_xmp_orientation(data, length);
        }
        if (memcmp(type, "IEND", 4) == 0) break;
        at += length + 12;
    }
    int32_t orientation = exif != 0 ? exif : xmp;
    decoder->info.orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
}

gic_status gic_png_header(gic_decoder *decoder, gic_message *message) {
    const uint8_t *bytes = decoder->bytes;
    if (decoder->count < 33) {
        return gic_fail(message, GIC_TRUNCATED, "the PNG data ends in its header, after %zu bytes", decoder->count);
    }
    if (memcmp(bytes + 12, "IHDR", 4) != 0) return gic_fail(message, GIC_CORRUPT, "the first chunk is not IHDR");
    gic_status status = gic_set_size(decoder, gic_be32(bytes + 16), gic_be32(bytes + 20), 3, message);
    if (status != GIC_OK) return status;
    bool transparency = false;
    walk_chunks(decoder, &transparency);
    const int depth = bytes[24], colour_type = bytes[25];
    gic_info *info = &decoder->info;
    if (colour_type == PNG_COLOR_TYPE_GRAY_ALPHA || colour_type == PNG_COLOR_TYPE_RGB_ALPHA) {
        info->mode = GIC_MODE_ALPHA;
        transparency = true;
    } else if (colour_type == PNG_COLOR_TYPE_PALETTE || (colour_type == PNG_COLOR_TYPE_GRAY && depth == 1)) {
        info->mode = GIC_MODE_INDEXED;
    } else if (colour_type == PNG_COLOR_TYPE_GRAY && depth == 16) {
        info->mode = GIC_MODE_OTHER;
    }
    if (transparency) info->channels = 4;
    return GIC_OK;
}

// How samples become pixels. Pillow uses the number in tRNS as it stands: it compares the low byte of the number with
// the byte that it made of the sample, whatever the depth of the sample; only with 16-bit grey it compares the whole
// number.
typedef struct layout {
    int colour_type, depth, channels;
    uint8_t palette[256 * 4];  // entries that the file does not define stay black, as in Pillow
    int key[3];                // the transparent colour; -1 where there is none
} layout;

static void read_palette(png_structp png, png_infop info, layout *kind) {
    png_colorp colours = NULL;
    png_bytep alpha = NULL;
    int entries = 0, alphas = 0;
    png_get_PLTE(png, info, &colours, &entries);
    png_get_tRNS(png, info, &alpha, &alphas, NULL);
    for (int i = 0; i < 256; i++) {
        uint8_t *entry = kind->palette + 4 * i;
        if (i < entries) entry[0] = colours[i].red, entry[1] = colours[i].green, entry[2] = colours[i].blue;
        entry[3] = alpha != NULL && i < alphas ? alpha[i] : 255;
    }
}

static void read_key(png_structp png, png_infop info, layout *kind) {
    png_bytep alpha = NULL;
    int count = 0;
    png_color_16p colour = NULL;
    kind->key[0] = kind->key[1] = kind->key[2] = -1;
    if (png_get_tRNS(png, info, &alpha, &count, &colour) == 0 || colour == NULL) return;
    if (kind->colour_type == PNG_COLOR_TYPE_GRAY) {
        kind->key[0] = kind->depth == 16 ? colour->gray : colour->gray & 255;
    } else {
        kind->key[0] = colour->red & 255, kind->key[1] = colour->green & 255, kind->key[2] = colour->blue & 255;
    }
}

static void convert_row(const layout *kind, const uint8_t *row, int32_t width, uint8_t *target) {
    const bool wide = kind->depth == 16;
    const int channels = kind->channels;
    switch (kind->colour_type) {
    case PNG_COLOR_TYPE_GRAY: {
        static const int factors[9] = {0, 255, 85, 0, 17, 0, 0, 0, 1};
        for (int32_t x = 0; x < width; x++, target += channels) {
            int sample = wide ? row[2 * x] << 8 | row[2 * x + 1] : row[x] * factors[kind->depth];
            target[0] = target[1] = target[2] = (uint8_t)(sample > 255 ? 255 : sample);
            if (channels == 4) target[3] = sample == kind->key[0] ? 0 : 255;
        }
        break;
    }
    case PNG_COLOR_TYPE_GRAY_ALPHA:
        for (int32_t x = 0; x < width; x++, target += 4, row += wide ? 4 : 2) {
            target[0] = target[1] = target[2] = row[0];
            target[3] = row[wide ? 2 : 1];
        }
        break;
    case PNG_COLOR_TYPE_PALETTE:
        for (int32_t x = 0; x < width; x++, target += channels) {
            memcpy(target, kind->palette + 4 * row[x], (size_t)channels);
        }
        break;
    default: {
        const bool has_alpha = kind->colour_type == PNG_COLOR_TYPE_RGB_ALPHA;
        const int step = wide ? 2 : 1, pixel = step * (has_alpha ? 4 : 3);
        for (int32_t x = 0; x < width; x++, target += channels, row += pixel) {
            target[0] = row[0], target[1] = row[step], target[2] = row[2 * step];
            if (has_alpha) {
                target[3] = row[3 * step];
            } else if (channels == 4) {
                bool hit = target[0] == kind->key[0] && target[1] == kind->key[1] && target[2] == kind->key[2];
                target[3] = hit ? 0 : 255;
            }
        }
    }
    }
}

gic_status gic_png_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message) {
    reader input = {decoder->bytes, decoder->count, false, GIC_OK, message};
    layout kind;
    memset(&kind, 0, sizeof kind);
    png_infop info = NULL;
    uint8_t *volatile raw = NULL;  // volatile: set between setjmp and longjmp
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &input, on_error, on_warning);
    if (png != NULL) info = png_create_info_struct(png);
    if (info == NULL) {
        png_destroy_read_struct(&png, NULL, NULL);
        return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory for a PNG reader");
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        free(raw);
        return input.status;
    }
    png_set_read_fn(png, &input, read_bytes);
    png_set_user_limits(png, 0x7fffffff, 0x7fffffff);  // the pixel limit was applied to the header
    // Only pixels are wanted: text, profiles and time are not parsed and cannot fail.
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(png, info);

    const int32_t width = decoder->info.width, height = decoder->info.height;
    kind.colour_type = png_get_color_type(png, info);
    kind.depth = png_get_bit_depth(png, info);
    kind.channels = decoder->info.channels;
    if (kind.colour_type == PNG_COLOR_TYPE_PALETTE) {
        read_palette(png, info, &kind);
    } else {
        read_key(png, info, &kind);
    }
    if (kind.depth < 8) png_set_packing(png);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    const size_t row_bytes = png_get_rowbytes(png, info), stride = (size_t)width * (size_t)kind.channels;

    const bool direct = kind.depth == 8 && ((kind.colour_type == PNG_COLOR_TYPE_RGB && kind.channels == 3) ||
                                            kind.colour_type == PNG_COLOR_TYPE_RGB_ALPHA);
    if (direct) {
        for (int pass = 0; pass < passes; pass++) {
            for (int32_t y = 0; y < height; y++) png_read_row(png, pixels + stride * (size_t)y, NULL);
        }
    } else {
        // An interlaced image comes in seven passes over all of its rows.
        const size_t rows = passes > 1 ? (size_t)height : 1;
        raw = malloc(row_bytes * rows);
        if (raw == NULL) {
            png_destroy_read_struct(&png, &info, NULL);
            return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory for %d x %d raw pixels", width, height);
        }
        for (int pass = 0; pass < passes; pass++) {
            for (int32_t y = 0; y < height; y++) {
                uint8_t *row = raw + (rows > 1 ? row_bytes * (size_t)y : 0);
                png_read_row(png, row, NULL);
                if (pass == passes - 1) convert_row(&kind, row, width, pixels + stride * (size_t)y);
            }
        }
    }
    png_destroy_read_struct(&png, &info, NULL);
    free(raw);
    return GIC_OK;
}

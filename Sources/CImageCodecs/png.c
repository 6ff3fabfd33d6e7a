// PNG through libpng, every colour type and depth, to RGB the way Pillow's `convert("RGB")` does it: alpha and tRNS are
// dropped, not composited; 16-bit colour and grey+alpha keep the high byte; 16-bit grey is clipped to 255 (Pillow holds
// it as integers, whose conversion clips).
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

// Chunks are walked here rather than by libpng: the orientation may lie after the pixels, and reading it must not cost
// a decode.
static int32_t chunk_orientation(const uint8_t *bytes, size_t count) {
    int32_t exif = 0, xmp = 0;
    size_t at = 8;
    while (at <= count && count - at >= 12) {
        size_t length = gic_be32(bytes + at);
        const uint8_t *type = bytes + at + 4, *data = bytes + at + 8;
        if (length > count - at - 12) break;
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
    return orientation >= 1 && orientation <= 8 ? orientation : 1;
}

gic_status gic_png_header(gic_decoder *decoder, int64_t maximum_pixels, gic_message *message) {
    const uint8_t *bytes = decoder->bytes;
    if (decoder->count < 33) {
        return gic_fail(message, GIC_TRUNCATED, "the PNG data ends in its header, after %zu bytes", decoder->count);
    }
    if (memcmp(bytes + 12, "IHDR", 4) != 0) return gic_fail(message, GIC_CORRUPT, "the first chunk is not IHDR");
    int64_t width = gic_be32(bytes + 16), height = gic_be32(bytes + 20);
    gic_status status = gic_check_size(width, height, maximum_pixels, message);
    if (status != GIC_OK) return status;
    decoder->info.width = decoder->info.source_width = (int32_t)width;
    decoder->info.height = decoder->info.source_height = (int32_t)height;
    decoder->info.orientation = chunk_orientation(bytes, decoder->count);
    return GIC_OK;
}

typedef struct layout {
    int colour_type, depth;
    uint8_t palette[256 * 3];  // entries that the file does not define stay black, as in Pillow
} layout;

static void row_to_rgb(const layout *kind, const uint8_t *row, int32_t width, uint8_t *target) {
    const bool wide = kind->depth == 16;
    switch (kind->colour_type) {
    case PNG_COLOR_TYPE_GRAY: {
        static const int factors[9] = {0, 255, 85, 0, 17, 0, 0, 0, 1};
        for (int32_t x = 0; x < width; x++, target += 3) {
            int value = wide ? (row[2 * x] != 0 ? 255 : row[2 * x + 1]) : row[x] * factors[kind->depth];
            target[0] = target[1] = target[2] = (uint8_t)value;
        }
        break;
    }
    case PNG_COLOR_TYPE_GRAY_ALPHA:
        for (int32_t x = 0; x < width; x++, target += 3, row += wide ? 4 : 2) {
            target[0] = target[1] = target[2] = row[0];
        }
        break;
    case PNG_COLOR_TYPE_PALETTE:
        for (int32_t x = 0; x < width; x++, target += 3) memcpy(target, kind->palette + 3 * row[x], 3);
        break;
    default: {
        const int step = wide ? 2 : 1, pixel = step * (kind->colour_type == PNG_COLOR_TYPE_RGB_ALPHA ? 4 : 3);
        for (int32_t x = 0; x < width; x++, target += 3, row += pixel) {
            target[0] = row[0], target[1] = row[step], target[2] = row[2 * step];
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
    // Only pixels are wanted: text, profiles and time need no parsing, and cannot fail then.
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(png, info);

    const int32_t width = decoder->info.width, height = decoder->info.height;
    kind.colour_type = png_get_color_type(png, info);
    kind.depth = png_get_bit_depth(png, info);
    if (kind.colour_type == PNG_COLOR_TYPE_PALETTE) {
        png_colorp palette = NULL;
        int entries = 0;
        png_get_PLTE(png, info, &palette, &entries);
        for (int i = 0; i < entries && i < 256; i++) {
            kind.palette[3 * i] = palette[i].red;
            kind.palette[3 * i + 1] = palette[i].green;
            kind.palette[3 * i + 2] = palette[i].blue;
        }
    }
    if (kind.depth < 8) png_set_packing(png);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    const size_t row_bytes = png_get_rowbytes(png, info), stride = (size_t)width * 3;

    const bool direct = kind.colour_type == PNG_COLOR_TYPE_RGB && kind.depth == 8;
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
                if (pass == passes - 1) row_to_rgb(&kind, row, width, pixels + stride * (size_t)y);
            }
        }
    }
    png_destroy_read_struct(&png, &info, NULL);
    free(raw);
    return GIC_OK;
}

// RGB to PNG (lossless) and to baseline JPEG, into memory.
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

#include <setjmp.h>

typedef struct writer {
    uint8_t *bytes;
    size_t count, capacity;
    gic_status status;
    gic_message *message;
} writer;

static void write_bytes(png_structp png, png_bytep bytes, size_t count) {
    writer *output = png_get_io_ptr(png);
    if (count > output->capacity - output->count) {
        size_t capacity = output->capacity * 2 > output->count + count ? output->capacity * 2 : output->count + count;
        uint8_t *grown = realloc(output->bytes, capacity);
        if (grown == NULL) png_error(png, "no memory for the encoded PNG");
        output->bytes = grown;
        output->capacity = capacity;
    }
    memcpy(output->bytes + output->count, bytes, count);
    output->count += count;
}

static void flush_nothing(png_structp png) { (void)png; }

static void on_error(png_structp png, png_const_charp text) {
    writer *output = png_get_error_ptr(png);
    output->status = gic_fail(output->message, GIC_OUT_OF_MEMORY, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) { (void)png, (void)text; }

gic_status gic_encode_png(const uint8_t *pixels, int32_t width, int32_t height, int32_t compression_level,
                          uint8_t **bytes, size_t *count, gic_message *message) {
    *bytes = NULL;
    *count = 0;
    if (width <= 0 || height <= 0) {
        return gic_fail(message, GIC_ZERO_DIMENSION, "%d x %d pixels cannot be encoded", width, height);
    }
    writer output = {NULL, 0, 0, GIC_OK, message};
    png_infop info = NULL;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &output, on_error, on_warning);
    if (png != NULL) info = png_create_info_struct(png);
    if (info == NULL) {
        png_destroy_write_struct(&png, NULL);
        return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory for a PNG writer");
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        free(output.bytes);
        return output.status;
    }
    png_set_write_fn(png, &output, write_bytes, flush_nothing);
    png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
    png_set_compression_level(png, compression_level);
    png_set_IHDR(png, info, (uint32_t)width, (uint32_t)height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int32_t y = 0; y < height; y++) png_write_row(png, pixels + (size_t)y * (size_t)width * 3);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    *bytes = output.bytes;
    *count = output.count;
    return GIC_OK;
}

typedef struct jpeg_errors {
    struct jpeg_error_mgr base;
    jmp_buf escape;
} jpeg_errors;

static void jpeg_failed(j_common_ptr common) { longjmp(((jpeg_errors *)common->err)->escape, 1); }
static void jpeg_silent(j_common_ptr common) { (void)common; }

gic_status gic_encode_jpeg(const uint8_t *pixels, int32_t width, int32_t height, int32_t quality, int32_t full_chroma,
                           uint8_t **bytes, size_t *count, gic_message *message) {
    *bytes = NULL;
    *count = 0;
    if (width <= 0 || height <= 0) {
        return gic_fail(message, GIC_ZERO_DIMENSION, "%d x %d pixels cannot be encoded", width, height);
    }
    struct jpeg_compress_struct jpeg;
    jpeg_errors errors;
    // libjpeg updates these through the pointers it was given, at the end or when it grows the buffer.
    struct {
        unsigned char *bytes;
        unsigned long count;
    } storage = {NULL, 0}, *output = &storage;
    volatile bool has_destination = false;  // volatile: set between setjmp and longjmp
    memset(&jpeg, 0, sizeof jpeg);
    jpeg.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = jpeg_failed;
    errors.base.output_message = jpeg_silent;
    if (setjmp(errors.escape)) {
        char text[JMSG_LENGTH_MAX];
        errors.base.format_message((j_common_ptr)&jpeg, text);
        // The destination's own buffer, when it has grown, is not yet in `output`; term_destination hands it over.
        if (has_destination) jpeg.dest->term_destination(&jpeg);
        jpeg_destroy_compress(&jpeg);
        free(output->bytes);
        return gic_fail(message, GIC_BAD_ARGUMENT, "%s", text);
    }
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &output->bytes, &output->count);
    has_destination = true;
    jpeg.image_width = (JDIMENSION)width;
    jpeg.image_height = (JDIMENSION)height;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, quality, TRUE);
    if (full_chroma) jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row = (JSAMPROW)(pixels + (size_t)jpeg.next_scanline * (size_t)width * 3);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    *bytes = output->bytes;
    *count = output->count;
    return GIC_OK;
}

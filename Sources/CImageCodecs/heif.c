// HEIC and other HEIF pictures through libheif: the primary picture as 8-bit RGB, turned, mirrored and cropped as the
// file asks. pillow-heif does the same, so EXIF's orientation has nothing left to say.
#include "library.h"

#if __has_include(<libheif/heif.h>)

#include <libheif/heif.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct {
    struct heif_context *(*create)(void);
    void (*destroy)(struct heif_context *);
    struct heif_error (*set_memory)(struct heif_context *, const void *, size_t, const struct heif_reading_options *);
    struct heif_error (*primary)(struct heif_context *, struct heif_image_handle **);
    int (*width)(const struct heif_image_handle *);
    int (*height)(const struct heif_image_handle *);
    int (*has_alpha)(const struct heif_image_handle *);
    int (*is_premultiplied)(const struct heif_image_handle *);
    struct heif_decoding_options *(*options)(void);
    void (*free_options)(struct heif_decoding_options *);
    struct heif_error (*decode)(const struct heif_image_handle *, struct heif_image **, enum heif_colorspace,
                                enum heif_chroma, const struct heif_decoding_options *);
    int (*image_width)(const struct heif_image *, enum heif_channel);
    int (*image_height)(const struct heif_image *, enum heif_channel);
    const uint8_t *(*plane)(const struct heif_image *, enum heif_channel, int *);
    void (*release_image)(const struct heif_image *);
    void (*release_handle)(const struct heif_image_handle *);
} lib;

static const gic_function functions[] = {
    {"heif_context_alloc", (void **)&lib.create},
    {"heif_context_free", (void **)&lib.destroy},
    {"heif_context_read_from_memory_without_copy", (void **)&lib.set_memory},
    {"heif_context_get_primary_image_handle", (void **)&lib.primary},
    {"heif_image_handle_get_width", (void **)&lib.width},
    {"heif_image_handle_get_height", (void **)&lib.height},
    {"heif_image_handle_has_alpha_channel", (void **)&lib.has_alpha},
    {"heif_image_handle_is_premultiplied_alpha", (void **)&lib.is_premultiplied},
    {"heif_decoding_options_alloc", (void **)&lib.options},
    {"heif_decoding_options_free", (void **)&lib.free_options},
    {"heif_decode_image", (void **)&lib.decode},
    {"heif_image_get_width", (void **)&lib.image_width},
    {"heif_image_get_height", (void **)&lib.image_height},
    {"heif_image_get_plane_readonly", (void **)&lib.plane},
    {"heif_image_release", (void **)&lib.release_image},
    {"heif_image_handle_release", (void **)&lib.release_handle},
    {NULL, NULL},
};
static const char *const files[] = {"libheif.so.1", "libheif.so", NULL};
static const gic_library library = {"HEIC", "libheif-dev", files, functions, NULL};

static bool is_loaded;
static void load(void) { is_loaded = gic_load_library(&library); }

typedef struct picture {
    struct heif_context *context;
    struct heif_image_handle *handle;
} picture;

static void close_picture(gic_decoder *decoder) {
    picture *own = decoder->state;
    if (own->handle != NULL) lib.release_handle(own->handle);
    if (own->context != NULL) lib.destroy(own->context);
    free(own);
}

static gic_status failure(const gic_decoder *decoder, struct heif_error error, gic_message *message) {
    if (error.subcode == heif_suberror_End_of_data) {
        return gic_fail(message, GIC_TRUNCATED, "the HEIC data end early, after %zu bytes", decoder->count);
    }
    const char *text = error.message != NULL ? error.message : "the data are damaged";
    switch (error.code) {
    case heif_error_Unsupported_filetype:
    case heif_error_Unsupported_feature:
        if (error.subcode == heif_suberror_Unsupported_codec) {
            return gic_fail(message, GIC_NO_DECODER,
                            "libheif has no decoder for this picture's coding; HEVC's is in libde265-0 or "
                            "libheif-plugin-libde265: apt-get install one of them");
        }
        return gic_fail(message, GIC_UNSUPPORTED, "HEIC: %.150s", text);
    case heif_error_Memory_allocation_error:
        // This includes libheif's own limits of size.
        return gic_fail(message, GIC_OUT_OF_MEMORY, "HEIC: %.150s", text);
    default: return gic_fail(message, GIC_CORRUPT, "HEIC: %.150s", text);
    }
}

gic_status gic_heif_check(gic_message *message) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return is_loaded ? GIC_OK : gic_missing_library(&library, message);
}

gic_status gic_heif_header(gic_decoder *decoder, gic_message *message) {
    gic_status status = gic_heif_check(message);
    if (status != GIC_OK) return status;
    picture *own = calloc(1, sizeof *own);
    if (own == NULL) return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory for a HEIC decoder");
    decoder->state = own;
    decoder->close = close_picture;
    own->context = lib.create();
    if (own->context == NULL) return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory for a HEIC decoder");
    struct heif_error error = lib.set_memory(own->context, decoder->bytes, decoder->count, NULL);
    if (error.code == heif_error_Ok) error = lib.primary(own->context, &own->handle);
    if (error.code != heif_error_Ok) return failure(decoder, error, message);
    const bool alpha = lib.has_alpha(own->handle) != 0;
    decoder->info.mode = alpha ? GIC_MODE_ALPHA : GIC_MODE_RGB;
    return gic_set_size(decoder, lib.width(own->handle), lib.height(own->handle), alpha ? 4 : 3, message);
}

static void divide_alpha(uint8_t *pixel) {
    const int alpha = pixel[3];
    for (int c = 0; c < 3 && alpha != 0 && alpha != 255; c++) {
        const int value = 255 * pixel[c] / alpha;
        pixel[c] = (uint8_t)(value > 255 ? 255 : value);
    }
}

gic_status gic_heif_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message) {
    picture *own = decoder->state;
    const gic_info *info = &decoder->info;
    struct heif_decoding_options *options = lib.options();
    if (options == NULL) return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory for a HEIC decoder");
    options->convert_hdr_to_8bit = 1;
    struct heif_image *image = NULL;
    const struct heif_error error =
        lib.decode(own->handle, &image, heif_colorspace_RGB,
                   info->channels == 4 ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB, options);
    lib.free_options(options);
    if (error.code != heif_error_Ok) return failure(decoder, error, message);
    int stride = 0;
    const uint8_t *plane = lib.plane(image, heif_channel_interleaved, &stride);
    const int width = lib.image_width(image, heif_channel_interleaved);
    const int height = lib.image_height(image, heif_channel_interleaved);
    gic_status status = GIC_OK;
    if (plane == NULL || width != info->width || height != info->height) {
        status = gic_fail(message, GIC_CORRUPT, "the HEIC picture is %d x %d pixels, its header said %d x %d", width,
                          height, info->width, info->height);
    }
    const size_t row = (size_t)info->width * (size_t)info->channels;
    const bool premultiplied = info->channels == 4 && lib.is_premultiplied(own->handle) != 0;
    for (int32_t y = 0; status == GIC_OK && y < info->height; y++) {
        uint8_t *target = pixels + row * (size_t)y;
        memcpy(target, plane + (size_t)stride * (size_t)y, row);
        for (size_t x = 0; premultiplied && x < row; x += 4) divide_alpha(target + x);
    }
    lib.release_image(image);
    return status;
}

#else

gic_status gic_heif_check(gic_message *message) { return gic_not_built("HEIC", "libheif-dev", message); }

gic_status gic_heif_header(gic_decoder *decoder, gic_message *message) {
    (void)decoder;
    return gic_heif_check(message);
}

gic_status gic_heif_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message) {
    (void)decoder, (void)pixels;
    return gic_heif_check(message);
}

#endif

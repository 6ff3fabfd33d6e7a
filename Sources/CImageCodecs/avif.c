// AVIF through libavif, with Pillow's choices: the first picture, 8 bits, alpha not multiplied in, clean apertures ignored,
// and the rotation and mirror properties as the orientation (they win over EXIF's).
#include "library.h"

#if __has_include(<avif/avif.h>)

#include <avif/avif.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *(*version)(void);
    avifDecoder *(*create)(void);
    void (*destroy)(avifDecoder *);
    avifResult (*set_memory)(avifDecoder *, const uint8_t *, size_t);
    avifResult (*parse)(avifDecoder *);
    avifResult (*next)(avifDecoder *);
    void (*rgb_defaults)(avifRGBImage *, const avifImage *);
    avifResult (*to_rgb)(const avifImage *, avifRGBImage *);
    const char *(*describe)(avifResult);
} lib;

static const gic_function functions[] = {
    {"avifVersion", (void **)&lib.version},
    {"avifDecoderCreate", (void **)&lib.create},
    {"avifDecoderDestroy", (void **)&lib.destroy},
    {"avifDecoderSetIOMemory", (void **)&lib.set_memory},
    {"avifDecoderParse", (void **)&lib.parse},
    {"avifDecoderNextImage", (void **)&lib.next},
    {"avifRGBImageSetDefaults", (void **)&lib.rgb_defaults},
    {"avifImageYUVToRGB", (void **)&lib.to_rgb},
    {"avifResultToString", (void **)&lib.describe},
    {NULL, NULL},
};
// libavif's structures differ between versions, so only the version that this was compiled against is accepted.
#if AVIF_VERSION_MAJOR >= 1
static const char *const files[] = {"libavif.so.16", "libavif.so", NULL};
#else
static const char *const files[] = {"libavif.so.15", "libavif.so.14", "libavif.so.13", "libavif.so", NULL};
#endif

static bool is_same_version(void) {
    char *end = NULL;
    const long major = strtol(lib.version(), &end, 10);
    if (major != AVIF_VERSION_MAJOR) return false;
    // From 1.0 on, structures only grow at their ends, which the library allocates or clears itself.
    return major >= 1 || (*end == '.' && strtol(end + 1, NULL, 10) == AVIF_VERSION_MINOR);
}

static const gic_library library = {"AVIF", "libavif-dev", files, functions, is_same_version};
static bool is_loaded;
static void load(void) { is_loaded = gic_load_library(&library); }

static gic_status failure(const gic_decoder *decoder, avifResult result, gic_message *message) {
    const avifDecoder *own = decoder->state;
    switch (result) {
    case AVIF_RESULT_TRUNCATED_DATA:
    case AVIF_RESULT_IO_ERROR:
        return gic_fail(message, GIC_TRUNCATED, "the AVIF data end early, after %zu bytes", decoder->count);
    case AVIF_RESULT_NO_CODEC_AVAILABLE:
        return gic_fail(message, GIC_NO_DECODER, "libavif has no AV1 decoder: apt-get install libdav1d-dev");
    case AVIF_RESULT_NOT_IMPLEMENTED:
    case AVIF_RESULT_UNSUPPORTED_DEPTH:
        return gic_fail(message, GIC_UNSUPPORTED, "AVIF: %s", lib.describe(result));
    case AVIF_RESULT_OUT_OF_MEMORY: return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory to decode AVIF");
    default:
        return gic_fail(message, GIC_CORRUPT, "AVIF: %s%s%.120s", lib.describe(result),
                        own->diag.error[0] != 0 ? ": " : "", own->diag.error);
    }
}

static int32_t find_orientation(const avifImage *image) {
    const int turns = image->transformFlags & AVIF_TRANSFORM_IROT ? image->irot.angle & 3 : 0;
    // Quarter turns to the left; with a mirror, top and bottom or left and right then change places.
    static const int32_t plain[] = {1, 8, 3, 6}, upside_down[] = {4, 5, 2, 7}, sideways[] = {2, 7, 4, 5};
    if (!(image->transformFlags & AVIF_TRANSFORM_IMIR)) {
        if (turns != 0) return plain[turns];
        // The properties say nothing here. XMP is asked, unless EXIF has an orientation, which does not count for AVIF.
        if (gic_exif_orientation(image->exif.data, image->exif.size) != 0) return 1;
        const int32_t found = gic_xmp_orientation(image->xmp.data, image->xmp.size);
        return found >= 1 && found <= 8 ? found : 1;
    }
#if AVIF_VERSION_MAJOR >= 1
    return image->imir.axis == 0 ? upside_down[turns] : sideways[turns];
#else
    return image->imir.mode == 0 ? upside_down[turns] : sideways[turns];
#endif
}

static void close_decoder(gic_decoder *decoder) { lib.destroy(decoder->state); }

gic_status gic_avif_check(gic_message *message) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return is_loaded ? GIC_OK : gic_missing_library(&library, message);
}

gic_status gic_avif_header(gic_decoder *decoder, gic_message *message) {
    gic_status status = gic_avif_check(message);
    if (status != GIC_OK) return status;
    avifDecoder *own = lib.create();
    if (own == NULL) return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory for an AVIF decoder");
    decoder->state = own;
    decoder->close = close_decoder;
    own->strictFlags &= ~(avifStrictFlags)(AVIF_STRICT_CLAP_VALID | AVIF_STRICT_PIXI_REQUIRED);
    avifResult result = lib.set_memory(own, decoder->bytes, decoder->count);
    if (result == AVIF_RESULT_OK) result = lib.parse(own);
    if (result != AVIF_RESULT_OK) return failure(decoder, result, message);
    decoder->info.orientation = find_orientation(own->image);
    decoder->info.mode = own->alphaPresent ? GIC_MODE_ALPHA : GIC_MODE_RGB;
    return gic_set_size(decoder, own->image->width, own->image->height, own->alphaPresent ? 4 : 3, message);
}

gic_status gic_avif_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message) {
    avifDecoder *own = decoder->state;
    avifResult result = lib.next(own);
    if (result != AVIF_RESULT_OK) return failure(decoder, result, message);
    const gic_info *info = &decoder->info;
    if (own->image->width != (uint32_t)info->width || own->image->height != (uint32_t)info->height) {
        return gic_fail(message, GIC_CORRUPT, "the AVIF picture is %u x %u pixels, its header said %d x %d",
                        own->image->width, own->image->height, info->width, info->height);
    }
    avifRGBImage rgb;
    memset(&rgb, 0, sizeof rgb);
    lib.rgb_defaults(&rgb, own->image);
    rgb.depth = 8;
    rgb.format = info->channels == 4 ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
    rgb.pixels = pixels;
    rgb.rowBytes = (uint32_t)(info->width * info->channels);
    result = lib.to_rgb(own->image, &rgb);
    return result == AVIF_RESULT_OK ? GIC_OK : failure(decoder, result, message);
}

#else

gic_status gic_avif_check(gic_message *message) { return gic_not_built("AVIF", "libavif-dev", message); }

gic_status gic_avif_header(gic_decoder *decoder, gic_message *message) {
    (void)decoder;
    return gic_avif_check(message);
}

gic_status gic_avif_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message) {
    (void)decoder, (void)pixels;
    return gic_avif_check(message);
}

#endif

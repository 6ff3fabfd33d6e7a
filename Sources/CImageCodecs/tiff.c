// TIFF through libtiff: the first page, in the layouts that Pillow reads. libtiff undoes compression, byte order and
// bit order. The code here decides what the samples mean, by Pillow's table.
#include "library.h"

#include <stdlib.h>
#include <string.h>

#if __has_include(<tiffio.h>)

#include <pthread.h>
#include <stdio.h>
#include <tiffio.h>

static struct {
    TIFF *(*open)(const char *, const char *, thandle_t, TIFFReadWriteProc, TIFFReadWriteProc, TIFFSeekProc,
                  TIFFCloseProc, TIFFSizeProc, TIFFMapFileProc, TIFFUnmapFileProc);
    void (*close)(TIFF *);
    int (*get)(TIFF *, uint32_t, ...);
    int (*get_defaulted)(TIFF *, uint32_t, ...);
    int (*set)(TIFF *, uint32_t, ...);
    int (*is_tiled)(TIFF *);
    tmsize_t (*strip_size)(TIFF *);
    tmsize_t (*tile_size)(TIFF *);
    uint32_t (*compute_strip)(TIFF *, uint32_t, uint16_t);
    uint32_t (*compute_tile)(TIFF *, uint32_t, uint32_t, uint32_t, uint16_t);
    tmsize_t (*read_strip)(TIFF *, uint32_t, void *, tmsize_t);
    tmsize_t (*read_tile)(TIFF *, uint32_t, void *, tmsize_t);
    int (*rgba_begin)(TIFFRGBAImage *, TIFF *, int, char[1024]);
    int (*rgba_get)(TIFFRGBAImage *, uint32_t *, uint32_t, uint32_t);
    void (*rgba_end)(TIFFRGBAImage *);
    TIFFErrorHandler (*set_errors)(TIFFErrorHandler);
    TIFFErrorHandlerExt (*set_errors_ext)(TIFFErrorHandlerExt);
    TIFFErrorHandler (*set_warnings)(TIFFErrorHandler);
} lib;

static const gic_function functions[] = {
    {"TIFFClientOpen", (void **)&lib.open},
    {"TIFFClose", (void **)&lib.close},
    {"TIFFGetField", (void **)&lib.get},
    {"TIFFGetFieldDefaulted", (void **)&lib.get_defaulted},
    {"TIFFSetField", (void **)&lib.set},
    {"TIFFIsTiled", (void **)&lib.is_tiled},
    {"TIFFStripSize", (void **)&lib.strip_size},
    {"TIFFTileSize", (void **)&lib.tile_size},
    {"TIFFComputeStrip", (void **)&lib.compute_strip},
    {"TIFFComputeTile", (void **)&lib.compute_tile},
    {"TIFFReadEncodedStrip", (void **)&lib.read_strip},
    {"TIFFReadEncodedTile", (void **)&lib.read_tile},
    {"TIFFRGBAImageBegin", (void **)&lib.rgba_begin},
    {"TIFFRGBAImageGet", (void **)&lib.rgba_get},
    {"TIFFRGBAImageEnd", (void **)&lib.rgba_end},
    {"TIFFSetErrorHandler", (void **)&lib.set_errors},
    {"TIFFSetErrorHandlerExt", (void **)&lib.set_errors_ext},
    {"TIFFSetWarningHandler", (void **)&lib.set_warnings},
    {NULL, NULL},
};
static const char *const files[] = {"libtiff.so.6", "libtiff.so.5", "libtiff.so", NULL};
static const gic_library library = {"TIFF", "libtiff-dev", files, functions, NULL};

// What the samples of a pixel are.
typedef enum meaning { grey, grey_alpha, rgb, rgba, premultiplied, palette, palette_alpha, cmyk, converted } meaning;

typedef struct page {
    TIFF *tiff;
    const uint8_t *bytes;
    size_t count, position;
    bool short_read;
    char error[160];  // libtiff's first complaint
    uint32_t width, height;
    uint16_t bits, samples, format, photometric, compression, planes;
    meaning meaning;
    int used;         // samples of each pixel that are looked at
    bool inverted;    // 0 is white
    uint8_t colours[256][3];
} page;

static void on_error(thandle_t client, const char *module, const char *format, va_list arguments) {
    page *own = (page *)client;
    (void)module;
    if (own != NULL && own->error[0] == 0) vsnprintf(own->error, sizeof own->error, format, arguments);
}

static bool is_loaded;
static void load(void) {
    is_loaded = gic_load_library(&library);
    if (!is_loaded) return;
    // Messages come to `on_error` with the file they are about; nothing is printed.
    lib.set_errors(NULL);
    lib.set_warnings(NULL);
    lib.set_errors_ext(on_error);
}

static tmsize_t read_bytes(thandle_t client, void *target, tmsize_t wanted) {
    page *own = (page *)client;
    size_t left = own->position < own->count ? own->count - own->position : 0;
    size_t length = wanted < 0 ? 0 : (size_t)wanted;
    if (length > left) {
        own->short_read = true;
        length = left;
    }
    memcpy(target, own->bytes + (length > 0 ? own->position : 0), length);
    own->position += length;
    return (tmsize_t)length;
}

static tmsize_t write_nothing(thandle_t client, void *source, tmsize_t count) {
    (void)client, (void)source, (void)count;
    return -1;
}

static toff_t seek(thandle_t client, toff_t offset, int whence) {
    page *own = (page *)client;
    own->position = whence == SEEK_CUR ? own->position + offset : whence == SEEK_END ? own->count + offset : offset;
    return own->position;
}

static int close_nothing(thandle_t client) { return (void)client, 0; }
static toff_t total(thandle_t client) { return ((page *)client)->count; }

static gic_status failure(const page *own, gic_message *message) {
    if (own->short_read) {
        return gic_fail(message, GIC_TRUNCATED, "the TIFF data ends early, after %zu bytes", own->count);
    }
    return gic_fail(message, GIC_CORRUPT, "TIFF: %s", own->error[0] != 0 ? own->error : "the data are damaged");
}

static gic_status refused(const page *own, gic_message *message) {
    return gic_fail(message, GIC_UNSUPPORTED,
                    "a TIFF of photometric interpretation %d with %d samples of %d bits, sample format %d",
                    own->photometric, own->samples, own->bits, own->format);
}

// Extra samples: what the first one is (0 nothing, 1 premultiplied alpha, 2 alpha), -1 without any. False when a later
// one has a meaning too.
static bool find_extra(page *own, int colours, int *first) {
    uint16_t count = 0, *kinds = NULL;
    *first = -1;
    if (lib.get(own->tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds) == 0 || count == 0) {
        // A fourth sample beside red, green and blue is alpha, even though the file does not say so.
        if (own->photometric == PHOTOMETRIC_RGB && own->samples == 4) *first = 2;
        return own->samples == colours || *first == 2;
    }
    if (own->samples != colours + count) return false;
    *first = kinds[0] > 2 ? 2 : kinds[0];
    for (int i = 1; i < count; i++) {
        if (kinds[i] != 0) return false;
    }
    return true;
}

// Pillow's table of layouts.
static bool find_meaning(page *own) {
    const int bits = own->bits, format = own->format;
    int extra = -1;
    switch (own->photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
        own->inverted = own->photometric == PHOTOMETRIC_MINISWHITE;
        if (!find_extra(own, 1, &extra) || own->samples > 2) return false;
        own->meaning = extra == 2 ? grey_alpha : grey;
        own->used = extra == 2 ? 2 : 1;
        if (own->samples == 2) return bits == 8 && format == 1 && extra != 1 && !own->inverted;
        if (bits == 1 || bits == 2 || bits == 4) return format == 1;
        if (bits == 8) return format == 1 || (format == 2 && !own->inverted);
        // For some of these Pillow takes white for black, and it refuses the others.
        return !own->inverted && ((bits == 16 && format <= 2) || (bits == 32 && format <= 3));
    case PHOTOMETRIC_RGB:
        if (!find_extra(own, 3, &extra) || format != 1 || own->samples > (bits == 16 ? 4 : 6)) return false;
        own->meaning = extra == 1 ? premultiplied : extra == 2 ? rgba : rgb;
        own->used = extra >= 1 ? 4 : 3;
        return bits == 8 || bits == 16;
    case PHOTOMETRIC_PALETTE:
        if (!find_extra(own, 1, &extra) || format != 1 || own->samples > 2 || extra == 1) return false;
        own->meaning = extra == 2 ? palette_alpha : palette;
        own->used = extra == 2 ? 2 : 1;
        return bits == 8 || (own->samples == 1 && (bits == 1 || bits == 2 || bits == 4));
    case PHOTOMETRIC_SEPARATED:
        if (!find_extra(own, 4, &extra) || format != 1 || extra > 0) return false;
        own->meaning = cmyk;
        own->used = 4;
        return (bits == 8 && own->samples <= 6) || (bits == 16 && own->samples == 4);
    case PHOTOMETRIC_YCBCR:
        if (bits != 8 || format != 1 || own->samples != 3 || own->compression == COMPRESSION_NONE) return false;
        // libjpeg converts within strips and tiles; libtiff's own conversion takes the page as a whole.
        own->meaning = own->compression == COMPRESSION_JPEG && own->planes == PLANARCONFIG_CONTIG ? rgb : converted;
        own->used = 3;
        return true;
    default: return false;
    }
}

static gic_mode mode_of(const page *own) {
    switch (own->meaning) {
    case grey: return own->bits == 1 ? GIC_MODE_INDEXED : own->bits > 8 ? GIC_MODE_OTHER : GIC_MODE_RGB;
    case palette: return GIC_MODE_INDEXED;
    case palette_alpha: return GIC_MODE_OTHER;
    case cmyk: return GIC_MODE_CMYK;
    case rgb:
    case converted: return GIC_MODE_RGB;
    default: return GIC_MODE_ALPHA;
    }
}

static gic_status find_page(page *own, gic_message *message) {
    TIFF *tiff = own->tiff;
    own->format = 1;
    lib.get(tiff, TIFFTAG_IMAGEWIDTH, &own->width);
    lib.get(tiff, TIFFTAG_IMAGELENGTH, &own->height);
    lib.get_defaulted(tiff, TIFFTAG_BITSPERSAMPLE, &own->bits);
    lib.get_defaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &own->samples);
    lib.get_defaulted(tiff, TIFFTAG_COMPRESSION, &own->compression);
    lib.get_defaulted(tiff, TIFFTAG_PLANARCONFIG, &own->planes);
    lib.get(tiff, TIFFTAG_SAMPLEFORMAT, &own->format);
    lib.get(tiff, TIFFTAG_PHOTOMETRIC, &own->photometric);
    if (own->compression == COMPRESSION_OJPEG) own->photometric = PHOTOMETRIC_YCBCR;
    if (!find_meaning(own)) return refused(own, message);
    if (own->photometric == PHOTOMETRIC_YCBCR && own->meaning == rgb) {
        lib.set(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    }
    if (own->meaning == palette || own->meaning == palette_alpha) {
        uint16_t *parts[3];
        if (lib.get(tiff, TIFFTAG_COLORMAP, &parts[0], &parts[1], &parts[2]) == 0) {
            return gic_fail(message, GIC_CORRUPT, "a TIFF palette image without its palette");
        }
        for (int i = 0; i < 1 << own->bits; i++) {
            for (int c = 0; c < 3; c++) own->colours[i][c] = (uint8_t)(parts[c][i] >> 8);
        }
    }
    return GIC_OK;
}

static int32_t find_orientation(const page *own) {
    uint16_t tag = 0;
    if (lib.get(own->tiff, TIFFTAG_ORIENTATION, &tag) != 0) return tag >= 1 && tag <= 8 ? tag : 1;
    uint32_t length = 0;
    void *packet = NULL;
    if (lib.get(own->tiff, TIFFTAG_XMLPACKET, &length, &packet) == 0) return 1;
    const int32_t found = gic_xmp_orientation(packet, length);
    return found >= 1 && found <= 8 ? found : 1;
}

static void close_page(gic_decoder *decoder) {
    page *own = decoder->state;
    if (own->tiff != NULL) lib.close(own->tiff);
    free(own);
}

gic_status gic_tiff_check(gic_message *message) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return is_loaded ? GIC_OK : gic_missing_library(&library, message);
}

gic_status gic_tiff_header(gic_decoder *decoder, gic_message *message) {
    gic_status status = gic_tiff_check(message);
    if (status != GIC_OK) return status;
    page *own = calloc(1, sizeof *own);
    if (own == NULL) return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory for a TIFF reader");
    decoder->state = own;
    decoder->close = close_page;
    own->bytes = decoder->bytes;
    own->count = decoder->count;
    // "m" means no memory mapping, so that reads past the end are noticed.
    own->tiff = lib.open("image", "rm", own, read_bytes, write_nothing, seek, close_nothing, total, NULL, NULL);
    if (own->tiff == NULL) return failure(own, message);
    // The size comes first: a page that is too large is refused as such, whatever its layout.
    lib.get(own->tiff, TIFFTAG_IMAGEWIDTH, &own->width);
    lib.get(own->tiff, TIFFTAG_IMAGELENGTH, &own->height);
    status = gic_set_size(decoder, own->width, own->height, 3, message);
    if (status == GIC_OK) status = find_page(own, message);
    if (status != GIC_OK) return status;
    gic_info *info = &decoder->info;
    info->mode = mode_of(own);
    info->channels = info->mode == GIC_MODE_ALPHA || info->mode == GIC_MODE_CMYK || own->meaning == palette_alpha ? 4 : 3;
    info->orientation = find_orientation(own);
    info->always_turned = 1;
    return GIC_OK;
}

// Grey of more than 8 bits, clipped to 0...255 as Pillow's conversion does.
static int wide_grey(const page *own, const uint8_t *sample) {
    if (own->bits == 16) {
        uint16_t value;
        memcpy(&value, sample, 2);
        const int number = own->format == 2 ? (int16_t)value : value;
        return number < 0 ? 0 : number > 255 ? 255 : number;
    }
    if (own->format == 3) {
        float value;
        memcpy(&value, sample, 4);
        return value >= 255 ? 255 : value > 0 ? (int)value : 0;  // 0 for what is no number
    }
    int32_t value;
    memcpy(&value, sample, 4);
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

// `count` pixels whose samples lie at `samples[i]`, `step` bytes from pixel to pixel.
static void convert_row(const page *own, const uint8_t *const samples[4], size_t step, size_t count, uint8_t *target) {
    const int bits = own->bits, most = (1 << (bits < 8 ? bits : 8)) - 1;
    const size_t high = bits == 16 ? 1 : 0;  // of a little-endian sample, the byte that counts
    for (size_t x = 0; x < count; x++) {
        uint8_t values[4] = {0, 0, 0, 255};
        if (bits < 8) {
            const size_t bit = x * (size_t)bits;
            values[0] = samples[0][bit / 8] >> (8 - (size_t)bits - bit % 8) & most;
        } else if (own->meaning == grey && bits > 8) {
            values[0] = (uint8_t)wide_grey(own, samples[0] + x * step);
        } else {
            for (int s = 0; s < own->used; s++) values[s] = samples[s][x * step + high];
        }
        switch (own->meaning) {
        case grey:
        case grey_alpha:
            if (bits < 8) values[0] = (uint8_t)(values[0] * (255 / most));
            if (own->inverted) values[0] = (uint8_t)~values[0];
            target[0] = target[1] = target[2] = values[0];
            if (own->meaning == grey) {
                target += 3;
            } else {
                target[3] = values[1];
                target += 4;
            }
            break;
        case palette:
            memcpy(target, own->colours[values[0]], 3);
            target += 3;
            break;
        case palette_alpha:
            memcpy(target, own->colours[values[0]], 3);
            target[3] = values[1];
            target += 4;
            break;
        case premultiplied: {
            const int alpha = values[3];
            for (int c = 0; c < 3; c++) {
                const int value = alpha == 0 || alpha == 255 ? values[c] : 255 * values[c] / alpha;
                target[c] = alpha == 0 ? 0 : (uint8_t)(value > 255 ? 255 : value);
            }
            target[3] = (uint8_t)alpha;
            target += 4;
            break;
        }
        case rgb:
        case converted:
            memcpy(target, values, 3);
            target += 3;
            break;
        case rgba:
        case cmyk:
            memcpy(target, values, 4);
            target += 4;
            break;
        }
    }
}

// A strip or tile: `width` x `rows` pixels at (x, y), of which those inside the page are converted.
typedef struct block {
    uint32_t x, y, width, rows;
} block;

static gic_status read_block(page *own, const block *at, bool tiled, uint8_t *buffer, size_t size, uint8_t *pixels,
                             int32_t channels, gic_message *message) {
    const bool separate = own->planes == PLANARCONFIG_SEPARATE;
    const int planes = separate ? own->used : 1;
    for (int plane = 0; plane < planes; plane++) {
        uint8_t *target = buffer + size * (size_t)plane;
        const tmsize_t got =
            tiled ? lib.read_tile(own->tiff, lib.compute_tile(own->tiff, at->x, at->y, 0, (uint16_t)plane), target,
                                  (tmsize_t)size)
                  : lib.read_strip(own->tiff, lib.compute_strip(own->tiff, at->y, (uint16_t)plane), target,
                                   (tmsize_t)size);
        if (got < 0) return failure(own, message);
        if ((size_t)got < size) memset(target + got, 0, size - (size_t)got);
    }
    const uint32_t columns = own->width - at->x < at->width ? own->width - at->x : at->width;
    const uint32_t rows = own->height - at->y < at->rows ? own->height - at->y : at->rows;
    const size_t bytes = own->bits / 8, together = separate ? 1 : own->samples;
    const size_t row_bytes = ((size_t)at->width * together * own->bits + 7) / 8;
    if (row_bytes * rows > size) return gic_fail(message, GIC_CORRUPT, "a TIFF block of %zu bytes", size);
    for (uint32_t y = 0; y < rows; y++) {
        const uint8_t *samples[4];
        for (int s = 0; s < 4; s++) {
            samples[s] = buffer + row_bytes * y + (separate ? size * (size_t)(s < planes ? s : 0) : bytes * (size_t)s);
        }
        const size_t first = ((size_t)at->y + y) * own->width + at->x;
        convert_row(own, samples, bytes * together, columns, pixels + first * (size_t)channels);
    }
    return GIC_OK;
}

static gic_status read_blocks(page *own, uint8_t *pixels, int32_t channels, gic_message *message) {
    const bool tiled = lib.is_tiled(own->tiff) != 0;
    block at = {0, 0, own->width, own->height};
    if (tiled) {
        lib.get(own->tiff, TIFFTAG_TILEWIDTH, &at.width);
        lib.get(own->tiff, TIFFTAG_TILELENGTH, &at.rows);
    } else {
        lib.get_defaulted(own->tiff, TIFFTAG_ROWSPERSTRIP, &at.rows);
        if (at.rows > own->height) at.rows = own->height;
    }
    const tmsize_t size = tiled ? lib.tile_size(own->tiff) : lib.strip_size(own->tiff);
    // A tile may be larger than its page, but not arbitrarily larger.
    const uint64_t most = 4 * (uint64_t)own->width * own->height + ((uint64_t)1 << 22);
    if (size <= 0 || at.width == 0 || at.rows == 0 || (uint64_t)at.width * at.rows > most) {
        return gic_fail(message, GIC_CORRUPT, "TIFF blocks of %u x %u pixels", at.width, at.rows);
    }
    const size_t planes = own->planes == PLANARCONFIG_SEPARATE ? (size_t)own->used : 1;
    uint8_t *buffer = malloc((size_t)size * planes);
    if (buffer == NULL) return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory for a TIFF block of %zd bytes", size);
    gic_status status = GIC_OK;
    for (; at.y < own->height && status == GIC_OK; at.y += at.rows) {
        for (at.x = 0; at.x < own->width && status == GIC_OK; at.x += at.width) {
            status = read_block(own, &at, tiled, buffer, (size_t)size, pixels, channels, message);
        }
    }
    free(buffer);
    return status;
}

// YCbCr other than in JPEG: libtiff upsamples and converts.
static gic_status read_converted(page *own, uint8_t *pixels, gic_message *message) {
    TIFFRGBAImage image;
    char text[1024] = "";
    if (lib.rgba_begin(&image, own->tiff, 1, text) == 0) return gic_fail(message, GIC_CORRUPT, "TIFF: %.150s", text);
    // Rows stay as they are stored; they are turned later.
    image.orientation = image.req_orientation = ORIENTATION_TOPLEFT;
    const size_t count = (size_t)own->width * own->height;
    uint32_t *raster = malloc(count * sizeof *raster);
    gic_status status = GIC_OK;
    if (raster == NULL) {
        status = gic_fail(message, GIC_OUT_OF_MEMORY, "no memory for %u x %u TIFF pixels", own->width, own->height);
    } else if (lib.rgba_get(&image, raster, own->width, own->height) == 0) {
        status = failure(own, message);
    }
    for (size_t i = 0; status == GIC_OK && i < count; i++) {
        pixels[3 * i] = (uint8_t)TIFFGetR(raster[i]);
        pixels[3 * i + 1] = (uint8_t)TIFFGetG(raster[i]);
        pixels[3 * i + 2] = (uint8_t)TIFFGetB(raster[i]);
    }
    free(raster);
    lib.rgba_end(&image);
    return status;
}

gic_status gic_tiff_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message) {
    page *own = decoder->state;
    own->error[0] = 0;
    own->short_read = false;
    return own->meaning == converted ? read_converted(own, pixels, message)
                                     : read_blocks(own, pixels, decoder->info.channels, message);
}

#else

gic_status gic_tiff_check(gic_message *message) { return gic_not_built("TIFF", "libtiff-dev", message); }

gic_status gic_tiff_header(gic_decoder *decoder, gic_message *message) {
    (void)decoder;
    return gic_tiff_check(message);
}

gic_status gic_tiff_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message) {
    (void)decoder, (void)pixels;
    return gic_tiff_check(message);
}

#endif

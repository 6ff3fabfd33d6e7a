// BMP (Windows and OS/2 1.x), as Pillow reads it: 1, 4, 8, 16, 24 and 32 bits, run-length codes, the usual bit masks.
// The code is our own, because no common library reads the format, and a bitmap is little more than its header.
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum { raw = 0, rle8 = 1, rle4 = 2, bit_fields = 3 };

typedef struct bitmap {
    int64_t width, height;
    bool top_down;
    uint32_t bits, compression, colours;
    size_t palette_entry;  // bytes: 3 in OS/2 files, 4 in Windows'
    const uint8_t *palette;
    bool is_grey;             // the palette only counts up, or is black and white
    size_t offset;            // of the pixels
    int red, green, blue, alpha;  // bytes within a pixel of 24 or 32 bits; alpha -1 for none
    int green_bits;               // of 16: 5 or 6
} bitmap;

static gic_status truncated(const gic_decoder *decoder, gic_message *message) {
    return gic_fail(message, GIC_TRUNCATED, "the BMP data ends early, after %zu bytes", decoder->count);
}

static gic_status find_masks(bitmap *found, const uint32_t masks[4], gic_message *message) {
    static const struct {
        uint32_t bits, masks[4];
        int8_t places[4];  // red, green, blue, alpha
    } known[] = {
        {32, {0xff0000, 0xff00, 0xff, 0}, {2, 1, 0, -1}},
        {32, {0xff000000, 0xff0000, 0xff00, 0}, {3, 2, 1, -1}},
        {32, {0xff000000, 0xff00, 0xff, 0}, {3, 1, 0, -1}},
        {32, {0xff000000, 0xff0000, 0xff00, 0xff}, {3, 2, 1, 0}},
        {32, {0xff, 0xff00, 0xff0000, 0xff000000}, {0, 1, 2, 3}},
        {32, {0xff0000, 0xff00, 0xff, 0xff000000}, {2, 1, 0, 3}},
        {32, {0xff000000, 0xff00, 0xff, 0xff0000}, {3, 1, 0, 2}},
        {32, {0, 0, 0, 0}, {2, 1, 0, 3}},
        {24, {0xff0000, 0xff00, 0xff, 0}, {2, 1, 0, -1}},
        {16, {0xf800, 0x7e0, 0x1f, 0}, {0, 0, 6, -1}},
        {16, {0x7c00, 0x3e0, 0x1f, 0}, {0, 0, 5, -1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        // Only 32 bits have room for alpha.
        if (known[i].bits != found->bits || memcmp(known[i].masks, masks, 12) != 0) continue;
        if (found->bits == 32 && known[i].masks[3] != masks[3]) continue;
        found->red = known[i].places[0], found->green = known[i].places[1];
        found->blue = known[i].places[2], found->alpha = known[i].places[3];
        found->green_bits = known[i].places[2];
        return GIC_OK;
    }
    return gic_fail(message, GIC_UNSUPPORTED, "a BMP of %u bits with the masks %x %x %x %x", found->bits, masks[0],
                    masks[1], masks[2], masks[3]);
}

static gic_status find_palette(const gic_decoder *decoder, bitmap *found, size_t at, gic_message *message) {
    if (found->colours == 0 || found->colours > 65536) {
        return gic_fail(message, GIC_CORRUPT, "a BMP palette of %u colours", found->colours);
    }
    if (decoder->count < at || (decoder->count - at) / found->palette_entry < found->colours) {
        return truncated(decoder, message);
    }
    found->palette = decoder->bytes + at;
    found->is_grey = true;
    for (uint32_t i = 0; i < found->colours; i++) {
        const uint8_t *entry = found->palette + found->palette_entry * i;
        const uint8_t level = found->colours == 2 && i == 1 ? 255 : (uint8_t)i;
        if (entry[0] != level || entry[1] != level || entry[2] != level) found->is_grey = false;
    }
    return GIC_OK;
}

static gic_status find_bitmap(const gic_decoder *decoder, bitmap *found, gic_message *message) {
    const uint8_t *bytes = decoder->bytes;
    memset(found, 0, sizeof *found);
    const uint32_t header = gic_le32(bytes + 14);
    size_t at = 14 + (size_t)header;
    if (decoder->count < at) return truncated(decoder, message);
    found->offset = gic_le32(bytes + 10);
    found->red = 2, found->green = 1, found->blue = 0, found->alpha = -1;
    found->green_bits = 5;
    if (header == 12) {
        found->width = gic_le16(bytes + 18);
        found->height = gic_le16(bytes + 20);
        found->bits = gic_le16(bytes + 24);
        found->palette_entry = 3;
    } else {
        found->width = gic_le32(bytes + 18);
        found->height = gic_le32(bytes + 22);
        // A negative height means that rows run from the top.
        found->top_down = bytes[25] == 0xff;
        if (found->top_down) found->height = ((int64_t)1 << 32) - found->height;
        found->bits = gic_le16(bytes + 28);
        found->compression = gic_le32(bytes + 30);
        found->colours = gic_le32(bytes + 46);
        found->palette_entry = 4;
    }
    const uint32_t bits = found->bits;
    if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32) {
        return gic_fail(message, GIC_UNSUPPORTED, "a BMP of %u bits a pixel", bits);
    }
    if (found->colours == 0 && bits <= 8) found->colours = 1u << bits;
    // Some writers do not count the palette in the offset of the pixels.
    if (found->offset == at && bits <= 8) found->offset += found->palette_entry * (size_t)found->colours;

    switch (found->compression) {
    case raw: break;
    case rle8:
    case rle4:
        if (bits > 8) return gic_fail(message, GIC_CORRUPT, "run-length codes in a BMP of %u bits", bits);
        break;
    case bit_fields: {
        // The masks stand after a header of 40 bytes, or within a longer one; only the longest has alpha.
        if (decoder->count < 66 || (header >= 56 && decoder->count < 70)) return truncated(decoder, message);
        const uint32_t masks[4] = {gic_le32(bytes + 54), gic_le32(bytes + 58), gic_le32(bytes + 62),
                                   header >= 56 ? gic_le32(bytes + 66) : 0};
        gic_status status = find_masks(found, masks, message);
        if (status != GIC_OK) return status;
        if (header == 40) at += 12;
        break;
    }
    default: return gic_fail(message, GIC_UNSUPPORTED, "BMP compression %u", found->compression);
    }
    if (bits <= 8) {
        gic_status status = find_palette(decoder, found, at, message);
        if (status != GIC_OK) return status;
        at += found->palette_entry * (size_t)found->colours;
    }
    if (found->offset == 0) found->offset = at;
    return GIC_OK;
}

gic_status gic_bmp_header(gic_decoder *decoder, gic_message *message) {
    bitmap found;
    gic_status status = find_bitmap(decoder, &found, message);
    if (status != GIC_OK) return status;
    if (found.alpha >= 0) {
        decoder->info.mode = GIC_MODE_ALPHA;
    } else if (found.bits <= 8 && !(found.is_grey && found.colours > 2)) {
        decoder->info.mode = GIC_MODE_INDEXED;
    }
    return gic_set_size(decoder, found.width, found.height, found.alpha >= 0 ? 4 : 3, message);
}

// The colour of a palette's index; one that the palette does not define is black.
static void look_up(const bitmap *found, unsigned index, uint8_t *target) {
    if (found->is_grey) {
        memset(target, found->colours > 2 ? (int)index : index != 0 ? 255 : 0, 3);
    } else if (index < found->colours) {
        const uint8_t *entry = found->palette + found->palette_entry * index;
        target[0] = entry[2], target[1] = entry[1], target[2] = entry[0];
    } else {
        memset(target, 0, 3);
    }
}

static void convert_row(const bitmap *found, const uint8_t *row, uint8_t *target) {
    const uint32_t bits = found->bits;
    for (int64_t x = 0; x < found->width; x++) {
        if (bits <= 8) {
            const size_t at = (size_t)x * bits;
            look_up(found, row[at / 8] >> (8 - bits - at % 8) & ((1u << bits) - 1), target);
            target += 3;
        } else if (bits == 16) {
            const uint32_t pixel = gic_le16(row + 2 * x), green = (1u << found->green_bits) - 1;
            target[0] = (uint8_t)((pixel >> (5 + found->green_bits) & 31) * 255 / 31);
            target[1] = (uint8_t)((pixel >> 5 & green) * 255 / green);
            target[2] = (uint8_t)((pixel & 31) * 255 / 31);
            target += 3;
        } else {
            const uint8_t *pixel = row + x * (bits / 8);
            target[0] = pixel[found->red], target[1] = pixel[found->green], target[2] = pixel[found->blue];
            if (found->alpha >= 0) target[3] = pixel[found->alpha];
            target += found->alpha >= 0 ? 4 : 3;
        }
    }
}

// Expands run-length codes to one index per pixel, rows as stored. As in Pillow, an end of line directly after the end
// of a line does nothing, runs stop at the end of their line, and skipped pixels are 0.
static bool unpack(const gic_decoder *decoder, const bitmap *found, uint8_t *indices) {
    const uint8_t *bytes = decoder->bytes;
    const size_t count = decoder->count, width = (size_t)found->width, total = width * (size_t)found->height;
    size_t at = found->offset, filled = 0, x = 0;
    memset(indices, 0, total);
    while (filled < total && at <= count && count - at >= 2) {
        size_t run = bytes[at];
        const uint8_t value = bytes[at + 1];
        at += 2;
        if (run > 0) {
            if (x + run > width) run = x < width ? width - x : 0;
            if (run > total - filled) run = total - filled;
            for (size_t i = 0; i < run; i++) {
                indices[filled + i] = found->compression == rle8 ? value : i % 2 == 0 ? value >> 4 : value & 15;
            }
            filled += run;
            x += run;
        } else if (value == 0) {
            if (filled % width != 0) filled += width - filled % width;
            x = 0;
        } else if (value == 1) {
            break;
        } else if (value == 2) {
            if (count - at < 2) break;
            size_t jump = bytes[at] + width * bytes[at + 1];
            at += 2;
            filled += jump < total - filled ? jump : total - filled;
            x = filled % width;
        } else {
            const size_t wanted = value < total - filled ? value : total - filled;
            const size_t length = found->compression == rle8 ? wanted : (wanted + 1) / 2;
            if (count - at < length) break;
            for (size_t i = 0; i < wanted; i++) {
                indices[filled + i] =
                    found->compression == rle8 ? bytes[at + i] : i % 2 == 0 ? bytes[at + i / 2] >> 4 : bytes[at + i / 2] & 15;
            }
            filled += wanted;
            x += value;
            at += length + (at + length) % 2;
        }
    }
    return filled == total;
}

gic_status gic_bmp_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message) {
    bitmap found;
    gic_status status = find_bitmap(decoder, &found, message);
    if (status != GIC_OK) return status;
    const size_t width = (size_t)found.width, height = (size_t)found.height;
    const size_t target_row = width * (size_t)decoder->info.channels;
    if (found.compression == rle8 || found.compression == rle4) {
        uint8_t *indices = malloc(width * height);
        if (indices == NULL) return gic_fail(message, GIC_OUT_OF_MEMORY, "no memory for %zu x %zu indices", width, height);
        if (!unpack(decoder, &found, indices)) {
            free(indices);
            return truncated(decoder, message);
        }
        for (size_t y = 0; y < height; y++) {
            uint8_t *target = pixels + target_row * (found.top_down ? y : height - 1 - y);
            for (size_t x = 0; x < width; x++) look_up(&found, indices[y * width + x], target + 3 * x);
        }
        free(indices);
        return GIC_OK;
    }
    // Rows fill whole groups of four bytes, but the last row may lack the padding.
    const size_t row = (width * found.bits + 31) / 32 * 4, last = (width * found.bits + 7) / 8;
    if (found.offset > decoder->count || decoder->count - found.offset < row * (height - 1) + last) {
        return truncated(decoder, message);
    }
    const uint8_t *source = decoder->bytes + found.offset;
    for (size_t y = 0; y < height; y++) {
        convert_row(&found, source + row * y, pixels + target_row * (found.top_down ? y : height - 1 - y));
    }
    return GIC_OK;
}

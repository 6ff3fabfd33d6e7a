// GIF: the first frame on its canvas, as Pillow gives it. The code is our own: the format is short (CompuServe's
// GIF89a), and damaged files should give what Pillow gives.
#include "internal.h"

#include <string.h>

typedef struct frame {
    int32_t width, height;  // of the canvas
    int32_t left, top, right, bottom;
    bool interlaced;
    bool is_grey;  // no palette, or one that only counts up: Pillow takes the indices for grey
    int transparent;  // index; -1 for none
    const uint8_t *palette;
    size_t colours;
    const uint8_t *data;  // from the code size on
    size_t count;
} frame;

static bool counts_up(const uint8_t *palette, size_t colours) {
    for (size_t i = 0; i < colours; i++) {
        for (int c = 0; c < 3; c++) {
            if (palette[3 * i + (size_t)c] != i) return false;
        }
    }
    return true;
}

static gic_status truncated(const gic_decoder *decoder, gic_message *message) {
    return gic_fail(message, GIC_TRUNCATED, "the GIF data ends early, after %zu bytes", decoder->count);
}

// Steps over the sub-blocks at `at`, each a length and so many bytes, and the empty one that ends them.
static bool skip_blocks(const gic_decoder *decoder, size_t *at) {
    while (*at < decoder->count) {
        size_t length = decoder->bytes[*at];
        *at += 1 + length;
        if (length == 0) return true;
    }
    return false;
}

static gic_status find_frame(const gic_decoder *decoder, frame *found, gic_message *message) {
    const uint8_t *bytes = decoder->bytes;
    const size_t count = decoder->count;
    memset(found, 0, sizeof *found);
    found->transparent = -1;
    found->is_grey = true;
    if (count < 13) return truncated(decoder, message);
    found->width = (int32_t)gic_le16(bytes + 6);
    found->height = (int32_t)gic_le16(bytes + 8);
    size_t at = 13;
    if (bytes[10] & 0x80) {
        found->colours = (size_t)2 << (bytes[10] & 7);
        found->palette = bytes + at;
        if (count - at < found->colours * 3) return truncated(decoder, message);
        found->is_grey = counts_up(found->palette, found->colours);
        at += found->colours * 3;
    }
    while (at < count && bytes[at] != ',') {
        const uint8_t kind = bytes[at++];
        if (kind == ';') return gic_fail(message, GIC_CORRUPT, "the GIF ends before an image");
        if (kind != '!') continue;  // stray bytes between blocks
        if (count - at < 2) return truncated(decoder, message);
        const uint8_t label = bytes[at++];
        // Graphic control: flags, delay, the transparent index. The last one before the image counts.
        if (label == 0xf9 && bytes[at] >= 4) {
            if (count - at < 5) return truncated(decoder, message);
            if (bytes[at + 1] & 1) found->transparent = bytes[at + 4];
        }
        if (!skip_blocks(decoder, &at)) return truncated(decoder, message);
    }
    if (at >= count || count - at < 11) return truncated(decoder, message);
    const uint8_t *image = bytes + at + 1;
    found->left = (int32_t)gic_le16(image), found->top = (int32_t)gic_le16(image + 2);
    found->right = found->left + (int32_t)gic_le16(image + 4);
    found->bottom = found->top + (int32_t)gic_le16(image + 6);
    // A frame that reaches beyond the canvas enlarges it.
    if (found->right > found->width) found->width = found->right;
    if (found->bottom > found->height) found->height = found->bottom;
    found->interlaced = (image[8] & 0x40) != 0;
    at += 10;
    if (image[8] & 0x80) {
        const size_t colours = (size_t)2 << (image[8] & 7);
        if (count - at < colours * 3) return truncated(decoder, message);
        // As in Pillow, a frame's own palette that only counts up does not replace the palette of the canvas.
        if (!counts_up(bytes + at, colours)) {
            found->colours = colours;
            found->palette = bytes + at;
            found->is_grey = false;
        }
        at += colours * 3;
    }
    if (at >= count) return truncated(decoder, message);
    found->data = bytes + at;
    found->count = count - at;
    return GIC_OK;
}

gic_status gic_gif_header(gic_decoder *decoder, gic_message *message) {
    frame first;
    gic_status status = find_frame(decoder, &first, message);
    if (status != GIC_OK) return status;
    status = gic_set_size(decoder, first.width, first.height, first.transparent >= 0 ? 4 : 3, message);
    if (status != GIC_OK) return status;
    if (first.right == first.left || first.bottom == first.top) {
        return gic_fail(message, GIC_ZERO_DIMENSION, "the first GIF frame is %d x %d pixels", first.right - first.left,
                        first.bottom - first.top);
    }
    decoder->info.mode = first.is_grey ? GIC_MODE_RGB : GIC_MODE_INDEXED;
    return GIC_OK;
}

// Bits of the codes, least significant first, across sub-blocks.
typedef struct bit_reader {
    const uint8_t *bytes, *end;
    size_t block;  // bytes left in the sub-block
    uint32_t bits;
    int held;
} bit_reader;

// The next code, or -1 at the end of the data.
static int next_code(bit_reader *input, int size) {
    while (input->held < size) {
        if (input->bytes == input->end) return -1;
        if (input->block == 0) {
            input->block = *input->bytes++;
            // As in Pillow, a block that is cut off is not begun.
            if (input->block == 0 || (size_t)(input->end - input->bytes) < input->block) return -1;
            continue;
        }
        input->bits |= (uint32_t)*input->bytes++ << input->held;
        input->held += 8;
        input->block--;
    }
    int code = (int)(input->bits & ((1u << size) - 1));
    input->bits >>= size;
    input->held -= size;
    return code;
}

// Where the frame's pixels go, one after the other.
typedef struct cursor {
    uint8_t *pixels;
    const uint8_t (*colours)[4];
    size_t channels, stride;
    int32_t x, y, step;
    int pass;
    const frame *of;
} cursor;

// Rows of an interlaced frame come in four passes. False after the last pixel.
static bool next_row(cursor *at) {
    const int32_t height = at->of->bottom - at->of->top;
    static const int32_t starts[] = {0, 4, 2, 1}, steps[] = {8, 8, 4, 2};
    at->x = 0;
    at->y += at->step;
    while (at->y >= height) {
        if (!at->of->interlaced || ++at->pass > 3) return false;
        at->y = starts[at->pass];
        at->step = steps[at->pass];
    }
    return true;
}

static bool put(cursor *at, uint8_t index) {
    const size_t column = (size_t)(at->of->left + at->x), row = (size_t)(at->of->top + at->y);
    memcpy(at->pixels + row * at->stride + column * at->channels, at->colours[index], at->channels);
    return ++at->x < at->of->right - at->of->left || next_row(at);
}

static gic_status unpack(const gic_decoder *decoder, const frame *first, cursor *at, gic_message *message) {
    enum { table_size = 4096 };
    uint16_t prefix[table_size];
    uint8_t suffix[table_size], text[table_size];
    const int bits = first->data[0];
    if (bits < 1 || bits > 12) return gic_fail(message, GIC_CORRUPT, "GIF codes of %d bits", bits);
    const int clear = 1 << bits, stop = clear + 1;
    int size = bits + 1, next = clear + 2, last = -1;
    uint8_t first_of_last = 0;
    bit_reader input = {first->data + 1, first->data + first->count, 0, 0, 0};
    while (true) {
        const int code = next_code(&input, size);
        if (code < 0 || code == stop) return truncated(decoder, message);
        if (code == clear) {
            size = bits + 1, next = clear + 2, last = -1;
            continue;
        }
        // The string of a code ends with its suffix, so it is collected from its end. A code that is not defined yet
        // stands for the last string followed by its first byte.
        int length = 0, walk = code;
        if (last < 0) {
            if (code > stop) return gic_fail(message, GIC_CORRUPT, "a GIF code that is not defined");
        } else if (code >= next) {
            if (code > next) return gic_fail(message, GIC_CORRUPT, "a GIF code that is not defined");
            text[length++] = first_of_last;
            walk = last;
        }
        while (walk > stop) {
            if (length >= table_size - 1) return gic_fail(message, GIC_CORRUPT, "a GIF code without an end");
            text[length++] = suffix[walk];
            walk = prefix[walk];
        }
        text[length++] = (uint8_t)walk;
        const uint8_t head = (uint8_t)walk;
        while (length > 0) {
            if (!put(at, text[--length])) return GIC_OK;
        }
        // A full table stays as it is until it is cleared.
        if (last >= 0 && next < table_size) {
            prefix[next] = (uint16_t)last;
            suffix[next] = head;
            next++;
            if (next == 1 << size && size < 12) size++;
        }
        last = code;
        first_of_last = head;
    }
}

gic_status gic_gif_read(gic_decoder *decoder, uint8_t *pixels, gic_message *message) {
    frame first;
    gic_status status = find_frame(decoder, &first, message);
    if (status != GIC_OK) return status;
    uint8_t colours[256][4];
    for (size_t i = 0; i < 256; i++) {
        for (size_t c = 0; c < 3; c++) {
            colours[i][c] = first.is_grey ? (uint8_t)i : i < first.colours ? first.palette[3 * i + c] : 0;
        }
        colours[i][3] = (int)i == first.transparent ? 0 : 255;
    }
    const size_t channels = (size_t)decoder->info.channels;
    // Pixels that the frame leaves out are transparent, or of the first colour.
    const uint8_t *blank = colours[first.transparent < 0 ? 0 : first.transparent];
    const size_t total = (size_t)first.width * (size_t)first.height;
    const bool covers = first.right - first.left == first.width && first.bottom - first.top == first.height;
    for (size_t i = 0; !covers && i < total; i++) memcpy(pixels + i * channels, blank, channels);
    cursor at = {pixels, colours, channels, (size_t)first.width * channels, 0, 0, first.interlaced ? 8 : 1, 0, &first};
    return unpack(decoder, &first, &at, message);
}

// Finds the format by the first bytes, never by a name.
#include "internal.h"

#include <stdio.h>
#include <string.h>

static const uint8_t png_magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

static bool starts(const uint8_t *bytes, size_t count, const void *magic, size_t length) {
    return count >= length && memcmp(bytes, magic, length) == 0;
}

// Fewer bytes than the signature, but equal to its beginning: the file is cut off, not of another format.
static bool begins(const uint8_t *bytes, size_t count, const void *magic, size_t length) {
    return count < length && memcmp(bytes, magic, count) == 0;
}

// ISO media files: `ftyp` names a major brand and compatible ones. A picture of AV1 is AVIF, one of HEVC is HEIC; `mif1`
// and `msf1` say "an image" and leave the coding to the compatible brands.
static gic_format iso_format(const uint8_t *bytes, size_t count) {
    static const struct {
        char brand[5];
        gic_format format;
    } brands[] = {
        {"avif", GIC_FORMAT_AVIF}, {"avis", GIC_FORMAT_AVIF}, {"heic", GIC_FORMAT_HEIF}, {"heix", GIC_FORMAT_HEIF},
        {"heim", GIC_FORMAT_HEIF}, {"heis", GIC_FORMAT_HEIF}, {"hevc", GIC_FORMAT_HEIF}, {"hevx", GIC_FORMAT_HEIF},
        {"hevm", GIC_FORMAT_HEIF}, {"hevs", GIC_FORMAT_HEIF},
    };
    size_t end = gic_be32(bytes);
    if (end > count) end = count;
    // The major brand, then past the minor version the compatible ones.
    for (size_t at = 8; at + 4 <= end; at += at == 8 ? 8 : 4) {
        for (size_t i = 0; i < sizeof brands / sizeof *brands; i++) {
            if (memcmp(bytes + at, brands[i].brand, 4) == 0) return brands[i].format;
        }
    }
    return memcmp(bytes + 8, "mif1", 4) == 0 || memcmp(bytes + 8, "msf1", 4) == 0 ? GIC_FORMAT_HEIF
                                                                                    : GIC_FORMAT_UNKNOWN;
}

// The name of a well-known format that is not decoded here, so that the error can say it.
static const char *foreign_format(const uint8_t *bytes, size_t count) {
    if (starts(bytes, count, "\0\0\0\x0cjP  ", 8) || starts(bytes, count, "\xff\x4f\xff\x51", 4)) return "JPEG 2000";
    if (starts(bytes, count, "%PDF", 4)) return "PDF";
    if (starts(bytes, count, "%!PS", 4)) return "PostScript";
    if (starts(bytes, count, "<svg", 4) || starts(bytes, count, "<?xml", 5)) return "SVG or XML";
    if (starts(bytes, count, "\0\0\0\x0cJXL ", 8) || starts(bytes, count, "\xff\x0a", 2)) return "JPEG XL";
    if (starts(bytes, count, "8BPS", 4)) return "Photoshop";
    if (starts(bytes, count, "\0\0\1\0", 4)) return "an icon";
    if (starts(bytes, count, "\x76\x2f\x31\x01", 4)) return "OpenEXR";
    if (starts(bytes, count, "DDS ", 4)) return "DDS";
    if (starts(bytes, count, "qoif", 4)) return "QOI";
    if (count >= 12 && memcmp(bytes + 4, "ftyp", 4) == 0) return "an ISO media file that is no AVIF or HEIC picture";
    if (count >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7' && (bytes[2] == '\n' || bytes[2] == ' ')) {
        return "PNM";
    }
    return NULL;
}

gic_status gic_find_format(const uint8_t *bytes, size_t count, gic_format *format, gic_message *message) {
    *format = GIC_FORMAT_UNKNOWN;
    if (starts(bytes, count, "\xff\xd8\xff", 3)) *format = GIC_FORMAT_JPEG;
    if (starts(bytes, count, png_magic, 8)) *format = GIC_FORMAT_PNG;
    if (count >= 16 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) *format = GIC_FORMAT_WEBP;
    if (starts(bytes, count, "GIF87a", 6) || starts(bytes, count, "GIF89a", 6)) *format = GIC_FORMAT_GIF;
    // Two letters are not enough of a signature: the size of the header after the 14 bytes must be one of the known
    // sizes.
    if (starts(bytes, count, "BM", 2) && count >= 18) {
        static const uint32_t headers[] = {12, 40, 52, 56, 64, 108, 124};
        for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
            if (gic_le32(bytes + 14) == headers[i]) *format = GIC_FORMAT_BMP;
        }
    }
    if (starts(bytes, count, "II*\0", 4) || starts(bytes, count, "MM\0*", 4) || starts(bytes, count, "II+\0", 4) ||
        starts(bytes, count, "MM\0+", 4)) {
        *format = GIC_FORMAT_TIFF;
    }
    if (count >= 12 && memcmp(bytes + 4, "ftyp", 4) == 0) *format = iso_format(bytes, count);
    if (*format != GIC_FORMAT_UNKNOWN) return GIC_OK;

    bool cut = begins(bytes, count, "\xff\xd8\xff", 3) || begins(bytes, count, png_magic, 8) ||
               begins(bytes, count, "GIF87a", 6) || begins(bytes, count, "GIF89a", 6) ||
               begins(bytes, count, "II*\0", 4) || begins(bytes, count, "MM\0*", 4) ||
               (count < 16 && memcmp(bytes, "RIFF", count < 4 ? count : 4) == 0 &&
                (count <= 8 || memcmp(bytes + 8, "WEBP", count - 8 < 4 ? count - 8 : 4) == 0)) ||
               (count < 18 && memcmp(bytes, "BM", count < 2 ? count : 2) == 0) ||
               (count < 12 && count >= 8 && memcmp(bytes + 4, "ftyp", 4) == 0);
    if (cut) return gic_fail(message, GIC_TRUNCATED, "only %zu bytes", count);
    const char *name = foreign_format(bytes, count);
    if (name != NULL) return gic_fail(message, GIC_UNSUPPORTED, "the bytes are %s", name);
    char digits[3 * 8 + 1] = "";
    for (size_t i = 0; i < count && i < 8; i++) snprintf(digits + 3 * i, 4, "%02x ", bytes[i]);
    return gic_fail(message, GIC_UNSUPPORTED, "the bytes begin %s", digits);
}

// The orientation tag (0x0112) of a TIFF block's first directory, and of an XMP packet.
#include "internal.h"

#include <string.h>

static uint32_t get16(const uint8_t *p, bool big) {
    return big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}
static uint32_t get32(const uint8_t *p, bool big) { return big ? gic_be32(p) : gic_le32(p); }

int32_t gic_exif_orientation(const uint8_t *bytes, size_t count) {
    // Some writers put the prefix twice; Pillow strips up to two.
    for (int i = 0; i < 2 && count >= 6 && memcmp(bytes, "Exif\0\0", 6) == 0; i++) bytes += 6, count -= 6;
    if (count < 8) return 0;
    bool big;
    if (memcmp(bytes, "MM\0*", 4) == 0) {
        big = true;
    } else if (memcmp(bytes, "II*\0", 4) == 0) {
        big = false;
    } else {
        return 0;
    }
    size_t offset = get32(bytes + 4, big);
    if (offset > count || count - offset < 2) return 0;
    uint32_t entries = get16(bytes + offset, big);
    offset += 2;
    int32_t orientation = 0;
    // A repeated tag: the last one counts, as in Pillow.
    for (uint32_t i = 0; i < entries && count - offset >= 12; i++, offset += 12) {
        const uint8_t *entry = bytes + offset;
        if (get16(entry, big) != 0x0112) continue;
        uint32_t type = get16(entry + 2, big), values = get32(entry + 4, big);
        bool wide = type == 4 || type == 9;               // LONG, SLONG
        if (values == 0 || !(wide || type == 3 || type == 8)) continue;  // SHORT, SSHORT
        const uint8_t *value = entry + 8;
        uint64_t size = (uint64_t)values * (wide ? 4 : 2);
        if (size > 4) {
            size_t at = get32(value, big);
            if (at > count || count - at < size) continue;
            value = bytes + at;
        }
        uint32_t number = wide ? get32(value, big) : get16(value, big);
        // A value out of range still counts as an answer, so XMP is not asked: 9 stands for "present, meaningless".
        orientation = number >= 1 && number <= 8 ? (int32_t)number : 9;
    }
    return orientation;
}

int32_t gic_xmp_orientation(const uint8_t *bytes, size_t count) {
    static const char key[] = "tiff:Orientation";
    const size_t length = sizeof key - 1;
    for (size_t i = 0; i + length < count; i++) {
        const uint8_t *hit = memchr(bytes + i, 't', count - length - i);
        if (hit == NULL) return 0;
        i = (size_t)(hit - bytes);
        if (memcmp(hit, key, length) != 0) continue;
        const uint8_t *after = hit + length, *end = bytes + count;
        if (end - after >= 3 && after[0] == '=' && after[1] == '"') {
            after += 2;
        } else if (end - after >= 2 && after[0] == '>') {
            after += 1;
        } else {
            continue;
        }
        if (*after >= '0' && *after <= '9') return *after >= '1' && *after <= '8' ? *after - '0' : 9;
    }
    return 0;
}

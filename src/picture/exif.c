/*
 * exif: the one number of EXIF data that matters here, the orientation. It is in the first directory of a TIFF file:
 * "II" (little endian) or "MM", 42, the directory's offset; there a count and entries of 12 bytes: tag, type, count,
 * value.
 */
#include "picture/internal.h"

#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, HEADER_BYTES = 8, ENTRY_BYTES = 12 };

static uint32_t read_number(const uint8_t *bytes, size_t size, bool little) {
    uint32_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes[little ? size - 1 - i : i];
    return value;
}

uint32_t exif_orientation(const uint8_t *bytes, size_t size) {
    if (size < HEADER_BYTES || (memcmp(bytes, "II*", 4) != 0 && memcmp(bytes, "MM\0*", 4) != 0))
        return 1;
    bool little = bytes[0] == 'I';
    size_t at = read_number(bytes + 4, 4, little);
    if (at > size - 2)
        return 1;
    uint32_t entries = read_number(bytes + at, 2, little);
    for (at += 2; entries-- && size - at >= ENTRY_BYTES; at += ENTRY_BYTES)
        if (read_number(bytes + at, 2, little) == TAG_ORIENTATION &&
            read_number(bytes + at + 2, 2, little) == TYPE_SHORT) {
            uint32_t orientation = read_number(bytes + at + 8, 2, little);
            return orientation >= 1 && orientation <= 8 ? orientation : 1;
        }
    return 1;
}

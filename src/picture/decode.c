/*
 * decode: which format it is, and turning pictures upright.
 */
#include "picture/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void picture_destroy(struct picture *picture) {
    free(picture->pixels);
    *picture = (struct picture){0};
}

enum status picture_check_size(uint64_t width, uint64_t height, uint64_t limit) {
    if (width == 0 || height == 0)
        return fail(STATUS_DATA, "the picture has no pixels");
    if (MAX(width, height) > PICTURE_SIDE_LIMIT || width * height > limit)
        return fail(STATUS_DATA, "the picture has %llux%llu pixels, more than %u a side or %llu in all",
                    (unsigned long long)width, (unsigned long long)height, PICTURE_SIDE_LIMIT,
                    (unsigned long long)limit);
    return STATUS_OK;
}

enum status picture_create(uint64_t width, uint64_t height, struct picture *out) {
    struct picture picture = {.width = (uint32_t)width, .height = (uint32_t)height};
    picture.pixels = malloc((size_t)(3 * width * height));
    if (!picture.pixels)
        return fail(STATUS_MEMORY, "out of host memory: a picture of %llux%llu pixels", (unsigned long long)width,
                    (unsigned long long)height);
    *out = picture;
    return STATUS_OK;
}

/*
 * Orientations 1 to 8 (Exif 2.3, tag 274): the first row of what is stored is the top, top, bottom, bottom, left,
 * right, right, left of the picture, its first column the left, right, right, left, top, top, bottom, bottom. So a row
 * of the upright picture runs along a stored row or (5 to 8) column, and either may run backwards.
 */
static const struct {
    bool swap, rows_reversed, columns_reversed;
} orientations[] = {{0, 0, 0}, {0, 0, 1}, {0, 1, 1}, {0, 1, 0}, {1, 0, 0}, {1, 1, 0}, {1, 1, 1}, {1, 0, 1}};

static enum status turn(struct picture *picture, uint32_t orientation) {
    struct picture out;
    bool swap = orientations[orientation - 1].swap;
    size_t width = picture->width, height = picture->height;
    TRY(picture_create(swap ? height : width, swap ? width : height, &out));
    uint8_t *target = out.pixels;
    for (size_t y = 0; y < out.height; y++)
        for (size_t x = 0; x < out.width; x++, target += 3) {
            size_t row = swap ? x : y, column = swap ? y : x;
            row = orientations[orientation - 1].rows_reversed ? height - 1 - row : row;
            column = orientations[orientation - 1].columns_reversed ? width - 1 - column : column;
            memcpy(target, picture->pixels + 3 * (row * width + column), 3);
        }
    picture_destroy(picture);
    *picture = out;
    return STATUS_OK;
}

enum status picture_decode_limited(const uint8_t *bytes, size_t size, uint32_t at_least, uint64_t limit,
                                   struct picture *out) {
    struct picture picture = {0};
    uint32_t orientation = 1;
    if (size >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
        TRY(jpeg_decode(bytes, size, at_least, limit, &picture, &orientation));
    else if (size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        TRY(png_decode(bytes, size, limit, &picture, &orientation));
    else
        return fail(STATUS_DATA, size ? "the file is neither a JPEG nor a PNG" : "the file is empty");
    enum status status = orientation == 1 ? STATUS_OK : turn(&picture, orientation);
    if (status != STATUS_OK)
        picture_destroy(&picture);
    else
        *out = picture;
    return status;
}

enum status picture_decode(const uint8_t *bytes, size_t size, uint32_t at_least, struct picture *out) {
    return picture_decode_limited(bytes, size, at_least, PICTURE_PIXELS_LIMIT, out);
}

/* pictures: draws small JPEG and PNG files. A class is a direction of stripes; size and colours differ. */
#ifndef RVK_TEST_PICTURES_H
#define RVK_TEST_PICTURES_H

#include "base/file.h"
#include "base/random.h"
#include "picture/picture.h"

#include <math.h>
#include <spng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "test.h"

static inline void draw_picture(uint32_t width, uint32_t height, uint32_t class_index, uint32_t number,
                                uint8_t *pixels) {
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (uint32_t c = 0; c < 3; c++) {
                double along = class_index % 3 == 0 ? x : class_index % 3 == 1 ? y : x + y;
                double value = 127 + 80 * sin(0.4 * along + number) + 20 * random_uniform(number, c, y * width + x);
                *pixels++ = (uint8_t)(class_index < 3 || c == 0 ? value : 255 - value);
            }
}

static inline void *encode_png(uint32_t width, uint32_t height, const uint8_t *pixels, size_t *size) {
    struct spng_ihdr header = {
        .width = width, .height = height, .bit_depth = 8, .color_type = SPNG_COLOR_TYPE_TRUECOLOR};
    spng_ctx *context = spng_ctx_new(SPNG_CTX_ENCODER);
    int error;
    spng_set_option(context, SPNG_ENCODE_TO_BUFFER, 1);
    spng_set_ihdr(context, &header);
    assert_int_equal(spng_encode_image(context, pixels, (size_t)3 * width * height, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE),
                     0);
    void *bytes = spng_get_png_buffer(context, size, &error);
    spng_ctx_free(context);
    assert_non_null(bytes);
    return bytes;
}

/* The bytes of a file, PNG or JPEG by the ending of `name`; free with free(). */
static inline uint8_t *encode_picture(const char *name, uint32_t width, uint32_t height, uint32_t class_index,
                                      uint32_t number, size_t *size) {
    struct picture picture = {width, height, malloc((size_t)3 * width * height)};
    const char *dot = strrchr(name, '.');
    uint8_t *bytes = NULL;
    assert_non_null(picture.pixels);
    draw_picture(width, height, class_index, number, picture.pixels);
    if (dot[1] == 'p' || dot[1] == 'P')
        bytes = encode_png(width, height, picture.pixels, size);
    else
        assert_int_equal(picture_encode_jpeg(&picture, 90, &bytes, size), STATUS_OK);
    picture_destroy(&picture);
    return bytes;
}

/* Writes the bytes to `path`, whose folders are made. */
static inline void write_file(const char *path, const void *bytes, size_t size) {
    char part[1024];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(part, 0777);
        *slash = '/';
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void write_picture(const char *path, uint32_t width, uint32_t height, uint32_t class_index,
                                 uint32_t number) {
    size_t size;
    uint8_t *bytes = encode_picture(path, width, height, class_index, number, &size);
    write_file(path, bytes, size);
    free(bytes);
}

/*
 * `count` pictures of `classes` classes in ROOT/a/0.png, ROOT/a/1.jpg, ..., ROOT/b/0.png, ...; `side` pixels high and
 * wide, or where that is 0 of different sizes from 40 to 90.
 */
static inline void write_tree(const char *root, uint32_t classes, uint32_t count, uint32_t side) {
    char path[512];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = i % classes, width = side ? side : 40 + random_below(1, 1, i, 51);
        snprintf(path, sizeof path, "%s/%c/%03u.%s", root, (char)('a' + k), i / classes,
                 i / classes % 2 ? "jpg" : "png");
        write_picture(path, width, side ? side : 40 + random_below(1, 2, i, 51), k, i);
    }
}

#endif

/*
 * picture_support: what the tests of pictures share. Include it after the headers of the project.
 */
#ifndef RVK_TESTS_PICTURE_SUPPORT_H
#define RVK_TESTS_PICTURE_SUPPORT_H

#include "picture/picture.h"

#include <stdlib.h>

#include "test.h"

/* Noise, or for even numbers ramps with edges: the same picture as draw() of picture_truth.py. */
static inline struct picture draw(uint32_t number, uint32_t width, uint32_t height) {
    struct picture picture = {width, height, malloc((size_t)3 * width * height)};
    uint8_t *pixel = picture.pixels;
    assert_non_null(pixel);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (uint32_t c = 0; c < 3; c++) {
                uint32_t ramp = x * (3 + c) + y * (5 - c) + number * 11;
                uint32_t noise = (x * 73 + y * 151 + c * 199 + number) * (x * 31 + y * 17 + 7) / 8;
                *pixel++ = (uint8_t)(number % 2 == 0 ? ramp : noise);
            }
    return picture;
}

#endif

/* picture: decoding, scaling and cropping give the bytes that Pillow and torchvision give. */
#include "base/hash.h"
#include "base/memory.h"
#include "picture/picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "picture_truth.h"
#include "test.h"

/* Noise, or for even numbers ramps with edges: the same picture as draw() of picture_truth.py. */
static struct picture draw(uint32_t number, uint32_t width, uint32_t height) {
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

/* ---- against torchvision ---- */

static void evaluation_is_torchvisions(void **state) {
    (void)state;
    for (uint32_t i = 0; i < COUNT(truths); i++) {
        const struct truth *truth = &truths[i];
        size_t bytes = (size_t)3 * truth->crop * truth->crop;
        struct picture picture = draw(i, truth->width, truth->height);
        uint8_t *out = malloc(bytes);
        assert_non_null(out);
        assert_int_equal(picture_evaluation(&picture, truth->resize, truth->crop, out), STATUS_OK);
        if (hash_bytes(HASH_START, out, bytes) != truth->hash)
            fail_msg("picture %u: %ux%u to %u, %u is not what torchvision makes of it", i, truth->width, truth->height,
                     truth->resize, truth->crop);
        free(out);
        picture_destroy(&picture);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evaluation_is_torchvisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

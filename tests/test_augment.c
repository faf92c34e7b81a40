/* augment: the random changes of pictures have the distribution that their options say, and each is what Pillow does.
 */
#include "base/hash.h"
#include "base/memory.h"
#include "picture/internal.h"

#include <math.h>
#include <string.h>

#include "picture_support.h"
#include "picture_truth.h"

enum { SIDE = 200, SIZE = 40, DRAWS = 2000 };

/* Red is the column, green the row; in a scaled part of it they say which part that was. */
static struct picture draw_places(uint32_t width, uint32_t height) {
    struct picture picture = {width, height, malloc((size_t)3 * width * height)};
    assert_non_null(picture.pixels);
    for (uint32_t i = 0; i < width * height; i++) {
        picture.pixels[3 * i] = (uint8_t)(i % width);
        picture.pixels[3 * i + 1] = (uint8_t)(i / width);
        picture.pixels[3 * i + 2] = 77;
    }
    return picture;
}

struct part {
    double left, top, width, height; /* negative width: mirrored */
};

/* The filter keeps ramps, except at the edges: pixel i of SIZE shows the place left + (i + 1/2) width / SIZE - 1/2. */
static struct part find_part(const uint8_t *out) {
    enum { LOW = 8, HIGH = SIZE - 1 - LOW };
    const uint8_t *low = out + 3 * (LOW * SIZE + LOW), *high = out + 3 * (HIGH * SIZE + HIGH);
    struct part part = {.width = SIZE * (high[0] - low[0]) / (double)(HIGH - LOW),
                        .height = SIZE * (high[1] - low[1]) / (double)(HIGH - LOW)};
    part.left = (high[0] + low[0] + 1) / 2.0 - fabs(part.width) / 2;
    part.top = (high[1] + low[1] + 1) / 2.0 - part.height / 2;
    return part;
}

static void augment(const struct picture *in, const struct picture_augment_options *options, uint32_t epoch,
                    uint32_t index, uint8_t *out) {
    assert_int_equal(picture_augment(in, options, 5, epoch, index, SIZE, out), STATUS_OK);
}

static void assert_near(const char *what, double value, double wanted, double most) {
    if (!(fabs(value - wanted) <= most))
        fail_msg("%s is %g, not %g within %g", what, value, wanted, most);
}

/* With an area of at most 1/2 and these ratios every drawn part fits: area and log ratio are uniform. */
static void parts_are_as_drawn(void **state) {
    (void)state;
    struct picture picture = draw_places(SIDE, SIDE);
    struct picture_augment_options options = picture_augment_defaults;
    uint8_t out[3 * SIZE * SIZE];
    double area = 0, ratio = 0, ratios = 0, left = 0, top = 0, flips = 0, smallest = 1, largest = 0;
    options.area_high = 0.5;
    for (uint32_t i = 0; i < DRAWS; i++) {
        augment(&picture, &options, 3, i, out);
        struct part part = find_part(out);
        double width = fabs(part.width), share = width * part.height / (SIDE * SIDE);
        smallest = fmin(smallest, share);
        largest = fmax(largest, share);
        if (!(width / part.height > 0.75 * 0.95 && width / part.height < 4.0 / 3 * 1.05 && part.left > -2 &&
              part.top > -2 && part.left + width < SIDE + 2 && part.top + part.height < SIDE + 2))
            fail_msg("part %u: %g x %g at (%g, %g)", i, part.width, part.height, part.left, part.top);
        area += share / DRAWS;
        ratio += log(width / part.height) / DRAWS;
        ratios += pow(log(width / part.height), 2) / DRAWS;
        left += part.left / (SIDE - width) / DRAWS;
        top += part.top / (SIDE - part.height) / DRAWS;
        flips += part.width < 0 ? 1.0 / DRAWS : 0;
    }
    double half = log(4.0 / 3);
    assert_near("the mean area", area, 0.29, 0.01);
    assert_near("the smallest area", smallest, 0.08, 0.006);
    assert_near("the largest area", largest, 0.5, 0.015);
    assert_near("the mean of the logarithm of the ratio", ratio, 0, 0.015);
    assert_near("its variance", ratios, half * half / 3, 0.003);
    assert_near("the mean place from the left", left, 0.5, 0.03);
    assert_near("the mean place from the top", top, 0.5, 0.03);
    assert_near("the share of mirrored pictures", flips, 0.5, 0.035);
    picture_destroy(&picture);
}

/* No part of an area from 0.4 on fits into a strip: the middle is taken, as wide as the ratio allows. */
static void strips_give_their_middle(void **state) {
    (void)state;
    struct picture_augment_options options = picture_augment_defaults;
    uint8_t out[3 * SIZE * SIZE];
    options.area_low = 0.4;
    options.flip = 0;
    for (int tall = 0; tall < 2; tall++) {
        struct picture strip = tall ? draw_places(60, 250) : draw_places(250, 60);
        augment(&strip, &options, 0, 1, out);
        struct part part = find_part(out);
        assert_near("the width", part.width, tall ? 60 : 80, 2);
        assert_near("the height", part.height, tall ? 80 : 60, 2);
        assert_near("the left", part.left, tall ? 0 : 85, 1.5);
        assert_near("the top", part.top, tall ? 85 : 0, 1.5);
        picture_destroy(&strip);
    }
}

static const struct picture_augment_options nothing = {.area_low = 1, .area_high = 1, .ratio_low = 1, .ratio_high = 1};

static void without_strength_nothing_changes(void **state) {
    (void)state;
    struct picture picture = draw(1, SIZE, SIZE);
    uint8_t out[3 * SIZE * SIZE];
    for (uint32_t i = 0; i < 50; i++) {
        augment(&picture, &nothing, i, i * 7, out);
        assert_memory_equal(out, picture.pixels, sizeof out);
    }
    picture_destroy(&picture);
}

static void choices_depend_on_seed_epoch_and_number_only(void **state) {
    (void)state;
    struct picture picture = draw(1, 97, 71);
    struct picture_augment_options options = picture_augment_defaults;
    uint8_t first[3 * SIZE * SIZE], out[3 * SIZE * SIZE];
    options.brightness = options.contrast = options.saturation = 0.4;
    options.hue = 0.1;
    options.policy_count = 2;
    for (uint32_t k = 0; k < 5; k++) { /* 0 and 4 are the same */
        uint32_t seed = 9 + (k == 1), epoch = 2 + (k == 2), index = 40 + (k == 3);
        assert_int_equal(picture_augment(&picture, &options, seed, epoch, index, SIZE, out), STATUS_OK);
        if (k == 0)
            memcpy(first, out, sizeof out);
        assert_int_equal(memcmp(first, out, sizeof out) == 0, k % 4 == 0);
    }
    picture_destroy(&picture);
}

/* The factor is uniform in [1 - s, 1 + s], so a grey of 100 has a mean of 100 and reaches both ends. */
static void jitter_is_as_strong_as_asked(void **state) {
    (void)state;
    struct picture picture = draw(1, 1, 1);
    struct picture_augment_options options = nothing;
    uint8_t out[3 * SIZE * SIZE];
    double mean = 0, smallest = 255, largest = 0, repeated = 0;
    memset(picture.pixels, 100, 3);
    options.brightness = 0.4;
    for (uint32_t i = 0; i < DRAWS; i++) {
        augment(&picture, &options, 0, i, out);
        uint8_t level = out[0];
        mean += (level + 0.5) / DRAWS;
        smallest = fmin(smallest, level);
        largest = fmax(largest, level);
        augment(&picture, &options, 1, i, out);
        repeated += level == out[0] ? 1.0 / DRAWS : 0;
    }
    assert_near("the mean", mean, 100, 2);
    assert_near("the share that another epoch repeats", repeated, 1 / 80.0, 0.01);
    assert_near("the smallest", smallest, 60, 1);
    assert_near("the largest", largest, 139, 1);
    picture_destroy(&picture);
}

static void impossible_options_are_refused(void **state) {
    (void)state;
    static const struct picture_augment_options wrong[] = {
        {.area_low = 0, .area_high = 1, .ratio_low = 1, .ratio_high = 1},
        {.area_low = 0.5, .area_high = 0.4, .ratio_low = 1, .ratio_high = 1},
        {.area_low = 1, .area_high = 1, .ratio_low = 2, .ratio_high = 1},
        {.area_low = 1, .area_high = 1, .ratio_low = 1, .ratio_high = 1, .flip = 1.5},
        {.area_low = 1, .area_high = 1, .ratio_low = 1, .ratio_high = 1, .hue = 0.6},
        {.area_low = 1, .area_high = 1, .ratio_low = 1, .ratio_high = 1, .contrast = NAN},
        {.area_low = 1, .area_high = 1, .ratio_low = 1, .ratio_high = 1, .policy_count = 9},
        {.area_low = 1, .area_high = 1, .ratio_low = 1, .ratio_high = 1, .policy_magnitude = 31},
    };
    struct picture picture = draw(1, 9, 9);
    uint8_t out[3 * SIZE * SIZE];
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(picture_augment(&picture, &wrong[i], 0, 0, 0, SIZE, out), STATUS_USAGE);
    assert_int_equal(picture_augment_check(&picture_augment_defaults), STATUS_OK);
    assert_int_equal(picture_augment(&picture, &picture_augment_defaults, 0, 0, 0, 0, out), STATUS_USAGE);
    picture_destroy(&picture);
}

/* ---- single changes ---- */

enum { OPERATION_ROTATE = 5, OPERATION_AUTOCONTRAST = 12 /* and equalize, the last */ };

static void change(const char *name, double strength, uint8_t *pixels, const uint8_t *copy, uint32_t size) {
    static const struct {
        const char *name;
        void (*blend)(uint8_t *, size_t, double);
    } blends[] = {{"brightness", colour_brightness},
                  {"contrast", colour_contrast},
                  {"saturation", colour_saturation},
                  {"solarize", colour_solarize}};
    size_t count = (size_t)size * size;
    for (size_t i = 0; i < COUNT(blends); i++)
        if (strcmp(name, blends[i].name) == 0)
            blends[i].blend(pixels, count, strength);
    if (strcmp(name, "sharpness") == 0)
        warp_sharpness(copy, size, strength, pixels);
    if (strcmp(name, "posterize") == 0)
        colour_posterize(pixels, count, (uint32_t)strength);
    if (strcmp(name, "autocontrast") == 0)
        colour_autocontrast(pixels, count);
    if (strcmp(name, "equalize") == 0)
        colour_equalize(pixels, count);
    if (strcmp(name, "rotate") == 0)
        policy_operate(OPERATION_ROTATE, strength, copy, size, pixels);
}

static void changes_are_pillows(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(change_truths); i++) {
        struct picture picture = draw(1, SIZE, SIZE), copy = draw(1, SIZE, SIZE);
        change(change_truths[i].name, change_truths[i].strength, picture.pixels, copy.pixels, SIZE);
        if (hash_bytes(HASH_START, picture.pixels, (size_t)3 * SIZE * SIZE) != change_truths[i].hash)
            fail_msg("%s of %g is not Pillow's", change_truths[i].name, change_truths[i].strength);
        picture_destroy(&picture);
        picture_destroy(&copy);
    }
}

/* A third of a turn makes red green, green blue, blue red; a whole turn nothing. */
static void hue_turns(void **state) {
    (void)state;
    struct picture picture = draw(1, SIZE, SIZE), before = draw(1, SIZE, SIZE);
    for (int thirds = -3; thirds <= 3; thirds++) {
        memcpy(picture.pixels, before.pixels, (size_t)3 * SIZE * SIZE);
        colour_hue(picture.pixels, SIZE * SIZE, thirds / 3.0);
        for (int i = 0; i < 3 * SIZE * SIZE; i++) {
            int from = i / 3 * 3 + (i % 3 - thirds + 3) % 3;
            assert_in_range(picture.pixels[i] - before.pixels[from] + 1, 0, 2);
        }
    }
    picture_destroy(&picture);
    picture_destroy(&before);
}

/* A picture that autocontrast changes, too. */
static struct picture draw_pale(void) {
    struct picture picture = draw(1, SIZE, SIZE);
    for (size_t i = 0; i < (size_t)3 * SIZE * SIZE; i++)
        picture.pixels[i] = (uint8_t)(40 + picture.pixels[i] / 2);
    return picture;
}

/* Without strength they change nothing, but for the last two, which have none. */
static void policy_of_no_strength_changes_nothing(void **state) {
    (void)state;
    struct picture picture = draw_pale(), copy = draw_pale();
    for (uint32_t k = 0; k < POLICY_OPERATIONS; k++) {
        policy_operate(k, 0, copy.pixels, SIZE, picture.pixels);
        if (k < OPERATION_AUTOCONTRAST)
            assert_memory_equal(picture.pixels, copy.pixels, (size_t)3 * SIZE * SIZE);
        policy_operate(k, 0.9, copy.pixels, SIZE, picture.pixels);
        assert_int_equal(memcmp(picture.pixels, copy.pixels, (size_t)3 * SIZE * SIZE) == 0, k == 0);
        memcpy(picture.pixels, copy.pixels, (size_t)3 * SIZE * SIZE);
    }
    picture_destroy(&picture);
    picture_destroy(&copy);
}

/* Each of the 14 operations is drawn as often as the others; keep, the first, leaves the picture alone. */
static void policy_draws_all_operations(void **state) {
    (void)state;
    struct picture picture = draw_pale();
    struct picture_augment_options options = nothing;
    uint8_t out[3 * SIZE * SIZE], kinds[POLICY_OPERATIONS * 2][3 * SIZE * SIZE];
    uint32_t counts[POLICY_OPERATIONS] = {0}, forward = 0;
    options.policy_count = 1;
    options.policy_magnitude = 27;
    for (uint32_t k = 0; k < 2 * POLICY_OPERATIONS; k++) {
        memcpy(kinds[k], picture.pixels, sizeof kinds[k]);
        policy_operate(k / 2, k % 2 ? -0.9 : 0.9, picture.pixels, SIZE, kinds[k]);
    }
    for (uint32_t i = 0; i < DRAWS; i++) {
        uint32_t k = 0;
        augment(&picture, &options, 1, i, out);
        while (k < 2 * POLICY_OPERATIONS && memcmp(kinds[k], out, sizeof out) != 0)
            k++;
        assert_true(k < 2 * POLICY_OPERATIONS);
        counts[k / 2]++;
        forward += k == 2; /* the first direction of the first operation that has two */
    }
    for (uint32_t k = 0; k < POLICY_OPERATIONS; k++)
        assert_in_range(counts[k], DRAWS / POLICY_OPERATIONS - 45, DRAWS / POLICY_OPERATIONS + 45);
    assert_in_range(forward, counts[1] / 2 - 25, counts[1] / 2 + 25);
    picture_destroy(&picture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_as_drawn),
        cmocka_unit_test(strips_give_their_middle),
        cmocka_unit_test(without_strength_nothing_changes),
        cmocka_unit_test(choices_depend_on_seed_epoch_and_number_only),
        cmocka_unit_test(jitter_is_as_strong_as_asked),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(changes_are_pillows),
        cmocka_unit_test(hue_turns),
        cmocka_unit_test(policy_of_no_strength_changes_nothing),
        cmocka_unit_test(policy_draws_all_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

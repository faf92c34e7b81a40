/*
 * augment: the random changes of a picture for training. Each choice has a number (purpose) of its own, so that it does
 * not depend on how many others were made.
 */
#include "picture/internal.h"

#include "base/memory.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CROP_TRIES = 10, POLICY_LIMIT = 8, MAGNITUDE_LIMIT = 30, JITTERS = 4 };

/* Purposes of random numbers: PURPOSES streams for each epoch. */
enum {
    DRAW_AREA,
    DRAW_RATIO = DRAW_AREA + CROP_TRIES,
    DRAW_TOP = DRAW_RATIO + CROP_TRIES,
    DRAW_LEFT,
    DRAW_FLIP,
    DRAW_ORDER,
    DRAW_JITTER = DRAW_ORDER + JITTERS,
    DRAW_OPERATION = DRAW_JITTER + JITTERS,
    DRAW_SIGN = DRAW_OPERATION + POLICY_LIMIT,
    PURPOSES = 64
};

const struct picture_augment_options picture_augment_defaults = {
    .area_low = 0.08, .area_high = 1, .ratio_low = 3.0 / 4, .ratio_high = 4.0 / 3, .flip = 0.5, .policy_magnitude = 9};

struct source {
    uint32_t seed, epoch, index;
};

static double between(const struct source *source, uint32_t purpose, double low, double high) {
    double share = random_uniform(source->seed, 0x70690000u + PURPOSES * source->epoch + purpose, source->index);
    return low + (high - low) * share;
}

static uint32_t below(const struct source *source, uint32_t purpose, uint32_t count) {
    return random_below(source->seed, 0x70690000u + PURPOSES * source->epoch + purpose, source->index, count);
}

static enum status check_range(const char *name, double value, double low, double high) {
    if (value >= low && value <= high)
        return STATUS_OK;
    return fail(STATUS_USAGE, "%s should be from %g to %g, it is %g", name, low, high, value);
}

enum status picture_augment_check(const struct picture_augment_options *options) {
    TRY(check_range("the largest area of the random crop", options->area_high, 1e-6, 1));
    TRY(check_range("the smallest area of the random crop", options->area_low, 1e-6, options->area_high));
    TRY(check_range("the largest ratio of the random crop", options->ratio_high, 1e-3, 1e3));
    TRY(check_range("the smallest ratio of the random crop", options->ratio_low, 1e-3, options->ratio_high));
    TRY(check_range("the probability of mirroring", options->flip, 0, 1));
    TRY(check_range("the brightness jitter", options->brightness, 0, 10));
    TRY(check_range("the contrast jitter", options->contrast, 0, 10));
    TRY(check_range("the saturation jitter", options->saturation, 0, 10));
    TRY(check_range("the hue jitter", options->hue, 0, 0.5));
    TRY(check_range("the number of operations of the policy", options->policy_count, 0, POLICY_LIMIT));
    return check_range("the magnitude of the policy", options->policy_magnitude, 0, MAGNITUDE_LIMIT);
}

/* ---- the part ---- */

/* When no drawn part fits into the picture: the largest in the middle whose ratio is allowed. */
static struct window middle_part(const struct picture *in, const struct picture_augment_options *options) {
    struct window part = {0, 0, in->width, in->height};
    double ratio = (double)in->width / in->height;
    if (ratio < options->ratio_low)
        part.height = MAX((uint32_t)(in->width / options->ratio_low + 0.5), 1u);
    else if (ratio > options->ratio_high)
        part.width = MAX((uint32_t)(in->height * options->ratio_high + 0.5), 1u);
    part.left = (in->width - part.width) / 2;
    part.top = (in->height - part.height) / 2;
    return part;
}

static struct window choose_part(const struct picture *in, const struct picture_augment_options *options,
                                 const struct source *source) {
    double area = (double)in->width * in->height;
    for (uint32_t try = 0; try < CROP_TRIES; try++) {
        double wanted = area * between(source, DRAW_AREA + try, options->area_low, options->area_high);
        double ratio = exp(between(source, DRAW_RATIO + try, log(options->ratio_low), log(options->ratio_high)));
        double width = floor(sqrt(wanted * ratio) + 0.5), height = floor(sqrt(wanted / ratio) + 0.5);
        if (width >= 1 && width <= in->width && height >= 1 && height <= in->height) {
            struct window part = {.width = (uint32_t)width, .height = (uint32_t)height};
            part.left = below(source, DRAW_LEFT, in->width - part.width + 1);
            part.top = below(source, DRAW_TOP, in->height - part.height + 1);
            return part;
        }
    }
    return middle_part(in, options);
}

static enum status crop(const struct picture *in, struct window part, uint32_t size, uint8_t *out) {
    size_t stride = (size_t)3 * in->width;
    struct view view = {in->pixels + part.top * stride + (size_t)3 * part.left, part.width, part.height, stride};
    struct box box = {0, 0, (float)part.width, (float)part.height};
    return resize_view(&view, box, size, size, (struct window){0, 0, size, size}, out, (size_t)3 * size);
}

static void mirror(uint8_t *pixels, uint32_t size) {
    for (uint32_t y = 0; y < size; y++, pixels += (size_t)3 * size)
        for (uint32_t x = 0; x < size / 2; x++) {
            uint8_t *left = pixels + (size_t)3 * x, *right = pixels + (size_t)3 * (size - 1 - x), kept[3];
            memcpy(kept, left, 3);
            memcpy(left, right, 3);
            memcpy(right, kept, 3);
        }
}

/* ---- colour jitter ---- */

static void jitter(const struct picture_augment_options *options, const struct source *source, uint8_t *pixels,
                   size_t count) {
    static void (*const changes[JITTERS])(uint8_t *, size_t, double) = {colour_brightness, colour_contrast,
                                                                        colour_saturation, colour_hue};
    const double strengths[JITTERS] = {options->brightness, options->contrast, options->saturation, options->hue};
    uint32_t order[JITTERS] = {0, 1, 2, 3};
    for (uint32_t i = 0; i < JITTERS; i++) {
        uint32_t j = i + below(source, DRAW_ORDER + i, JITTERS - i), chosen = order[j];
        double strength = strengths[chosen], centre = changes[chosen] == colour_hue ? 0 : 1;
        order[j] = order[i];
        if (strength > 0)
            changes[chosen](pixels, count,
                            between(source, DRAW_JITTER + chosen, centre - fmin(strength, 1), centre + strength));
    }
}

/* ---- all of it ---- */

static enum status apply_policy(const struct picture_augment_options *options, const struct source *source,
                                uint8_t *pixels, uint32_t size) {
    size_t bytes = (size_t)3 * size * size;
    uint8_t *copy;
    TRY(memory_zeroed(bytes, 1, &copy));
    for (uint32_t i = 0; i < options->policy_count; i++) {
        double share = options->policy_magnitude / MAGNITUDE_LIMIT;
        memcpy(copy, pixels, bytes);
        policy_operate(below(source, DRAW_OPERATION + i, POLICY_OPERATIONS),
                       below(source, DRAW_SIGN + i, 2) ? -share : share, copy, size, pixels);
    }
    free(copy);
    return STATUS_OK;
}

enum status picture_augment(const struct picture *in, const struct picture_augment_options *options, uint32_t seed,
                            uint32_t epoch, uint32_t index, uint32_t size, uint8_t *out) {
    struct source source = {seed, epoch, index};
    TRY(picture_augment_check(options));
    TRY(crop(in, choose_part(in, options, &source), size, out));
    if (between(&source, DRAW_FLIP, 0, 1) < options->flip)
        mirror(out, size);
    if (options->policy_count)
        TRY(apply_policy(options, &source, out, size));
    jitter(options, &source, out, (size_t)size * size);
    return STATUS_OK;
}

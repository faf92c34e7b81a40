/*
 * policy: the operations of RandAugment (Cubuk et al., "RandAugment: Practical automated data augmentation with a
 * reduced search space", 2019) with torchvision's ranges.
 */
#include "picture/internal.h"

#include "base/memory.h"

#include <math.h>

/* `share` of the largest magnitude; its sign is the direction, where there are two. */
struct work {
    uint8_t *pixels;
    const uint8_t *copy; /* of the pixels, for operations that cannot work in place */
    uint32_t size;
    size_t count;
    double share;
};

static void keep(const struct work *work) {
    (void)work;
}

static void warp(const struct work *work, struct affine affine) {
    warp_affine(work->copy, work->size, affine, work->pixels);
}

static void shear_x(const struct work *work) {
    warp(work, (struct affine){1, 0.3 * work->share, 0, 0, 1, 0});
}

static void shear_y(const struct work *work) {
    warp(work, (struct affine){1, 0, 0, 0.3 * work->share, 1, 0});
}

/* Whole pixels, up to 150 of 331. */
static double shift(const struct work *work) {
    return trunc(150.0 / 331 * work->size * work->share);
}

static void translate_x(const struct work *work) {
    warp(work, (struct affine){1, 0, shift(work), 0, 1, 0});
}

static void translate_y(const struct work *work) {
    warp(work, (struct affine){1, 0, 0, 0, 1, shift(work)});
}

static void rotate(const struct work *work) {
    double angle = 0.5235987755982988 * work->share; /* 30 degrees */
    warp(work, (struct affine){cos(angle), -sin(angle), 0, sin(angle), cos(angle), 0});
}

static double factor(const struct work *work) {
    return 1 + 0.9 * work->share;
}

static void brightness(const struct work *work) {
    colour_brightness(work->pixels, work->count, factor(work));
}

static void saturation(const struct work *work) {
    colour_saturation(work->pixels, work->count, factor(work));
}

static void contrast(const struct work *work) {
    colour_contrast(work->pixels, work->count, factor(work));
}

static void sharpness(const struct work *work) {
    warp_sharpness(work->copy, work->size, factor(work), work->pixels);
}

static void posterize(const struct work *work) {
    colour_posterize(work->pixels, work->count, 8 - (uint32_t)(4 * fabs(work->share) + 0.5));
}

static void solarize(const struct work *work) {
    colour_solarize(work->pixels, work->count, 256 * (1 - fabs(work->share)));
}

static void autocontrast(const struct work *work) {
    colour_autocontrast(work->pixels, work->count);
}

static void equalize(const struct work *work) {
    colour_equalize(work->pixels, work->count);
}

static void (*const operations[])(const struct work *) = {keep,      shear_x,    shear_y,      translate_x, translate_y,
                                                          rotate,    brightness, contrast,     saturation,  sharpness,
                                                          posterize, solarize,   autocontrast, equalize};

_Static_assert(COUNT(operations) == POLICY_OPERATIONS, "the list is complete");

void policy_operate(uint32_t operation, double share, const uint8_t *copy, uint32_t size, uint8_t *pixels) {
    const struct work work = {pixels, copy, size, (size_t)size * size, share};
    operations[operation](&work);
}

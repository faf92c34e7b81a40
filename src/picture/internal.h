/*
 * internal: what the files of src/picture share.
 */
#ifndef RVK_PICTURE_INTERNAL_H
#define RVK_PICTURE_INTERNAL_H

#include "picture/picture.h"

/* STATUS_DATA with a sentence for a picture without pixels, or with more than `limit` or a side of too many. */
CHECKED enum status picture_check_size(uint64_t width, uint64_t height, uint64_t limit);

/* Room for width x height pixels in *out, which picture_check_size found fit. STATUS_MEMORY. */
CHECKED enum status picture_create(uint64_t width, uint64_t height, struct picture *out);

/* picture_decode with a limit of its own on the number of pixels. */
CHECKED enum status picture_decode_limited(const uint8_t *bytes, size_t size, uint32_t at_least, uint64_t limit,
                                           struct picture *out);

/* The decoders set *out and the EXIF orientation (1 to 8; 1: as it is). */
CHECKED enum status jpeg_decode(const uint8_t *bytes, size_t size, uint32_t at_least, uint64_t limit,
                                struct picture *out, uint32_t *orientation);
CHECKED enum status png_decode(const uint8_t *bytes, size_t size, uint64_t limit, struct picture *out,
                               uint32_t *orientation);

/* The orientation in a block of EXIF data that starts with its TIFF header; 1 when it has none or is damaged. */
uint32_t exif_orientation(const uint8_t *bytes, size_t size);

/* Pixels of a picture or of a part of it: rows are `stride` bytes apart. */
struct view {
    const uint8_t *pixels;
    uint32_t width, height;
    size_t stride;
};

/* What is wanted of a scaled picture: whole pixels of it. */
struct window {
    uint32_t left, top, width, height;
};

/*
 * Scales `box` of the view to width x height pixels and writes those inside `window` to `out`, whose rows are
 * `out_stride` bytes apart.
 */
CHECKED enum status resize_view(const struct view *in, struct box box, uint32_t width, uint32_t height,
                                struct window window, uint8_t *out, size_t out_stride);

/* ---- changes in place, of `count` RGB pixels ---- */

/* Blends with black, with the mean grey, or with each pixel's grey: factor 0 leaves only that, 1 changes nothing. */
void colour_brightness(uint8_t *pixels, size_t count, double factor);
void colour_contrast(uint8_t *pixels, size_t count, double factor);
void colour_saturation(uint8_t *pixels, size_t count, double factor);
/* Turns the hue by `turn` of the circle; saturation and value stay. */
void colour_hue(uint8_t *pixels, size_t count, double turn);
/* Keeps the upper `bits` (1 to 8) of each byte. */
void colour_posterize(uint8_t *pixels, size_t count, uint32_t bits);
/* Inverts the bytes that are not below `threshold`. */
void colour_solarize(uint8_t *pixels, size_t count, double threshold);
/* Stretches each channel to 0..255. */
void colour_autocontrast(uint8_t *pixels, size_t count);
/* Makes each channel's histogram as flat as a table of bytes can. */
void colour_equalize(uint8_t *pixels, size_t count);

/* Where pixel (x, y), counted from the middle of the picture, comes from: (a x + b y + c, d x + e y + f). */
struct affine {
    double a, b, c, d, e, f;
};

/* These read a square of size x size pixels at `in` and write one to `out`. Nearest pixel; black outside. */
void warp_affine(const uint8_t *in, uint32_t size, struct affine affine, uint8_t *out);
/* Blends with the picture smoothed by (1 1 1, 1 5 1, 1 1 1) / 13, whose edge stays: factor 0 leaves only that. */
void warp_sharpness(const uint8_t *in, uint32_t size, double factor, uint8_t *out);

/*
 * One of the policy's operations on a square of pixels, of which `copy` holds a copy. `share` from -1 to 1 of the
 * largest magnitude; its sign is the direction, where there are two.
 */
enum { POLICY_OPERATIONS = 14 };
void policy_operate(uint32_t operation, double share, const uint8_t *copy, uint32_t size, uint8_t *pixels);

/* a + factor * (b - a), cut to a byte as Pillow does. */
uint8_t blend(uint8_t a, uint8_t b, double factor);

#endif

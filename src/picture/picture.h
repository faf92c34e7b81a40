/*
 * picture: bytes of a file to upright RGB pixels, and the transforms that networks for pictures are trained and judged
 * with. Everything is 8 bits a channel, and everything but decoding is the same arithmetic as Pillow's and
 * torchvision's.
 *
 * All functions may be called from several threads at once, on different pictures or on the same one as input.
 */
#ifndef RVK_PICTURE_PICTURE_H
#define RVK_PICTURE_PICTURE_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* Larger pictures are refused before anything is allocated for their pixels. */
#define PICTURE_PIXELS_LIMIT (UINT64_C(1) << 28)
#define PICTURE_SIDE_LIMIT (UINT32_C(1) << 20)

/* RGB, 3 bytes a pixel, rows from the top without gaps. The owner calls picture_destroy. */
struct picture {
    uint32_t width, height;
    uint8_t *pixels;
};

/* Frees the pixels and zeroes the struct; a zeroed struct is fine. */
void picture_destroy(struct picture *picture);

/*
 * Decodes a JPEG or PNG (known by its first bytes) and turns it upright as its EXIF orientation says. Pixels are those
 * of Pillow's convert("RGB"): grey is repeated, alpha is dropped, CMYK is taken as Adobe writes it (inverted), of 16
 * bits the upper 8 remain; colour profiles are ignored.
 *
 * `at_least` pixels are what the caller needs of the shorter side: a JPEG is then decoded at 1/2, 1/4 or 1/8 of its
 * size if that is not smaller. That is several times faster, but the values are a little different from those of the
 * whole picture. 0: full size.
 *
 * STATUS_DATA with a sentence (without the file's name, which the caller adds) when the bytes are no picture, are
 * damaged so that pixels are missing (a truncated file), or hold more pixels than PICTURE_PIXELS_LIMIT (a side:
 * PICTURE_SIDE_LIMIT); STATUS_MEMORY. *out is untouched on failure.
 */
CHECKED enum status picture_decode(const uint8_t *bytes, size_t size, uint32_t at_least, struct picture *out);

/* A part of a picture, in pixels from its upper left corner: x0 <= x < x1, y0 <= y < y1. Fractions of pixels count. */
struct box {
    float x0, y0, x1, y1;
};

/*
 * Scales `box` of the picture to width x height pixels at `out` (3 * width * height bytes): Pillow's
 * Image.resize((width, height), BILINEAR, box), to the byte. The triangle filter is as wide as one output pixel, so
 * that reduced pictures do not alias. STATUS_USAGE when the box is empty or leaves the picture or a size is 0 or above
 * 65,535; STATUS_MEMORY.
 */
CHECKED enum status picture_resize_crop(const struct picture *in, struct box box, uint32_t width, uint32_t height,
                                        uint8_t *out);

/*
 * The transform for evaluation: scales the shorter side to `resize` pixels and writes the square of crop x crop pixels
 * in the middle to `out` (3 * crop * crop bytes). The same bytes as torchvision's Resize(resize), CenterCrop(crop) on
 * a PIL image; where the crop is larger, zeros surround the picture. Errors as picture_resize_crop.
 */
CHECKED enum status picture_evaluation(const struct picture *in, uint32_t resize, uint32_t crop, uint8_t *out);

/*
 * How picture_augment changes a picture. Ranges are those of torchvision's transforms of the same names; a strength of
 * 0 leaves that change out.
 */
struct picture_augment_options {
    /* Random resized crop: the part's share of the area, and width / height, uniform in its logarithm. */
    double area_low, area_high, ratio_low, ratio_high;
    double flip; /* probability of mirroring left and right */
    /* Colour jitter, in random order: factors from 1 - s (at least 0) to 1 + s; the hue moves by up to s of a turn. */
    double brightness, contrast, saturation, hue;
    /* Of RandAugment's 14 operations so many are drawn (with repetition), of magnitude 0 to 30. */
    uint32_t policy_count;
    double policy_magnitude;
};

/* Area 0.08 to 1, ratio 3/4 to 4/3, flip 0.5, no jitter, no policy (its magnitude is 9): the recipe of ImageNet. */
extern const struct picture_augment_options picture_augment_defaults;

/* STATUS_USAGE with a sentence that names the option and its range. */
CHECKED enum status picture_augment_check(const struct picture_augment_options *options);

/*
 * Writes size x size pixels (3 * size * size bytes) at `out`: a random part of the picture, scaled, perhaps mirrored,
 * changed by the policy and then by the colour jitter. A pure function of the picture, the options, seed, epoch and the
 * picture's number `index`. STATUS_USAGE when an option or `size` is out of range (as picture_resize_crop),
 * STATUS_MEMORY.
 */
CHECKED enum status picture_augment(const struct picture *in, const struct picture_augment_options *options,
                                    uint32_t seed, uint32_t epoch, uint32_t index, uint32_t size, uint8_t *out);

/*
 * Encodes a picture as JPEG of `quality` 1 to 100 into *bytes (free with free()). STATUS_USAGE when the quality is out
 * of range or a side is 0 or above 65,500, STATUS_MEMORY; the outputs are untouched on failure.
 */
CHECKED enum status picture_encode_jpeg(const struct picture *in, int quality, uint8_t **bytes, size_t *size);

/*
 * Scales a picture so that its longer side is `side` pixels; smaller pictures are copied. STATUS_USAGE when `side` is
 * out of range (as picture_resize_crop), STATUS_MEMORY; *out is untouched on failure.
 */
CHECKED enum status picture_thumbnail(const struct picture *in, uint32_t side, struct picture *out);

#endif

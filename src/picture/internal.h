/*
 * internal: what the files of src/picture share.
 */
#ifndef RVK_PICTURE_INTERNAL_H
#define RVK_PICTURE_INTERNAL_H

#include "picture/picture.h"

/* STATUS_DATA with a sentence for a picture without pixels or one that exceeds a limit. */
CHECKED enum status picture_check_size(uint64_t width, uint64_t height);

/* Room for width x height pixels in *out. Errors as above, and STATUS_MEMORY. */
CHECKED enum status picture_create(uint64_t width, uint64_t height, struct picture *out);

/* The decoders set *out and the EXIF orientation (1 to 8; 1: as it is). */
CHECKED enum status jpeg_decode(const uint8_t *bytes, size_t size, uint32_t at_least, struct picture *out,
                                uint32_t *orientation);
CHECKED enum status png_decode(const uint8_t *bytes, size_t size, struct picture *out, uint32_t *orientation);

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

#endif

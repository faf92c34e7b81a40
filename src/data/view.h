/*
 * view: how a picture of a streamed data set becomes an image of the network's size.
 */
#ifndef RVK_DATA_VIEW_H
#define RVK_DATA_VIEW_H

#include "data/source.h"
#include "picture/picture.h"

struct view {
    uint32_t size; /* the image has size x size x 3 bytes */
    /*
     * Without `augment`, the shorter side is scaled to 256/224 of `size` and the middle is cut out, as torchvision does
     * for evaluation. With `whole` it is scaled to `size`, and what has that size is taken as it is.
     */
    bool whole;
    const struct picture_augment_options *augment; /* NULL: none */
    uint32_t seed, epoch;                          /* of the augmentation */
};

/*
 * Writes the image of picture `index` to `out`: a pure function of the picture, the view and the index, and for
 * training of whether there are thumbnails: random parts are then those of thumbnails. Any thread. STATUS_DATA or
 * STATUS_IO with the picture's name when it is broken, STATUS_MEMORY.
 */
CHECKED enum status view_picture(struct source *source, uint32_t index, const struct view *view, uint8_t *out);

/*
 * *side: height and width of the pictures, if the first ones (64, or all) are squares of the same size; otherwise 0.
 * Broken ones are passed over. STATUS_MEMORY.
 */
CHECKED enum status view_side(const struct source *source, uint32_t *side);

#endif

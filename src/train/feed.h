/*
 * feed: images on the device as bytes, with the numbers that normalize them.
 *
 * Values in the store: "images" and "labels" of the training set, "normalize.mean" and "normalize.scale". A step
 * gathers its batch from them by index (ops: gather_batch).
 */
#ifndef RVK_TRAIN_FEED_H
#define RVK_TRAIN_FEED_H

#include "data/dataset.h"
#include "exec/store.h"

#include <stdbool.h>

/* An index that leaves a place of the batch empty. */
#define FEED_EMPTY UINT32_MAX

/*
 * Makes "images" and "labels" (or "SET.images", "SET.labels") for `capacity` images of the data set's shape, if they
 * are new, and writes images [first, first + count) to their beginning.
 */
CHECKED enum status feed_images(struct store *store, const char *set, uint32_t capacity, const struct dataset *data,
                                uint32_t first, uint32_t count);

/*
 * Writes mean and scale from the first `count` images: x = (byte - mean of its channel) / deviation of its channel;
 * per pixel: x = (byte - mean of its pixel and channel) / 255.
 */
CHECKED enum status feed_normalization(struct store *store, const struct dataset *data, uint32_t count, bool per_pixel);

/* Writes the usual normalization of ImageNet's images, whose values are in 0 to 255 here. STATUS_DATA but for three
 * channels. */
CHECKED enum status feed_imagenet_normalization(struct store *store, uint32_t channels);

#endif

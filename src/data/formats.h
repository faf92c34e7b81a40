/*
 * formats: the loaders behind dataset_load, and their parsers, which take a block of memory and trust nothing in it.
 */
#ifndef RVK_DATA_FORMATS_H
#define RVK_DATA_FORMATS_H

#include "data/dataset.h"

/*
 * Makes the arrays of a data set whose other fields are set. STATUS_DATA when there are no images, or more bytes of
 * them than one tensor holds (2^31).
 */
CHECKED enum status dataset_allocate(struct dataset *dataset);

/* An IDX block: big-endian; two zero bytes, type 8 (byte), number of dimensions, the dimensions, the values. */
struct idx {
    uint32_t extents[3];
    const uint8_t *values; /* points into the block */
};

/* Takes exactly `dimensions` (1 to 3) and exactly as many bytes as they say. */
CHECKED enum status idx_parse(const uint8_t *bytes, size_t size, uint32_t dimensions, struct idx *out);

/* Records of one or two label bytes (the last counts) and 32x32 bytes of red, then green, then blue. */
struct cifar_layout {
    uint32_t label_bytes, classes;
};

/* Number of records in a block, at least 1. */
CHECKED enum status cifar_count(const struct cifar_layout *layout, size_t size, uint32_t *count);

/* Writes the records of the block to images and labels first, first + 1, ... of `out`, which has room for them. */
CHECKED enum status cifar_parse(const struct cifar_layout *layout, const uint8_t *bytes, size_t size, uint32_t first,
                                struct dataset *out);

/* These may leave `out` half-built on failure: dataset_load destroys it. */
CHECKED enum status mnist_load(const char *folder, bool training, struct dataset *out);
CHECKED enum status fashion_mnist_load(const char *folder, bool training, struct dataset *out);
CHECKED enum status cifar10_load(const char *folder, bool training, struct dataset *out);
CHECKED enum status cifar100_load(const char *folder, bool training, struct dataset *out);

/* Takes "count=512,classes=10" (or nothing) apart: sizes into `out`, which has no images yet, and the seed. */
CHECKED enum status generated_parse(const char *options, struct dataset *out, uint32_t *seed);

CHECKED enum status generated_load(const char *options, bool training, struct dataset *out);

#endif

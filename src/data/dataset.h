/*
 * dataset: labelled images, from the files that people have: in host memory, or streamed.
 *
 *   fashion-mnist        where Debian's package dataset-fashion-mnist puts it
 *   fashion-mnist:DIR    IDX files, gz or plain: train-images-idx3-ubyte[.gz], train-labels-idx1-ubyte[.gz], t10k-...
 *   mnist:DIR            the same names
 *   cifar10:DIR          data_batch_1.bin .. data_batch_5.bin, test_batch.bin, in DIR or DIR/cifar-10-batches-bin
 *   cifar100:DIR         train.bin, test.bin, in DIR or DIR/cifar-100-binary; the fine labels are taken
 *   generated            "generated:count=512,classes=10,size=32,channels=3,seed=1" (these are the defaults): every
 *                        class is a smooth random pattern, every image a pattern plus noise
 *
 *   folder:DIR           JPEG and PNG files in a folder for each class; the classes may lie in DIR/train and DIR/val
 *   tar:FILE             the same in a tar that is not compressed; or files 1.jpg, 1.cls as WebDataset has them
 *
 * 28x28 images get a border of zeros, to 32x32.
 *
 * The last two are streamed: their pictures have any size and are read when they are needed (loader.h). How a picture
 * becomes an image is a view of it (view.h).
 */
#ifndef RVK_DATA_DATASET_H
#define RVK_DATA_DATASET_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct source;

struct dataset {
    char name[32]; /* "cifar10" */
    uint32_t count, height, width, channels, classes;
    uint8_t
        *images; /* [count, height, width, channels], padded with zeros to a multiple of four bytes; NULL: streamed */
    uint32_t *labels;               /* [count], each below `classes`; UINT32_MAX: unknown */
    const char *const *class_names; /* [classes], live as long as the set; NULL: the classes have no names */
    struct source *source;          /* of a streamed set; otherwise NULL */
    bool whole;                     /* streamed: its pictures have the height and width of the set already */
};

/*
 * Loads the training part or the test part of `spec`. On failure `out` is empty: STATUS_USAGE for a spec that is none,
 * STATUS_DATA for files that are missing or malformed (the sentence names file, record and byte), STATUS_IO for files
 * that cannot be read, STATUS_MEMORY.
 */
CHECKED enum status dataset_load(const char *spec, bool training, struct dataset *out);

/*
 * The pictures at `paths`, and all those in folders and their folders among them, in this order: a streamed set without
 * labels and classes. Of folders, files are taken that are called .jpg, .jpeg or .png. STATUS_DATA when a path does not
 * exist, or there are no pictures at all; STATUS_IO, STATUS_MEMORY.
 */
CHECKED enum status dataset_list(const char *const *paths, size_t count, struct dataset *out);

/*
 * Sets height and width of a streamed set: `size`, or where that is 0 the size of its pictures, if they are squares of
 * the same one, and otherwise `usual`. STATUS_USAGE for another data set, if `size` is not what it has.
 */
CHECKED enum status dataset_choose_size(struct dataset *dataset, uint32_t size, uint32_t usual);

/*
 * The first `count` pictures of a streamed set whose size is known, as for evaluation, in a set that is not streamed;
 * no more than 1,000 or 256 MB of them. Broken ones are told to the log and left out. STATUS_DATA when they are too
 * many, STATUS_MEMORY.
 */
CHECKED enum status dataset_sample(const struct dataset *dataset, uint32_t count, struct dataset *out);

/* Accepts an empty data set. */
void dataset_destroy(struct dataset *dataset);

/*
 * Mean and (population) deviation of each channel, [channels], and mean of each pixel, [height, width, channels], over
 * images [first, first + count), in units of a byte. A deviation is 0 where all values are equal. Outputs may be NULL.
 */
void dataset_statistics(const struct dataset *dataset, uint32_t first, uint32_t count, double *mean_per_channel,
                        double *deviation_per_channel, double *mean_per_pixel);

/* First image of the validation part when `fraction` is cut from the end, as Keras does: floor(count (1 - fraction)).
 */
uint32_t dataset_split(uint32_t count, double fraction);

#endif

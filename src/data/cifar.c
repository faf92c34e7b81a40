/* CIFAR-10 and CIFAR-100 in their binary versions (layout: "The CIFAR-10 dataset", Krizhevsky). */
#include "data/formats.h"

#include "base/file.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, PIXELS = SIDE * SIDE, CHANNELS = 3, PARTS = 5 };

/* Bytes of one file: more than twice the largest (CIFAR-100's train.bin has 153,700,000). */
#define FILE_LIMIT ((size_t)400 << 20)

static const char *const cifar10_names[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                            "dog",      "frog",       "horse", "ship", "truck"};
static const char *const cifar100_names[] = {
    "apple",      "aquarium_fish", "baby",         "bear",       "beaver",      "bed",         "bee",
    "beetle",     "bicycle",       "bottle",       "bowl",       "boy",         "bridge",      "bus",
    "butterfly",  "camel",         "can",          "castle",     "caterpillar", "cattle",      "chair",
    "chimpanzee", "clock",         "cloud",        "cockroach",  "couch",       "crab",        "crocodile",
    "cup",        "dinosaur",      "dolphin",      "elephant",   "flatfish",    "forest",      "fox",
    "girl",       "hamster",       "house",        "kangaroo",   "keyboard",    "lamp",        "lawn_mower",
    "leopard",    "lion",          "lizard",       "lobster",    "man",         "maple_tree",  "motorcycle",
    "mountain",   "mouse",         "mushroom",     "oak_tree",   "orange",      "orchid",      "otter",
    "palm_tree",  "pear",          "pickup_truck", "pine_tree",  "plain",       "plate",       "poppy",
    "porcupine",  "possum",        "rabbit",       "raccoon",    "ray",         "road",        "rocket",
    "rose",       "sea",           "seal",         "shark",      "shrew",       "skunk",       "skyscraper",
    "snail",      "snake",         "spider",       "squirrel",   "streetcar",   "sunflower",   "sweet_pepper",
    "table",      "tank",          "telephone",    "television", "tiger",       "tractor",     "train",
    "trout",      "tulip",         "turtle",       "wardrobe",   "whale",       "willow_tree", "wolf",
    "woman",      "worm"};

static size_t record_bytes(const struct cifar_layout *layout) {
    return layout->label_bytes + (size_t)CHANNELS * PIXELS;
}

enum status cifar_count(const struct cifar_layout *layout, size_t size, uint32_t *count) {
    size_t record = record_bytes(layout);
    if (size % record)
        return fail(STATUS_DATA, "the file ends in the middle of record %zu: %zu of its %zu bytes are there",
                    size / record, size % record, record);
    if (size == 0)
        return fail(STATUS_DATA, "the file is empty");
    *count = (uint32_t)(size / record);
    return STATUS_OK;
}

enum status cifar_parse(const struct cifar_layout *layout, const uint8_t *bytes, size_t size, uint32_t first,
                        struct dataset *out) {
    size_t record = record_bytes(layout);
    uint32_t count = 0;
    TRY(cifar_count(layout, size, &count));
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *planes = bytes + i * record + layout->label_bytes;
        uint8_t *image = out->images + ((size_t)first + i) * PIXELS * CHANNELS, label = planes[-1];
        if (label >= layout->classes)
            return fail(STATUS_DATA, "record %u (byte %zu): the label %u is not in 0..%u", i,
                        (size_t)(planes - 1 - bytes), label, layout->classes - 1);
        out->labels[first + i] = label;
        for (size_t p = 0; p < PIXELS; p++)
            for (size_t c = 0; c < CHANNELS; c++)
                image[p * CHANNELS + c] = planes[c * PIXELS + p];
    }
    return STATUS_OK;
}

/* The files of one part (training or test) of a data set. */
struct files {
    const char *subfolder, *names[PARTS + 1], *advice;
    struct cifar_layout layout;
};

struct block {
    char *path;
    uint8_t *bytes;
    size_t size;
    uint32_t count;
};

/* `block` may be half-filled on failure. */
static enum status read_block(const char *folder, const struct files *files, const char *name, struct block *block) {
    size_t path_size = strlen(folder) + 64;
    TRY(memory_zeroed(path_size, 1, &block->path));
    snprintf(block->path, path_size, "%s/%s", folder, name);
    if (!file_exists(block->path))
        snprintf(block->path, path_size, "%s/%s/%s", folder, files->subfolder, name);
    if (!file_exists(block->path))
        return fail(STATUS_DATA, "%s: there is no %s, also not in its subfolder %s; %s", folder, name, files->subfolder,
                    files->advice);
    TRY(file_read(block->path, FILE_LIMIT, &block->bytes, &block->size));
    enum status status = cifar_count(&files->layout, block->size, &block->count);
    return status == STATUS_OK ? STATUS_OK : fail_prefix(status, "%s", block->path);
}

static enum status join_blocks(const struct files *files, const struct block *blocks, struct dataset *out) {
    for (int i = 0; i < PARTS; i++)
        out->count += blocks[i].count;
    out->height = out->width = SIDE;
    out->channels = CHANNELS;
    out->classes = files->layout.classes;
    TRY(dataset_allocate(out));
    uint32_t first = 0;
    for (int i = 0; i < PARTS && blocks[i].bytes; first += blocks[i++].count) {
        enum status status = cifar_parse(&files->layout, blocks[i].bytes, blocks[i].size, first, out);
        if (status != STATUS_OK)
            return fail_prefix(status, "%s", blocks[i].path);
    }
    return STATUS_OK;
}

static enum status load(const char *folder, const struct files *files, struct dataset *out) {
    struct block blocks[PARTS] = {{0}};
    enum status status = STATUS_OK;
    for (int i = 0; files->names[i] && status == STATUS_OK; i++)
        status = read_block(folder, files, files->names[i], &blocks[i]);
    if (status == STATUS_OK)
        status = join_blocks(files, blocks, out);
    for (int i = 0; i < PARTS; i++) {
        free(blocks[i].path);
        free(blocks[i].bytes);
    }
    return status;
}

enum status cifar10_load(const char *folder, bool training, struct dataset *out) {
    struct files files = {
        .subfolder = "cifar-10-batches-bin",
        .names = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
        .advice = "the binary version of CIFAR-10 has data_batch_1.bin to data_batch_5.bin and test_batch.bin",
        .layout = {.label_bytes = 1, .classes = 10},
    };
    if (!training) {
        files.names[0] = "test_batch.bin";
        files.names[1] = NULL;
    }
    out->class_names = cifar10_names;
    return load(folder, &files, out);
}

enum status cifar100_load(const char *folder, bool training, struct dataset *out) {
    struct files files = {
        .subfolder = "cifar-100-binary",
        .names = {training ? "train.bin" : "test.bin"},
        .advice = "the binary version of CIFAR-100 has train.bin and test.bin",
        .layout = {.label_bytes = 2, .classes = 100},
    };
    out->class_names = cifar100_names;
    return load(folder, &files, out);
}

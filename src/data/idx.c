/* MNIST and Fashion-MNIST: pairs of IDX files (format: "The MNIST database of handwritten digits", LeCun et al.). */
#include "data/formats.h"

#include "base/file.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 28, PADDED_SIDE = 32, BORDER = (PADDED_SIDE - SIDE) / 2, CLASSES = 10 };

/* Unpacked bytes of one file: 1.3 million images, twenty times MNIST. */
#define FILE_LIMIT ((size_t)1 << 30)

static const char *const digits[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
static const char *const garments[] = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                       "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

static uint32_t big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

enum status idx_parse(const uint8_t *bytes, size_t size, uint32_t dimensions, struct idx *out) {
    size_t header = 4 + 4 * (size_t)dimensions;
    if (size < header)
        return fail(STATUS_DATA, "%zu bytes are too short for the %zu-byte header of an IDX file", size, header);
    uint32_t magic = big_endian(bytes), expected = 0x800 + dimensions;
    if (magic != expected)
        return fail(STATUS_DATA, "the file starts with 0x%08x instead of 0x%08x (IDX, unsigned bytes, %u dimension%s)",
                    magic, expected, dimensions, dimensions == 1 ? "" : "s");
    struct idx idx = {.extents = {1, 1, 1}, .values = bytes + header};
    uint64_t values = 1;
    for (uint32_t i = 0; i < dimensions; i++) {
        uint32_t extent = idx.extents[i] = big_endian(bytes + 4 + 4 * (size_t)i);
        if (extent && values > size / extent)
            return fail(STATUS_DATA, "the file ends too soon: its header promises %llu x %u values, it has %zu bytes",
                        (unsigned long long)values, extent, size);
        values *= extent;
    }
    uint64_t end = header + values;
    if (size < end)
        return fail(STATUS_DATA, "the file ends too soon, at byte %zu: its header promises %llu bytes", size,
                    (unsigned long long)end);
    if (size > end)
        return fail(STATUS_DATA, "%llu trailing bytes from byte %llu on, where its header says that the file ends",
                    (unsigned long long)(size - end), (unsigned long long)end);
    *out = idx;
    return STATUS_OK;
}

/* Reads FOLDER/NAME or FOLDER/NAME.gz; `path` receives which. */
static enum status read_idx(const char *folder, const char *name, const char *advice, char *path, size_t path_size,
                            uint8_t **bytes, size_t *size) {
    snprintf(path, path_size, "%s/%s", folder, name);
    if (!file_exists(path))
        snprintf(path, path_size, "%s/%s.gz", folder, name);
    if (!file_exists(path))
        return fail(STATUS_DATA, "%s: there is no %s or %s.gz; %s", folder, name, name, advice);
    return file_read_gz(path, FILE_LIMIT, bytes, size);
}

static enum status take_images(const uint8_t *bytes, size_t size, struct dataset *out) {
    struct idx idx = {0};
    TRY(idx_parse(bytes, size, 3, &idx));
    if (idx.extents[1] != SIDE || idx.extents[2] != SIDE)
        return fail(STATUS_DATA, "the images are %ux%u, expected are %dx%d", idx.extents[1], idx.extents[2], SIDE,
                    SIDE);
    out->count = idx.extents[0];
    out->height = out->width = PADDED_SIDE;
    out->channels = 1;
    TRY(dataset_allocate(out));
    for (uint32_t i = 0; i < out->count; i++)
        for (size_t y = 0; y < SIDE; y++)
            memcpy(out->images + (i * (size_t)PADDED_SIDE + y + BORDER) * PADDED_SIDE + BORDER,
                   idx.values + (i * (size_t)SIDE + y) * SIDE, SIDE);
    return STATUS_OK;
}

static enum status take_labels(const uint8_t *bytes, size_t size, struct dataset *out) {
    struct idx idx = {0};
    TRY(idx_parse(bytes, size, 1, &idx));
    if (idx.extents[0] != out->count)
        return fail(STATUS_DATA, "%u labels for %u images", idx.extents[0], out->count);
    for (uint32_t i = 0; i < out->count; i++) {
        if (idx.values[i] >= CLASSES)
            return fail(STATUS_DATA, "record %u (byte %u): the label %u is not in 0..%d", i, 8 + i, idx.values[i],
                        CLASSES - 1);
        out->labels[i] = idx.values[i];
    }
    return STATUS_OK;
}

static enum status load_part(const char *folder, const char *name, const char *advice,
                             enum status (*take)(const uint8_t *, size_t, struct dataset *), struct dataset *out) {
    size_t path_size = strlen(folder) + 64, size;
    char *path;
    uint8_t *bytes = NULL;
    TRY(memory_zeroed(path_size, 1, &path));
    enum status status = read_idx(folder, name, advice, path, path_size, &bytes, &size);
    if (status == STATUS_OK) {
        status = take(bytes, size, out);
        if (status != STATUS_OK)
            status = fail_prefix(status, "%s", path);
    }
    free(bytes);
    free(path);
    return status;
}

static enum status load(const char *folder, bool training, const char *advice, const char *const *class_names,
                        struct dataset *out) {
    out->classes = CLASSES;
    out->class_names = class_names;
    TRY(load_part(folder, training ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte", advice, take_images, out));
    return load_part(folder, training ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte", advice, take_labels, out);
}

enum status mnist_load(const char *folder, bool training, struct dataset *out) {
    return load(folder, training,
                "MNIST has train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
                "t10k-labels-idx1-ubyte, each plain or with .gz",
                digits, out);
}

enum status fashion_mnist_load(const char *folder, bool training, struct dataset *out) {
    return load(folder, training,
                "on Debian \"apt-get install dataset-fashion-mnist\" puts it into /usr/share/datasets/fashion-mnist, "
                "elsewhere name the folder of the four files: fashion-mnist:DIR",
                garments, out);
}

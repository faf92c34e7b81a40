/* Data sets: what the loaders read, and that they refuse everything else with a sentence that names file and record. */
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/dataset.h"
#include "data/formats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

enum { CIFAR10_RECORD = 3073, CIFAR100_RECORD = 3074, IMAGE = 28 * 28 };

static char folder[] = "/tmp/resnet-vk-test-data-XXXXXX";

static const char *path_of(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const void *bytes, size_t size) {
    assert_int_equal(file_write_atomic(path_of(name), &(struct file_piece){bytes, size}, 1), STATUS_OK);
}

static void put_gz(const char *name, const void *bytes, size_t size) {
    gzFile file = gzopen(path_of(name), "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, (unsigned)size), (int)size);
    assert_int_equal(gzclose(file), Z_OK);
}

static void drop(const char *name) {
    unlink(path_of(name));
}

/* `text` must be a part of the last failure's sentence. */
static void assert_says(const char *text) {
    if (!strstr(status_message(), text))
        fail_msg("\"%s\" is not in: %s", text, status_message());
}

static void assert_refused(const char *spec, bool training, enum status status, const char *text) {
    struct dataset data;
    assert_int_equal(dataset_load(spec, training, &data), status);
    assert_says(text);
    assert_null(data.images);
    assert_null(data.labels);
    assert_int_equal(data.count, 0);
}

/* ---- IDX ---- */

static size_t idx_images(uint8_t *out, uint32_t count) {
    const uint8_t header[] = {0, 0, 8, 3, 0, 0, 0, (uint8_t)count, 0, 0, 0, 28, 0, 0, 0, 28};
    memcpy(out, header, sizeof header);
    for (uint32_t i = 0; i < count * IMAGE; i++)
        out[16 + i] = (uint8_t)(1 + i % 251);
    return 16 + count * IMAGE;
}

static size_t idx_labels(uint8_t *out, uint32_t count) {
    const uint8_t header[] = {0, 0, 8, 1, 0, 0, 0, (uint8_t)count};
    memcpy(out, header, sizeof header);
    for (uint32_t i = 0; i < count; i++)
        out[8 + i] = (uint8_t)(i * 3 % 10);
    return 8 + count;
}

static const char *spec(const char *name) {
    static char text[300];
    snprintf(text, sizeof text, "%s:%s", name, folder);
    return text;
}

static void idx_files_are_read(void **state) {
    (void)state;
    uint8_t images[16 + 7 * IMAGE], labels[8 + 7];
    size_t image_size = idx_images(images, 7), label_size = idx_labels(labels, 7);
    put_gz("train-images-idx3-ubyte.gz", images, image_size);
    put("train-labels-idx1-ubyte", labels, label_size);
    struct dataset data;
    assert_int_equal(dataset_load(spec("fashion-mnist"), true, &data), STATUS_OK);
    assert_string_equal(data.name, "fashion-mnist");
    assert_string_equal(data.class_names[9], "Ankle boot");
    assert_int_equal(data.count, 7);
    assert_int_equal(data.height, 32);
    assert_int_equal(data.width, 32);
    assert_int_equal(data.channels, 1);
    assert_int_equal(data.classes, 10);
    for (uint32_t i = 0; i < 7; i++) {
        assert_int_equal(data.labels[i], i * 3 % 10);
        for (uint32_t y = 0; y < 32; y++)
            for (uint32_t x = 0; x < 32; x++) {
                bool inside = y >= 2 && y < 30 && x >= 2 && x < 30;
                uint32_t expected = inside ? images[16 + i * IMAGE + (y - 2) * 28 + (x - 2)] : 0;
                assert_int_equal(data.images[(i * 32 + y) * 32 + x], expected);
            }
    }
    dataset_destroy(&data);
    assert_int_equal(dataset_load(spec("mnist"), true, &data), STATUS_OK);
    assert_string_equal(data.class_names[9], "9");
    dataset_destroy(&data);
    drop("train-images-idx3-ubyte.gz");
    drop("train-labels-idx1-ubyte");
}

static void idx_mistakes_are_named(void **state) {
    (void)state;
    uint8_t images[16 + 7 * IMAGE + 1], labels[8 + 7];
    size_t image_size = idx_images(images, 7), label_size = idx_labels(labels, 7);
    assert_refused(spec("mnist"), false, STATUS_DATA, "there is no t10k-images-idx3-ubyte or");
    assert_refused(spec("fashion-mnist"), false, STATUS_DATA, "apt-get install dataset-fashion-mnist");
    put("t10k-images-idx3-ubyte", images, image_size);
    assert_refused(spec("mnist"), false, STATUS_DATA, "there is no t10k-labels-idx1-ubyte");

    labels[8 + 5] = 10;
    put("t10k-labels-idx1-ubyte", labels, label_size);
    assert_refused(spec("mnist"), false, STATUS_DATA,
                   "t10k-labels-idx1-ubyte: record 5 (byte 13): the label 10 is not in 0..9");
    idx_labels(labels, 6);
    put("t10k-labels-idx1-ubyte", labels, label_size - 1);
    assert_refused(spec("mnist"), false, STATUS_DATA, "6 labels for 7 images");
    idx_labels(labels, 7);
    put("t10k-labels-idx1-ubyte", labels, label_size);

    put("t10k-images-idx3-ubyte", images, image_size - 1);
    assert_refused(spec("mnist"), false, STATUS_DATA, "t10k-images-idx3-ubyte: the file ends too soon, at byte 5503");
    images[image_size] = 0;
    put("t10k-images-idx3-ubyte", images, image_size + 1);
    assert_refused(spec("mnist"), false, STATUS_DATA, "1 trailing bytes from byte 5504");
    images[3] = 1;
    put("t10k-images-idx3-ubyte", images, image_size);
    assert_refused(spec("mnist"), false, STATUS_DATA, "starts with 0x00000801 instead of 0x00000803");
    images[3] = 3;
    images[11] = 14;
    images[15] = 56;
    put("t10k-images-idx3-ubyte", images, image_size);
    assert_refused(spec("mnist"), false, STATUS_DATA, "the images are 14x56, expected are 28x28");
    idx_images(images, 0);
    put("t10k-images-idx3-ubyte", images, 16);
    assert_refused(spec("mnist"), false, STATUS_DATA, "there are no images");
    memset(images + 4, 0xff, 12);
    put("t10k-images-idx3-ubyte", images, image_size);
    assert_refused(spec("mnist"), false, STATUS_DATA, "too soon: its header promises 1 x 4294967295 values");
    drop("t10k-images-idx3-ubyte");
    drop("t10k-labels-idx1-ubyte");
}

/* Takes a copy of exactly `size` bytes, so that a sanitizer sees a read past its end. */
static enum status parse_idx_copy(const uint8_t *bytes, size_t size, uint32_t dimensions, struct idx *idx) {
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    enum status status = idx_parse(copy, size, dimensions, idx);
    if (status == STATUS_OK) {
        uint64_t values = (uint64_t)idx->extents[0] * idx->extents[1] * idx->extents[2];
        assert_int_equal(idx->values - copy + (int64_t)values, size);
    }
    free(copy);
    return status;
}

static void idx_is_refused_at_every_length(void **state) {
    (void)state;
    uint8_t bytes[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
    struct idx idx;
    for (size_t size = 0; size <= sizeof bytes; size++) {
        enum status expected = size == 28 ? STATUS_OK : STATUS_DATA;
        assert_int_equal(parse_idx_copy(bytes, size, 3, &idx), expected);
    }
    assert_int_equal(idx.extents[2], 3);
    const uint8_t none[] = {0, 0, 8, 3, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255};
    assert_int_equal(parse_idx_copy(none, sizeof none, 3, &idx), STATUS_OK);
    assert_int_equal(idx.extents[0], 0);
}

static void gzip_is_refused_at_every_length(void **state) {
    (void)state;
    uint8_t labels[8 + 7], *packed, *bytes;
    size_t label_size = idx_labels(labels, 7), size, unpacked;
    put_gz("x.gz", labels, label_size);
    assert_int_equal(file_read(path_of("x.gz"), 1000, &packed, &size), STATUS_OK);
    for (size_t part = 0; part < size; part++) {
        assert_int_equal(file_unpack(packed, part, 1000, &bytes, &unpacked), STATUS_DATA);
        assert_says("ends too soon");
    }
    assert_int_equal(file_unpack(packed, size, label_size - 1, &bytes, &unpacked), STATUS_DATA);
    assert_says("more than 14 bytes");
    assert_int_equal(file_unpack(packed, size, label_size, &bytes, &unpacked), STATUS_OK);
    assert_int_equal(unpacked, label_size);
    assert_memory_equal(bytes, labels, label_size);
    free(bytes);

    packed[size - 5] ^= 1;
    assert_int_equal(file_unpack(packed, size, 1000, &bytes, &unpacked), STATUS_DATA);
    assert_says("damaged");
    packed[size - 5] ^= 1;
    uint8_t *twice = malloc(2 * size);
    memcpy(twice, packed, size);
    memcpy(twice + size, packed, size);
    assert_int_equal(file_unpack(twice, 2 * size, 1000, &bytes, &unpacked), STATUS_OK);
    assert_int_equal(unpacked, 2 * label_size);
    free(bytes);
    assert_int_equal(file_unpack(twice, size + 1, 1000, &bytes, &unpacked), STATUS_DATA);
    free(twice);
    free(packed);
    drop("x.gz");
}

static void a_packed_bomb_is_refused(void **state) {
    (void)state;
    const size_t size = (size_t)8 << 20;
    uint8_t *zeros = calloc(size, 1), *bytes;
    put_gz("bomb.gz", zeros, size);
    free(zeros);
    size_t unpacked;
    assert_int_equal(file_read_gz(path_of("bomb.gz"), 1 << 20, &bytes, &unpacked), STATUS_DATA);
    assert_says("bomb.gz: more than 1048576 bytes");
    assert_int_equal(file_read_gz(path_of("bomb.gz"), size, &bytes, &unpacked), STATUS_OK);
    assert_int_equal(unpacked, size);
    free(bytes);
    drop("bomb.gz");
}

/* ---- CIFAR ---- */

static void cifar_record(uint8_t *out, uint32_t label_bytes, uint8_t label, uint32_t seed) {
    out[0] = 77;
    out[label_bytes - 1] = label;
    for (uint32_t i = 0; i < 3072; i++)
        out[label_bytes + i] = (uint8_t)random_below(seed, 0, i, 256);
}

static void assert_image(const struct dataset *data, uint32_t image, uint32_t seed) {
    for (uint32_t p = 0; p < 1024; p++)
        for (uint32_t c = 0; c < 3; c++)
            assert_int_equal(data->images[(image * 1024 + p) * 3 + c], random_below(seed, 0, c * 1024 + p, 256));
}

static void cifar10_files_are_read(void **state) {
    (void)state;
    uint8_t records[2 * CIFAR10_RECORD];
    mkdir(path_of("cifar-10-batches-bin"), 0700);
    for (uint8_t part = 1; part <= 5; part++) {
        char name[64];
        snprintf(name, sizeof name, "cifar-10-batches-bin/data_batch_%d.bin", part);
        cifar_record(records, 1, part, part);
        cifar_record(records + CIFAR10_RECORD, 1, (uint8_t)(part + 4), part + 10u);
        put(name, records, sizeof records);
        if (part < 5)
            assert_refused(spec("cifar10"), true, STATUS_DATA, "data_batch_1.bin to data_batch_5.bin");
    }
    struct dataset data;
    assert_int_equal(dataset_load(spec("cifar10"), true, &data), STATUS_OK);
    assert_int_equal(data.count, 10);
    assert_int_equal(data.classes, 10);
    assert_int_equal(data.channels, 3);
    assert_string_equal(data.class_names[9], "truck");
    for (uint32_t part = 1; part <= 5; part++) {
        assert_int_equal(data.labels[2 * part - 2], part);
        assert_int_equal(data.labels[2 * part - 1], part + 4);
        assert_image(&data, 2 * part - 2, part);
        assert_image(&data, 2 * part - 1, part + 10);
    }
    dataset_destroy(&data);

    records[CIFAR10_RECORD] = 10;
    put("cifar-10-batches-bin/data_batch_3.bin", records, sizeof records);
    assert_refused(spec("cifar10"), true, STATUS_DATA,
                   "data_batch_3.bin: record 1 (byte 3073): the label 10 is not in 0..9");
    put("cifar-10-batches-bin/data_batch_3.bin", records, sizeof records - 7);
    assert_refused(spec("cifar10"), true, STATUS_DATA,
                   "data_batch_3.bin: the file ends in the middle of record 1: 3066 of its 3073 bytes");
    put("test_batch.bin", records, 0);
    assert_refused(spec("cifar10"), false, STATUS_DATA, "test_batch.bin: the file is empty");
    put("test_batch.bin", records, CIFAR10_RECORD);
    assert_int_equal(dataset_load(spec("cifar10"), false, &data), STATUS_OK);
    assert_int_equal(data.count, 1);
    dataset_destroy(&data);
    drop("test_batch.bin");
}

static void cifar100_takes_the_fine_label(void **state) {
    (void)state;
    uint8_t records[2 * CIFAR100_RECORD];
    cifar_record(records, 2, 99, 1);
    cifar_record(records + CIFAR100_RECORD, 2, 4, 2);
    put("train.bin", records, sizeof records);
    struct dataset data;
    assert_int_equal(dataset_load(spec("cifar100"), true, &data), STATUS_OK);
    assert_int_equal(data.count, 2);
    assert_int_equal(data.classes, 100);
    assert_int_equal(data.labels[0], 99);
    assert_int_equal(data.labels[1], 4);
    assert_string_equal(data.class_names[99], "worm");
    assert_image(&data, 1, 2);
    dataset_destroy(&data);
    records[CIFAR100_RECORD + 1] = 100;
    put("train.bin", records, sizeof records);
    assert_refused(spec("cifar100"), true, STATUS_DATA,
                   "train.bin: record 1 (byte 3075): the label 100 is not in 0..99");
    drop("train.bin");
    mkdir(path_of("train.bin"), 0700);
    assert_refused(spec("cifar100"), true, STATUS_DATA, "Is a directory");
    rmdir(path_of("train.bin"));
}

/* ---- any bytes at all ---- */

/* A few thousand damaged blocks: whatever the parsers say, they stay inside the block (ASan sees it otherwise). */
static void damaged_blocks_are_harmless(void **state) {
    (void)state;
    uint8_t images[16 + 2 * IMAGE], record[2 * CIFAR10_RECORD], *packed;
    size_t image_size = idx_images(images, 2), packed_size;
    cifar_record(record, 1, 3, 1);
    cifar_record(record + CIFAR10_RECORD, 1, 5, 2);
    put_gz("x.gz", images, image_size);
    assert_int_equal(file_read(path_of("x.gz"), 10000, &packed, &packed_size), STATUS_OK);
    const struct cifar_layout layout = {1, 10};
    uint32_t refused = 0, taken = 0;
    for (uint32_t trial = 0; trial < 4000; trial++) {
        const uint8_t *sources[] = {images, record, packed};
        const size_t sizes[] = {image_size, sizeof record, packed_size};
        uint32_t kind = trial % 3;
        size_t size = random_below(1, trial, 0, 4) ? sizes[kind] : random_below(1, trial, 1, (uint32_t)sizes[kind]);
        uint8_t *copy = malloc(size ? size : 1);
        memcpy(copy, sources[kind], size);
        for (uint32_t flips = random_below(1, trial, 2, 4); size && flips > 0; flips--) {
            /* Half of them in the first bytes, where the header is. */
            uint32_t range = random_below(1, trial, 3 * flips, 2) ? (uint32_t)MIN(size, (size_t)16) : (uint32_t)size;
            copy[random_below(1, trial, 3 * flips + 1, range)] ^= (uint8_t)(1u << random_below(1, trial, flips, 8));
        }
        enum status status;
        if (kind == 0) {
            struct idx idx;
            status = parse_idx_copy(copy, size, 3, &idx);
        } else if (kind == 1) {
            struct dataset data = {.count = 2, .height = 32, .width = 32, .channels = 3, .classes = 10};
            assert_int_equal(dataset_allocate(&data), STATUS_OK);
            status = cifar_parse(&layout, copy, size, 0, &data);
            dataset_destroy(&data);
        } else {
            uint8_t *bytes = NULL;
            size_t unpacked;
            status = file_unpack(copy, size, 1 << 16, &bytes, &unpacked);
            free(bytes);
        }
        assert_true(status == STATUS_OK || status == STATUS_DATA);
        (*(status == STATUS_OK ? &taken : &refused))++;
        free(copy);
    }
    assert_true(refused > 1000 && taken > 500);
    free(packed);
    drop("x.gz");
}

/* ---- specs, generated data, statistics, split ---- */

static void specs_are_checked(void **state) {
    (void)state;
    assert_refused("imagenet", true, STATUS_USAGE, "no data set called \"imagenet\"");
    assert_refused("", true, STATUS_USAGE, "no data set called");
    assert_refused("cifar10", true, STATUS_USAGE, "cifar10:DIR");
    assert_refused("mnist:", true, STATUS_USAGE, "mnist:DIR");
    assert_refused("generated:count=0", true, STATUS_USAGE, "count should be a whole number from 1 to");
    assert_refused("generated:count=99999999999999999999", true, STATUS_USAGE, "count should be");
    assert_refused("generated:count=5x", true, STATUS_USAGE, "count should be");
    assert_refused("generated:count", true, STATUS_USAGE, "should start with");
    assert_refused("generated:colour=3", true, STATUS_USAGE, "\"colour=3\"");
    assert_refused("generated:count=1048576,size=512", true, STATUS_DATA, "more than the limit");
    assert_refused("cifar10:/nonexistent", true, STATUS_DATA, "/nonexistent: there is no data_batch_1.bin");
}

static double distance(const struct dataset *a, uint32_t i, const struct dataset *b, uint32_t j) {
    size_t bytes = (size_t)a->height * a->width * a->channels;
    double sum = 0;
    for (size_t p = 0; p < bytes; p++) {
        double difference = (double)a->images[i * bytes + p] - b->images[j * bytes + p];
        sum += difference * difference;
    }
    return sum;
}

static void generated_classes_can_be_told_apart(void **state) {
    (void)state;
    const char *text = "generated:count=60,classes=6,size=20,channels=2,seed=9";
    struct dataset train, again, test, other;
    assert_int_equal(dataset_load(text, true, &train), STATUS_OK);
    assert_int_equal(dataset_load(text, true, &again), STATUS_OK);
    assert_int_equal(dataset_load(text, false, &test), STATUS_OK);
    assert_int_equal(dataset_load("generated:seed=10,channels=2,count=60,size=20,classes=6", true, &other), STATUS_OK);
    size_t bytes = (size_t)60 * 20 * 20 * 2;
    assert_int_equal(train.count, 60);
    assert_int_equal(train.classes, 6);
    assert_memory_equal(train.images, again.images, bytes);
    assert_memory_not_equal(train.images, test.images, bytes);
    assert_memory_not_equal(train.images, other.images, bytes);
    for (uint32_t i = 0; i < test.count; i++) {
        uint32_t nearest = 0;
        for (uint32_t j = 1; j < train.count; j++)
            if (distance(&test, i, &train, j) < distance(&test, i, &train, nearest))
                nearest = j;
        assert_int_equal(test.labels[i], train.labels[nearest]);
    }
    dataset_destroy(&train);
    dataset_destroy(&again);
    dataset_destroy(&test);
    dataset_destroy(&other);
}

static void statistics_cover_their_range(void **state) {
    (void)state;
    /* Three images of 1x2 pixels, two channels; the first is left out. */
    uint8_t images[] = {99, 99, 99, 99, 1, 7, 3, 7, 5, 7, 7, 7};
    struct dataset data = {.count = 3, .height = 1, .width = 2, .channels = 2, .images = images};
    double mean[2], deviation[2], pixel[4];
    dataset_statistics(&data, 1, 2, mean, deviation, pixel);
    assert_true(mean[0] == 4 && mean[1] == 7);
    assert_true(fabs(deviation[0] - sqrt(5)) < 1e-15 && deviation[1] == 0);
    assert_true(pixel[0] == 3 && pixel[1] == 7 && pixel[2] == 5 && pixel[3] == 7);
    dataset_statistics(&data, 0, 3, mean, NULL, NULL);
    assert_true(fabs(mean[0] - 214.0 / 6) < 1e-13);
}

static void the_split_is_that_of_keras(void **state) {
    (void)state;
    assert_int_equal(dataset_split(60000, 0.1), 54000);
    assert_int_equal(dataset_split(50000, 0.1), 45000);
    assert_int_equal(dataset_split(7, 0.5), 3);
    assert_int_equal(dataset_split(7, 0), 7);
    assert_int_equal(dataset_split(7, 1), 0);
}

/* Debian's package, where it is installed. */
static void fashion_mnist_of_debian(void **state) {
    (void)state;
    if (!file_exists("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz"))
        skip();
    struct dataset data;
    assert_int_equal(dataset_load("fashion-mnist", true, &data), STATUS_OK);
    assert_int_equal(data.count, 60000);
    uint32_t histogram[10] = {0};
    for (uint32_t i = 0; i < data.count; i++)
        histogram[data.labels[i]]++;
    for (int k = 0; k < 10; k++)
        assert_int_equal(histogram[k], 6000);
    double mean, deviation;
    dataset_statistics(&data, 0, data.count, &mean, &deviation, NULL);
    /* 0.2860 and 0.3530 of the 28x28 images, spread over 32x32. */
    assert_true(fabs(mean / 255 * 1024 / 784 - 0.2860) < 1e-4);
    double second = deviation * deviation + mean * mean, inner = mean * 1024 / 784;
    assert_true(fabs(sqrt(second * 1024 / 784 - inner * inner) / 255 - 0.3530) < 1e-4);
    dataset_destroy(&data);
}

static int setup(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idx_files_are_read),
        cmocka_unit_test(idx_mistakes_are_named),
        cmocka_unit_test(idx_is_refused_at_every_length),
        cmocka_unit_test(gzip_is_refused_at_every_length),
        cmocka_unit_test(a_packed_bomb_is_refused),
        cmocka_unit_test(cifar10_files_are_read),
        cmocka_unit_test(cifar100_takes_the_fine_label),
        cmocka_unit_test(damaged_blocks_are_harmless),
        cmocka_unit_test(specs_are_checked),
        cmocka_unit_test(generated_classes_can_be_told_apart),
        cmocka_unit_test(statistics_cover_their_range),
        cmocka_unit_test(the_split_is_that_of_keras),
        cmocka_unit_test(fashion_mnist_of_debian),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

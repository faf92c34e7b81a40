/* IDX files, gzip or plain, as MNIST has them. The first byte tells which of the two files of a set the rest is. */
#include "fuzz.h"

#include "data/dataset.h"

#include <stdio.h>

static const uint8_t two_labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 9, 0};
static uint8_t two_images[16 + 2 * 28 * 28] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char spec[128];
    struct dataset data;
    if (size == 0)
        return 0;
    bool images = bytes[0] & 1;
    fuzz_file("t10k-images-idx3-ubyte", images ? bytes + 1 : two_images, images ? size - 1 : sizeof two_images);
    fuzz_file("t10k-labels-idx1-ubyte", images ? two_labels : bytes + 1, images ? sizeof two_labels : size - 1);
    snprintf(spec, sizeof spec, "mnist:%s", fuzz_folder());
    fuzz_answer(dataset_load(spec, false, &data));
    dataset_destroy(&data);
    return 0;
}

/* CIFAR-10 and, where the first byte is odd, CIFAR-100. */
#include "fuzz.h"

#include "data/dataset.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char spec[128];
    struct dataset data;
    if (size == 0)
        return 0;
    bool hundred = bytes[0] & 1;
    fuzz_file(hundred ? "test.bin" : "test_batch.bin", bytes + 1, size - 1);
    snprintf(spec, sizeof spec, "%s:%s", hundred ? "cifar100" : "cifar10", fuzz_folder());
    fuzz_answer(dataset_load(spec, false, &data));
    dataset_destroy(&data);
    return 0;
}

/* A run's log, from which the learning curves are drawn. */
#include "fuzz.h"

#include "train/curve.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    fuzz_file("log.jsonl", bytes, size);
    fuzz_answer(curve_write(fuzz_folder()));
    return 0;
}

/* A tar with pictures and labels: what is accepted lies within the file. */
#include "fuzz.h"

#include "data/dataset.h"
#include "data/source.h"

#include <stdio.h>
#include <stdlib.h>

static void read_all(const struct dataset *set, size_t archive_size) {
    for (uint32_t i = 0; i < set->count; i++) {
        uint8_t *bytes;
        size_t size;
        if (set->labels[i] >= set->classes || source_read(set->source, i, &bytes, &size) != STATUS_OK ||
            size > archive_size)
            abort();
        free(bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    for (int training = 0; training < 2; training++) {
        char spec[256];
        struct dataset set;
        snprintf(spec, sizeof spec, "tar:%s", fuzz_file("pictures.tar", bytes, size));
        enum status status = dataset_load(spec, training, &set);
        fuzz_answer(status);
        if (status == STATUS_OK)
            read_all(&set, size);
        dataset_destroy(&set);
    }
    return 0;
}

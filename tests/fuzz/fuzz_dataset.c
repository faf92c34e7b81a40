/* What follows --data. Sets that exist on this machine, or that would be drawn for seconds, are left out. */
#include "fuzz.h"

#include "data/dataset.h"
#include "data/formats.h"

#include <stdlib.h>
#include <string.h>

static bool is_large(const char *options) {
    struct dataset set = {0};
    uint32_t seed;
    return generated_parse(options, &set, &seed) == STATUS_OK &&
           (uint64_t)(set.count + set.classes) * set.height * set.width * set.channels > 1 << 16;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char *spec = strndup((const char *)bytes, size);
    struct dataset data;
    bool installed = (!strchr(spec, '/') && strncmp(spec, "fashion-mnist", 13) == 0) ||
                     strncmp(spec, "folder", 6) == 0 || strncmp(spec, "tar", 3) == 0;
    if (!installed && !(strncmp(spec, "generated", 9) == 0 && is_large(spec[9] ? spec + 10 : ""))) {
        fuzz_answer(dataset_load(spec, true, &data));
        dataset_destroy(&data);
    }
    free(spec);
    return 0;
}

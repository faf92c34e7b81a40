/* The file that 'tune' keeps, and what a step then finds in it. */
#include "fuzz.h"

#include "exec/tuning.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct tuning tuning;
    tuning_read(fuzz_file("fuzz.json", bytes, size), vk_describe(fuzz_device()), &tuning);
    for (size_t i = 0; i < tuning.count; i++)
        if (!tuning_has(&tuning, tuning.choices[i].key) || strlen(tuning.choices[i].key) >= TUNING_KEY)
            abort();
    tuning_destroy(&tuning);
    return 0;
}

/* A SPIR-V module, as --kernels takes it from a folder. */
#include "fuzz.h"

#include "vk/reflect.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    const uint32_t constants[] = {64, 1, 0, 3, 0xFFFFFFFF};
    struct reflection reflection;
    uint32_t *words = malloc(size + 1);
    if (!words)
        abort();
    memcpy(words, bytes, size);
    fuzz_answer(reflect_module(words, size / 4, constants, sizeof constants / sizeof *constants, &reflection));
    free(words);
    return 0;
}

/* A file for verify --against. */
#include "fuzz.h"

#include "train/check.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    const struct model_options options = {.name = "resnet8", .filters = 1};
    const struct verify_options verify = {.kind = -1};
    struct verify_summary summary;
    struct store *store;
    size_t file_size;
    uint8_t *content = fuzz_safetensors(bytes, size, &file_size);
    fuzz_answer(store_create(fuzz_device(), &store));
    const char *path = fuzz_file("fuzz.safetensors", content, file_size);
    free(content);
    fuzz_answer(check_against(store, &options, path, &verify, &summary));
    store_destroy(store);
    return 0;
}

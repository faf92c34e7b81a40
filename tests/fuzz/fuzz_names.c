/* Names of tensors, one a line: what they become is unique. */
#include "fuzz.h"

#include "weights/internal.h"

#include <stdlib.h>
#include <string.h>

static void append(struct weights *weights, const char *name) {
    const struct safetensors_tensor tensor = {.name = name, .rank = 4, .shape = {2, 3, 1, 1}};
    if (weights_append(weights, &tensor) != STATUS_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct weights weights = {.path = strdup("fuzz")};
    char *text = strndup((const char *)bytes, size), *save;
    if (!text || !weights.path)
        abort();
    for (char *name = strtok_r(text, "\n", &save); name; name = strtok_r(NULL, "\n", &save))
        append(&weights, name);
    enum status status = names_translate(&weights);
    fuzz_answer(status);
    for (size_t i = 0; status == STATUS_OK && i < weights.count; i++)
        if (weights_find(&weights, weights.tensors[i].name) != &weights.tensors[i])
            abort();
    weights_close(&weights);
    free(text);
    return 0;
}

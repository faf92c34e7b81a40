/* A safetensors file, and every value in it. */
#include "fuzz.h"

#include "data/safetensors.h"

#include <stdlib.h>
#include <string.h>

static void look_at(const struct safetensors *file, const struct safetensors_tensor *tensor) {
    char shape[SAFETENSORS_SHAPE_TEXT];
    uint64_t count = safetensors_count(tensor);
    double *values = malloc(count * sizeof *values + 1);
    if (!values || safetensors_find(file, tensor->name) != tensor)
        abort();
    safetensors_values(tensor, values);
    safetensors_print_shape(tensor, shape);
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct safetensors file;
    size_t file_size;
    uint8_t *content = fuzz_safetensors(bytes, size, &file_size);
    enum status status = safetensors_parse("fuzz", content, file_size, &file);
    fuzz_answer(status);
    if (status == STATUS_OK) {
        for (size_t i = 0; i < file.count; i++)
            look_at(&file, &file.tensors[i]);
        for (size_t i = 0; i < file.metadata_count; i++)
            if (strcmp(safetensors_metadata(&file, file.metadata[i].key), file.metadata[i].value) != 0)
                abort();
        safetensors_destroy(&file);
    }
    free(content);
    return 0;
}

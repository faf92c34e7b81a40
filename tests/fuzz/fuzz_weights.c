/* A file of weights of any kind, as the program opens it: its tensors, and the model that they may be of. */
#include "fuzz.h"

#include "weights/weights.h"

#include <stdlib.h>

static void look_at(const struct safetensors_tensor *tensor) {
    char shape[SAFETENSORS_SHAPE_TEXT];
    uint64_t count = safetensors_count(tensor);
    double *values = malloc(count * sizeof *values + 1);
    if (!values)
        abort();
    safetensors_values(tensor, values);
    safetensors_print_shape(tensor, shape);
    free(values);
}

static enum status fit(const struct weights *weights) {
    const struct model_options given = {.name = "resnet8"};
    struct model_options options;
    struct model model;
    TRY(weights_describe(weights, &given, &options));
    TRY(model_create(&options, &model));
    const struct safetensors_tensor **tensors = calloc(model.count, sizeof *tensors);
    if (!tensors)
        abort();
    enum status status = weights_match(weights, &model, NULL, tensors);
    free(tensors);
    model_destroy(&model);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct weights weights;
    enum status status = weights_open(fuzz_file("fuzz.weights", bytes, size), &weights);
    fuzz_answer(status);
    if (status != STATUS_OK)
        return 0;
    for (size_t i = 0; i < weights.count; i++)
        look_at(&weights.tensors[i]);
    fuzz_answer(fit(&weights));
    weights_close(&weights);
    return 0;
}

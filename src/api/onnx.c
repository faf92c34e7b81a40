/* api: a model and its weights as an ONNX file. */
#include "api/internal.h"

#include "base/memory.h"
#include "weights/onnx.h"
#include "weights/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_TEXT = 256 };

/* "1.5 2 0.25": the values of a tensor of the file, as far as they fit. */
static void print_values(const struct safetensors_tensor *tensor, char text[INPUT_TEXT]) {
    double values[16];
    size_t length = 0;
    text[0] = '\0';
    if (!tensor || safetensors_count(tensor) > COUNT(values))
        return;
    safetensors_values(tensor, values);
    for (uint64_t i = 0; i < safetensors_count(tensor) && length < INPUT_TEXT; i++)
        length += (size_t)snprintf(text + length, INPUT_TEXT - length, "%s%.9g", i ? " " : "", values[i]);
}

/* How the input is made of bytes, for people. */
static void describe_input(const struct checkpoint *checkpoint, char *text, size_t capacity) {
    char mean[INPUT_TEXT], scale[INPUT_TEXT];
    print_values(safetensors_find(&checkpoint->file, "normalize.mean"), mean);
    print_values(safetensors_find(&checkpoint->file, "normalize.scale"), scale);
    if (checkpoint->normalization == NORMALIZATION_CHANNEL)
        snprintf(text, capacity, "x = (byte - mean) * scale of its channel; mean %s; scale %s", mean, scale);
    else
        snprintf(text, capacity, "x = (byte - mean of its pixel in the training images) / 255");
}

static enum status write(const struct weights *weights, const struct model_options *options, const char *input,
                         const char *classes, const char *path) {
    const struct safetensors_tensor **tensors;
    struct model model;
    TRY(model_create(options, &model));
    const struct onnx_text metadata[] = {{"resnet_vk.model", model.name},
                                         {"resnet_vk.style", model_style_name(options->style)},
                                         {"resnet_vk.input", input},
                                         {classes ? "resnet_vk.classes" : NULL, classes},
                                         {NULL, NULL}};
    enum status status = memory_zeroed(model.count, sizeof *tensors, &tensors);
    if (status == STATUS_OK)
        status = weights_match(weights, &model, NULL, tensors);
    if (status == STATUS_OK)
        status = onnx_write(path, &model, tensors, metadata);
    free(tensors);
    model_destroy(&model);
    return status;
}

/* Tensors of the weights stay where they are while the checkpoint is open. */
static enum status write_checkpoint(struct weights *weights, const struct rvk_convert_options *options,
                                    const char *path) {
    struct checkpoint checkpoint = {0};
    char input[3 * INPUT_TEXT], *classes = NULL;
    enum status status = checkpoint_take(&weights->files[0], &checkpoint);
    if (status == STATUS_OK && options->model && strcmp(options->model, checkpoint.model.name) != 0)
        status = fail(STATUS_USAGE, "%s is a checkpoint of %s, not of %s", weights->path, checkpoint.model.name,
                      options->model);
    if (status == STATUS_OK)
        status = trainer_class_names(&checkpoint, &classes);
    if (status == STATUS_OK) {
        describe_input(&checkpoint, input, sizeof input);
        status = write(weights, &checkpoint.model, input, classes, path);
    }
    free(classes);
    checkpoint_close(&checkpoint);
    return status;
}

enum status api_write_onnx(struct weights *weights, const struct rvk_convert_options *options, const char *path) {
    static const char input[] = "as in the program that the weights come from; for ImageNet usually (value - mean) / "
                                "deviation of values from 0 to 1, mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225";
    struct model_options given;
    if (options->dtype && strcmp(options->dtype, "f32") != 0)
        return fail(STATUS_USAGE, "ONNX files are written in f32, not in %.40s", options->dtype);
    if (weights->file_count == 1 && checkpoint_is(&weights->files[0]))
        return write_checkpoint(weights, options, path);
    TRY(api_model_options(options->model, options->style, options->size, &given));
    given.name = api_text(options->model, NULL);
    TRY(weights_describe(weights, &given, &given));
    return write(weights, &given, input, NULL, path);
}

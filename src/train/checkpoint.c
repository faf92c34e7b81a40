#include "train/checkpoint.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "model/description.h"
#include "train/parameters.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY(name) "resnet_vk." name

static const char *const optimizer_names[] = {
    [OPTIMIZER_SGD] = "sgd", [OPTIMIZER_ADAM] = "adam", [OPTIMIZER_ADAMW] = "adamw"};

static struct shape mean_shape(const struct model *model, enum normalization normalization) {
    const struct model_options *image = &model->options;
    return normalization == NORMALIZATION_PIXEL ? shape4(1, image->height, image->width, image->channels)
                                                : shape_vector(image->channels);
}

/* ---- saving ---- */

enum { FULL_NAME = 96 };

/* The tensors of a file that is being written, with the memory that they point to. */
struct draft {
    struct safetensors_tensor *tensors;
    char (*names)[FULL_NAME];
    float **values;
    size_t count;
    double *file; /* room for the largest tensor */
};

static void draft_destroy(struct draft *draft) {
    for (size_t i = 0; i < draft->count; i++)
        free(draft->values[i]);
    free(draft->tensors);
    free(draft->names);
    free(draft->values);
    free(draft->file);
}

static enum status draft_create(const struct model *model, struct draft *draft) {
    size_t most = 3 * model->count + 2;
    uint64_t largest = shape_count(mean_shape(model, NORMALIZATION_PIXEL));
    for (size_t i = 0; i < model->count; i++)
        largest = MAX(largest, shape_count(model->parameters[i].shape));
    TRY(memory_zeroed(most, sizeof *draft->tensors, &draft->tensors));
    TRY(memory_zeroed(most, sizeof *draft->names, &draft->names));
    TRY(memory_zeroed(most, sizeof *draft->values, &draft->values));
    return memory_zeroed(largest, sizeof *draft->file, &draft->file);
}

/* Appends draft->file as a tensor; its shape is the caller's to fill in. */
static enum status append(struct draft *draft, const char *prefix, const char *name, uint64_t count,
                          struct safetensors_tensor **out) {
    size_t index = draft->count;
    struct safetensors_tensor *tensor = &draft->tensors[index];
    float *values;
    TRY(memory_zeroed(count, sizeof *values, &values));
    for (uint64_t i = 0; i < count; i++)
        values[i] = (float)draft->file[i];
    snprintf(draft->names[index], FULL_NAME, "%s%s%s", prefix, *prefix ? "." : "", name);
    *tensor = (struct safetensors_tensor){
        .name = draft->names[index], .dtype = SAFETENSORS_F32, .bytes = values, .size = count * sizeof *values};
    draft->values[index] = values;
    draft->count++;
    *out = tensor;
    return STATUS_OK;
}

static enum status append_parameter(const struct model *model, struct store *store, const char *root,
                                    const char *prefix, size_t index, struct draft *draft) {
    const struct parameter *parameter = &model->parameters[index];
    struct safetensors_tensor *tensor;
    TRY(parameters_read(model, store, root, index, draft->file));
    TRY(append(draft, prefix, parameter->name, shape_count(parameter->shape), &tensor));
    tensor->rank = parameter_file_shape(parameter, tensor->shape);
    return STATUS_OK;
}

static enum status append_root(struct store *store, const char *root, struct shape shape, struct draft *draft) {
    struct safetensors_tensor *tensor;
    TRY(values_read(store, root, 0, shape, draft->file));
    TRY(append(draft, "", root, shape_count(shape), &tensor));
    tensor->rank = shape.d[H] == 1 && shape.d[W] == 1 ? 1 : 3;
    for (uint32_t i = 0; i < tensor->rank; i++)
        tensor->shape[i] = shape.d[4 - tensor->rank + i];
    return STATUS_OK;
}

static enum status append_all(const struct model *model, struct store *store, enum optimizer optimizer,
                              enum normalization normalization, struct draft *draft) {
    for (size_t i = 0; i < model->count; i++)
        TRY(append_parameter(model, store, "parameters", "", i, draft));
    for (const char *const *root = optimizer_values(optimizer); *root; root++)
        for (size_t i = 0; i < model->count; i++)
            if (model_trains(model, i))
                TRY(append_parameter(model, store, *root, *root, i, draft));
    if (normalization == NORMALIZATION_NONE)
        return STATUS_OK;
    TRY(append_root(store, "normalize.mean", mean_shape(model, normalization), draft));
    return append_root(store, "normalize.scale", shape_vector(model->options.channels), draft);
}

/* ---- metadata ---- */

/* The whole numbers, and where in a struct checkpoint they are. */
static const struct number {
    const char *key;
    size_t offset, size;
} numbers[] = {
#define NUMBER(key, member)                                                                                            \
    { KEY(key), offsetof(struct checkpoint, member), sizeof((struct checkpoint *)0)->member }
    NUMBER("height", model.height),   NUMBER("width", model.width),     NUMBER("channels", model.channels),
    NUMBER("classes", model.classes), NUMBER("filters", model.filters), NUMBER("epoch", state.epoch),
    NUMBER("step", state.step),       NUMBER("updates", state.updates), NUMBER("seed", state.seed),
#undef NUMBER
};

static uint64_t get_number(const struct checkpoint *checkpoint, const struct number *number) {
    const char *place = (const char *)checkpoint + number->offset;
    return number->size == 4 ? *(const uint32_t *)place : *(const uint64_t *)place;
}

static void set_number(struct checkpoint *checkpoint, const struct number *number, uint64_t value) {
    char *place = (char *)checkpoint + number->offset;
    if (number->size == 4)
        *(uint32_t *)place = (uint32_t)value;
    else
        *(uint64_t *)place = value;
}

static enum status read_number(struct checkpoint *checkpoint, const struct number *number) {
    const char *text = safetensors_metadata(&checkpoint->file, number->key);
    uint64_t limit = number->size == 4 ? UINT32_MAX : UINT64_MAX;
    char *end = NULL;
    errno = 0;
    unsigned long long value = text && *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    if (!end || *end || errno || value > limit)
        return fail(STATUS_DATA, "%s: the metadata %s is not a whole number up to %llu", checkpoint->file.path,
                    number->key, (unsigned long long)limit);
    set_number(checkpoint, number, value);
    return STATUS_OK;
}

static enum status read_optimizer(struct checkpoint *checkpoint) {
    const char *name = safetensors_metadata(&checkpoint->file, KEY("optimizer"));
    for (size_t i = 0; i < COUNT(optimizer_names) && name; i++)
        if (strcmp(optimizer_names[i], name) == 0) {
            checkpoint->state.optimizer = (enum optimizer)i;
            return STATUS_OK;
        }
    return fail(STATUS_DATA, "%s: the metadata " KEY("optimizer") " is none of sgd, adam, adamw",
                checkpoint->file.path);
}

static enum status read_metadata(struct checkpoint *checkpoint) {
    const struct safetensors *file = &checkpoint->file;
    const char *style = safetensors_metadata(file, KEY("style"));
    checkpoint->model.name = safetensors_metadata(file, KEY("model"));
    if (!checkpoint->model.name)
        return STATUS_OK;
    if (description_is(checkpoint->model.name) && *checkpoint->model.name != '{')
        return fail(STATUS_DATA, "%s: the metadata " KEY("model") " names a file", file->path);
    if (!style || model_style_find(style, &checkpoint->model.style) != STATUS_OK)
        return fail(STATUS_DATA, "%s: the metadata " KEY("style") " is none of torch, keras", file->path);
    for (size_t i = 0; i < COUNT(numbers); i++)
        TRY(read_number(checkpoint, &numbers[i]));
    checkpoint->state.options = safetensors_metadata(file, KEY("options"));
    checkpoint->has_state = true;
    return read_optimizer(checkpoint);
}

enum status checkpoint_pack(const struct model *model, struct store *store, const struct checkpoint_state *state,
                            enum normalization normalization, uint8_t **bytes, size_t *size) {
    enum { FIXED = 5, DIGITS = 24 };
    const struct checkpoint source = {.model = model->options, .state = *state};
    struct draft draft = {0};
    char digits[COUNT(numbers)][DIGITS];
    struct safetensors_text texts[FIXED + COUNT(numbers)] = {
        {"format", "pt"},
        {KEY("model"), model_text(model)},
        {KEY("style"), model_style_name(model->options.style)},
        {KEY("optimizer"), optimizer_names[state->optimizer]},
        {KEY("options"), state->options ? state->options : "{}"},
    };
    for (size_t i = 0; i < COUNT(numbers); i++) {
        snprintf(digits[i], DIGITS, "%llu", (unsigned long long)get_number(&source, &numbers[i]));
        texts[FIXED + i] = (struct safetensors_text){numbers[i].key, digits[i]};
    }
    enum status status = draft_create(model, &draft);
    if (status == STATUS_OK)
        status = append_all(model, store, state->optimizer, normalization, &draft);
    if (status == STATUS_OK)
        status = safetensors_pack(draft.tensors, draft.count, texts, COUNT(texts), bytes, size);
    draft_destroy(&draft);
    return status;
}

enum status checkpoint_save(const char *path, const struct model *model, struct store *store,
                            const struct checkpoint_state *state, enum normalization normalization) {
    uint8_t *bytes;
    size_t size;
    TRY(checkpoint_pack(model, store, state, normalization, &bytes, &size));
    return file_write_and_free(path, bytes, size);
}

uint64_t checkpoint_weights_hash(const struct model *model, const uint8_t *bytes) {
    uint64_t header;
    memcpy(&header, bytes, sizeof header);
    return hash_bytes(HASH_START, bytes + sizeof header + header,
                      (size_t)(model->trainable + model->untrained) * sizeof(float));
}

/* ---- loading ---- */

/* Takes what is not a tensor from out->file. */
static enum status describe(struct checkpoint *out) {
    const struct safetensors_tensor *mean = safetensors_find(&out->file, "normalize.mean");
    if (mean)
        out->normalization = mean->rank == 3 ? NORMALIZATION_PIXEL : NORMALIZATION_CHANNEL;
    enum status status = read_metadata(out);
    if (status != STATUS_OK)
        checkpoint_close(out);
    return status;
}

bool checkpoint_is(const struct safetensors *file) {
    return safetensors_metadata(file, KEY("model")) != NULL;
}

enum status checkpoint_take(struct safetensors *file, struct checkpoint *out) {
    *out = (struct checkpoint){.file = *file};
    memset(file, 0, sizeof *file);
    return describe(out);
}

enum status checkpoint_open(const char *path, struct checkpoint *out) {
    memset(out, 0, sizeof *out);
    TRY(safetensors_read(path, &out->file));
    return describe(out);
}

enum status checkpoint_parse(const char *name, const uint8_t *bytes, size_t size, struct checkpoint *out) {
    memset(out, 0, sizeof *out);
    TRY(safetensors_parse(name, bytes, size, &out->file));
    return describe(out);
}

void checkpoint_close(struct checkpoint *checkpoint) {
    safetensors_destroy(&checkpoint->file);
    memset(checkpoint, 0, sizeof *checkpoint);
}

/* The tensor `name`, which must have this shape and hold floats. */
static enum status find(const struct checkpoint *checkpoint, const struct model *model, const char *name, uint32_t rank,
                        const uint64_t *shape, const struct safetensors_tensor **out) {
    const struct safetensors_tensor *tensor = safetensors_find(&checkpoint->file, name);
    struct safetensors_tensor wanted = {.rank = rank};
    char has[SAFETENSORS_SHAPE_TEXT], wants[SAFETENSORS_SHAPE_TEXT];
    memcpy(wanted.shape, shape, rank * sizeof *shape);
    if (!tensor)
        return fail(STATUS_DATA, "%s: there is no tensor %s, which %s has", checkpoint->file.path, name, model->name);
    if (tensor->rank != rank || memcmp(tensor->shape, shape, rank * sizeof *shape) != 0)
        return fail(STATUS_DATA, "%s: tensor %s has the shape %s, but %s takes %s", checkpoint->file.path, name,
                    safetensors_print_shape(tensor, has), model->name, safetensors_print_shape(&wanted, wants));
    if (!safetensors_holds_floats(tensor))
        return fail(STATUS_DATA, "%s: tensor %s does not hold floating-point numbers", checkpoint->file.path, name);
    *out = tensor;
    return STATUS_OK;
}

/* Checks, and with a store also writes, the values of one flat root ("": the weights themselves). */
static enum status take_root(const struct checkpoint *checkpoint, const struct model *model, struct store *store,
                             const char *prefix, const char *root) {
    for (size_t i = 0; i < model->count; i++) {
        const struct parameter *parameter = &model->parameters[i];
        const struct safetensors_tensor *tensor;
        char name[FULL_NAME];
        uint64_t shape[4];
        double *file;
        if (*prefix && !model_trains(model, i))
            continue;
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", parameter->name);
        TRY(find(checkpoint, model, name, parameter_file_shape(parameter, shape), shape, &tensor));
        if (!store)
            continue;
        TRY(memory_zeroed(shape_count(parameter->shape), sizeof *file, &file));
        safetensors_values(tensor, file);
        enum status status = parameters_write(model, store, root, i, file);
        free(file);
        TRY(status);
    }
    return STATUS_OK;
}

static enum status take_value(const struct checkpoint *checkpoint, const struct model *model, struct store *store,
                              const char *name, struct shape wanted, uint32_t rank) {
    const struct tensor whole = {.dtype = DTYPE_F32, .shape = wanted};
    const struct safetensors_tensor *tensor;
    uint64_t shape[3];
    double *dense;
    for (uint32_t i = 0; i < rank; i++)
        shape[i] = wanted.d[4 - rank + i];
    TRY(find(checkpoint, model, name, rank, shape, &tensor));
    if (!store)
        return STATUS_OK;
    TRY(memory_zeroed(shape_count(wanted), sizeof *dense, &dense));
    safetensors_values(tensor, dense);
    enum status status = values_write(store, name, tensor_bytes(&whole), 0, wanted, dense);
    free(dense);
    return status;
}

static enum status take_normalization(const struct checkpoint *checkpoint, const struct model *model,
                                      struct store *store) {
    enum normalization normalization = checkpoint->normalization;
    TRY(take_value(checkpoint, model, store, "normalize.mean", mean_shape(model, normalization),
                   normalization == NORMALIZATION_PIXEL ? 3 : 1));
    return take_value(checkpoint, model, store, "normalize.scale", shape_vector(model->options.channels), 1);
}

static enum status take_all(const struct checkpoint *checkpoint, const struct model *model, struct store *store,
                            enum checkpoint_part part) {
    TRY(take_root(checkpoint, model, store, "", "parameters"));
    if (part == CHECKPOINT_ALL)
        for (const char *const *root = optimizer_values(checkpoint->state.optimizer); *root; root++)
            TRY(take_root(checkpoint, model, store, *root, *root));
    return checkpoint->normalization == NORMALIZATION_NONE ? STATUS_OK : take_normalization(checkpoint, model, store);
}

static bool starts(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

static bool ends(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* PyTorch counts batches in each normalization; nothing here depends on it. */
static bool known(const struct model *model, const char *name) {
    return model_find(model, name) >= 0 || ends(name, ".num_batches_tracked") || starts(name, "optimizer.") ||
           strcmp(name, "normalize.mean") == 0 || strcmp(name, "normalize.scale") == 0;
}

enum status checkpoint_load(const struct checkpoint *checkpoint, const struct model *model, struct store *store,
                            enum checkpoint_part part) {
    const struct safetensors *file = &checkpoint->file;
    if (part == CHECKPOINT_ALL && !checkpoint->has_state)
        return fail(STATUS_DATA, "%s: holds weights but no state of training: it cannot be resumed", file->path);
    for (size_t i = 0; i < file->count; i++)
        if (!known(model, file->tensors[i].name))
            return fail(STATUS_DATA, "%s: %s has no tensor %.96s", file->path, model->name, file->tensors[i].name);
    TRY(take_all(checkpoint, model, NULL, part));
    return take_all(checkpoint, model, store, part);
}

enum status checkpoint_load_normalization(const struct checkpoint *checkpoint, const struct model *model,
                                          struct store *store) {
    TRY(take_normalization(checkpoint, model, NULL));
    return take_normalization(checkpoint, model, store);
}

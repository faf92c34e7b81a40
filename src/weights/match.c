/* match: which tensor is which parameter, and of which model tensors are. */
#include "weights/weights.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what does not fit ---- */

enum { NAMED = 3, LIST = 320 };
#define SHOWN "%.63s" /* a name of the file's in a sentence */

/* Tensors with the same fault, the first few by name. */
struct list {
    char text[LIST];
    size_t count;
};

struct faults {
    struct list missing, unknown, misshaped;
};

static void add(struct list *list, const char *format, ...) PRINTF_LIKE(2, 3);

static void add(struct list *list, const char *format, ...) {
    size_t length = strlen(list->text);
    if (list->count++ >= NAMED)
        return;
    length += (size_t)snprintf(list->text + length, LIST - length, "%s", list->count > 1 ? ", " : "");
    va_list arguments;
    va_start(arguments, format);
    if (length < LIST)
        vsnprintf(list->text + length, LIST - length, format, arguments);
    va_end(arguments);
}

/* Appends "; missing: a, b, c and 7 more" to the sentence. */
static void report(const struct list *list, const char *fault) {
    if (list->count == 0)
        return;
    fail_more(STATUS_DATA, "; %s: %s", fault, list->text);
    if (list->count > NAMED)
        fail_more(STATUS_DATA, " and %zu more", list->count - NAMED);
}

static enum status report_all(const struct weights *weights, const struct model *model, const struct faults *faults) {
    if (faults->missing.count + faults->unknown.count + faults->misshaped.count == 0)
        return STATUS_OK;
    fail(STATUS_DATA, "%.255s does not hold the weights of %s", weights->path, model->name);
    report(&faults->misshaped, "of another shape or kind");
    report(&faults->missing, "missing");
    report(&faults->unknown, "not in the model");
    return STATUS_DATA;
}

/* ---- matching ---- */

static bool starts(const char *text, const char *start) {
    return start && strncmp(text, start, strlen(start)) == 0;
}

static const struct safetensors_tensor *match(const struct weights *weights, const struct parameter *parameter,
                                              bool excepted, struct faults *faults) {
    const struct safetensors_tensor *tensor = weights_find(weights, parameter->name);
    struct safetensors_tensor wanted = {0};
    char has[SAFETENSORS_SHAPE_TEXT], wants[SAFETENSORS_SHAPE_TEXT];
    wanted.rank = parameter_file_shape(parameter, wanted.shape);
    bool same = tensor && safetensors_holds_floats(tensor) && tensor->rank == wanted.rank &&
                memcmp(tensor->shape, wanted.shape, wanted.rank * sizeof *wanted.shape) == 0;
    if (same || excepted)
        return same ? tensor : NULL;
    if (!tensor)
        add(&faults->missing, "%s", parameter->name);
    else if (!safetensors_holds_floats(tensor))
        add(&faults->misshaped, "%s, which holds %s", parameter->name, safetensors_dtype_name(tensor->dtype));
    else
        add(&faults->misshaped, "%s %s instead of %s", parameter->name, safetensors_print_shape(tensor, has),
            safetensors_print_shape(&wanted, wants));
    return NULL;
}

enum status weights_match(const struct weights *weights, const struct model *model, const char *except,
                          const struct safetensors_tensor **tensors) {
    struct faults faults = {0};
    for (size_t i = 0; i < model->count; i++) {
        const struct parameter *parameter = &model->parameters[i];
        tensors[i] = match(weights, parameter, starts(parameter->name, except), &faults);
    }
    for (size_t i = 0; i < weights->count; i++) {
        const char *name = weights->tensors[i].name;
        if (!starts(name, except) && model_find(model, name) < 0)
            add(&faults.unknown, SHOWN, weights->origins[i]);
    }
    return report_all(weights, model, &faults);
}

const char *weights_head(const struct model *model, char *text) {
    const char *name = model->parameters[model_head(model)].name;
    snprintf(text, WEIGHTS_HEAD, "%.*s", (int)(strrchr(name, '.') - name) + 1, name);
    return text;
}

/* ---- which model ---- */

/* The extent of a parameter's tensor along one axis of a file, if it has so many. 0: the model's default. */
static uint32_t extent(const struct weights *weights, const struct parameter *parameter, uint32_t axis) {
    const struct safetensors_tensor *tensor = weights_find(weights, parameter->name);
    return tensor && tensor->rank > axis && tensor->shape[axis] <= UINT32_MAX ? (uint32_t)tensor->shape[axis] : 0;
}

/* Sizes that are not known are those of the first convolution and the last dense layer. */
static enum status complete(const struct weights *weights, struct model_options *options) {
    struct model model;
    TRY(model_create(options, &model));
    const struct parameter *first = &model.parameters[0], *last = &model.parameters[model_head(&model)];
    options->filters = options->filters ? options->filters : extent(weights, first, 0);
    options->channels = options->channels ? options->channels : extent(weights, first, 1);
    options->classes = options->classes ? options->classes : extent(weights, last, 0);
    model_destroy(&model);
    return STATUS_OK;
}

/* Whether the tensors are those of the model. Its options are completed. */
static bool is_of(const struct weights *weights, struct model_options *options) {
    const struct safetensors_tensor **tensors;
    struct model model;
    if (complete(weights, options) != STATUS_OK || model_create(options, &model) != STATUS_OK)
        return false;
    bool same = model.count == weights->count && memory_zeroed(model.count, sizeof *tensors, &tensors) == STATUS_OK;
    if (same) {
        same = weights_match(weights, &model, NULL, tensors) == STATUS_OK;
        free(tensors);
    }
    model_destroy(&model);
    return same;
}

/* NAMEv1 has the parameters of NAME: its strides are in other convolutions. */
static bool is_first_version(const char *name) {
    size_t length = strlen(name);
    return length > 2 && strcmp(name + length - 2, "v1") == 0;
}

enum status weights_describe(const struct weights *weights, const struct model_options *given,
                             struct model_options *out) {
    struct model_options found = {.name = NULL};
    if (given->name) {
        *out = *given;
        return complete(weights, out);
    }
    for (const char *const *name = model_names; *name; name++) {
        struct model_options options = *given;
        options.name = *name;
        if (is_first_version(*name) || !is_of(weights, &options))
            continue;
        if (found.name)
            return fail(STATUS_DATA, "%s holds the weights of %s or of %s, which have the same: say which model it is",
                        weights->path, found.name, *name);
        found = options;
    }
    if (!found.name)
        return fail(STATUS_DATA, "%s holds the weights of none of the usual models: say which model it is",
                    weights->path);
    log_info("%s is taken for weights of %s with %u classes", weights->path, found.name, found.classes);
    *out = found;
    return STATUS_OK;
}

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

static size_t count_faults(const struct faults *faults) {
    return faults->missing.count + faults->unknown.count + faults->misshaped.count;
}

/* `remark` follows the model's name. */
static enum status report_all(const struct weights *weights, const struct model *model, const char *remark,
                              const struct faults *faults) {
    if (count_faults(faults) == 0)
        return STATUS_OK;
    fail(STATUS_DATA, "%.255s does not hold the weights of %s%s", weights->path, model->name, remark);
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

static void match_all(const struct weights *weights, const struct model *model, const char *except,
                      const struct safetensors_tensor **tensors, struct faults *faults) {
    for (size_t i = 0; i < model->count; i++) {
        const struct parameter *parameter = &model->parameters[i];
        tensors[i] = match(weights, parameter, starts(parameter->name, except), faults);
    }
    for (size_t i = 0; i < weights->count; i++) {
        const char *name = weights->tensors[i].name;
        if (!starts(name, except) && model_find(model, name) < 0)
            add(&faults->unknown, SHOWN, weights->origins[i]);
    }
}

enum status weights_match(const struct weights *weights, const struct model *model, const char *except,
                          const struct safetensors_tensor **tensors) {
    struct faults faults = {0};
    match_all(weights, model, except, tensors, &faults);
    return report_all(weights, model, "", &faults);
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

/* Compares the tensors with a model, whose options are completed. With a remark, faults are a failure. */
static enum status compare(const struct weights *weights, struct model_options *options, const char *remark,
                           struct faults *faults) {
    const struct safetensors_tensor **tensors;
    struct model model;
    memset(faults, 0, sizeof *faults);
    TRY(complete(weights, options));
    TRY(model_create(options, &model));
    enum status status = memory_zeroed(model.count, sizeof *tensors, &tensors);
    if (status == STATUS_OK) {
        match_all(weights, &model, NULL, tensors, faults);
        status = remark ? report_all(weights, &model, remark, faults) : STATUS_OK;
        free(tensors);
    }
    model_destroy(&model);
    return status;
}

/* NAMEv1 has the parameters of NAME: its strides are in other convolutions. */
static bool is_first_version(const char *name) {
    size_t length = strlen(name);
    return length > 2 && strcmp(name + length - 2, "v1") == 0;
}

struct nearest {
    struct model_options options; /* name NULL: there is none */
    const char *other;            /* the next one with as few faults */
    size_t faults;
};

/* Of the usual models that have any of the tensors, the one with the fewest faults. */
static struct nearest find_nearest(const struct weights *weights, const struct model_options *given) {
    struct nearest nearest = {.faults = SIZE_MAX};
    for (const char *const *name = model_names; *name; name++) {
        struct model_options options = *given;
        struct faults faults;
        options.name = *name;
        if (is_first_version(*name) || compare(weights, &options, NULL, &faults) != STATUS_OK ||
            faults.unknown.count == weights->count)
            continue;
        size_t count = count_faults(&faults);
        if (count < nearest.faults)
            nearest = (struct nearest){.options = options, .faults = count};
        else if (count == nearest.faults && !nearest.other)
            nearest.other = *name;
    }
    return nearest;
}

enum status weights_describe(const struct weights *weights, const struct model_options *given,
                             struct model_options *out) {
    enum { MANY = 4096 }; /* more than any model has */
    struct faults faults;
    if (given->name) {
        *out = *given;
        return complete(weights, out);
    }
    struct nearest nearest = {.faults = SIZE_MAX};
    if (weights->count <= MANY)
        nearest = find_nearest(weights, given);
    if (!nearest.options.name)
        return fail(STATUS_DATA, "%s holds the weights of none of the usual models: say which model it is",
                    weights->path);
    if (nearest.faults)
        return compare(weights, &nearest.options, ", the nearest of the usual models", &faults);
    if (nearest.other)
        return fail(STATUS_DATA, "%s holds the weights of %s or of %s, which have the same: say which model it is",
                    weights->path, nearest.options.name, nearest.other);
    *out = nearest.options;
    log_info("%s is taken for weights of %s with %u classes", weights->path, out->name, out->classes);
    return STATUS_OK;
}

/* api: files of weights from one format to another. */
#include "api/internal.h"

#include "base/memory.h"
#include "weights/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct rvk_convert_options defaults;

/* ---- numbers ---- */

static enum status find_dtype(const char *name, enum safetensors_dtype *out) {
    static const struct {
        const char *name;
        enum safetensors_dtype dtype;
    } dtypes[] = {{"f32", SAFETENSORS_F32}, {"f16", SAFETENSORS_F16}, {"bf16", SAFETENSORS_BF16}};
    for (size_t i = 0; i < COUNT(dtypes); i++)
        if (strcmp(dtypes[i].name, name) == 0) {
            *out = dtypes[i].dtype;
            return STATUS_OK;
        }
    return fail(STATUS_USAGE, "weights are written as f32, f16 or bf16, not as %.40s", name);
}

/* Finite numbers stay finite. */
static enum status check_range(const struct weights *weights, const struct safetensors_tensor *tensor,
                               const double *before, const double *after, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        if (isfinite(before[i]) && !isfinite(after[i]))
            return fail(STATUS_DATA, "%s: tensor %.95s holds %g, which is too large for %s", weights->path,
                        tensor->name, before[i], safetensors_dtype_name(tensor->dtype));
    return STATUS_OK;
}

/* Gives the tensor numbers of another kind, in memory of the weights' own. */
static enum status change_dtype(struct weights *weights, struct safetensors_tensor *tensor,
                                enum safetensors_dtype dtype) {
    uint64_t count = safetensors_count(tensor);
    double *values;
    void *bytes;
    TRY(memory_zeroed((size_t)count, (size_t)safetensors_dtype_size(dtype), &bytes));
    TRY(weights_keep(weights, bytes));
    TRY(memory_zeroed((size_t)count, 2 * sizeof *values, &values));
    safetensors_values(tensor, values);
    safetensors_store(dtype, values, count, bytes);
    tensor->dtype = dtype;
    tensor->bytes = bytes;
    tensor->size = count * safetensors_dtype_size(dtype);
    safetensors_values(tensor, values + count);
    enum status status = check_range(weights, tensor, values, values + count, count);
    free(values);
    return status;
}

static enum status ask(const struct rvk_convert_options *options) {
    return options->should_stop ? (enum status)options->should_stop(options->user) : STATUS_OK;
}

static enum status change_dtypes(struct weights *weights, const struct rvk_convert_options *options) {
    enum safetensors_dtype dtype = SAFETENSORS_F32;
    TRY(find_dtype(options->dtype, &dtype));
    for (size_t i = 0; i < weights->count; i++) {
        if (safetensors_holds_floats(&weights->tensors[i]) && weights->tensors[i].dtype != dtype)
            TRY(change_dtype(weights, &weights->tensors[i], dtype));
        TRY(ask(options));
    }
    return STATUS_OK;
}

/* ---- formats ---- */

static enum status write_safetensors(struct weights *weights, const struct rvk_convert_options *options,
                                     const char *path) {
    static const struct safetensors_text format = {"format", "pt"};
    if (options->dtype)
        TRY(change_dtypes(weights, options));
    return safetensors_write(path, weights->tensors, weights->count, &format, 1);
}

/* What can be written, by the ending of the file's name. */
static const struct format {
    const char *ending;
    enum status (*write)(struct weights *weights, const struct rvk_convert_options *options, const char *path);
} formats[] = {{".safetensors", write_safetensors}, {".onnx", api_write_onnx}};

static enum status find_format(const char *path, const struct format **out) {
    size_t length = strlen(path);
    for (size_t i = 0; i < COUNT(formats); i++) {
        size_t tail = strlen(formats[i].ending);
        if (length > tail && strcmp(path + length - tail, formats[i].ending) == 0) {
            *out = &formats[i];
            return STATUS_OK;
        }
    }
    return fail(STATUS_USAGE, "%s: weights are written to NAME%s or NAME%s", path, formats[0].ending,
                formats[1].ending);
}

/* ---- the whole ---- */

static void list(const struct weights *weights, const struct rvk_convert_options *options) {
    for (size_t i = 0; i < weights->count && options->on_tensor; i++) {
        const struct safetensors_tensor *tensor = &weights->tensors[i];
        struct rvk_tensor out = {.name = tensor->name,
                                 .origin = weights->origins[i],
                                 .dtype = safetensors_dtype_name(tensor->dtype),
                                 .rank = tensor->rank,
                                 .bytes = tensor->size};
        _Static_assert(sizeof out.shape == sizeof tensor->shape, "public and internal ranks differ");
        memcpy(out.shape, tensor->shape, sizeof out.shape);
        options->on_tensor(options->user, &out);
    }
}

static enum status convert(const char *in, const char *out, const struct rvk_convert_options *options) {
    const struct format *format = NULL;
    struct weights weights;
    if (out)
        TRY(find_format(out, &format));
    TRY(weights_open(in, &weights));
    list(&weights, options);
    enum status status = ask(options);
    if (status == STATUS_OK && format)
        status = format->write(&weights, options, out);
    weights_close(&weights);
    return status;
}

enum rvk_status rvk_convert(const char *in, const char *out, const struct rvk_convert_options *options) {
    return api_status(convert(in, out, options ? options : &defaults));
}

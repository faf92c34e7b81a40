#include "train/parameters.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- any part of a value ---- */

static struct tensor float_tensor(struct shape shape) {
    return (struct tensor){.dtype = DTYPE_F32, .shape = shape, .base = TENSOR_NONE};
}

enum status values_read(struct store *store, const char *root, uint64_t offset, struct shape shape, double *dense) {
    struct tensor tensor = float_tensor(shape);
    float *stored;
    TRY(memory_zeroed(tensor_elements(&tensor), sizeof *stored, &stored));
    enum status status = store_read(store, root, offset, stored, tensor_bytes(&tensor));
    if (status == STATUS_OK)
        tensor_load(&tensor, stored, dense);
    free(stored);
    return status;
}

enum status values_write(struct store *store, const char *root, uint64_t whole, uint64_t offset, struct shape shape,
                         const double *dense) {
    struct tensor tensor = float_tensor(shape);
    struct vk_buffer *buffer;
    float *stored;
    TRY(store_get(store, root, whole, &buffer));
    TRY(memory_zeroed(tensor_elements(&tensor), sizeof *stored, &stored));
    tensor_store(&tensor, dense, stored);
    enum status status = store_write(store, root, offset, stored, tensor_bytes(&tensor));
    free(stored);
    return status;
}

/* ---- parameters ---- */

/* Where a parameter lies in a flat value of so many bytes. */
struct place {
    const char *root;
    uint64_t whole, offset;
};

static struct place find_place(const struct model *model, const char *root, size_t index) {
    const struct parameter *parameter = &model->parameters[index];
    if (parameter->class == PARAMETER_STATISTIC)
        return (struct place){"statistics", model->statistic_bytes, parameter->offset};
    if (strcmp(root, "parameters") == 0)
        return (struct place){root, model->parameter_bytes, parameter->offset};
    return (struct place){root, model->trained_bytes, parameter->trained_offset};
}

static enum status write_dense(const struct model *model, struct store *store, const char *root, size_t index,
                               const double *dense) {
    struct place place = find_place(model, root, index);
    return values_write(store, place.root, place.whole, place.offset, model->parameters[index].shape, dense);
}

static enum status new_values(const struct parameter *parameter, double **out) {
    return memory_zeroed(shape_count(parameter->shape), sizeof **out, out);
}

enum status parameters_initialize(const struct model *model, uint32_t seed, struct store *store) {
    for (size_t i = 0; i < model->count; i++) {
        double *dense;
        TRY(new_values(&model->parameters[i], &dense));
        model_initial(model, i, seed, dense);
        enum status status = write_dense(model, store, "parameters", i, dense);
        free(dense);
        TRY(status);
    }
    return STATUS_OK;
}

enum status parameters_read(const struct model *model, struct store *store, const char *root, size_t index,
                            double *file) {
    const struct parameter *parameter = &model->parameters[index];
    double *dense;
    TRY(new_values(parameter, &dense));
    struct place place = find_place(model, root, index);
    enum status status = values_read(store, place.root, place.offset, parameter->shape, dense);
    if (status == STATUS_OK)
        parameter_to_file(parameter, dense, file);
    free(dense);
    return status;
}

enum status parameters_load(const struct model *model, const struct safetensors_tensor *const *tensors,
                            struct store *store) {
    for (size_t i = 0; i < model->count; i++) {
        double *file;
        if (!tensors[i])
            continue;
        TRY(new_values(&model->parameters[i], &file));
        safetensors_values(tensors[i], file);
        enum status status = parameters_write(model, store, "parameters", i, file);
        free(file);
        TRY(status);
    }
    return STATUS_OK;
}

enum status parameters_write(const struct model *model, struct store *store, const char *root, size_t index,
                             const double *file) {
    double *dense;
    TRY(new_values(&model->parameters[index], &dense));
    parameter_from_file(&model->parameters[index], file, dense);
    enum status status = write_dense(model, store, root, index, dense);
    free(dense);
    return status;
}

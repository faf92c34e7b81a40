/*
 * parameters: a model's values in a store, one at a time, in the layout of files.
 *
 * `root` is "parameters", or a flat value of what is trained only ("gradients", "optimizer.velocity", ...); for a
 * running statistic, "statistics" is used whatever is given.
 */
#ifndef RVK_TRAIN_PARAMETERS_H
#define RVK_TRAIN_PARAMETERS_H

#include "data/safetensors.h"
#include "exec/store.h"
#include "model/model.h"

/* Makes "parameters" and "statistics" if they are new, and writes the initial values for `seed`. */
CHECKED enum status parameters_initialize(const struct model *model, uint32_t seed, struct store *store);

/* Values of parameter `index` in file order (shape_count(shape) numbers). parameters_write makes a missing root. */
CHECKED enum status parameters_read(const struct model *model, struct store *store, const char *root, size_t index,
                                    double *file);
CHECKED enum status parameters_write(const struct model *model, struct store *store, const char *root, size_t index,
                                     const double *file);

/* Writes the tensors that are not NULL, each as the value of the parameter with its place in the array. They have the
 * parameters' shapes in files and hold floats (see weights_match). */
CHECKED enum status parameters_load(const struct model *model, const struct safetensors_tensor *const *tensors,
                                    struct store *store);

/* Any part of a float value, `offset` bytes in, as dense numbers in device order. values_write makes a value that is
 * missing, with `whole` bytes. */
CHECKED enum status values_read(struct store *store, const char *root, uint64_t offset, struct shape shape,
                                double *dense);
CHECKED enum status values_write(struct store *store, const char *root, uint64_t whole, uint64_t offset,
                                 struct shape shape, const double *dense);

#endif

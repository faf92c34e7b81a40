/*
 * fold: a model whose weights are only read has the batch normalization in its convolutions, and no weights besides.
 */
#ifndef RVK_TRAIN_FOLD_H
#define RVK_TRAIN_FOLD_H

#include "exec/store.h"
#include "model/model.h"

/*
 * Replaces, in the store, the kernel of every convolution that a normalization follows by the one that does the work of
 * both, and the normalization's beta by its bias; the bits are those that a step computes for itself. The store is then
 * good only for steps with options.folded, and its weights are not to be saved. *folded is false, and nothing is
 * changed, for a model with a penalty, whose loss needs the kernels as they were trained, and for one that has nothing
 * to fold. Not thread-safe, as the store.
 */
CHECKED enum status fold_parameters(const struct model *model, struct store *store, bool *folded);

#endif

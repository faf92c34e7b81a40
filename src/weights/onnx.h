/*
 * onnx: a network with its weights as an ONNX model (operator set 17), for other programs to run.
 *
 * Input "x" [batch, channels, height, width], float32, normalized as in training; output "logits" [batch, classes]. The
 * batch is free. Batch normalization is folded into the convolution before it.
 */
#ifndef RVK_WEIGHTS_ONNX_H
#define RVK_WEIGHTS_ONNX_H

#include "model/model.h"

/* Where the weights come from. */
struct onnx_weights {
    /* Fills the values of parameter `index` of the model, dense, in device order. */
    enum status (*read)(void *user, size_t index, double *dense);
    void *user;
};

/* An entry of the model's metadata. */
struct onnx_text {
    const char *key, *value;
};

/*
 * Writes the file, atomically. `metadata` ends with a NULL key, or is NULL. STATUS_USAGE when the network has an op
 * that has no counterpart, or is larger than the 2 GiB that the format allows; STATUS_IO, STATUS_MEMORY, and what
 * `read` returns. Any thread.
 */
CHECKED enum status onnx_write(const char *path, const struct model *model, const struct onnx_weights *weights,
                               const struct onnx_text metadata[]);

#endif

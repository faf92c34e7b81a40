/*
 * onnx: a network with its weights as an ONNX model (operator set 17), for other programs to run.
 *
 * Input "x" [batch, channels, height, width], float32, normalized as in training; output "logits" [batch, classes]. The
 * batch is free. Batch normalization is folded into the convolution before it.
 */
#ifndef RVK_WEIGHTS_ONNX_H
#define RVK_WEIGHTS_ONNX_H

#include "data/safetensors.h"
#include "model/model.h"

/* An entry of the model's metadata. */
struct onnx_text {
    const char *key, *value;
};

/*
 * Writes the file, atomically. tensors[i] holds the values of parameter i of the model, in the shape that it has in
 * files (see weights_match). `metadata` ends with a NULL key, or is NULL. STATUS_USAGE when the network has an op that
 * has no counterpart, or is larger than the 2 GiB that the format allows; STATUS_IO, STATUS_MEMORY. Any thread.
 */
CHECKED enum status onnx_write(const char *path, const struct model *model,
                               const struct safetensors_tensor *const tensors[], const struct onnx_text metadata[]);

#endif

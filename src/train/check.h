/*
 * check: a whole training step of a model, against the reference and against the numbers of another program.
 */
#ifndef RVK_TRAIN_CHECK_H
#define RVK_TRAIN_CHECK_H

#include "exec/verify.h"
#include "model/model.h"

/*
 * Every tensor of one training step on random images and weights, as verify_graph does it. STATUS_MEMORY before that
 * when it does not fit, with the largest batch that does.
 */
CHECKED enum status check_model(struct store *store, const struct model_options *options, uint32_t batch, uint32_t seed,
                                const struct verify_options *verify, struct verify_summary *summary);

/*
 * A file that holds one step of SGD as PyTorch did it (layouts of PyTorch): the state before ("param.NAME",
 * "buffer.NAME"), a batch ("input", "target"), and what came out ("logits_eval", "logits_train", "loss_train",
 * "grad_input", "grad.NAME", "after.NAME", "after_buffer.NAME"). Metadata: lr, momentum, weight_decay (0.1, 0.9, 1e-4
 * where absent). Two float32 programs do not agree bit for bit: the gate is on the L2 norm of the difference of each
 * tensor. In the Keras style loss_train and the gradients are those of the cross entropy alone; after.NAME has the
 * gradient of the L2 penalty in it, in addition to weight_decay.
 * options: name and style; image size, channels and classes follow the file. The store must be a new one: the
 * velocity starts at zero.
 */
CHECKED enum status check_against(struct store *store, const struct model_options *options, const char *path,
                                  const struct verify_options *verify, struct verify_summary *summary);

#endif

/*
 * step: the whole graph of one training, evaluation or prediction step, with the ids of what goes in and comes out.
 *
 * Inputs per step (TENSOR_INPUT): with a data set on the device, `indices` and `clock`; with a streamed one also
 * `images` and `labels`; otherwise `x` and `target`.
 * Training also takes `hyper` and, where images are mixed, `mixture`. Persistent values: "parameters", "statistics",
 * "gradients", "gradients.sum" when several batches make an update, "optimizer.velocity" or "optimizer.m" and
 * "optimizer.v", "gate" (NaN from the first step on whose loss was not finite: no update follows), and the data set's
 * "images", "labels", "normalize.mean", "normalize.scale".
 */
#ifndef RVK_TRAIN_STEP_H
#define RVK_TRAIN_STEP_H

#include "ir/graph.h"
#include "model/model.h"
#include "train/mixture.h"

enum step_kind { STEP_TRAIN, STEP_EVALUATE, STEP_PREDICT };
enum optimizer { OPTIMIZER_SGD, OPTIMIZER_ADAM, OPTIMIZER_ADAMW };

/* What weight decay applies to. The L2 penalty of the Keras style acts in addition, on convolution kernels. */
enum decay {
    DECAY_ALL,          /* every parameter, as a plain PyTorch optimizer */
    DECAY_KERNELS,      /* convolution and dense kernels, not biases, gammas and betas */
    DECAY_CONVOLUTIONS, /* convolution kernels */
};

/* Numbers are taken as they stand; step_options_default fills in the usual ones. */
struct step_options {
    enum step_kind kind;
    uint32_t batch;
    uint32_t accumulate; /* training: the mean gradient of so many batches makes one update; 1: of each. Statistics of
                            batch normalization are those of one batch, and running ones follow each */

    /* The data set on the device; image_count 0: `x` and `target` are inputs of the step. */
    uint32_t image_count;
    const char *set;     /* NULL: values "images", "labels"; "test": "test.images", "test.labels" */
    bool direct;         /* a streamed set: images and labels of the batch alone (image_count is `batch`) are inputs */
    bool mean_per_pixel; /* "normalize.mean" is [1,h,w,c], otherwise [1,1,1,c]; "normalize.scale" is [1,1,1,c] */
    uint32_t shift;      /* augmentation: whole pixels in [-shift, shift] */
    bool flip, nearest;  /* horizontal flips; pixels from outside are the nearest ones instead of zeros */

    struct mixture mixture; /* training from a data set on the device: mixup and cutmix */
    double smoothing;       /* of the labels in the loss */
    enum optimizer optimizer;
    double momentum; /* SGD */
    bool nesterov;
    double beta1, beta2, epsilon; /* Adam, AdamW */
    double weight_decay;
    enum decay decay;

    /* Fine-tuning; what is frozen, the model says (model_freeze). */
    bool freeze_norm;   /* running statistics are used in training too, and stay as they are */
    double layer_decay; /* the learning rate of a group of parameters is that of the next one towards the head, times
                           this; 1: one rate for all */
    double head_rate;   /* learning rate of the last group as a multiple of what it would be otherwise; 1 */

    bool recompute; /* training: the inner values of each block are computed again in the backward pass instead of kept;
                       what the step computes is the same bit by bit */
    bool folded;    /* evaluation and prediction: the weights went through fold_parameters */
    bool keep_logits;         /* make the logits an output of the step */
    bool keep_input_gradient; /* training from direct inputs: make the gradient of x an output of the step */
};

/* batch 128, momentum 0.9, beta1 0.9, beta2 0.999, epsilon 1e-8, layer_decay and head_rate 1; everything else zero. */
void step_options_default(struct step_options *options);

/* Ids are TENSOR_NONE for what this kind of step does not have. */
struct step {
    struct graph graph;
    struct step_options options; /* `set` is not kept */
    size_t forward_nodes;        /* nodes [0, forward_nodes) are the forward part, gather, loss and metrics included */

    /* inputs */
    tensor_id indices; /* U32 [1,1,1,n]; 0xFFFFFFFF leaves the place empty (evaluation and prediction only) */
    tensor_id images;  /* U8 [n,h,w,c]; of a streamed set */
    tensor_id labels;  /* U32 [1,1,1,n]; of a streamed set */
    tensor_id clock;   /* U32 [1,1,1,4] = seed, epoch, step, 0 */
    tensor_id hyper;   /* F32 [1,1,1,4] = learning rate, then for Adam 1/(1-beta1^t), 1/(1-beta2^t); last the
                          batches that are to be accumulated after this one before the update */
    tensor_id mixture; /* U32 [1,1,1,8] from mixture_choose; zeros mix nothing */
    tensor_id x;       /* F32 [n,h,w,c]; an input only without a data set */
    tensor_id target;  /* U32 [1,1,1,n], or [1,1,3,n] where images are mixed (the accuracy is that of the first row);
                          an input only without a data set; 0xFFFFFFFF is ignored by loss and metrics */

    /* outputs */
    tensor_id metrics;       /* F32 [1,1,1,4] = sum of losses, number correct, L2 penalty, 0; not in prediction */
    tensor_id probabilities; /* F32 [n,1,1,k]; prediction */
    tensor_id logits;        /* F32 [n,1,1,k]; an output with keep_logits */
    tensor_id dx;            /* like x; an output with keep_input_gradient */

    /* persistent */
    struct network network; /* values by index in the model's parameters */
    tensor_id *gradients;   /* views of the root "gradients"; TENSOR_NONE for
                               statistics and what is frozen; NULL unless training */
};

/* Builds the graph. The model is not kept. */
CHECKED enum status step_create(const struct model *model, const struct step_options *options, struct step *out);
void step_destroy(struct step *step); /* accepts a zeroed step */

/* The words of `hyper` for batch number `batch` of the training (0 for the first): the last of `accumulate` updates. */
void step_hyper(const struct step_options *options, double learning_rate, uint64_t batch, float hyper[4]);

/* Names of the optimizer's flat values besides "parameters": one or two, ends with NULL. */
const char *const *optimizer_values(enum optimizer optimizer);

#endif

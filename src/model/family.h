/*
 * family: what the names of networks stand for, in one table.
 */
#ifndef RVK_MODEL_FAMILY_H
#define RVK_MODEL_FAMILY_H

#include "model/layers.h"

enum shortcut {
    SHORTCUT_NONE,            /* a plain network */
    SHORTCUT_PROJECTION,      /* 1x1 convolution where the shape changes */
    SHORTCUT_PROJECTION_NORM, /* ... and batch normalization after it */
    SHORTCUT_PAD,             /* subsampling and zero channels where the shape changes */
};

/*
 * PREFIX depth SUFFIX. A family with `blocks` has one depth. The others take every depth = layers_per_block * 3 n + 2
 * and have n blocks in each of three stages.
 */
struct model_family {
    const char *prefix, *suffix;
    uint32_t layers_per_block;
    enum shortcut shortcut;
    tensor_id (*forward)(struct builder *builder, tensor_id x);
    /* of version 1: the block of a stage with so many filters */
    tensor_id (*block)(struct builder *builder, tensor_id x, uint32_t filters, uint32_t stride);
    uint32_t depth;
    uint32_t blocks[MODEL_STAGES]; /* of VGG: convolutions */
    uint32_t filters;              /* of the first convolution; 0: 64 with a depth of its own, otherwise 16 */
    bool large;                    /* for ImageNet: the usual image has 224 x 224 pixels and one of 1000 classes */
    /* of bottlenecks: groups of the 3x3 convolution, and filters of each in a stage of 64 (0: one group of 64) */
    uint32_t groups, group_width;
    uint32_t squeeze;  /* squeeze-and-excitation at the end of blocks: channels / squeeze in its middle; 0: none */
    bool stride_first; /* of bottlenecks: the first 1x1 convolution has the stride, as in the paper, not the 3x3 one */
    bool norm;         /* of VGG: batch normalization after every convolution */
    double dense_deviation; /* of the first kernels of dense layers, which are normal; 0: what the style does */
};

/* Ends with a NULL prefix. A depth of its own comes before the rule that it would also fit. */
extern const struct model_family model_families[];

/* residual.c: stages of residual blocks, or of the same layers without shortcuts */
tensor_id residual_forward(struct builder *builder, tensor_id x);
tensor_id residual_forward_v2(struct builder *builder, tensor_id x);
tensor_id residual_basic(struct builder *builder, tensor_id x, uint32_t filters, uint32_t stride);
tensor_id residual_bottleneck(struct builder *builder, tensor_id x, uint32_t filters, uint32_t stride);

/* vgg.c: the plain networks that came before */
tensor_id vgg_forward(struct builder *builder, tensor_id x);
tensor_id vgg_forward_small(struct builder *builder, tensor_id x);

#endif

/*
 * residual: the networks as formulas.
 */
#ifndef RVK_MODEL_RESIDUAL_H
#define RVK_MODEL_RESIDUAL_H

#include "model/layers.h"

enum shortcut {
    SHORTCUT_NONE,            /* a plain network */
    SHORTCUT_PROJECTION,      /* 1x1 convolution where the shape changes */
    SHORTCUT_PROJECTION_NORM, /* ... and batch normalization after it */
    SHORTCUT_PAD,             /* subsampling and zero channels where the shape changes */
};

/*
 * What a name stands for: PREFIX depth SUFFIX. Networks for small images take every depth = layers_per_block * 3 n + 2;
 * those for ImageNet have one depth, with its numbers of blocks.
 */
struct model_family {
    const char *prefix, *suffix;
    uint32_t layers_per_block;
    enum shortcut shortcut;
    tensor_id (*forward)(struct builder *builder, tensor_id x);
    /* of version 1: the block of a stage with so many filters */
    tensor_id (*block)(struct builder *builder, tensor_id x, uint32_t filters, uint32_t stride);
    uint32_t depth; /* 0: small images */
    uint32_t blocks[4];
    /* of bottlenecks: groups of the 3x3 convolution, and filters of each in a stage of 64 (0: one group of 64) */
    uint32_t groups, group_width;
    bool stride_first; /* of bottlenecks: the first 1x1 convolution has the stride, as in the paper, not the 3x3 one */
};

/* Ends with a NULL prefix. A depth of its own comes before the rule that it would also fit. */
extern const struct model_family model_families[];

#endif

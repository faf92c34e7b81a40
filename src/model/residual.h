/*
 * residual: the networks for small images, as formulas.
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

/* What a name without its depth stands for: PREFIX depth SUFFIX, with depth = layers_per_block * 3 n + 2. */
struct model_family {
    const char *prefix, *suffix;
    uint32_t layers_per_block;
    enum shortcut shortcut;
    tensor_id (*forward)(struct builder *builder, tensor_id x);
};

/* Ends with a NULL prefix. */
extern const struct model_family model_families[];

#endif

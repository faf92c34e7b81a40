#include "model/residual.h"

#include <stdio.h>

#define KERNEL(name, size, filters, stride) ((struct kernel){name, size, filters, stride})

static tensor_id shortcut(struct builder *builder, tensor_id x, uint32_t filters, uint32_t stride) {
    enum shortcut kind = builder->model->family->shortcut;
    uint32_t channels = graph_shape(builder->graph, x).d[C], added = filters - channels;
    struct kernel projection = KERNEL("downsample.0", 1, filters, stride);
    if (kind == SHORTCUT_NONE)
        return TENSOR_ABSENT;
    if (stride == 1 && added == 0)
        return x;
    if (kind == SHORTCUT_PROJECTION)
        return layer_convolution(builder, x, projection, TENSOR_ABSENT);
    if (kind == SHORTCUT_PROJECTION_NORM)
        return layer_convolution_norm(builder, x, projection, "downsample.1", TENSOR_ABSENT, false);
    graph_scope(builder->graph, "%sdownsample", builder->prefix);
    return graph_apply(builder->graph, "shortcut_pad", OPERANDS(x),
                       ATTRIBUTES({"stride", stride}, {"before", added / 2}, {"after", added - added / 2}));
}

/* relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)) */
static tensor_id basic_block(struct builder *builder, tensor_id x, uint32_t filters, uint32_t stride) {
    tensor_id y = layer_convolution_norm(builder, x, KERNEL("conv1", 3, filters, stride), "bn1", TENSOR_ABSENT, true);
    tensor_id identity = shortcut(builder, x, filters, stride);
    return layer_convolution_norm(builder, y, KERNEL("conv2", 3, filters, 1), "bn2", identity, true);
}

/* conv(relu(norm(conv(relu(norm(conv(relu(norm(x)))))))) + shortcut(x); `ready`: x is normalized and rectified */
static tensor_id bottleneck(struct builder *builder, tensor_id x, uint32_t width, uint32_t filters, uint32_t stride,
                            bool ready) {
    tensor_id y = ready ? x : layer_norm(builder, x, "bn1", true);
    y = layer_convolution_norm(builder, y, KERNEL("conv1", 1, width, stride), "bn2", TENSOR_ABSENT, true);
    y = layer_convolution_norm(builder, y, KERNEL("conv2", 3, width, 1), "bn3", TENSOR_ABSENT, true);
    tensor_id identity = shortcut(builder, x, filters, stride);
    return layer_convolution(builder, y, KERNEL("conv3", 1, filters, 1), identity);
}

static tensor_id stem(struct builder *builder, tensor_id x) {
    uint32_t filters = builder->model->options.filters;
    return layer_convolution_norm(builder, x, KERNEL("conv1", 3, filters, 1), "bn1", TENSOR_ABSENT, true);
}

static tensor_id head(struct builder *builder, tensor_id x) {
    graph_scope(builder->graph, "avgpool");
    x = graph_apply(builder->graph, "global_average_pool", OPERANDS(x), NULL);
    return layer_dense(builder, x, "fc", builder->model->options.classes);
}

static void enter_block(struct builder *builder, uint32_t stage, uint32_t block) {
    snprintf(builder->prefix, sizeof builder->prefix, "layer%u.%u.", stage + 1, block);
}

static void leave_blocks(struct builder *builder) {
    builder->prefix[0] = '\0';
}

/* Version 1: stages with f, 2f, 4f filters. */
static tensor_id forward_v1(struct builder *builder, tensor_id x) {
    uint32_t f = builder->model->options.filters;
    x = stem(builder, x);
    for (uint32_t stage = 0; stage < 3; stage++)
        for (uint32_t block = 0; block < builder->model->blocks; block++) {
            enter_block(builder, stage, block);
            x = basic_block(builder, x, f << stage, stage > 0 && block == 0 ? 2 : 1);
        }
    leave_blocks(builder);
    return head(builder, x);
}

/* Version 2: stages with 4f, 8f, 16f output channels; inside a bottleneck f, then as many as the stage before gave. */
static tensor_id forward_v2(struct builder *builder, tensor_id x) {
    uint32_t f = builder->model->options.filters;
    x = stem(builder, x);
    for (uint32_t stage = 0; stage < 3; stage++)
        for (uint32_t block = 0; block < builder->model->blocks; block++) {
            uint32_t width = stage == 0 ? f : f << (stage + 1);
            enter_block(builder, stage, block);
            x = bottleneck(builder, x, width, f << (stage + 2), stage > 0 && block == 0 ? 2 : 1,
                           stage == 0 && block == 0);
        }
    leave_blocks(builder);
    return head(builder, layer_norm(builder, x, "bn2", true));
}

const struct model_family model_families[] = {
    {"resnet", "", 2, SHORTCUT_PROJECTION, forward_v1},
    {"resnet", "a", 2, SHORTCUT_PAD, forward_v1},
    {"resnet", "b", 2, SHORTCUT_PROJECTION_NORM, forward_v1},
    {"resnet", "v2", 3, SHORTCUT_PROJECTION, forward_v2},
    {"plain", "", 2, SHORTCUT_NONE, forward_v1},
    {"plain", "v2", 3, SHORTCUT_NONE, forward_v2},
    {NULL, NULL, 0, SHORTCUT_NONE, NULL},
};

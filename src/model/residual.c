#include "model/residual.h"

#include <stdio.h>

#define KERNEL(name, size, filters, stride) ((struct kernel){name, size, filters, stride, 1})

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

/* relu(norm(conv(relu(norm(conv(relu(norm(conv(x)))))))) + shortcut(x)), four times as many channels outside as the
 * stage has filters, which are also those inside unless the network is wide or grouped */
static tensor_id bottleneck(struct builder *builder, tensor_id x, uint32_t filters, uint32_t stride) {
    const struct model_family *family = builder->model->family;
    uint32_t groups = family->group_width ? family->groups : 1;
    uint32_t width = family->group_width ? filters * family->group_width / 64 * groups : filters;
    uint32_t first = family->stride_first ? stride : 1, second = family->stride_first ? 1 : stride;
    struct kernel middle = {"conv2", 3, width, second, groups};
    tensor_id y = layer_convolution_norm(builder, x, KERNEL("conv1", 1, width, first), "bn1", TENSOR_ABSENT, true);
    y = layer_convolution_norm(builder, y, middle, "bn2", TENSOR_ABSENT, true);
    tensor_id identity = shortcut(builder, x, 4 * filters, stride);
    return layer_convolution_norm(builder, y, KERNEL("conv3", 1, 4 * filters, 1), "bn3", identity, true);
}

/* conv(relu(norm(conv(relu(norm(conv(relu(norm(x)))))))) + shortcut(x); `ready`: x is normalized and rectified */
static tensor_id bottleneck_v2(struct builder *builder, tensor_id x, uint32_t width, uint32_t filters, uint32_t stride,
                               bool ready) {
    tensor_id y = ready ? x : layer_norm(builder, x, "bn1", true);
    y = layer_convolution_norm(builder, y, KERNEL("conv1", 1, width, stride), "bn2", TENSOR_ABSENT, true);
    y = layer_convolution_norm(builder, y, KERNEL("conv2", 3, width, 1), "bn3", TENSOR_ABSENT, true);
    tensor_id identity = shortcut(builder, x, filters, stride);
    return layer_convolution(builder, y, KERNEL("conv3", 1, filters, 1), identity);
}

static tensor_id stem(struct builder *builder, tensor_id x) {
    uint32_t filters = builder->model->options.filters;
    bool small = builder->model->family->depth == 0;
    struct kernel kernel = small ? KERNEL("conv1", 3, filters, 1) : KERNEL("conv1", 7, filters, 2);
    x = layer_convolution_norm(builder, x, kernel, "bn1", TENSOR_ABSENT, true);
    return small ? x : layer_max_pool(builder, x, (struct kernel){.name = "maxpool", .size = 3, .stride = 2});
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

/* Version 1: stages with f, 2f, 4f and, for ImageNet, 8f filters. */
static tensor_id forward_v1(struct builder *builder, tensor_id x) {
    uint32_t f = builder->model->options.filters;
    x = stem(builder, x);
    for (uint32_t stage = 0; stage < 4; stage++)
        for (uint32_t block = 0; block < builder->model->blocks[stage]; block++) {
            enter_block(builder, stage, block);
            x = builder->model->family->block(builder, x, f << stage, stage > 0 && block == 0 ? 2 : 1);
        }
    leave_blocks(builder);
    return head(builder, x);
}

/* Version 2: stages with 4f, 8f, 16f output channels; inside a bottleneck f, then as many as the stage before gave. */
static tensor_id forward_v2(struct builder *builder, tensor_id x) {
    uint32_t f = builder->model->options.filters;
    x = stem(builder, x);
    for (uint32_t stage = 0; stage < 3; stage++)
        for (uint32_t block = 0; block < builder->model->blocks[stage]; block++) {
            uint32_t width = stage == 0 ? f : f << (stage + 1);
            enter_block(builder, stage, block);
            x = bottleneck_v2(builder, x, width, f << (stage + 2), stage > 0 && block == 0 ? 2 : 1,
                              stage == 0 && block == 0);
        }
    leave_blocks(builder);
    return head(builder, layer_norm(builder, x, "bn2", true));
}

#define BASIC .layers_per_block = 2, .shortcut = SHORTCUT_PROJECTION_NORM, .forward = forward_v1, .block = basic_block
#define BOTTLENECK                                                                                                     \
    .layers_per_block = 3, .shortcut = SHORTCUT_PROJECTION_NORM, .forward = forward_v1, .block = bottleneck
#define SMALL(kind) .layers_per_block = 2, .shortcut = kind, .forward = forward_v1, .block = basic_block
#define SMALL_V2(kind) .layers_per_block = 3, .shortcut = kind, .forward = forward_v2

const struct model_family model_families[] = {
    {"resnet", "", BASIC, .depth = 18, .blocks = {2, 2, 2, 2}},
    {"resnet", "", BASIC, .depth = 34, .blocks = {3, 4, 6, 3}},
    {"resnet", "", BOTTLENECK, .depth = 50, .blocks = {3, 4, 6, 3}},
    {"resnet", "", BOTTLENECK, .depth = 101, .blocks = {3, 4, 23, 3}},
    {"resnet", "", BOTTLENECK, .depth = 152, .blocks = {3, 8, 36, 3}},
    {"resnet", "v1", BOTTLENECK, .depth = 50, .blocks = {3, 4, 6, 3}, .stride_first = true},
    {"resnet", "v1", BOTTLENECK, .depth = 101, .blocks = {3, 4, 23, 3}, .stride_first = true},
    {"resnet", "v1", BOTTLENECK, .depth = 152, .blocks = {3, 8, 36, 3}, .stride_first = true},
    {"wide_resnet", "_2", BOTTLENECK, .depth = 50, .blocks = {3, 4, 6, 3}, .groups = 1, .group_width = 128},
    {"wide_resnet", "_2", BOTTLENECK, .depth = 101, .blocks = {3, 4, 23, 3}, .groups = 1, .group_width = 128},
    {"resnext", "_32x4d", BOTTLENECK, .depth = 50, .blocks = {3, 4, 6, 3}, .groups = 32, .group_width = 4},
    {"resnext", "_32x8d", BOTTLENECK, .depth = 101, .blocks = {3, 4, 23, 3}, .groups = 32, .group_width = 8},
    {"resnext", "_64x4d", BOTTLENECK, .depth = 101, .blocks = {3, 4, 23, 3}, .groups = 64, .group_width = 4},
    {"resnet", "", SMALL(SHORTCUT_PROJECTION)},
    {"resnet", "c", SMALL(SHORTCUT_PROJECTION)},
    {"resnet", "a", SMALL(SHORTCUT_PAD)},
    {"resnet", "b", SMALL(SHORTCUT_PROJECTION_NORM)},
    {"resnet", "v2", SMALL_V2(SHORTCUT_PROJECTION)},
    {"plain", "", SMALL(SHORTCUT_NONE)},
    {"plain", "v2", SMALL_V2(SHORTCUT_NONE)},
    {.prefix = NULL},
};

/* residual: residual networks as formulas, with the names that torchvision gives to their layers. */
#include "model/family.h"

#include <stdio.h>

#define KERNEL(name, size, filters, stride) ((struct kernel){name, size, filters, stride, 1, false})

static tensor_id shortcut(struct builder *builder, tensor_id x, uint32_t filters, uint32_t stride) {
    enum shortcut kind = builder->model->family->shortcut;
    uint32_t channels = graph_shape(builder->graph, x).d[C], added = filters - channels;
    struct kernel projection = KERNEL("downsample.0", 1, filters, stride);
    if (kind == SHORTCUT_NONE)
        return TENSOR_ABSENT;
    if (stride == 1 && added == 0)
        return x;
    if (kind == SHORTCUT_PROJECTION)
        return layer_convolution(builder, x, projection, TENSOR_ABSENT, false);
    if (kind == SHORTCUT_PROJECTION_NORM)
        return layer_convolution_norm(builder, x, projection, "downsample.1", TENSOR_ABSENT, false);
    graph_scope(builder->graph, "%sdownsample", builder->prefix);
    return graph_apply(builder->graph, "shortcut_pad", OPERANDS(x),
                       ATTRIBUTES({"stride", stride}, {"before", added / 2}, {"after", added - added / 2}));
}

/* The end of a block: relu(excite?(norm(conv(x))) + identity). The middle of the excitation has a multiple of eight
 * values, at least eight: timm's rule. */
static tensor_id finish(struct builder *builder, tensor_id x, struct kernel kernel, const char *norm,
                        tensor_id identity) {
    uint32_t squeeze = builder->model->family->squeeze;
    if (squeeze == 0)
        return layer_convolution_norm(builder, x, kernel, norm, identity, true);
    uint32_t eights = (kernel.filters / squeeze + 4) / 8;
    x = layer_convolution_norm(builder, x, kernel, norm, TENSOR_ABSENT, false);
    return layer_excite(builder, x, "se", 8 * (eights ? eights : 1), identity, true);
}

/* relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)) */
tensor_id residual_basic(struct builder *builder, tensor_id x, uint32_t filters, uint32_t stride) {
    tensor_id y = layer_convolution_norm(builder, x, KERNEL("conv1", 3, filters, stride), "bn1", TENSOR_ABSENT, true);
    tensor_id identity = shortcut(builder, x, filters, stride);
    return finish(builder, y, KERNEL("conv2", 3, filters, 1), "bn2", identity);
}

/* relu(norm(conv(relu(norm(conv(relu(norm(conv(x)))))))) + shortcut(x)), four times as many channels outside as the
 * stage has filters, which are also those inside unless the network is wide or grouped */
tensor_id residual_bottleneck(struct builder *builder, tensor_id x, uint32_t filters, uint32_t stride) {
    const struct model_family *family = builder->model->family;
    uint32_t groups = family->group_width ? family->groups : 1;
    uint32_t width = family->group_width ? filters * family->group_width / 64 * groups : filters;
    uint32_t first = family->stride_first ? stride : 1, second = family->stride_first ? 1 : stride;
    struct kernel middle = {"conv2", 3, width, second, groups, false};
    tensor_id y = layer_convolution_norm(builder, x, KERNEL("conv1", 1, width, first), "bn1", TENSOR_ABSENT, true);
    y = layer_convolution_norm(builder, y, middle, "bn2", TENSOR_ABSENT, true);
    tensor_id identity = shortcut(builder, x, 4 * filters, stride);
    return finish(builder, y, KERNEL("conv3", 1, 4 * filters, 1), "bn3", identity);
}

/* conv(relu(norm(conv(relu(norm(conv(relu(norm(x)))))))) + shortcut(x); `ready`: x is normalized and rectified */
static tensor_id bottleneck_v2(struct builder *builder, tensor_id x, uint32_t width, uint32_t filters, uint32_t stride,
                               bool ready) {
    tensor_id y = ready ? x : layer_norm(builder, x, "bn1", true);
    y = layer_convolution_norm(builder, y, KERNEL("conv1", 1, width, stride), "bn2", TENSOR_ABSENT, true);
    y = layer_convolution_norm(builder, y, KERNEL("conv2", 3, width, 1), "bn3", TENSOR_ABSENT, true);
    tensor_id identity = shortcut(builder, x, filters, stride);
    return layer_convolution(builder, y, KERNEL("conv3", 1, filters, 1), identity, false);
}

static tensor_id stem(struct builder *builder, tensor_id x) {
    uint32_t filters = builder->model->options.filters;
    bool small = !builder->model->family->large;
    graph_segment(builder->graph, true);
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
    graph_segment(builder->graph, true);
    snprintf(builder->prefix, sizeof builder->prefix, "layer%u.%u.", stage + 1, block);
    builder->group = stage + 1;
}

/* What follows is the head. */
static void leave_blocks(struct builder *builder) {
    graph_segment(builder->graph, false);
    builder->prefix[0] = '\0';
    builder->group++;
}

/* Version 1: stages with f, 2f, 4f, ... filters. */
tensor_id residual_forward(struct builder *builder, tensor_id x) {
    uint32_t f = builder->model->options.filters;
    x = stem(builder, x);
    for (uint32_t stage = 0; stage < MODEL_STAGES; stage++)
        for (uint32_t block = 0; block < builder->model->blocks[stage]; block++) {
            enter_block(builder, stage, block);
            x = builder->model->family->block(builder, x, f << stage, stage > 0 && block == 0 ? 2 : 1);
        }
    leave_blocks(builder);
    return head(builder, x);
}

/* Version 2: stages with 4f, 8f, 16f, ... output channels; inside a bottleneck f, then as many as the stage before
 * gave. */
tensor_id residual_forward_v2(struct builder *builder, tensor_id x) {
    uint32_t f = builder->model->options.filters;
    x = stem(builder, x);
    for (uint32_t stage = 0; stage < MODEL_STAGES; stage++)
        for (uint32_t block = 0; block < builder->model->blocks[stage]; block++) {
            uint32_t width = stage == 0 ? f : f << (stage + 1);
            enter_block(builder, stage, block);
            x = bottleneck_v2(builder, x, width, f << (stage + 2), stage > 0 && block == 0 ? 2 : 1,
                              stage == 0 && block == 0);
        }
    leave_blocks(builder);
    return head(builder, layer_norm(builder, x, "bn2", true));
}

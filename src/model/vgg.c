/* vgg: the plain networks of Simonyan and Zisserman (ICLR 2015), with torchvision's names of layers. */
#include "model/family.h"

#include <stdio.h>

/* Convolutions and maxima; the layers are numbered through, activations and poolings included. */
static tensor_id features(struct builder *builder, tensor_id x) {
    static const uint32_t widths[MODEL_STAGES] = {1, 2, 4, 8, 8};
    const struct model *model = builder->model;
    uint32_t layer = 0;
    char name[16], norm[16];
    snprintf(builder->prefix, sizeof builder->prefix, "features.");
    for (int stage = 0; stage < MODEL_STAGES && model->blocks[stage]; stage++, builder->group++) {
        graph_segment(builder->graph, true);
        for (uint32_t i = 0; i < model->blocks[stage]; i++) {
            struct kernel kernel = {name, 3, model->options.filters * widths[stage], 1, 1, true};
            snprintf(name, sizeof name, "%u", layer);
            snprintf(norm, sizeof norm, "%u", layer + 1);
            x = model->family->norm ? layer_convolution_norm(builder, x, kernel, norm, TENSOR_ABSENT, true)
                                    : layer_convolution(builder, x, kernel, TENSOR_ABSENT, true);
            layer += model->family->norm ? 3 : 2;
        }
        snprintf(name, sizeof name, "%u", layer++);
        x = layer_max_pool(builder, x, (struct kernel){.name = name, .size = 2, .stride = 2});
    }
    graph_segment(builder->graph, false);
    builder->prefix[0] = '\0';
    return x;
}

/* Means of equal parts, so that size x size of them remain. */
static tensor_id shrink(struct builder *builder, tensor_id x, uint32_t size) {
    struct shape shape = graph_shape(builder->graph, x);
    const struct model_options *image = &builder->model->options;
    uint32_t h = shape.d[H] / size, w = shape.d[W] / size;
    if (shape.d[H] % size || shape.d[W] % size)
        return graph_fail(builder->graph, STATUS_USAGE,
                          "%s takes images whose height and width are multiples of %u, not %ux%u (for small images "
                          "there are vgg16c and vgg19c)",
                          builder->model->name, 32 * size, image->height, image->width);
    if (h == 1 && w == 1)
        return x;
    graph_scope(builder->graph, "avgpool");
    return graph_apply(builder->graph, "average_pool", OPERANDS(x),
                       ATTRIBUTES({"kernel_h", h}, {"kernel_w", w}, {"stride_h", h}, {"stride_w", w}));
}

tensor_id vgg_forward(struct builder *builder, tensor_id x) {
    enum { PARTS = 7, HIDDEN = 4096 };
    x = shrink(builder, features(builder, x), PARTS);
    x = layer_dense_image(builder, x, "classifier.0", HIDDEN, true);
    x = layer_dropout(builder, x, "classifier.2", 0);
    x = layer_relu(builder, layer_dense(builder, x, "classifier.3", HIDDEN), "classifier.4");
    x = layer_dropout(builder, x, "classifier.5", 1);
    return layer_dense(builder, x, "classifier.6", builder->model->options.classes);
}

/* As it is usually done for CIFAR: what is left of an image of 32 x 32 pixels is one, and one dense layer follows. */
tensor_id vgg_forward_small(struct builder *builder, tensor_id x) {
    x = features(builder, x);
    graph_scope(builder->graph, "avgpool");
    x = graph_apply(builder->graph, "global_average_pool", OPERANDS(x), NULL);
    return layer_dense(builder, x, "classifier", builder->model->options.classes);
}

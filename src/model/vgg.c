/* vgg: the plain networks of Simonyan and Zisserman (ICLR 2015), with torchvision's names of layers. */
#include "model/family.h"

#include <stdio.h>

/* Every stage halves the image. */
static bool large_enough(const struct model *model) {
    uint32_t least = 1;
    for (int stage = 0; stage < MODEL_STAGES && model->blocks[stage]; stage++)
        least *= 2;
    return model->options.height >= least && model->options.width >= least;
}

/* Convolutions and maxima; the layers are numbered through, activations and poolings included. */
static tensor_id features(struct builder *builder, tensor_id x) {
    static const uint32_t widths[MODEL_STAGES] = {1, 2, 4, 8, 8};
    const struct model *model = builder->model;
    uint32_t layer = 0;
    char name[16], norm[16];
    if (!large_enough(model))
        return graph_fail(builder->graph, STATUS_USAGE,
                          "images of %ux%u pixels are too small for %s, whose stages halve them", model->options.height,
                          model->options.width, model->name);
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

/* The head takes 7 x 7 pixels: means of as many windows, for images of other sizes than 224 x 224. */
static tensor_id shrink(struct builder *builder, tensor_id x) {
    enum { SIZE = 7 };
    struct shape shape = graph_shape(builder->graph, x);
    if (shape.d[H] == SIZE && shape.d[W] == SIZE)
        return x;
    graph_scope(builder->graph, "avgpool");
    return graph_apply(builder->graph, "adaptive_average_pool", OPERANDS(x), ATTRIBUTES({"h", SIZE}, {"w", SIZE}));
}

tensor_id vgg_forward(struct builder *builder, tensor_id x) {
    enum { HIDDEN = 4096 };
    x = shrink(builder, features(builder, x));
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

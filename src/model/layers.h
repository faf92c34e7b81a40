/*
 * layers: what the formulas of networks are written in. A layer finds its parameters by name.
 *
 * The same formula lists a model's parameters (builder.listing is set: every parameter becomes a value of its own in a
 * throwaway graph) and builds graphs (every parameter is a view of the flat values). Absent residuals are
 * TENSOR_ABSENT. All names get the builder's prefix.
 */
#ifndef RVK_MODEL_LAYERS_H
#define RVK_MODEL_LAYERS_H

#include "model/model.h"

struct builder {
    const struct model *model;
    struct model *listing; /* the same model while its parameters are being listed, otherwise NULL */
    size_t capacity;       /* of the list */
    struct graph *graph;
    struct network *network; /* NULL while listing */
    bool training;
    uint32_t group;  /* of the parameters that come next, see struct parameter */
    char prefix[32]; /* "layer2.0." */
};

/* A convolution kernel of size x size; each of the groups of filters sees its share of the channels. */
struct kernel {
    const char *name;
    uint32_t size, filters, stride, groups;
    bool bias; /* in the Keras style every convolution has one */
};

/* relu?(conv(x) + residual) */
tensor_id layer_convolution(struct builder *builder, tensor_id x, struct kernel kernel, tensor_id residual, bool relu);

/* relu?(norm(x)) */
tensor_id layer_norm(struct builder *builder, tensor_id x, const char *name, bool relu);

/* relu?(norm(conv(x)) + residual); where nothing of it is trained, the normalization is folded into the convolution */
tensor_id layer_convolution_norm(struct builder *builder, tensor_id x, struct kernel kernel, const char *norm,
                                 tensor_id residual, bool relu);

/* Maxima of size x size windows, padded as convolutions are */
tensor_id layer_max_pool(struct builder *builder, tensor_id x, struct kernel window);

/* x [n,1,1,f] -> [n,1,1,outputs] */
tensor_id layer_dense(struct builder *builder, tensor_id x, const char *name, uint32_t outputs);

/* relu?(dense of all values of each image); x [n,h,w,c] -> [n,1,1,outputs]. In files the values are in PyTorch's order:
 * channels, rows, columns. */
tensor_id layer_dense_image(struct builder *builder, tensor_id x, const char *name, uint32_t outputs, bool relu);

/* relu?(x s + residual) with s = sigmoid(fc2(relu(fc1(means of the channels of x)))), of `middle` values in between */
tensor_id layer_excite(struct builder *builder, tensor_id x, const char *name, uint32_t middle, tensor_id residual,
                       bool relu);

tensor_id layer_relu(struct builder *builder, tensor_id x, const char *name);

/* In training from a data set, half of the values, doubled, and zeros for the others. `number` tells a model's dropouts
 * apart. */
tensor_id layer_dropout(struct builder *builder, tensor_id x, const char *name, uint32_t number);

#endif

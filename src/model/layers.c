#include "model/layers.h"

#include "base/memory.h"
#include "model/family.h"

#include <math.h>
#include <stdio.h>

/* The standard deviation of a standard normal cut at two deviations; TensorFlow divides by it. */
#define TRUNCATED_DEVIATION 0.87962566103423978

static bool keras(const struct builder *builder) {
    return builder->model->options.style == STYLE_KERAS;
}

static double epsilon(const struct builder *builder) {
    return keras(builder) ? 1e-3 : 1e-5;
}

static tensor_id list_parameter(struct builder *builder, const struct parameter *parameter) {
    struct model *model = builder->listing;
    if (memory_grow(&model->parameters, &builder->capacity, model->count + 1, sizeof *parameter) != STATUS_OK)
        return graph_fail(builder->graph, STATUS_MEMORY, "%s", status_message());
    model->parameters[model->count++] = *parameter;
    return graph_tensor(builder->graph, parameter->name, DTYPE_F32, parameter->shape, TENSOR_PERSISTENT);
}

/* The value of parameter LAYER.FIELD. */
static tensor_id parameter(struct builder *builder, const char *layer, const char *field, enum parameter_class class,
                           struct shape shape, enum initial initial, double scale) {
    struct parameter wanted = {
        .class = class, .shape = shape, .initial = initial, .scale = scale, .group = builder->group};
    snprintf(wanted.name, sizeof wanted.name, "%s%s.%s", builder->prefix, layer, field);
    if (builder->listing)
        return list_parameter(builder, &wanted);
    const struct network *network = builder->network;
    int index = model_find(builder->model, wanted.name);
    tensor_id root = class == PARAMETER_STATISTIC ? network->statistics : network->parameters;
    uint64_t offset = builder->model->parameters[index].offset;
    return network->values[index] = graph_view(builder->graph, wanted.name, root, offset, shape);
}

/* A kernel [kh,kw,i,o] of a convolution or a dense layer (kh = kw = 1). */
static tensor_id weight(struct builder *builder, const char *layer, enum parameter_class class, struct shape shape) {
    double receptive = (double)shape.d[KH] * shape.d[KW];
    double fan_in = receptive * shape.d[KI], fan_out = receptive * shape.d[KO];
    double deviation = builder->model->family->dense_deviation;
    if (builder->model->options.initializer == INITIALIZER_HE_TRUNCATED)
        return parameter(builder, layer, "weight", class, shape, INITIAL_TRUNCATED_NORMAL,
                         sqrt(2 / fan_in) / TRUNCATED_DEVIATION);
    if (class == PARAMETER_DENSE && deviation > 0)
        return parameter(builder, layer, "weight", class, shape, INITIAL_NORMAL, deviation);
    if (class == PARAMETER_DENSE)
        return parameter(builder, layer, "weight", class, shape, INITIAL_UNIFORM, 1 / sqrt(fan_in));
    return parameter(builder, layer, "weight", class, shape, INITIAL_NORMAL, sqrt(2 / fan_out));
}

static tensor_id vector(struct builder *builder, const char *layer, const char *field, uint32_t count, double value) {
    return parameter(builder, layer, field, PARAMETER_VECTOR, shape_vector(count), INITIAL_CONSTANT, value);
}

static tensor_id statistic(struct builder *builder, const char *layer, const char *field, uint32_t count,
                           double value) {
    return parameter(builder, layer, field, PARAMETER_STATISTIC, shape_vector(count), INITIAL_CONSTANT, value);
}

/* ---- convolution ---- */

struct convolution {
    tensor_id weight, bias;
};

static struct convolution convolution(struct builder *builder, tensor_id x, struct kernel kernel) {
    uint32_t channels = graph_shape(builder->graph, x).d[C];
    struct shape shape = shape4(kernel.size, kernel.size, channels / kernel.groups, kernel.filters);
    struct convolution values = {.bias = TENSOR_ABSENT};
    values.weight = weight(builder, kernel.name, PARAMETER_CONVOLUTION, shape);
    if (keras(builder) || kernel.bias)
        values.bias = vector(builder, kernel.name, "bias", kernel.filters, 0);
    return values;
}

/* Padding before and after one axis: half the kernel on each side, or TensorFlow's 'same' (ceil(extent / stride)
 * outputs, the odd pixel after). */
static void padding(const struct builder *builder, struct kernel kernel, uint32_t extent, double pad[2]) {
    pad[0] = pad[1] = (kernel.size - 1) / 2;
    if (!keras(builder))
        return;
    uint32_t reach = (uint32_t)(ceil_div(extent, kernel.stride) - 1) * kernel.stride + kernel.size;
    uint32_t total = reach > extent ? reach - extent : 0;
    pad[0] = total / 2;
    pad[1] = total - total / 2;
}

static tensor_id convolve(struct builder *builder, tensor_id x, struct kernel kernel, struct convolution values,
                          tensor_id residual, bool relu) {
    struct shape shape = graph_shape(builder->graph, x);
    double vertical[2], horizontal[2];
    padding(builder, kernel, shape.d[H], vertical);
    padding(builder, kernel, shape.d[W], horizontal);
    return graph_apply(builder->graph, "conv2d", OPERANDS(x, values.weight, values.bias, residual),
                       ATTRIBUTES({"stride_h", kernel.stride}, {"stride_w", kernel.stride}, {"pad_top", vertical[0]},
                                  {"pad_bottom", vertical[1]}, {"pad_left", horizontal[0]},
                                  {"pad_right", horizontal[1]}, {"groups", kernel.groups}, {"relu", relu}));
}

tensor_id layer_convolution(struct builder *builder, tensor_id x, struct kernel kernel, tensor_id residual, bool relu) {
    graph_scope(builder->graph, "%s%s", builder->prefix, kernel.name);
    return convolve(builder, x, kernel, convolution(builder, x, kernel), residual, relu);
}

/* ---- pooling ---- */

tensor_id layer_max_pool(struct builder *builder, tensor_id x, struct kernel window) {
    struct shape shape = graph_shape(builder->graph, x);
    double vertical[2], horizontal[2];
    graph_scope(builder->graph, "%s%s", builder->prefix, window.name);
    padding(builder, window, shape.d[H], vertical);
    padding(builder, window, shape.d[W], horizontal);
    return graph_apply(builder->graph, "max_pool", OPERANDS(x),
                       ATTRIBUTES({"kernel_h", window.size}, {"kernel_w", window.size}, {"stride_h", window.stride},
                                  {"stride_w", window.stride}, {"pad_top", vertical[0]}, {"pad_bottom", vertical[1]},
                                  {"pad_left", horizontal[0]}, {"pad_right", horizontal[1]}));
}

/* ---- batch normalization ---- */

struct norm {
    tensor_id gamma, beta, running_mean, running_variance;
    bool running; /* normalizes by the running statistics also in training, and leaves them as they are */
};

/* Whether parameter LAYER.FIELD keeps its value in training. */
static bool frozen(const struct builder *builder, const char *layer, const char *field) {
    char name[64];
    if (builder->listing)
        return false;
    snprintf(name, sizeof name, "%s%s.%s", builder->prefix, layer, field);
    return (size_t)model_find(builder->model, name) < builder->model->frozen;
}

static struct norm norm(struct builder *builder, const char *name, uint32_t channels) {
    return (struct norm){
        .running = !builder->listing &&
                   (!builder->training || builder->network->freeze_norm || frozen(builder, name, "weight")),
        .gamma = vector(builder, name, "weight", channels, 1),
        .beta = vector(builder, name, "bias", channels, 0),
        .running_mean = statistic(builder, name, "running_mean", channels, 0),
        .running_variance = statistic(builder, name, "running_var", channels, 1),
    };
}

/* x normalized by the statistics of the batch, which the running ones follow. */
static tensor_id normalize_batch(struct builder *builder, tensor_id x, struct norm values, tensor_id residual,
                                 bool relu) {
    struct graph *graph = builder->graph;
    struct shape shape = graph_shape(graph, x);
    double count = (double)shape.d[N] * shape.d[H] * shape.d[W];
    double correction = keras(builder) || count < 2 ? 1 : count / (count - 1);
    tensor_id mean = graph_apply(graph, "batch_norm_statistics", OPERANDS(x), NULL);
    tensor_id variance = graph_output(graph, 1);
    graph_apply(graph, "batch_norm_update", OPERANDS(values.running_mean, values.running_variance, mean, variance),
                ATTRIBUTES({"momentum", keras(builder) ? 0.01 : 0.1}, {"correction", correction}));
    return graph_apply(graph, "batch_norm", OPERANDS(x, mean, variance, values.gamma, values.beta, residual),
                       ATTRIBUTES({"epsilon", epsilon(builder)}, {"relu", relu}, {"training", 1}));
}

static tensor_id normalize_running(struct builder *builder, tensor_id x, struct norm values, tensor_id residual,
                                   bool relu) {
    return graph_apply(builder->graph, "batch_norm",
                       OPERANDS(x, values.running_mean, values.running_variance, values.gamma, values.beta, residual),
                       ATTRIBUTES({"epsilon", epsilon(builder)}, {"relu", relu}, {"training", 0}));
}

static tensor_id normalize(struct builder *builder, tensor_id x, struct norm values, tensor_id residual, bool relu) {
    return values.running ? normalize_running(builder, x, values, residual, relu)
                          : normalize_batch(builder, x, values, residual, relu);
}

tensor_id layer_norm(struct builder *builder, tensor_id x, const char *name, bool relu) {
    graph_scope(builder->graph, "%s%s", builder->prefix, name);
    return normalize(builder, x, norm(builder, name, graph_shape(builder->graph, x).d[C]), TENSOR_ABSENT, relu);
}

/* The convolution that includes the normalization by running statistics. */
static struct convolution fold(struct builder *builder, struct convolution plain, struct norm values) {
    struct convolution folded;
    folded.weight = graph_apply(
        builder->graph, "batch_norm_fold",
        OPERANDS(plain.weight, values.gamma, values.beta, values.running_mean, values.running_variance, plain.bias),
        ATTRIBUTES({"epsilon", epsilon(builder)}));
    folded.bias = graph_output(builder->graph, 1);
    return folded;
}

tensor_id layer_convolution_norm(struct builder *builder, tensor_id x, struct kernel kernel, const char *norm_name,
                                 tensor_id residual, bool relu) {
    graph_scope(builder->graph, "%s%s", builder->prefix, kernel.name);
    struct convolution plain = convolution(builder, x, kernel);
    struct norm values = norm(builder, norm_name, kernel.filters);
    if (builder->network && builder->network->folded)
        return convolve(builder, x, kernel, (struct convolution){plain.weight, values.beta}, residual, relu);
    if (!builder->training || (values.running && frozen(builder, norm_name, "weight")))
        return convolve(builder, x, kernel, fold(builder, plain, values), residual, relu);
    tensor_id y = convolve(builder, x, kernel, plain, TENSOR_ABSENT, false);
    graph_scope(builder->graph, "%s%s", builder->prefix, norm_name);
    return normalize(builder, y, values, residual, relu);
}

/* ---- dense ---- */

static tensor_id dense_bias(struct builder *builder, const char *name, uint64_t inputs, uint32_t outputs) {
    bool uniform =
        builder->model->options.initializer == INITIALIZER_HE_FAN_OUT && builder->model->family->dense_deviation <= 0;
    return parameter(builder, name, "bias", PARAMETER_VECTOR, shape_vector(outputs),
                     uniform ? INITIAL_UNIFORM : INITIAL_CONSTANT, uniform ? 1 / sqrt((double)inputs) : 0);
}

tensor_id layer_dense(struct builder *builder, tensor_id x, const char *name, uint32_t outputs) {
    uint32_t inputs = graph_shape(builder->graph, x).d[C];
    graph_scope(builder->graph, "%s%s", builder->prefix, name);
    tensor_id kernel = weight(builder, name, PARAMETER_DENSE, shape4(1, 1, inputs, outputs));
    tensor_id bias = dense_bias(builder, name, inputs, outputs);
    return graph_apply(builder->graph, "dense", OPERANDS(x, kernel, bias), NULL);
}

/* A convolution whose kernel is as large as the image. */
tensor_id layer_dense_image(struct builder *builder, tensor_id x, const char *name, uint32_t outputs, bool relu) {
    struct shape shape = graph_shape(builder->graph, x);
    graph_scope(builder->graph, "%s%s", builder->prefix, name);
    tensor_id kernel = weight(builder, name, PARAMETER_DENSE, shape4(shape.d[H], shape.d[W], shape.d[C], outputs));
    tensor_id bias = dense_bias(builder, name, (uint64_t)shape.d[H] * shape.d[W] * shape.d[C], outputs);
    return graph_apply(builder->graph, "conv2d", OPERANDS(x, kernel, bias), ATTRIBUTES({"relu", relu}));
}

/* ---- squeeze-and-excitation ---- */

/* The dense layers are convolutions of one pixel, as in timm. */
tensor_id layer_excite(struct builder *builder, tensor_id x, const char *name, uint32_t middle, tensor_id residual,
                       bool relu) {
    char first[32], second[32];
    uint32_t channels = graph_shape(builder->graph, x).d[C];
    snprintf(first, sizeof first, "%s.fc1", name);
    snprintf(second, sizeof second, "%s.fc2", name);
    graph_scope(builder->graph, "%s%s", builder->prefix, name);
    tensor_id s = graph_apply(builder->graph, "global_average_pool", OPERANDS(x), NULL);
    s = layer_convolution(builder, s, (struct kernel){first, 1, middle, 1, 1, true}, TENSOR_ABSENT, true);
    s = layer_convolution(builder, s, (struct kernel){second, 1, channels, 1, 1, true}, TENSOR_ABSENT, false);
    graph_scope(builder->graph, "%s%s", builder->prefix, name);
    s = graph_apply(builder->graph, "sigmoid", OPERANDS(s), NULL);
    return graph_apply(builder->graph, "channel_scale", OPERANDS(x, s, residual), ATTRIBUTES({"relu", relu}));
}

/* ---- others ---- */

tensor_id layer_relu(struct builder *builder, tensor_id x, const char *name) {
    graph_scope(builder->graph, "%s%s", builder->prefix, name);
    return graph_apply(builder->graph, "relu", OPERANDS(x), NULL);
}

tensor_id layer_dropout(struct builder *builder, tensor_id x, const char *name, uint32_t number) {
    const struct network *network = builder->network;
    if (!builder->training || network->clock == TENSOR_NONE)
        return x;
    graph_scope(builder->graph, "%s%s", builder->prefix, name);
    return graph_apply(builder->graph, "dropout", OPERANDS(x, network->clock, network->indices),
                       ATTRIBUTES({"p", 0.5}, {"layer", number}));
}

#include "weights/onnx.h"

#include "base/file.h"
#include "base/memory.h"
#include "weights/protobuf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of the fields that are written, and versions, from onnx.proto (github.com/onnx/onnx). */
enum { IR_VERSION = 8, OPERATOR_SET = 17 };
enum { MODEL_IR_VERSION = 1, MODEL_PRODUCER = 2, MODEL_GRAPH = 7, MODEL_OPERATORS = 8, MODEL_METADATA = 14 };
enum { OPERATORS_VERSION = 2 };
enum { METADATA_KEY = 1, METADATA_VALUE = 2 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_TYPE = 4, NODE_ATTRIBUTE = 5 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_FLOAT = 2, ATTRIBUTE_INT = 3, ATTRIBUTE_INTS = 8, ATTRIBUTE_TYPE = 20 };
enum { ATTRIBUTE_TYPE_FLOAT = 1, ATTRIBUTE_TYPE_INT = 2, ATTRIBUTE_TYPE_INTS = 7 };
enum { TENSOR_DIMENSION = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_BYTES = 9 };
enum { TYPE_FLOAT = 1, TYPE_INT64 = 7 };
enum { VALUE_NAME = 1, VALUE_TYPE = 2, TYPE_TENSOR = 1, TYPE_ELEMENT = 1, TYPE_SHAPE = 2 };
enum { SHAPE_DIMENSION = 1, DIMENSION_NUMBER = 1, DIMENSION_NAME = 2 };

enum { NAME_LENGTH = 96 };

/* A constant of the model; its bytes are not copied into the message, as they may be half a gigabyte. */
struct constant {
    struct protobuf header; /* the graph's field up to these bytes */
    void *bytes;
    size_t size;
};

struct exporter {
    const struct model *model;
    const struct safetensors_tensor *const *tensors; /* the weights, by index in the model */
    struct graph graph;
    struct network network;
    double **folded; /* [tensors]: values that follow from weights alone and that no node has taken yet */
    struct protobuf body, node, attribute; /* the graph without constants, and what of it is being written */
    struct constant *constants;
    size_t count, capacity;
    enum status status; /* the first failure of a translation, with its sentence as this thread's message */
};

/* ---- values that are known now ---- */

static int parameter_index(const struct exporter *exporter, tensor_id tensor) {
    for (size_t i = 0; i < exporter->model->count; i++)
        if (exporter->network.values[i] == tensor)
            return (int)i;
    return -1;
}

static bool known(const struct exporter *exporter, tensor_id tensor) {
    return exporter->folded[tensor] || parameter_index(exporter, tensor) >= 0;
}

/* Dense values in device order, the caller's from now on: a folded value is used once. */
static enum status take(struct exporter *exporter, tensor_id tensor, double **dense) {
    int index = parameter_index(exporter, tensor);
    if (index < 0) {
        *dense = exporter->folded[tensor];
        exporter->folded[tensor] = NULL;
        return STATUS_OK;
    }
    const struct parameter *parameter = &exporter->model->parameters[index];
    double *file;
    TRY(memory_zeroed(shape_count(parameter->shape), sizeof **dense, dense));
    TRY(memory_zeroed(shape_count(parameter->shape), sizeof *file, &file));
    safetensors_values(exporter->tensors[index], file);
    parameter_from_file(parameter, file, *dense);
    free(file);
    return STATUS_OK;
}

/* Computes a node of known operands by its op's reference. */
static enum status fold(struct exporter *exporter, const struct node *node, const struct call *call) {
    double *in[OP_INPUTS] = {NULL}, *out[OP_OUTPUTS] = {NULL}, *bound[OP_OUTPUTS] = {NULL};
    enum status status = STATUS_OK;
    for (int j = 0; j < op_input_count(node->op) && status == STATUS_OK; j++)
        if (call->in[j])
            status = take(exporter, node->in[j], &in[j]);
    for (int k = 0; k < op_output_count(node->op) && status == STATUS_OK; k++) {
        status = memory_zeroed(shape_count(call->out[k]->shape), sizeof **out, &out[k]);
        if (status == STATUS_OK)
            status = memory_zeroed(shape_count(call->out[k]->shape), sizeof **bound, &bound[k]);
        exporter->folded[node->out[k]] = out[k];
    }
    if (status == STATUS_OK)
        node->op->reference(call, (const double *const *)in, out, bound);
    for (int j = 0; j < OP_INPUTS; j++)
        free(in[j]);
    for (int k = 0; k < OP_OUTPUTS; k++)
        free(bound[k]);
    return status;
}

/* ---- constants of the file ---- */

static void keep(struct exporter *exporter, enum status status) {
    if (exporter->status == STATUS_OK)
        exporter->status = status;
}

/* Adds a constant, whose bytes become the exporter's. */
static enum status add_constant(struct exporter *exporter, const char *name, int type, const uint64_t extents[],
                                uint32_t rank, void *bytes, size_t size) {
    enum status status =
        memory_grow(&exporter->constants, &exporter->capacity, exporter->count + 1, sizeof *exporter->constants);
    if (status != STATUS_OK) {
        free(bytes);
        return status;
    }
    struct constant *constant = &exporter->constants[exporter->count++];
    struct protobuf tensor = {0};
    *constant = (struct constant){.bytes = bytes, .size = size};
    for (uint32_t i = 0; i < rank; i++)
        protobuf_integer(&tensor, TENSOR_DIMENSION, (int64_t)extents[i]);
    protobuf_integer(&tensor, TENSOR_TYPE, type);
    protobuf_text(&tensor, TENSOR_NAME, name);
    protobuf_bytes(&tensor, TENSOR_BYTES, size);
    protobuf_open(&constant->header, GRAPH_INITIALIZER, &tensor, size);
    free(tensor.bytes);
    return constant->header.status;
}

enum layout { LAYOUT_VECTOR, LAYOUT_KERNEL, LAYOUT_MATRIX };

/* Element `i` of a kernel [o,i,kh,kw] in one of [kh,kw,i,o]. */
static size_t kernel_source(const struct shape *shape, size_t i) {
    size_t kw = i % shape->d[KW], kh = i / shape->d[KW] % shape->d[KH];
    size_t in = i / shape->d[KW] / shape->d[KH] % shape->d[KI], out = i / shape->d[KW] / shape->d[KH] / shape->d[KI];
    return ((kh * shape->d[KW] + kw) * shape->d[KI] + in) * shape->d[KO] + out;
}

static enum status add_floats(struct exporter *exporter, const char *name, struct shape shape, enum layout layout,
                              const double *dense) {
    size_t count = shape_count(shape);
    float *values;
    TRY(memory_zeroed(count, sizeof *values, &values));
    for (size_t i = 0; i < count; i++)
        values[i] = (float)dense[layout == LAYOUT_KERNEL ? kernel_source(&shape, i) : i];
    uint64_t extents[4] = {shape.d[KO], shape.d[KI], shape.d[KH], shape.d[KW]};
    if (layout == LAYOUT_MATRIX)
        extents[0] = shape.d[KI], extents[1] = shape.d[KO];
    return add_constant(exporter, name, TYPE_FLOAT, extents,
                        layout == LAYOUT_KERNEL   ? 4
                        : layout == LAYOUT_MATRIX ? 2
                                                  : 1,
                        values, count * sizeof *values);
}

/* ---- nodes ---- */

/* A value's name: where it comes from in the model, and its number, as that place may have several. */
static const char *value_name(const struct exporter *exporter, tensor_id tensor, char text[NAME_LENGTH]) {
    const struct graph *graph = &exporter->graph;
    snprintf(text, NAME_LENGTH, "%s", graph->tensors[tensor].name);
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].out[0] == tensor)
            snprintf(text, NAME_LENGTH, "%s/%u", graph->nodes[i].scope, tensor);
    return tensor == exporter->network.logits ? "logits" : text;
}

/* A node that computes `node` or a part of it: several follow each other where an op does more than ONNX's. The last of
 * them, with 0 to follow, writes the op's result. */
static void begin(struct exporter *exporter, const struct node *node, const char *type) {
    char text[NAME_LENGTH];
    snprintf(text, sizeof text, "%s/%u/%s", node->scope, node->out[0], type);
    protobuf_text(&exporter->node, NODE_NAME, text);
    protobuf_text(&exporter->node, NODE_TYPE, type);
}

static void input(struct exporter *exporter, tensor_id tensor) {
    char text[NAME_LENGTH];
    protobuf_text(&exporter->node, NODE_INPUT, value_name(exporter, tensor, text));
}

static void partial(struct exporter *exporter, const struct node *node, uint32_t field, int to_follow) {
    char text[NAME_LENGTH], part[NAME_LENGTH + 8];
    const char *name = value_name(exporter, node->out[0], text);
    if (to_follow)
        snprintf(part, sizeof part, "%s/-%d", name, to_follow);
    protobuf_text(&exporter->node, field, to_follow ? part : name);
}

/* Operand `index` of `node`, which is known now, as a constant and an input. */
static void input_known(struct exporter *exporter, const struct node *node, int index, enum layout layout) {
    char name[NAME_LENGTH], tail[32];
    snprintf(tail, sizeof tail, "%s", node->op->inputs[index]);
    tail[strcspn(tail, "?")] = '\0';
    snprintf(name, sizeof name, "%s.%s", node->scope, tail);
    protobuf_text(&exporter->node, NODE_INPUT, name);
    double *dense = NULL;
    enum status status = take(exporter, node->in[index], &dense);
    if (status == STATUS_OK)
        status = add_floats(exporter, name, exporter->graph.tensors[node->in[index]].shape, layout, dense);
    free(dense);
    keep(exporter, status);
}

static void end_attribute(struct exporter *exporter, const char *name, int type) {
    protobuf_text(&exporter->attribute, ATTRIBUTE_NAME, name);
    protobuf_integer(&exporter->attribute, ATTRIBUTE_TYPE, type);
    protobuf_message(&exporter->node, NODE_ATTRIBUTE, &exporter->attribute);
}

static void integers(struct exporter *exporter, const char *name, int count, const int64_t values[]) {
    for (int i = 0; i < count; i++)
        protobuf_integer(&exporter->attribute, ATTRIBUTE_INTS, values[i]);
    end_attribute(exporter, name, ATTRIBUTE_TYPE_INTS);
}
#define INTEGERS(exporter, name, ...)                                                                                  \
    integers(exporter, name, (int)COUNT(((int64_t[]){__VA_ARGS__})), (const int64_t[]){__VA_ARGS__})

static void integer(struct exporter *exporter, const char *name, int64_t value) {
    protobuf_integer(&exporter->attribute, ATTRIBUTE_INT, value);
    end_attribute(exporter, name, ATTRIBUTE_TYPE_INT);
}

static void end(struct exporter *exporter) {
    protobuf_message(&exporter->body, GRAPH_NODE, &exporter->node);
}

/* The nodes of one operand and one result, with nothing else to say. */
static void simple(struct exporter *exporter, const struct node *node, const char *type) {
    begin(exporter, node, type);
    input(exporter, node->in[0]);
    partial(exporter, node, NODE_OUTPUT, 0);
    end(exporter);
}

/* + residual, relu: what an op's result passes through in the end. */
static int tail_length(const struct node *node, int residual) {
    return (node->in[residual] != TENSOR_NONE) + (node_attr(node, "relu") != 0);
}

static void tail(struct exporter *exporter, const struct node *node, int residual) {
    bool relu = node_attr(node, "relu") != 0;
    int to_follow = tail_length(node, residual);
    if (node->in[residual] != TENSOR_NONE) {
        begin(exporter, node, "Add");
        partial(exporter, node, NODE_INPUT, to_follow--);
        input(exporter, node->in[residual]);
        partial(exporter, node, NODE_OUTPUT, to_follow);
        end(exporter);
    }
    if (relu) {
        begin(exporter, node, "Relu");
        partial(exporter, node, NODE_INPUT, to_follow);
        partial(exporter, node, NODE_OUTPUT, 0);
        end(exporter);
    }
}

/* ---- the ops ---- */

static int64_t whole(const struct node *node, const char *name) {
    return (int64_t)node_attr(node, name);
}

static void padding(struct exporter *exporter, const struct node *node) {
    INTEGERS(exporter, "strides", whole(node, "stride_h"), whole(node, "stride_w"));
    INTEGERS(exporter, "pads", whole(node, "pad_top"), whole(node, "pad_left"), whole(node, "pad_bottom"),
             whole(node, "pad_right"));
}

static void conv2d(struct exporter *exporter, const struct node *node) {
    enum { X, WEIGHT, BIAS, RESIDUAL };
    struct shape weight = exporter->graph.tensors[node->in[WEIGHT]].shape;
    begin(exporter, node, "Conv");
    input(exporter, node->in[X]);
    input_known(exporter, node, WEIGHT, LAYOUT_KERNEL);
    if (node->in[BIAS] != TENSOR_NONE)
        input_known(exporter, node, BIAS, LAYOUT_VECTOR);
    partial(exporter, node, NODE_OUTPUT, tail_length(node, RESIDUAL));
    INTEGERS(exporter, "kernel_shape", weight.d[KH], weight.d[KW]);
    INTEGERS(exporter, "dilations", whole(node, "dilation_h"), whole(node, "dilation_w"));
    integer(exporter, "group", whole(node, "groups"));
    padding(exporter, node);
    end(exporter);
    tail(exporter, node, RESIDUAL);
}

static void batch_norm(struct exporter *exporter, const struct node *node) {
    enum { X, MEAN, VARIANCE, GAMMA, BETA, RESIDUAL };
    begin(exporter, node, "BatchNormalization");
    input(exporter, node->in[X]);
    input_known(exporter, node, GAMMA, LAYOUT_VECTOR);
    input_known(exporter, node, BETA, LAYOUT_VECTOR);
    input_known(exporter, node, MEAN, LAYOUT_VECTOR);
    input_known(exporter, node, VARIANCE, LAYOUT_VECTOR);
    partial(exporter, node, NODE_OUTPUT, tail_length(node, RESIDUAL));
    protobuf_float(&exporter->attribute, ATTRIBUTE_FLOAT, (float)node_attr(node, "epsilon"));
    end_attribute(exporter, "epsilon", ATTRIBUTE_TYPE_FLOAT);
    end(exporter);
    tail(exporter, node, RESIDUAL);
}

static void max_pool(struct exporter *exporter, const struct node *node) {
    begin(exporter, node, "MaxPool");
    input(exporter, node->in[0]);
    partial(exporter, node, NODE_OUTPUT, 0);
    INTEGERS(exporter, "kernel_shape", whole(node, "kernel_h"), whole(node, "kernel_w"));
    padding(exporter, node);
    integer(exporter, "ceil_mode", whole(node, "ceil_mode"));
    end(exporter);
}

/* As an input the constant SCOPE.NAME [means,elements], or transposed: the share that each element has in each mean.
 * The windows are those of the op (src/ops/pool_adaptive.c). */
static void input_means(struct exporter *exporter, const struct node *node, const char *name, uint32_t means,
                        uint32_t elements, bool transposed) {
    char text[NAME_LENGTH];
    struct shape shape = {.d = {[KI] = transposed ? elements : means, [KO] = transposed ? means : elements}};
    double *dense;
    snprintf(text, sizeof text, "%s.%s", node->scope, name);
    protobuf_text(&exporter->node, NODE_INPUT, text);
    shape.d[KH] = shape.d[KW] = 1;
    enum status status = memory_zeroed((size_t)means * elements, sizeof *dense, &dense);
    for (uint32_t i = 0; status == STATUS_OK && i < means; i++) {
        uint64_t first = (uint64_t)i * elements / means, last = ceil_div((uint64_t)(i + 1) * elements, means);
        for (uint64_t j = first; j < last; j++)
            dense[transposed ? j * means + i : i * elements + j] = 1.0 / (double)(last - first);
    }
    if (status == STATUS_OK)
        status = add_floats(exporter, text, shape, LAYOUT_MATRIX, dense);
    free(dense);
    keep(exporter, status);
}

/* The operator set has no such pooling: a mean of means, each a product with a matrix. */
static void adaptive_average_pool(struct exporter *exporter, const struct node *node) {
    struct shape x = exporter->graph.tensors[node->in[0]].shape, y = exporter->graph.tensors[node->out[0]].shape;
    begin(exporter, node, "MatMul");
    input(exporter, node->in[0]);
    input_means(exporter, node, "columns", y.d[W], x.d[W], true);
    partial(exporter, node, NODE_OUTPUT, 1);
    end(exporter);
    begin(exporter, node, "MatMul");
    input_means(exporter, node, "rows", y.d[H], x.d[H], false);
    partial(exporter, node, NODE_INPUT, 1);
    partial(exporter, node, NODE_OUTPUT, 0);
    end(exporter);
}

static void global_average_pool(struct exporter *exporter, const struct node *node) {
    simple(exporter, node, "GlobalAveragePool");
}

static void relu(struct exporter *exporter, const struct node *node) {
    simple(exporter, node, "Relu");
}

static void sigmoid(struct exporter *exporter, const struct node *node) {
    simple(exporter, node, "Sigmoid");
}

static void channel_scale(struct exporter *exporter, const struct node *node) {
    enum { X, SCALE, RESIDUAL };
    begin(exporter, node, "Mul");
    input(exporter, node->in[X]);
    input(exporter, node->in[SCALE]);
    partial(exporter, node, NODE_OUTPUT, tail_length(node, RESIDUAL));
    end(exporter);
    tail(exporter, node, RESIDUAL);
}

static void dense(struct exporter *exporter, const struct node *node) {
    enum { X, WEIGHT, BIAS };
    begin(exporter, node, "Flatten");
    input(exporter, node->in[X]);
    partial(exporter, node, NODE_OUTPUT, 1);
    end(exporter);
    begin(exporter, node, "Gemm");
    partial(exporter, node, NODE_INPUT, 1);
    input_known(exporter, node, WEIGHT, LAYOUT_MATRIX);
    if (node->in[BIAS] != TENSOR_NONE)
        input_known(exporter, node, BIAS, LAYOUT_VECTOR);
    partial(exporter, node, NODE_OUTPUT, 0);
    end(exporter);
}

/* A maximum over one pixel takes every stride-th. */
static void shortcut_pad(struct exporter *exporter, const struct node *node) {
    int64_t stride = whole(node, "stride"), pads[8] = {0}, *bytes;
    char name[NAME_LENGTH];
    pads[1] = whole(node, "before"), pads[5] = whole(node, "after");
    begin(exporter, node, "MaxPool");
    input(exporter, node->in[0]);
    partial(exporter, node, NODE_OUTPUT, 1);
    INTEGERS(exporter, "kernel_shape", 1, 1);
    INTEGERS(exporter, "strides", stride, stride);
    end(exporter);
    snprintf(name, sizeof name, "%s.pads", node->scope);
    enum status status = memory_zeroed(COUNT(pads), sizeof *pads, &bytes);
    if (status == STATUS_OK) {
        memcpy(bytes, pads, sizeof pads);
        status = add_constant(exporter, name, TYPE_INT64, &(uint64_t){COUNT(pads)}, 1, bytes, sizeof pads);
    }
    keep(exporter, status);
    begin(exporter, node, "Pad");
    partial(exporter, node, NODE_INPUT, 1);
    protobuf_text(&exporter->node, NODE_INPUT, name);
    partial(exporter, node, NODE_OUTPUT, 0);
    end(exporter);
}

static const struct translation {
    const char *op;
    void (*write)(struct exporter *exporter, const struct node *node);
} translations[] = {
    {"conv2d", conv2d},
    {"batch_norm", batch_norm},
    {"max_pool", max_pool},
    {"adaptive_average_pool", adaptive_average_pool},
    {"global_average_pool", global_average_pool},
    {"relu", relu},
    {"sigmoid", sigmoid},
    {"channel_scale", channel_scale},
    {"dense", dense},
    {"shortcut_pad", shortcut_pad},
};

static enum status translate(struct exporter *exporter, size_t index) {
    const struct node *node = &exporter->graph.nodes[index];
    struct call call;
    bool constant = true;
    graph_call(&exporter->graph, index, &call);
    for (int j = 0; j < op_input_count(node->op); j++)
        constant = constant && (!call.in[j] || known(exporter, node->in[j]));
    if (constant)
        return fold(exporter, node, &call);
    for (size_t i = 0; i < COUNT(translations); i++)
        if (strcmp(translations[i].op, node->op->name) == 0) {
            translations[i].write(exporter, node);
            return exporter->status;
        }
    return fail(STATUS_USAGE, "%s of %s has no counterpart in ONNX", node->op->name, exporter->model->name);
}

/* ---- the file ---- */

/* An input or output of the graph: the batch has a name instead of a number. */
static void describe(struct exporter *exporter, uint32_t field, const char *name, int rank, const uint32_t extents[]) {
    struct protobuf dimension = {0}, shape = {0}, tensor = {0}, type = {0}, value = {0};
    protobuf_text(&dimension, DIMENSION_NAME, "batch");
    protobuf_message(&shape, SHAPE_DIMENSION, &dimension);
    for (int i = 0; i < rank; i++) {
        protobuf_integer(&dimension, DIMENSION_NUMBER, extents[i]);
        protobuf_message(&shape, SHAPE_DIMENSION, &dimension);
    }
    protobuf_integer(&tensor, TYPE_ELEMENT, TYPE_FLOAT);
    protobuf_message(&tensor, TYPE_SHAPE, &shape);
    protobuf_message(&type, TYPE_TENSOR, &tensor);
    protobuf_text(&value, VALUE_NAME, name);
    protobuf_message(&value, VALUE_TYPE, &type);
    protobuf_message(&exporter->body, field, &value);
    free(dimension.bytes), free(shape.bytes), free(tensor.bytes), free(type.bytes), free(value.bytes);
}

static enum status build(struct exporter *exporter) {
    const struct model_options *options = &exporter->model->options;
    struct graph *graph = &exporter->graph;
    struct shape shape = shape4(1, options->height, options->width, options->channels);
    tensor_id x = graph_tensor(graph, "x", DTYPE_F32, shape, TENSOR_INPUT);
    model_forward(exporter->model, graph, x, false, &exporter->network);
    TRY(graph_status(graph));
    TRY(memory_zeroed(graph->tensor_count, sizeof *exporter->folded, &exporter->folded));
    protobuf_text(&exporter->body, GRAPH_NAME, exporter->model->name);
    describe(exporter, GRAPH_INPUT, "x", 3, (uint32_t[]){options->channels, options->height, options->width});
    describe(exporter, GRAPH_OUTPUT, "logits", 1, &options->classes);
    for (size_t i = 0; i < graph->node_count; i++)
        TRY(translate(exporter, i));
    return STATUS_OK;
}

/* What comes before the graph: versions and metadata. */
static void preface(struct protobuf *model, const struct onnx_text metadata[]) {
    struct protobuf inner = {0};
    protobuf_integer(model, MODEL_IR_VERSION, IR_VERSION);
    protobuf_text(model, MODEL_PRODUCER, "resnet-vk");
    protobuf_integer(&inner, OPERATORS_VERSION, OPERATOR_SET);
    protobuf_message(model, MODEL_OPERATORS, &inner);
    for (; metadata && metadata->key; metadata++) {
        protobuf_text(&inner, METADATA_KEY, metadata->key);
        protobuf_text(&inner, METADATA_VALUE, metadata->value);
        protobuf_message(model, MODEL_METADATA, &inner);
    }
    free(inner.bytes);
}

static enum status write_file(struct exporter *exporter, const char *path, const struct onnx_text metadata[]) {
    struct protobuf model = {0};
    struct file_piece *pieces;
    uint64_t total = exporter->body.size;
    size_t count = 0;
    TRY(memory_zeroed(2 + 2 * exporter->count, sizeof *pieces, &pieces));
    for (size_t i = 0; i < exporter->count; i++)
        total += exporter->constants[i].header.size + exporter->constants[i].size;
    preface(&model, metadata);
    protobuf_bytes(&model, MODEL_GRAPH, total);
    pieces[count++] = (struct file_piece){model.bytes, model.size};
    pieces[count++] = (struct file_piece){exporter->body.bytes, exporter->body.size};
    for (size_t i = 0; i < exporter->count; i++) {
        const struct constant *constant = &exporter->constants[i];
        pieces[count++] = (struct file_piece){constant->header.bytes, constant->header.size};
        pieces[count++] = (struct file_piece){constant->bytes, constant->size};
    }
    enum status status = exporter->body.status != STATUS_OK ? exporter->body.status : model.status;
    if (status == STATUS_OK && total + model.size > INT32_MAX)
        status = fail(STATUS_USAGE, "%s as ONNX would have %llu bytes, more than the %d that the format allows",
                      exporter->model->name, (unsigned long long)(total + model.size), INT32_MAX);
    if (status == STATUS_OK)
        status = file_write_atomic(path, pieces, count);
    free(model.bytes);
    free(pieces);
    return status;
}

static void destroy(struct exporter *exporter) {
    for (size_t i = 0; exporter->folded && i < exporter->graph.tensor_count; i++)
        free(exporter->folded[i]);
    for (size_t i = 0; i < exporter->count; i++) {
        free(exporter->constants[i].header.bytes);
        free(exporter->constants[i].bytes);
    }
    free(exporter->folded);
    free(exporter->constants);
    free(exporter->network.values);
    free(exporter->body.bytes), free(exporter->node.bytes), free(exporter->attribute.bytes);
    graph_destroy(&exporter->graph);
}

enum status onnx_write(const char *path, const struct model *model, const struct safetensors_tensor *const tensors[],
                       const struct onnx_text metadata[]) {
    struct exporter exporter = {.model = model, .tensors = tensors};
    graph_create(&exporter.graph);
    exporter.network.clock = exporter.network.indices = TENSOR_NONE;
    enum status status = memory_zeroed(model->count, sizeof *exporter.network.values, &exporter.network.values);
    if (status == STATUS_OK)
        status = build(&exporter);
    if (status == STATUS_OK)
        status = write_file(&exporter, path, metadata);
    destroy(&exporter);
    return status;
}

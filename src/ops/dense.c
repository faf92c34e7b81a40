/*
 * dense: y = x weight + bias, the fully connected layer. x is [n,1,1,f], weight [1,1,f,o], bias [1,1,1,o], y [n,1,1,o].
 * dense_backward_input: dx = dy weight^T. dense_backward_weight: dweight = x^T dy. (The bias gradient is channel_sum.)
 */
#include "ir/op.h"

#include "base/memory.h"
#include "base/random.h"
#include "ir/bound.h"
#include "ir/graph.h"

#include <string.h>

/* Extents of the three matrices. */
struct extents {
    uint32_t images, features, outputs;
};

enum { GROUP_SIZE = 64, ROWS = 8 /* most images that one invocation computes */ };

/* Invocations that keep a device busy: fewer images each, rather than fewer invocations. */
#define INVOCATIONS 512

static uint32_t quads(uint32_t count) {
    return (count + 3) / 4;
}

static bool is_rows(const struct tensor *tensor) {
    return tensor->shape.d[H] == 1 && tensor->shape.d[W] == 1;
}

static bool is_matrix(const struct tensor *tensor) {
    return tensor->shape.d[0] == 1 && tensor->shape.d[1] == 1;
}

static double products(struct extents extents) {
    return (double)extents.images * extents.features * extents.outputs;
}

static double traffic(struct extents extents) {
    return 4 * ((double)extents.images * extents.features + (double)extents.features * extents.outputs +
                (double)extents.images * extents.outputs);
}

static uint32_t rows_per_invocation(uint32_t images, uint32_t columns) {
    uint32_t rows = ROWS;
    while (rows > 1 && (rows > images || ceil_div(images, rows) * columns < INVOCATIONS))
        rows /= 2;
    return rows;
}

/* ---- forward ---- */

static struct extents forward_extents(const struct call *call) {
    const struct shape *weight = &call->in[1]->shape;
    return (struct extents){call->in[0]->shape.d[N], weight->d[KI], weight->d[KO]};
}

static enum status infer(const struct call *call, struct tensor out[]) {
    const struct tensor *x = call->in[0], *weight = call->in[1], *bias = call->in[2];
    struct extents extents = forward_extents(call);
    char texts[2][48];
    if (!is_rows(x) || !is_matrix(weight) || x->shape.d[C] != extents.features)
        return fail(STATUS_USAGE, "x should be [n,1,1,f] and weight [1,1,f,o], they are %s and %s",
                    shape_print(x->shape, texts[0]), shape_print(weight->shape, texts[1]));
    if (bias && !shape_equal(bias->shape, shape_vector(extents.outputs)))
        return fail(STATUS_USAGE, "bias should be 1x1x1x%u, it is %s", extents.outputs,
                    shape_print(bias->shape, texts[0]));
    out[0].dtype = DTYPE_F32;
    out[0].shape = shape4(extents.images, 1, 1, extents.outputs);
    return STATUS_OK;
}

/* Hostile data stand in the first operand only, and meet factors above zero: see conv.c. */
static double sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    (void)call;
    return kind == DATA_HOSTILE && input > 0 ? random_uniform(seed, (uint32_t)input + 200, (uint32_t)index) + 0x1p-10
                                             : NAN;
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    struct extents extents = forward_extents(call);
    size_t features = extents.features, outputs = extents.outputs;
    for (size_t n = 0; n < extents.images; n++)
        for (size_t o = 0; o < outputs; o++) {
            double sum = in[2] ? in[2][o] : 0, absolute = fabs(sum);
            for (size_t f = 0; f < features; f++) {
                double term = in[0][n * features + f] * in[1][f * outputs + o];
                sum += term;
                absolute += fabs(term);
            }
            out[0][n * outputs + o] = sum;
            bound[0][n * outputs + o] = bound_sum((double)features + (in[2] != NULL), absolute, sum);
        }
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct extents extents = forward_extents(call);
    if (quads(extents.features) > facts->max_loop_steps)
        return false;
    uint32_t rows = rows_per_invocation(extents.images, quads(extents.outputs));
    struct dispatch *dispatch = lowering_add(lowering, "dense");
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    dispatch_input(dispatch, call->in[2] ? 2 : 0); /* x stands in for a bias that is absent */
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, extents.images);
    dispatch_push(dispatch, extents.features);
    dispatch_push(dispatch, extents.outputs);
    dispatch_push(dispatch, call->in[2] != NULL);
    dispatch_constant(dispatch, rows);
    dispatch_linear(dispatch, ceil_div(extents.images, rows) * quads(extents.outputs), GROUP_SIZE);
    dispatch->flops = 2 * products(extents);
    dispatch->bytes = traffic(extents);
    return true;
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    if (need[0])
        din[0] = graph_apply(graph, "dense_backward_input", OPERANDS(dout[0], node->in[1]), NULL);
    if (need[1])
        din[1] = graph_apply(graph, "dense_backward_weight", OPERANDS(node->in[0], dout[0]), NULL);
    if (need[2])
        din[2] = graph_apply(graph, "channel_sum", OPERANDS(dout[0]), NULL);
}

static double multiply_adds(const struct call *call) {
    return products(forward_extents(call));
}

static const char *const cases[] = {
    "x=5x1x1x7 weight=1x1x7x10 bias=1x1x1x10",
    "x=1x1x1x1 weight=1x1x1x1",
    "x=1x1x1x64 weight=1x1x64x1000 bias=1x1x1x1000",
    "x=128x1x1x64 weight=1x1x64x10 bias=1x1x1x10",
    "x=33x1x1x130 weight=1x1x130x258",
    "x=17x1x1x9 weight=1x1x9x1003 bias=1x1x1x1003",
    "x=3x1x1x1027 weight=1x1x1027x3 bias=1x1x1x3",
    "x=8x1x1x17 weight=1x1x17x5",
    "x=9x1x1x16 weight=1x1x16x4",
    "+x=257x1x1x5 weight=1x1x5x1025",
    "+x=32x1x1x2048 weight=1x1x2048x1000 bias=1x1x1x1000",
    NULL,
};

static const char *const adjoint_cases[] = {"x=5x1x1x130 weight=1x1x130x258 bias=1x1x1x258",
                                            "+x=32x1x1x512 weight=1x1x512x1000 bias=1x1x1x1000",
                                            "+x=32x1x1x2048 weight=1x1x2048x1000 bias=1x1x1x1000", NULL};

const struct op op_dense = {
    .name = "dense",
    .inputs = {"x", "weight", "bias?"},
    .outputs = {"y"},
    .infer = infer,
    .reference = reference,
    .forms = {{"plain", lower}},
    .gradient = gradient,
    .multiply_adds = multiply_adds,
    .sample = sample,
    .cases = cases,
    .homogeneous = {1u << 0 | 1u << 2, 1u << 1 | 1u << 2},
    .adjoint = adjoint_cases,
};

/* ---- dx [n,1,1,f] of dy [n,1,1,o], weight [1,1,f,o] ---- */

static struct extents input_extents(const struct call *call) {
    const struct shape *weight = &call->in[1]->shape;
    return (struct extents){call->in[0]->shape.d[N], weight->d[KI], weight->d[KO]};
}

static enum status input_infer(const struct call *call, struct tensor out[]) {
    const struct tensor *dy = call->in[0], *weight = call->in[1];
    struct extents extents = input_extents(call);
    char texts[2][48];
    if (!is_rows(dy) || !is_matrix(weight) || dy->shape.d[C] != extents.outputs)
        return fail(STATUS_USAGE, "dy should be [n,1,1,o] and weight [1,1,f,o], they are %s and %s",
                    shape_print(dy->shape, texts[0]), shape_print(weight->shape, texts[1]));
    out[0].dtype = DTYPE_F32;
    out[0].shape = shape4(extents.images, 1, 1, extents.features);
    return STATUS_OK;
}

static void input_reference(const struct call *call, const double *const in[], double *const out[],
                            double *const bound[]) {
    struct extents extents = input_extents(call);
    size_t features = extents.features, outputs = extents.outputs;
    for (size_t n = 0; n < extents.images; n++)
        for (size_t f = 0; f < features; f++) {
            double sum = 0, absolute = 0;
            for (size_t o = 0; o < outputs; o++) {
                double term = in[0][n * outputs + o] * in[1][f * outputs + o];
                sum += term;
                absolute += fabs(term);
            }
            out[0][n * features + f] = sum;
            bound[0][n * features + f] = bound_sum((double)outputs, absolute, sum);
        }
}

static bool input_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct extents extents = input_extents(call);
    if (quads(extents.outputs) > facts->max_loop_steps)
        return false;
    uint32_t rows = rows_per_invocation(extents.images, quads(extents.features));
    struct dispatch *dispatch = lowering_add(lowering, "dense_backward_input");
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, extents.images);
    dispatch_push(dispatch, extents.features);
    dispatch_push(dispatch, extents.outputs);
    dispatch_constant(dispatch, rows);
    dispatch_linear(dispatch, ceil_div(extents.images, rows) * quads(extents.features), GROUP_SIZE);
    dispatch->flops = 2 * products(extents);
    dispatch->bytes = traffic(extents);
    return true;
}

static double input_multiply_adds(const struct call *call) {
    return products(input_extents(call));
}

static const char *const input_cases[] = {
    "dy=5x1x1x10 weight=1x1x7x10",          "dy=1x1x1x1 weight=1x1x1x1",
    "dy=128x1x1x10 weight=1x1x64x10",       "dy=1x1x1x1000 weight=1x1x65x1000",
    "dy=33x1x1x258 weight=1x1x130x258",     "dy=17x1x1x3 weight=1x1x1027x3",
    "+dy=32x1x1x1000 weight=1x1x2048x1000", NULL,
};

const struct op op_dense_backward_input = {
    .name = "dense_backward_input",
    .inputs = {"dy", "weight"},
    .outputs = {"dx"},
    .infer = input_infer,
    .reference = input_reference,
    .forms = {{"plain", input_lower}},
    .multiply_adds = input_multiply_adds,
    .sample = sample,
    .cases = input_cases,
};

/* ---- dweight [1,1,f,o] of x [n,1,1,f], dy [n,1,1,o] ---- */

static struct extents weight_extents(const struct call *call) {
    return (struct extents){call->in[0]->shape.d[N], call->in[0]->shape.d[C], call->in[1]->shape.d[C]};
}

static enum status weight_infer(const struct call *call, struct tensor out[]) {
    const struct tensor *x = call->in[0], *dy = call->in[1];
    struct extents extents = weight_extents(call);
    char texts[2][48];
    if (!is_rows(x) || !is_rows(dy) || dy->shape.d[N] != extents.images)
        return fail(STATUS_USAGE, "x should be [n,1,1,f] and dy [n,1,1,o], they are %s and %s",
                    shape_print(x->shape, texts[0]), shape_print(dy->shape, texts[1]));
    out[0].dtype = DTYPE_F32;
    out[0].shape = shape4(1, 1, extents.features, extents.outputs);
    return STATUS_OK;
}

static void weight_reference(const struct call *call, const double *const in[], double *const out[],
                             double *const bound[]) {
    struct extents extents = weight_extents(call);
    size_t features = extents.features, outputs = extents.outputs;
    memset(out[0], 0, features * outputs * sizeof(double));
    memset(bound[0], 0, features * outputs * sizeof(double)); /* sums of absolute values at first */
    for (size_t n = 0; n < extents.images; n++)
        for (size_t f = 0; f < features; f++)
            for (size_t o = 0; o < outputs; o++) {
                double term = in[0][n * features + f] * in[1][n * outputs + o];
                out[0][f * outputs + o] += term;
                bound[0][f * outputs + o] += fabs(term);
            }
    for (size_t i = 0; i < features * outputs; i++)
        bound[0][i] = bound_sum(extents.images, bound[0][i], out[0][i]);
}

static bool weight_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct extents extents = weight_extents(call);
    if (extents.images > facts->max_loop_steps)
        return false;
    struct dispatch *dispatch = lowering_add(lowering, "dense_backward_weight");
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, extents.images);
    dispatch_push(dispatch, extents.features);
    dispatch_push(dispatch, extents.outputs);
    dispatch_linear(dispatch, (uint64_t)quads(extents.features) * quads(extents.outputs), GROUP_SIZE);
    dispatch->flops = 2 * products(extents);
    dispatch->bytes = traffic(extents);
    return true;
}

static double weight_multiply_adds(const struct call *call) {
    return products(weight_extents(call));
}

static const char *const weight_cases[] = {
    "x=5x1x1x7 dy=5x1x1x10",      "x=1x1x1x1 dy=1x1x1x1",          "x=128x1x1x64 dy=128x1x1x10",
    "x=1x1x1x65 dy=1x1x1x1000",   "x=33x1x1x130 dy=33x1x1x37",     "x=17x1x1x257 dy=17x1x1x3",
    "x=1031x1x1x9 dy=1031x1x1x5", "+x=32x1x1x2048 dy=32x1x1x1000", NULL,
};

const struct op op_dense_backward_weight = {
    .name = "dense_backward_weight",
    .inputs = {"x", "dy"},
    .outputs = {"dweight"},
    .infer = weight_infer,
    .reference = weight_reference,
    .forms = {{"plain", weight_lower}},
    .multiply_adds = weight_multiply_adds,
    .sample = sample,
    .cases = weight_cases,
};

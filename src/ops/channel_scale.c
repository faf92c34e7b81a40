/*
 * channel_scale: y = relu?(x scale + residual?), one factor for each channel of each image, as in
 * squeeze-and-excitation blocks (Hu et al., CVPR 2018) and at their end. x and residual are [n,h,w,c], scale is
 * [n,1,1,c]. channel_scale_backward_scale: dscale = the sum of x dy over the rows and columns of an image. (The
 * gradient of x is the op itself, that of a relu is relu_backward.)
 */
#include "base/random.h"
#include "ir/bound.h"
#include "ir/graph.h"

enum { X, SCALE, RESIDUAL };
enum { GROUP_SIZE = 64, UNROLL = 8 /* of the sum's loop */ };

static uint64_t pixels(const struct call *call) {
    return (uint64_t)call->in[X]->shape.d[H] * call->in[X]->shape.d[W];
}

static enum status infer(const struct call *call, struct tensor out[]) {
    struct shape x = call->in[X]->shape, scale = call->in[SCALE]->shape;
    char texts[2][48];
    if (!shape_equal(scale, shape4(x.d[N], 1, 1, x.d[C])))
        return fail(STATUS_USAGE, "scale should be %ux1x1x%u for x of %s, it is %s", x.d[N], x.d[C],
                    shape_print(x, texts[0]), shape_print(scale, texts[1]));
    if (call->in[RESIDUAL] && !shape_equal(call->in[RESIDUAL]->shape, x))
        return fail(STATUS_USAGE, "residual is %s, but x is %s", shape_print(call->in[RESIDUAL]->shape, texts[0]),
                    shape_print(x, texts[1]));
    out[0].dtype = DTYPE_F32;
    out[0].shape = x;
    return STATUS_OK;
}

/* Hostile data stand in x only, and meet factors above zero: see conv.c. */
static double sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    (void)call;
    return kind == DATA_HOSTILE && input > X ? random_uniform(seed, (uint32_t)input + 200, (uint32_t)index) + 0x1p-10
                                             : (double)NAN;
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    uint64_t channels = call->in[X]->shape.d[C], image = pixels(call) * channels;
    bool relu = attr(call, "relu") != 0;
    for (uint64_t i = 0; i < shape_count(call->in[X]->shape); i++) {
        double x = in[X][i], scale = in[SCALE][i / image * channels + i % channels];
        double residual = in[RESIDUAL] ? in[RESIDUAL][i] : 0, y = x * scale + residual;
        out[0][i] = relu && y < 0 ? 0 : y;
        /* The product and the sum round. */
        bound[0][i] = UNIT_ROUNDOFF * (fabs(x * scale) + fabs(y)) + bound_denormal(x) * fabs(scale) +
                      bound_denormal(scale) * fabs(x) + bound_denormal(x * scale) + bound_denormal(residual) +
                      bound_denormal(y);
    }
}

/* What both kernels are told of the shapes: so many results, vec4s of a pixel. */
static void push_extents(struct dispatch *dispatch, uint64_t count, uint32_t quads) {
    dispatch_push(dispatch, (uint32_t)count);
    dispatch_push_divisor(dispatch, quads);
    dispatch_linear(dispatch, count, GROUP_SIZE);
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    uint64_t count = tensor_elements(call->in[X]) / 4;
    uint32_t quads = tensor_row(call->in[X]) / 4;
    bool residual = call->in[RESIDUAL];
    struct dispatch *dispatch = lowering_add(lowering, "channel_scale");
    dispatch_input(dispatch, X);
    dispatch_input(dispatch, SCALE);
    dispatch_input(dispatch, residual ? RESIDUAL : X); /* x stands in for one that is absent */
    dispatch_output(dispatch, 0);
    push_extents(dispatch, count, quads);
    dispatch_push_divisor(dispatch, (uint32_t)(quads * pixels(call)));
    dispatch_constant(dispatch, residual);
    dispatch_constant(dispatch, attr(call, "relu") != 0);
    dispatch->bytes = 16.0 * (double)count * (residual ? 3 : 2);
    return true;
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    tensor_id dy = dout[0];
    if (node_attr(node, "relu") != 0)
        dy = graph_apply(graph, "relu_backward", OPERANDS(node->out[0], dy), NULL);
    if (need[X])
        din[X] = graph_apply(graph, "channel_scale", OPERANDS(dy, node->in[SCALE]), NULL);
    if (need[SCALE])
        din[SCALE] = graph_apply(graph, "channel_scale_backward_scale", OPERANDS(node->in[X], dy), NULL);
    if (need[RESIDUAL])
        din[RESIDUAL] = dy;
}

static const char *const cases[] = {
    "x=2x5x3x7 scale=2x1x1x7",
    "x=1x1x1x1 scale=1x1x1x1",
    "x=3x7x7x17 scale=3x1x1x17 residual=3x7x7x17 relu=1",
    "x=2x9x5x130 scale=2x1x1x130 residual=2x9x5x130",
    "x=5x4x16x3 scale=5x1x1x3 relu=1",
    "+x=32x56x56x256 scale=32x1x1x256 residual=32x56x56x256 relu=1",
    /* more groups than an axis has, over 128 MiB */ "+x=2x540x540x64 scale=2x1x1x64 residual=2x540x540x64",
    NULL,
};

static const char *const adjoint_cases[] = {"x=3x9x7x17 scale=3x1x1x17 residual=3x9x7x17 relu=1",
                                            "x=2x8x8x5 scale=2x1x1x5",
                                            "+x=8x56x56x256 scale=8x1x1x256 residual=8x56x56x256 relu=1", NULL};

const struct op op_channel_scale = {
    .name = "channel_scale",
    .inputs = {"x", "scale", "residual?"},
    .outputs = {"y"},
    .attributes = {{"relu", 0}},
    .infer = infer,
    .reference = reference,
    .by_image = 1u << X | 1u << SCALE | 1u << RESIDUAL,
    .forms = {{"plain", lower}},
    .gradient = gradient,
    .sample = sample,
    .cases = cases,
    .homogeneous = {1u << X | 1u << RESIDUAL, 1u << SCALE | 1u << RESIDUAL},
    .adjoint = adjoint_cases,
};

/* ---- dscale [n,1,1,c] of x, dy [n,h,w,c] ---- */

enum { DY = 1 };

static enum status scale_infer(const struct call *call, struct tensor out[]) {
    struct shape x = call->in[X]->shape, dy = call->in[DY]->shape;
    char texts[2][48];
    if (!shape_equal(x, dy))
        return fail(STATUS_USAGE, "x is %s, but dy is %s", shape_print(x, texts[0]), shape_print(dy, texts[1]));
    out[0].dtype = DTYPE_F32;
    out[0].shape = shape4(x.d[N], 1, 1, x.d[C]);
    return STATUS_OK;
}

static void scale_reference(const struct call *call, const double *const in[], double *const out[],
                            double *const bound[]) {
    uint64_t channels = call->in[X]->shape.d[C], count = pixels(call);
    for (uint64_t i = 0; i < shape_count(call->out[0]->shape); i++) {
        uint64_t first = i / channels * count * channels + i % channels;
        double sum = 0, absolute = 0;
        for (uint64_t p = 0; p < count; p++) {
            double term = in[X][first + p * channels] * in[DY][first + p * channels];
            sum += term;
            absolute += fabs(term);
        }
        out[0][i] = sum;
        bound[0][i] = bound_sum((double)count, absolute, sum);
    }
}

static bool scale_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    const struct tensor *x = call->in[X];
    struct dispatch *dispatch = lowering_add(lowering, "channel_scale_backward_scale");
    dispatch_input(dispatch, X);
    dispatch_input(dispatch, DY);
    dispatch_output(dispatch, 0);
    push_extents(dispatch, tensor_elements(call->out[0]) / 4, tensor_row(x) / 4);
    dispatch_push(dispatch, (uint32_t)pixels(call));
    dispatch->bytes = 2.0 * (double)tensor_bytes(x);
    return pixels(call) / UNROLL + UNROLL <= facts->max_loop_steps;
}

static const char *const scale_cases[] = {"x=2x8x8x16 dy=2x8x8x16",        "x=1x1x1x1 dy=1x1x1x1",
                                          "x=3x7x7x17 dy=3x7x7x17",        "x=5x4x16x3 dy=5x4x16x3",
                                          "x=1x9x5x130 dy=1x9x5x130",      "+x=8x56x56x256 dy=8x56x56x256",
                                          "+x=1x300x301x3 dy=1x300x301x3", NULL};

const struct op op_channel_scale_backward_scale = {
    .name = "channel_scale_backward_scale",
    .inputs = {"x", "dy"},
    .outputs = {"dscale"},
    .infer = scale_infer,
    .reference = scale_reference,
    .by_image = 1u << X | 1u << DY,
    .forms = {{"plain", scale_lower}},
    .sample = sample,
    .cases = scale_cases,
};

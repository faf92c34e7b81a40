/* global_average_pool: the mean of each channel over the rows and columns of an image; and its backward op. */
#include "ir/bound.h"
#include "ir/graph.h"

static enum status infer(const struct call *call, struct tensor out[]) {
    struct shape x = call->in[0]->shape;
    out[0].dtype = DTYPE_F32;
    out[0].shape = shape4(x.d[N], 1, 1, x.d[C]);
    return STATUS_OK;
}

static double pixel_count(struct shape image) {
    return (double)image.d[H] * image.d[W];
}

static bool is_power_of_two(double value) {
    int exponent;
    return frexp(value, &exponent) == 0.5;
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    struct shape x = call->in[0]->shape;
    uint64_t channels = x.d[C], pixels = (uint64_t)x.d[H] * x.d[W];
    for (uint64_t i = 0; i < x.d[N] * channels; i++) {
        const double *image = in[0] + i / channels * pixels * channels + i % channels;
        double sum = 0, absolute = 0;
        for (uint64_t p = 0; p < pixels; p++) {
            sum += image[p * channels];
            absolute += fabs(image[p * channels]);
        }
        out[0][i] = sum / (double)pixels;
        bound[0][i] = bound_sum((double)pixels, absolute / (double)pixels, out[0][i]);
    }
}

enum { UNROLL = 8 }; /* of the kernel's loop */

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    const struct tensor *x = call->in[0];
    uint32_t count = (uint32_t)(tensor_elements(call->out[0]) / 4), pixels = x->shape.d[H] * x->shape.d[W];
    struct dispatch *dispatch = lowering_add(lowering, "global_average_pool");
    dispatch_input(dispatch, 0);
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, count);
    dispatch_push_divisor(dispatch, tensor_row(x) / 4);
    dispatch_push(dispatch, pixels);
    dispatch_linear(dispatch, count, 64);
    dispatch->bytes = (double)tensor_bytes(x);
    return pixels / UNROLL + UNROLL <= facts->max_loop_steps;
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    (void)need;
    struct shape x = graph_shape(graph, node->in[0]);
    din[0] =
        graph_apply(graph, "global_average_pool_backward", OPERANDS(dout[0]), ATTRIBUTES({"h", x.d[H]}, {"w", x.d[W]}));
}

static bool has_exact(const struct call *call) {
    return is_power_of_two(pixel_count(call->in[0]->shape));
}

static const char *const cases[] = {"x=2x8x8x16",
                                    "x=1x1x1x1",
                                    "x=3x7x7x17",
                                    "x=5x4x16x3",
                                    "x=1x9x5x130",
                                    "+x=128x8x8x64",
                                    "+x=8x7x7x2048",
                                    "+x=1x300x301x3",
                                    /* over 128 MiB */ "+x=160x256x256x4",
                                    NULL};

static const char *const adjoint_cases[] = {"x=3x8x16x17", "+x=32x8x8x2048", "+x=4x128x256x3", NULL};

const struct op op_global_average_pool = {
    .name = "global_average_pool",
    .inputs = {"x"},
    .outputs = {"y"},
    .infer = infer,
    .reference = reference,
    .by_image = 1u << 0,
    .forms = {{"plain", lower}},
    .gradient = gradient,
    .has_exact = has_exact,
    .cases = cases,
    .homogeneous = {1u << 0},
    .adjoint = adjoint_cases,
};

static enum status backward_infer(const struct call *call, struct tensor out[]) {
    struct shape dy = call->in[0]->shape;
    double h = attr(call, "h"), w = attr(call, "w");
    char text[48];
    if (dy.d[H] != 1 || dy.d[W] != 1)
        return fail(STATUS_USAGE, "dy is %s; it must have one row and one column", shape_print(dy, text));
    if (!(h >= 1 && w >= 1 && h <= 0x1p31 && w <= 0x1p31))
        return fail(STATUS_USAGE, "h is %g and w is %g; both must be whole numbers of at least 1", h, w);
    out[0].dtype = DTYPE_F32;
    out[0].shape = shape4(dy.d[N], attr_u(call, "h"), attr_u(call, "w"), dy.d[C]);
    return STATUS_OK;
}

static void backward_reference(const struct call *call, const double *const in[], double *const out[],
                               double *const bound[]) {
    struct shape dx = call->out[0]->shape;
    uint64_t channels = dx.d[C], image = shape_count(dx) / dx.d[N];
    for (uint64_t i = 0; i < shape_count(dx); i++) {
        out[0][i] = in[0][i / image * channels + i % channels] / pixel_count(dx);
        bound[0][i] = 3 * UNIT_ROUNDOFF * fabs(out[0][i]);
    }
}

static bool backward_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    const struct tensor *dx = call->out[0];
    uint32_t count = (uint32_t)(tensor_elements(dx) / 4), quads = tensor_row(dx) / 4;
    struct dispatch *dispatch = lowering_add(lowering, "global_average_pool_backward");
    dispatch_input(dispatch, 0);
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, count);
    dispatch_push_divisor(dispatch, quads);
    dispatch_push_divisor(dispatch, quads * dx->shape.d[H] * dx->shape.d[W]);
    dispatch_push_float(dispatch, 1 / pixel_count(dx->shape));
    dispatch_linear(dispatch, count, 64);
    dispatch->bytes = 16.0 * count;
    return true;
}

static bool backward_has_exact(const struct call *call) {
    return is_power_of_two(pixel_count(call->out[0]->shape));
}

static const char *const backward_cases[] = {
    "dy=2x1x1x16 h=8 w=8",       "dy=1x1x1x1", "dy=3x1x1x17 h=7 w=7", "dy=5x1x1x3 h=4 w=16", "+dy=128x1x1x64 h=8 w=8",
    "+dy=160x1x1x4 h=256 w=256", NULL};

const struct op op_global_average_pool_backward = {
    .name = "global_average_pool_backward",
    .inputs = {"dy"},
    .outputs = {"dx"},
    .attributes = {{"h", 1}, {"w", 1}},
    .infer = backward_infer,
    .reference = backward_reference,
    .by_image = 1u << 0,
    .forms = {{"plain", backward_lower}},
    .has_exact = backward_has_exact,
    .cases = backward_cases,
};

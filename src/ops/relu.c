/*
 * relu: y = max(x, 0), with NaN kept as it is.
 * relu_backward: dx = dy where y > 0, else 0; it needs the output only, which may hold more than a relu (a fused sum).
 */
#include "ir/bound.h"
#include "ir/graph.h"
#include "ir/map.h"

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    for (uint64_t i = 0; i < shape_count(call->in[0]->shape); i++) {
        out[0][i] = in[0][i] < 0 ? 0 : in[0][i];
        bound[0][i] = bound_denormal(in[0][i]);
    }
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    (void)need;
    din[0] = graph_apply(graph, "relu_backward", OPERANDS(node->out[0], dout[0]), NULL);
}

static const char *const cases[] = {
    "x=2x5x3x7",  "x=1x1x1x1",       "x=1x1x1x4097",
    "x=3x9x7x17", "+x=128x32x32x16", /* more groups than an axis has, over 128 MiB */ "+x=3x1800x1800x1",
    NULL};

static const char *const adjoint_cases[] = {"x=3x9x7x17", "+x=8x112x112x64", NULL};

const struct op op_relu = {
    .name = "relu",
    .inputs = {"x"},
    .outputs = {"y"},
    .infer = map_infer,
    .reference = reference,
    .by_image = 1u << 0,
    .forms = {{"plain", map_lower}},
    .gradient = gradient,
    .cases = cases,
    .homogeneous = {1u << 0},
    .adjoint = adjoint_cases,
};

static void backward_reference(const struct call *call, const double *const in[], double *const out[],
                               double *const bound[]) {
    for (uint64_t i = 0; i < shape_count(call->in[0]->shape); i++) {
        out[0][i] = in[0][i] > 0 ? in[1][i] : 0;
        /* A denormal y > 0 may count as zero. */
        bound[0][i] = in[0][i] > 0 && in[0][i] < 0x1p-126 ? fabs(in[1][i]) : bound_denormal(in[1][i]);
    }
}

static const char *const backward_cases[] = {"y=2x5x3x7 dy=2x5x3x7", "y=1x1x1x1 dy=1x1x1x1",
                                             "y=1x1x1x4097 dy=1x1x1x4097", "+y=128x32x32x16 dy=128x32x32x16", NULL};

const struct op op_relu_backward = {
    .name = "relu_backward",
    .inputs = {"y", "dy"},
    .outputs = {"dx"},
    .infer = map_infer,
    .reference = backward_reference,
    .by_image = 1u << 0 | 1u << 1,
    .forms = {{"plain", map_lower}},
    .cases = backward_cases,
};

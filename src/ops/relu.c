/*
 * relu: y = max(x, 0), with NaN kept as it is.
 * relu_backward: dx = dy where y > 0, else 0; it needs the output only, which may hold more than a relu (a fused sum).
 */
#include "ir/op.h"

#include "ir/bound.h"
#include "ir/graph.h"

static enum status infer(const struct call *call, struct tensor out[]) {
    out[0].dtype = DTYPE_F32;
    out[0].shape = call->in[0]->shape;
    return STATUS_OK;
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    for (uint64_t i = 0; i < shape_count(call->in[0]->shape); i++) {
        out[0][i] = in[0][i] < 0 ? 0 : in[0][i];
        bound[0][i] = bound_denormal(in[0][i]);
    }
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    uint64_t quads = tensor_elements(call->in[0]) / 4;
    struct dispatch *dispatch = lowering_add(lowering, "relu");
    dispatch_input(dispatch, 0);
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, (uint32_t)quads);
    dispatch_linear(dispatch, quads, 64);
    dispatch->bytes = 32.0 * (double)quads;
    return true;
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    (void)need;
    din[0] = graph_apply(graph, "relu_backward", OPERANDS(node->out[0], dout[0]), NULL);
}

static const char *const cases[] = {"x=2x5x3x7", "x=1x1x1x1", "x=1x1x1x4097", "x=3x9x7x17", "+x=128x32x32x16", NULL};

const struct op op_relu = {
    .name = "relu",
    .inputs = {"x"},
    .outputs = {"y"},
    .infer = infer,
    .reference = reference,
    .forms = {{"plain", lower}},
    .gradient = gradient,
    .cases = cases,
};

static enum status backward_infer(const struct call *call, struct tensor out[]) {
    struct shape y = call->in[0]->shape, dy = call->in[1]->shape;
    char texts[2][48];
    if (!shape_equal(y, dy))
        return fail(STATUS_USAGE, "y is %s, but dy is %s", shape_print(y, texts[0]), shape_print(dy, texts[1]));
    out[0].dtype = DTYPE_F32;
    out[0].shape = dy;
    return STATUS_OK;
}

static void backward_reference(const struct call *call, const double *const in[], double *const out[],
                               double *const bound[]) {
    for (uint64_t i = 0; i < shape_count(call->in[0]->shape); i++) {
        out[0][i] = in[0][i] > 0 ? in[1][i] : 0;
        /* A denormal y > 0 may count as zero. */
        bound[0][i] = in[0][i] > 0 && in[0][i] < 0x1p-126 ? fabs(in[1][i]) : bound_denormal(in[1][i]);
    }
}

static bool backward_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    uint64_t quads = tensor_elements(call->in[0]) / 4;
    struct dispatch *dispatch = lowering_add(lowering, "relu_backward");
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, (uint32_t)quads);
    dispatch_linear(dispatch, quads, 64);
    dispatch->bytes = 48.0 * (double)quads;
    return true;
}

static const char *const backward_cases[] = {"y=2x5x3x7 dy=2x5x3x7", "y=1x1x1x1 dy=1x1x1x1",
                                             "y=1x1x1x4097 dy=1x1x1x4097", "+y=128x32x32x16 dy=128x32x32x16", NULL};

const struct op op_relu_backward = {
    .name = "relu_backward",
    .inputs = {"y", "dy"},
    .outputs = {"dx"},
    .infer = backward_infer,
    .reference = backward_reference,
    .forms = {{"plain", backward_lower}},
    .cases = backward_cases,
};

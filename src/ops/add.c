/* add: y = a + b, as at the end of a residual block, and where gradients of several uses meet. */
#include "ir/op.h"

#include "ir/bound.h"
#include "ir/graph.h"

static enum status infer(const struct call *call, struct tensor out[]) {
    struct shape a = call->in[0]->shape, b = call->in[1]->shape;
    char texts[2][48];
    if (!shape_equal(a, b))
        return fail(STATUS_USAGE, "a is %s, but b is %s", shape_print(a, texts[0]), shape_print(b, texts[1]));
    out[0].dtype = DTYPE_F32;
    out[0].shape = a;
    return STATUS_OK;
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    for (uint64_t i = 0; i < shape_count(call->in[0]->shape); i++) {
        double a = in[0][i], b = in[1][i], y = a + b;
        out[0][i] = y;
        bound[0][i] = 2 * UNIT_ROUNDOFF * fabs(y) + bound_denormal(a) + bound_denormal(b) + bound_denormal(y);
    }
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    uint64_t quads = tensor_elements(call->in[0]) / 4;
    struct dispatch *dispatch = lowering_add(lowering, "add");
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, (uint32_t)quads);
    dispatch_linear(dispatch, quads, 64);
    dispatch->bytes = 48.0 * (double)quads;
    return true;
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    (void)graph, (void)node, (void)need;
    din[0] = din[1] = dout[0];
}

static const char *const cases[] = {"a=2x5x3x7 b=2x5x3x7", "a=1x1x1x1 b=1x1x1x1", "a=1x1x1x4097 b=1x1x1x4097",
                                    "+a=128x32x32x16 b=128x32x32x16", NULL};

const struct op op_add = {
    .name = "add",
    .inputs = {"a", "b"},
    .outputs = {"y"},
    .infer = infer,
    .reference = reference,
    .forms = {{"plain", lower}},
    .gradient = gradient,
    .cases = cases,
};

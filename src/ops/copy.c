/* copy: y = x. */
#include "ir/op.h"

#include "base/memory.h"
#include "ir/graph.h"

static enum status infer(const struct call *call, struct tensor out[]) {
    out[0].dtype = call->in[0]->dtype;
    out[0].shape = call->in[0]->shape;
    return STATUS_OK;
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    for (uint64_t i = 0; i < shape_count(call->in[0]->shape); i++) {
        out[0][i] = in[0][i];
        bound[0][i] = 0;
    }
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    uint64_t quads = tensor_bytes(call->in[0]) / 16;
    struct dispatch *dispatch = lowering_add(lowering, "copy");
    dispatch_input(dispatch, 0);
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, (uint32_t)quads);
    dispatch_linear(dispatch, quads, 64);
    dispatch->bytes = 32.0 * (double)quads;
    return true;
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    (void)graph, (void)node, (void)need;
    din[0] = dout[0];
}

static const char *const cases[] = {"x=2x5x3x7", "x=1x1x1x1", "x=1x1x1x4097", NULL};

const struct op op_copy = {
    .name = "copy",
    .inputs = {"x"},
    .outputs = {"y"},
    .infer = infer,
    .reference = reference,
    .forms = {{"plain", lower}},
    .gradient = gradient,
    .cases = cases,
};

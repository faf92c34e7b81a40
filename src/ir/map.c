#include "ir/map.h"

enum { GROUP_SIZE = 64 };

enum status map_infer(const struct call *call, struct tensor out[]) {
    const struct op *op = call->op;
    struct shape first = call->in[0]->shape;
    char texts[2][48];
    for (int j = 1; op->inputs[j]; j++)
        if (!shape_equal(call->in[j]->shape, first))
            return fail(STATUS_USAGE, "%s is %s, but %s is %s", op->inputs[0], shape_print(first, texts[0]),
                        op->inputs[j], shape_print(call->in[j]->shape, texts[1]));
    out[0].dtype = call->in[0]->dtype;
    out[0].shape = first;
    return STATUS_OK;
}

bool map_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    uint64_t quads = tensor_bytes(call->in[0]) / 16;
    struct dispatch *dispatch = lowering_add(lowering, call->op->name);
    uint32_t inputs = (uint32_t)op_input_count(call->op);
    for (uint32_t j = 0; j < inputs; j++)
        dispatch_input(dispatch, j);
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, (uint32_t)quads);
    dispatch_linear(dispatch, quads, GROUP_SIZE);
    dispatch->bytes = 16.0 * (double)quads * (inputs + 1);
    return true;
}

/* fill: a new tensor of the shape d0 x d1 x d2 x d3 whose every element is `value`. */
#include "ir/op.h"

#include "ir/graph.h"

static enum status infer(const struct call *call, struct tensor out[]) {
    static const char *const names[] = {"d0", "d1", "d2", "d3"};
    out[0].dtype = DTYPE_F32;
    for (int i = 0; i < 4; i++) {
        double extent = attr(call, names[i]);
        if (!(extent >= 1 && extent <= 0x1p31))
            return fail(STATUS_USAGE, "%s is %g; it must be a whole number of at least 1", names[i], extent);
        out[0].shape.d[i] = attr_u(call, names[i]);
    }
    return STATUS_OK;
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    (void)in;
    for (uint64_t i = 0; i < shape_count(call->out[0]->shape); i++) {
        out[0][i] = (float)attr(call, "value");
        bound[0][i] = 0;
    }
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    uint64_t quads = tensor_elements(call->out[0]) / 4;
    struct dispatch *dispatch = lowering_add(lowering, "fill");
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, (uint32_t)quads);
    dispatch_push(dispatch, call->out[0]->shape.d[3]);
    dispatch_push_float(dispatch, attr(call, "value"));
    dispatch_linear(dispatch, quads, 64);
    dispatch->bytes = 16.0 * (double)quads;
    return true;
}

static const char *const cases[] = {"d0=2 d1=5 d2=3 d3=7 value=1.5",
                                    "value=-3",
                                    "d3=4097 value=0.1",
                                    "d0=3 d1=5 d3=16 value=1e30",
                                    "d2=2 d3=1 value=2",
                                    /* more groups than an axis has */ "+d1=2064 d2=2064 value=2",
                                    /* over 128 MiB */ "+d0=3 d1=1800 d2=1800 value=3",
                                    NULL};

const struct op op_fill = {
    .name = "fill",
    .outputs = {"y"},
    .attributes = {{"value", 0}, {"d0", 1}, {"d1", 1}, {"d2", 1}, {"d3", 1}},
    .infer = infer,
    .reference = reference,
    .by_image = 1u << 0, /* without an input it is so */
    .forms = {{"plain", lower}},
    .cases = cases,
};

/*
 * latch: state keeps its value as long as the first element of value is finite, and becomes NaN for good otherwise. As
 * the optimizer's gate it keeps the parameters of the step that failed, also when later steps are already on their way.
 */
#include "ir/op.h"

#include "base/memory.h"

#include <math.h>

static enum status infer(const struct call *call, struct tensor out[]) {
    char text[48];
    struct shape state = call->in[0]->shape;
    if (!shape_equal(state, shape_vector(1)))
        return fail(STATUS_USAGE, "state should be 1x1x1x1, it is %s", shape_print(state, text));
    out[0].dtype = DTYPE_F32;
    out[0].shape = state;
    return STATUS_OK;
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    (void)call;
    if (!isfinite(in[1][0]))
        out[0][0] = NAN;
    bound[0][0] = 0;
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)call, (void)facts;
    struct dispatch *dispatch = lowering_add(lowering, "latch");
    dispatch_input(dispatch, 1);
    dispatch_output(dispatch, 0);
    return true;
}

/* Hostile values close the latch, but for a large one, which leaves what was there. */
static double sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    static const double special[] = {INFINITY, SAMPLE_NAN, -INFINITY, -0x1p127};
    if (kind != DATA_HOSTILE || input == 0 || index > 0)
        return index == 0 ? 2.5 : NAN;
    return special[(call->in[1]->shape.d[C] + seed) % COUNT(special)];
}

static const char *const cases[] = {"state=1x1x1x1 value=1x1x1x4", "state=1x1x1x1 value=2x3x3x5",
                                    "state=1x1x1x1 value=1x1x1x7", NULL};

const struct op op_latch = {
    .name = "latch",
    .inputs = {"state", "value"},
    .outputs = {"state"},
    .updates = {1},
    .infer = infer,
    .reference = reference,
    .forms = {{"plain", lower}},
    .sample = sample,
    .cases = cases,
};

/*
 * batch_metrics: (sum of loss, sum of correct, penalty, 0), what the host reads after a step.
 * l2_penalty: scale * sum of x^2. It has no gradient: in training it acts as the optimizer's weight decay.
 */
#include "ir/op.h"

#include "base/memory.h"
#include "base/random.h"
#include "ir/bound.h"

enum { GROUP_SIZE = 64 };

/* ---- batch_metrics ---- */

static enum status infer(const struct call *call, struct tensor out[]) {
    const struct tensor *loss = call->in[0], *correct = call->in[1], *penalty = call->in[2];
    char texts[2][48];
    if (!shape_equal(loss->shape, correct->shape) || !shape_equal(loss->shape, shape_vector(loss->shape.d[C])))
        return fail(STATUS_USAGE, "loss and correct should be [1,1,1,n], they are %s and %s",
                    shape_print(loss->shape, texts[0]), shape_print(correct->shape, texts[1]));
    if (penalty && !shape_equal(penalty->shape, shape_vector(1)))
        return fail(STATUS_USAGE, "penalty should be 1x1x1x1, it is %s", shape_print(penalty->shape, texts[0]));
    out[0].dtype = DTYPE_F32;
    out[0].shape = shape_vector(4);
    return STATUS_OK;
}

static void sum_up(const double *values, uint32_t count, double *sum, double *bound) {
    double absolute = 0;
    *sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        *sum += values[i];
        absolute += fabs(values[i]);
    }
    *bound = bound_sum(count, absolute, *sum);
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    uint32_t count = call->in[0]->shape.d[C];
    sum_up(in[0], count, &out[0][0], &bound[0][0]);
    sum_up(in[1], count, &out[0][1], &bound[0][1]);
    out[0][2] = in[2] ? in[2][0] : 0;
    out[0][3] = bound[0][2] = bound[0][3] = 0;
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    uint64_t quads = tensor_elements(call->in[0]) / 4;
    if (quads / GROUP_SIZE + 8 > facts->max_loop_steps)
        return false;
    struct dispatch *dispatch = lowering_add(lowering, "batch_metrics");
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    dispatch_input(dispatch, call->in[2] ? 2 : 0); /* the loss stands in for a penalty that is absent */
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, (uint32_t)quads);
    dispatch_push(dispatch, call->in[2] != NULL);
    dispatch->bytes = 32.0 * (double)quads;
    return true;
}

static const char *const cases[] = {
    "loss=1x1x1x5 correct=1x1x1x5 penalty=1x1x1x1",
    "loss=1x1x1x1 correct=1x1x1x1",
    "loss=1x1x1x128 correct=1x1x1x128",
    "loss=1x1x1x1027 correct=1x1x1x1027 penalty=1x1x1x1",
    NULL,
};

const struct op op_batch_metrics = {
    .name = "batch_metrics",
    .inputs = {"loss", "correct", "penalty?"},
    .outputs = {"metrics"},
    .infer = infer,
    .reference = reference,
    .forms = {{"plain", lower}},
    .no_hostile = true,
    .cases = cases,
};

/* ---- l2_penalty ---- */

static enum status penalty_infer(const struct call *call, struct tensor out[]) {
    (void)call;
    out[0].dtype = DTYPE_F32;
    out[0].shape = shape_vector(1);
    return STATUS_OK;
}

static void penalty_reference(const struct call *call, const double *const in[], double *const out[],
                              double *const bound[]) {
    uint64_t count = shape_count(call->in[0]->shape);
    double scale = (float)attr(call, "scale"), sum = 0;
    for (uint64_t i = 0; i < count; i++)
        sum += in[0][i] * in[0][i];
    out[0][0] = scale * sum;
    bound[0][0] = fabs(scale) * bound_sum((double)count, sum, sum) + UNIT_ROUNDOFF * fabs(out[0][0]);
}

/* Invocations for one part: enough for a large device, each with at least 16 vec4 if there are that many. */
static uint32_t part_count(uint64_t quads) {
    uint64_t invocations = MIN(MAX(quads / 16, UINT64_C(1)), UINT64_C(16384));
    return (uint32_t)round_up(invocations, GROUP_SIZE);
}

static bool penalty_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    uint64_t bytes = tensor_bytes(call->in[0]);
    uint64_t most = facts->max_storage_range / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT, parts = 0;
    if (most == 0 || ceil_div(bytes, most) >= LOWERING_DISPATCHES)
        return false;
    for (uint64_t first = 0; first < bytes; first += most) {
        uint64_t piece = MIN(most, bytes - first);
        uint32_t invocations = part_count(piece / 16);
        struct dispatch *dispatch = lowering_add(lowering, "l2_penalty");
        dispatch_input(dispatch, 0);
        dispatch_range(dispatch, first, piece);
        dispatch_scratch(dispatch, 0);
        dispatch_push(dispatch, (uint32_t)(piece / 16));
        dispatch_push(dispatch, (uint32_t)ceil_div(piece / 16, invocations));
        dispatch_push(dispatch, invocations);
        dispatch_push(dispatch, (uint32_t)parts);
        dispatch_linear(dispatch, invocations, GROUP_SIZE);
        dispatch->bytes = (double)piece;
        parts += invocations;
    }
    lowering->scratch_bytes[0] = 16 * parts;
    struct dispatch *dispatch = lowering_add(lowering, "l2_penalty_sum");
    dispatch_scratch(dispatch, 0);
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, (uint32_t)parts);
    dispatch_push_float(dispatch, attr(call, "scale"));
    dispatch->bytes = 16.0 * (double)parts;
    return true;
}

/* Small enough that the sum of a million squares is exact. */
static double penalty_sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    (void)call, (void)input;
    return kind == DATA_EXACT ? (double)random_below(seed, 1, (uint32_t)index, 5) - 2 : NAN;
}

static const char *const penalty_cases[] = {
    "x=3x3x5x7", "x=1x1x1x1 scale=0.5", "x=1x1x1x4097 scale=1", "x=1x1x1x300000", "+x=1x1x1x5000003", NULL,
};

const struct op op_l2_penalty = {
    .name = "l2_penalty",
    .inputs = {"x"},
    .outputs = {"penalty"},
    .attributes = {{"scale", 1e-4}},
    .infer = penalty_infer,
    .reference = penalty_reference,
    .forms = {{"plain", penalty_lower}},
    .sample = penalty_sample,
    .no_hostile = true,
    .cases = penalty_cases,
};

/* channel_sum: y = sum of x over images, rows and columns, one number a channel: the gradient of a bias. */
#include "ir/bound.h"
#include "ir/channel_reduce.h"
#include "ir/op.h"

static enum status infer(const struct call *call, struct tensor out[]) {
    out[0].dtype = DTYPE_F32;
    out[0].shape = shape_vector(call->in[0]->shape.d[C]);
    return STATUS_OK;
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    uint64_t channels = call->in[0]->shape.d[C], pixels = shape_count(call->in[0]->shape) / channels;
    for (uint64_t c = 0; c < channels; c++) {
        double sum = 0, absolute = 0;
        for (uint64_t p = 0; p < pixels; p++) {
            double x = in[0][p * channels + c];
            sum += x;
            absolute += fabs(x);
        }
        out[0][c] = sum;
        bound[0][c] = bound_sum((double)pixels, absolute, sum);
    }
}

static bool lower_as(const struct call *call, const struct device_facts *facts, struct lowering *lowering,
                     bool narrow) {
    struct channel_reduce cut = channel_reduce_cut(call->in[0], facts, narrow);
    struct dispatch *first = channel_reduce_first(lowering, &cut, "channel_sum", 1);
    dispatch_input(first, 0);
    dispatch_scratch(first, 0);
    first->bytes = (double)tensor_bytes(call->in[0]);
    if (!channel_reduce_slice(lowering, &cut, facts, 1u << 0))
        return false;
    struct dispatch *second = channel_reduce_second(lowering, &cut, "channel_sum_merge", 0);
    dispatch_output(second, 0);
    return true;
}

static bool lower_narrow(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && lower_as(call, facts, lowering, true);
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return lower_as(call, facts, lowering, false);
}

static const char *const cases[] = {
    "x=2x5x3x7",        "x=1x1x1x1",   "x=1x1x1x130",     "x=3x7x9x17",    "x=4x16x16x3",
    "x=1x33x31x64",     "x=64x9x9x16", "+x=128x32x32x16", "+x=128x8x8x64", "+x=8x56x56x256",
    "+x=1x1000x1000x3", "x=1x1x127x3", "x=1x1x129x4",     "x=1x1x9x65",    "+x=1x1x1025x1",
    "+x=3x1800x1800x1", NULL};

const struct op op_channel_sum = {
    .name = "channel_sum",
    .inputs = {"x"},
    .outputs = {"y"},
    .infer = infer,
    .reference = reference,
    .forms = {{"narrow", lower_narrow}, {"plain", lower}},
    .cases = cases,
};

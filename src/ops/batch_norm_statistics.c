/*
 * batch_norm_statistics: mean and (biased) variance of each channel, over images, rows and columns.
 * batch_norm_update: running statistics follow those of a batch, in place.
 */
#include "base/random.h"
#include "ir/bound.h"
#include "ir/channel_reduce.h"
#include "ir/op.h"

static enum status infer(const struct call *call, struct tensor out[]) {
    for (int k = 0; k < 2; k++) {
        out[k].dtype = DTYPE_F32;
        out[k].shape = shape_vector(call->in[0]->shape.d[C]);
    }
    return STATUS_OK;
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    uint64_t channels = call->in[0]->shape.d[C], count = shape_count(call->in[0]->shape);
    double pixels = (double)(count / channels);
    for (uint64_t c = 0; c < channels; c++) {
        double sum = 0, absolute = 0, squares = 0;
        for (uint64_t i = c; i < count; i += channels) {
            sum += in[0][i];
            absolute += fabs(in[0][i]);
        }
        out[0][c] = sum / pixels;
        bound[0][c] = 8 * UNIT_ROUNDOFF * absolute / pixels;
        for (uint64_t i = c; i < count; i += channels)
            squares += (in[0][i] - out[0][c]) * (in[0][i] - out[0][c]);
        out[1][c] = squares / pixels;
        /* Deviations from a mean that is as far off as it may be. */
        bound[1][c] = 2e-6 * out[1][c] + bound[0][c] * bound[0][c];
    }
}

static bool lower_as(const struct call *call, const struct device_facts *facts, struct lowering *lowering,
                     bool narrow) {
    struct channel_reduce cut = channel_reduce_cut(call->in[0], facts, narrow);
    struct dispatch *first = channel_reduce_first(lowering, &cut, "batch_norm_statistics", 3);
    dispatch_input(first, 0);
    dispatch_scratch(first, 0);
    first->bytes = (double)tensor_bytes(call->in[0]);
    if (!channel_reduce_slice(lowering, &cut, facts, 1u << 0))
        return false;
    struct dispatch *second = channel_reduce_second(lowering, &cut, "batch_norm_statistics_merge", 0);
    dispatch_output(second, 0);
    dispatch_output(second, 1);
    return true;
}

static bool lower_narrow(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && lower_as(call, facts, lowering, true);
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return lower_as(call, facts, lowering, false);
}

/*
 * Exact data: a whole number m for each channel, and m - d, m + d in turn where the number of pixels is a power of two;
 * otherwise the pixels are all m. Then mean and variance are whole numbers whichever way they are computed.
 */
static double sample_exact(uint64_t pixels, uint64_t pixel, uint32_t channel, uint32_t seed) {
    double mean = random_below(seed, 0, channel, 33) - 16.0, deviation = random_below(seed, 1, channel, 3) + 1.0;
    if (pixels < 2 || (pixels & (pixels - 1)))
        return mean;
    return pixel % 2 ? mean + deviation : mean - deviation;
}

/* Random data: channels whose mean is far above their deviation, with an outlier, and of one value among plain ones. */
static double sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    (void)input;
    uint64_t channels = call->in[0]->shape.d[C], pixel = index / channels;
    uint32_t channel = (uint32_t)(index % channels);
    if (kind == DATA_EXACT)
        return sample_exact(shape_count(call->in[0]->shape) / channels, pixel, channel, seed);
    double normal = random_normal(seed, channel, (uint32_t)pixel);
    switch (channel % 5) {
    case 1:
        return 1000 + normal;
    case 2:
        return pixel == 0 ? 1e4 : normal;
    case 3:
        return 0.1 + channel;
    default:
        return 0.5 + normal;
    }
}

static const char *const cases[] = {
    "x=2x5x3x7",        "x=1x1x1x1",   "x=1x1x1x130", "x=3x7x9x17",      "x=4x16x16x3",
    "x=1x33x31x64",     "x=64x9x9x16", "x=2x1x1x5",   "+x=128x32x32x16", "+x=128x8x8x64",
    "+x=8x56x56x256",   "x=1x1x128x3", "x=1x1x129x4", "x=1x1x9x65",      "+x=1x1x1024x1",
    "+x=3x1800x1800x1", NULL};

const struct op op_batch_norm_statistics = {
    .name = "batch_norm_statistics",
    .inputs = {"x"},
    .outputs = {"mean", "variance"},
    .infer = infer,
    .reference = reference,
    .forms = {{"narrow", lower_narrow}, {"plain", lower}},
    .sample = sample,
    .no_hostile = true,
    .cases = cases,
};

static enum status update_infer(const struct call *call, struct tensor out[]) {
    struct shape shape = call->in[0]->shape;
    char texts[2][48];
    if (shape.d[C] != shape_count(shape))
        return fail(STATUS_USAGE, "running_mean is %s; it must be a vector", shape_print(shape, texts[0]));
    for (int j = 1; j < 4; j++)
        if (!shape_equal(call->in[j]->shape, shape))
            return fail(STATUS_USAGE, "%s is %s, but running_mean is %s", call->op->inputs[j],
                        shape_print(call->in[j]->shape, texts[0]), shape_print(shape, texts[1]));
    if (!isfinite(attr(call, "momentum")) || !isfinite(attr(call, "correction")))
        return fail(STATUS_USAGE, "momentum is %g and correction is %g; both must be finite", attr(call, "momentum"),
                    attr(call, "correction"));
    for (int k = 0; k < 2; k++) {
        out[k].dtype = DTYPE_F32;
        out[k].shape = shape;
    }
    return STATUS_OK;
}

static void update_reference(const struct call *call, const double *const in[], double *const out[],
                             double *const bound[]) {
    double momentum = attr(call, "momentum");
    for (int k = 0; k < 2; k++)
        for (uint64_t c = 0; c < call->in[0]->shape.d[C]; c++) {
            double old = (1 - momentum) * in[k][c];
            double batch = momentum * (k ? attr(call, "correction") : 1) * in[2 + k][c];
            out[k][c] = old + batch;
            bound[k][c] = 4 * UNIT_ROUNDOFF * (fabs(old) + fabs(batch));
        }
}

static bool update_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    uint64_t quads = tensor_elements(call->in[0]) / 4;
    double momentum = attr(call, "momentum");
    struct dispatch *dispatch = lowering_add(lowering, "batch_norm_update");
    for (uint32_t k = 0; k < 2; k++)
        dispatch_output(dispatch, k);
    for (uint32_t j = 2; j < 4; j++)
        dispatch_input(dispatch, j);
    dispatch_push(dispatch, (uint32_t)quads);
    dispatch_push_float(dispatch, 1 - momentum);
    dispatch_push_float(dispatch, momentum);
    dispatch_push_float(dispatch, momentum * attr(call, "correction"));
    dispatch_linear(dispatch, quads, 64);
    dispatch->bytes = 96.0 * (double)quads;
    return true;
}

/* Factors of few bits. */
static bool update_has_exact(const struct call *call) {
    double factors[] = {attr(call, "momentum") * 256, attr(call, "momentum") * attr(call, "correction") * 256};
    return factors[0] == rint(factors[0]) && factors[1] == rint(factors[1]);
}

static double update_sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    (void)call;
    if (kind == DATA_RANDOM && input % 2)
        return 0.05 + 2 * random_uniform(seed, (uint32_t)input, (uint32_t)index);
    return NAN;
}

static const char *const update_cases[] = {
    "running_mean=1x1x1x17 running_variance=1x1x1x17 mean=1x1x1x17 variance=1x1x1x17 momentum=0.25 correction=1.5",
    "running_mean=1x1x1x1 running_variance=1x1x1x1 mean=1x1x1x1 variance=1x1x1x1 momentum=0.125",
    "running_mean=1x1x1x258 running_variance=1x1x1x258 mean=1x1x1x258 variance=1x1x1x258 momentum=0.5 correction=1.25",
    NULL};

const struct op op_batch_norm_update = {
    .name = "batch_norm_update",
    .inputs = {"running_mean", "running_variance", "mean", "variance"},
    .outputs = {"new_mean", "new_variance"},
    .updates = {1, 2},
    .attributes = {{"momentum", 0.1}, {"correction", 1}},
    .infer = update_infer,
    .reference = update_reference,
    .forms = {{"plain", update_lower}},
    .sample = update_sample,
    .has_exact = update_has_exact,
    .no_hostile = true,
    .cases = update_cases,
};

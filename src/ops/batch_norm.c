/*
 * batch_norm: y = relu?((x - mean) / deviation * gamma + beta + residual?), deviation = sqrt(variance + epsilon), with
 * one number a channel for mean, variance, gamma and beta; its backward ops; and its folding into the convolution
 * before it.
 *
 * On a device a tiny kernel first turns the vectors into coefficients, so that the pass over the image has a
 * multiplication and an addition left: y = x a + b with a = gamma / deviation, b = beta - mean a. Where kernels may
 * bind only the four buffers that every device allows, two do it.
 */
#include "base/memory.h"
#include "base/random.h"
#include "ir/bound.h"
#include "ir/channel_reduce.h"
#include "ir/graph.h"

#include <string.h>

/* ---- shared by the ops ---- */

static uint64_t channel_count(const struct call *call, int input) {
    return call->in[input]->shape.d[3];
}

/* For "%.*s": an optional operand's name without its '?'. */
static int name_length(const struct call *call, int input) {
    return (int)strcspn(call->op->inputs[input], "?");
}

/* Inputs first .. last must be vectors of `channels`; absent ones are well. */
static enum status check_vectors(const struct call *call, int first, int last, uint32_t channels) {
    char text[48];
    for (int j = first; j <= last; j++)
        if (call->in[j] && !shape_equal(call->in[j]->shape, shape_vector(channels)))
            return fail(STATUS_USAGE, "%.*s is %s; %u channels need 1x1x1x%u", name_length(call, j),
                        call->op->inputs[j], shape_print(call->in[j]->shape, text), channels, channels);
    double epsilon = attr(call, "epsilon");
    if (!((float)epsilon > 0 && isfinite((float)epsilon)))
        return fail(STATUS_USAGE, "epsilon is %g; it must be above zero", epsilon);
    return STATUS_OK;
}

static enum status check_same(const struct call *call, int a, int b) {
    char texts[2][48];
    if (shape_equal(call->in[a]->shape, call->in[b]->shape))
        return STATUS_OK;
    return fail(STATUS_USAGE, "%.*s is %s, but %.*s is %s", name_length(call, a), call->op->inputs[a],
                shape_print(call->in[a]->shape, texts[0]), name_length(call, b), call->op->inputs[b],
                shape_print(call->in[b]->shape, texts[1]));
}

static double reciprocal_deviation(const struct call *call, double variance) {
    return 1 / sqrt(variance + attr(call, "epsilon"));
}

/* Coefficients lie in scratch block 1, in rows that start at multiples of TENSOR_ALIGNMENT; row length in vec4. */
static uint32_t coefficient_row(uint32_t quads) {
    return (uint32_t)round_up(quads, TENSOR_ALIGNMENT / 16);
}

/* A kernel that reads the vectors `inputs` and fills the first of `rows` rows of coefficients. */
static struct dispatch *add_coefficients(const struct call *call, struct lowering *lowering, const char *kernel,
                                         uint32_t rows, const uint32_t *inputs, uint32_t count) {
    uint32_t quads = tensor_row(call->in[inputs[0]]) / 4;
    lowering->scratch_bytes[1] = UINT64_C(16) * rows * coefficient_row(quads);
    struct dispatch *dispatch = lowering_add(lowering, kernel);
    for (uint32_t i = 0; i < count; i++)
        dispatch_input(dispatch, inputs[i]);
    dispatch_scratch(dispatch, 1);
    dispatch_push(dispatch, quads);
    dispatch_push(dispatch, coefficient_row(quads));
    dispatch_linear(dispatch, quads, 64);
    dispatch->bytes = 16.0 * (count + rows) * quads;
    return dispatch;
}

/* Row 0: gamma / deviation, row 1: 1 / deviation, from `inputs`: variance, gamma. */
static void add_scale(const struct call *call, struct lowering *lowering, uint32_t rows, const uint32_t *inputs) {
    struct dispatch *dispatch = add_coefficients(call, lowering, "batch_norm_scale", rows, inputs, 2);
    dispatch_push_float(dispatch, attr(call, "epsilon"));
}

/* Row 0: gamma / deviation, row 1: beta - mean * row 0, from `inputs`: variance, gamma, mean, beta. */
static void add_scale_shift(const struct call *call, struct lowering *lowering, const uint32_t *inputs) {
    add_scale(call, lowering, 2, inputs);
    add_coefficients(call, lowering, "batch_norm_shift", 2, inputs + 2, 2);
}

/*
 * The push words and constants of shaders/channel_map.glsl, for a map over `x`. A CPU runs small workgroups with a few
 * pixels an invocation fastest: the coefficients are loaded once for all of them.
 */
static void push_map(struct dispatch *dispatch, bool narrow, const struct tensor *x, bool rows) {
    uint32_t quads = tensor_row(x) / 4, count = (uint32_t)(tensor_elements(x) / 4);
    uint32_t size = narrow ? 16 : 64, pixels = narrow ? 4 : 1;
    uint32_t stride = (uint32_t)ceil_div(count / quads, pixels) * quads;
    dispatch_push(dispatch, count);
    dispatch_push(dispatch, stride);
    dispatch_push_divisor(dispatch, quads);
    dispatch_push(dispatch, rows ? coefficient_row(quads) : 0);
    dispatch_constant(dispatch, size);
    dispatch_constant(dispatch, pixels);
    dispatch_linear(dispatch, stride, size);
}

/* Output = relu?(input * row 0 + row 1? + residual?); residual < 0: none. */
static void add_apply(const struct call *call, struct lowering *lowering, bool narrow, uint32_t input, int residual,
                      uint32_t output, bool shift, bool relu) {
    struct dispatch *dispatch = lowering_add(lowering, "batch_norm");
    dispatch_input(dispatch, input);
    dispatch_scratch(dispatch, 1);
    dispatch_input(dispatch, residual < 0 ? input : (uint32_t)residual); /* something must be bound */
    dispatch_output(dispatch, output);
    push_map(dispatch, narrow, call->in[input], shift);
    dispatch_constant(dispatch, residual >= 0);
    dispatch_constant(dispatch, relu);
    dispatch->bytes = (residual < 0 ? 2.0 : 3.0) * (double)tensor_bytes(call->in[input]);
}

/* Variances are positive; the other operands get their default values. */
static double sample_variance(enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    return kind == DATA_RANDOM ? 0.05 + 2 * random_uniform(seed, (uint32_t)input, (uint32_t)index) : NAN;
}

/* ---- batch_norm ---- */

enum { X, MEAN, VARIANCE, GAMMA, BETA, RESIDUAL };

static enum status infer(const struct call *call, struct tensor out[]) {
    TRY(check_vectors(call, MEAN, BETA, call->in[X]->shape.d[C]));
    if (call->in[RESIDUAL])
        TRY(check_same(call, X, RESIDUAL));
    out[0].dtype = DTYPE_F32;
    out[0].shape = call->in[X]->shape;
    return STATUS_OK;
}

/*
 * The bound follows y = x a + b: a is off by 8u at most (sum, square root, reciprocal, product); products, differences
 * and sums round once each.
 */
static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    uint64_t channels = channel_count(call, X);
    for (uint64_t i = 0; i < shape_count(call->in[X]->shape); i++) {
        uint64_t c = i % channels;
        double x = in[X][i], mean = in[MEAN][c];
        double scale = in[GAMMA][c] * reciprocal_deviation(call, in[VARIANCE][c]);
        double normal = (x - mean) * scale + in[BETA][c];
        double y = normal + (in[RESIDUAL] ? in[RESIDUAL][i] : 0);
        bound[0][i] = UNIT_ROUNDOFF *
                      (fabs(scale) * (8 * fabs(x - mean) + 2 * (fabs(x) + fabs(mean))) + 2 * fabs(normal) + fabs(y));
        out[0][i] = attr(call, "relu") != 0 && y < 0 ? 0 : y;
    }
}

static bool lower_as(const struct call *call, const struct device_facts *facts, struct lowering *lowering,
                     bool narrow) {
    static const uint32_t inputs[] = {VARIANCE, GAMMA, MEAN, BETA};
    if (facts->max_storage_buffers > COUNT(inputs)) {
        struct dispatch *dispatch =
            add_coefficients(call, lowering, "batch_norm_coefficients", 2, inputs, COUNT(inputs));
        dispatch_push_float(dispatch, attr(call, "epsilon"));
    } else {
        add_scale_shift(call, lowering, inputs);
    }
    add_apply(call, lowering, narrow, X, call->in[RESIDUAL] ? RESIDUAL : -1, 0, true, attr(call, "relu") != 0);
    return true;
}

static bool lower_narrow(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && lower_as(call, facts, lowering, true);
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return lower_as(call, facts, lowering, false);
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    tensor_id dy = dout[0];
    if (node_attr(node, "relu") != 0)
        dy = graph_apply(graph, "relu_backward", OPERANDS(node->out[0], dy), NULL);
    din[RESIDUAL] = dy;
    if (!need[X] && !need[GAMMA] && !need[BETA])
        return;
    struct attribute epsilon = {"epsilon", node_attr(node, "epsilon")};
    din[GAMMA] = graph_apply(graph, "batch_norm_backward_reduce",
                             OPERANDS(node->in[X], node->in[MEAN], node->in[VARIANCE], dy), ATTRIBUTES(epsilon));
    din[BETA] = graph_output(graph, 1);
    if (need[X])
        din[X] = graph_apply(
            graph, "batch_norm_backward_input",
            OPERANDS(node->in[X], node->in[MEAN], node->in[VARIANCE], node->in[GAMMA], dy, din[GAMMA], din[BETA]),
            ATTRIBUTES(epsilon, {"training", node_attr(node, "training")}));
}

static double sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    (void)call;
    return input == VARIANCE ? sample_variance(kind, input, index, seed) : NAN;
}

/* Hostile values stand in x only: each reaches its own y and no other. */
static double forward_sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    if (kind == DATA_HOSTILE && input != X)
        return random_uniform(seed, (uint32_t)input + 200, (uint32_t)index) + 0x1p-10;
    return sample(call, kind, input, index, seed);
}

static const char *const cases[] = {
    "x=2x5x3x7 mean=1x1x1x7 variance=1x1x1x7 gamma=1x1x1x7 beta=1x1x1x7",
    "x=1x1x1x9 mean=1x1x1x9 variance=1x1x1x9 gamma=1x1x1x9 beta=1x1x1x9 relu=1",
    "x=3x7x9x17 mean=1x1x1x17 variance=1x1x1x17 gamma=1x1x1x17 beta=1x1x1x17 residual=3x7x9x17 training=0",
    "x=2x9x8x64 mean=1x1x1x64 variance=1x1x1x64 gamma=1x1x1x64 beta=1x1x1x64 residual=2x9x8x64 relu=1 epsilon=0.001",
    "+x=128x32x32x16 mean=1x1x1x16 variance=1x1x1x16 gamma=1x1x1x16 beta=1x1x1x16 residual=128x32x32x16 relu=1",
    /* more groups than an axis has, over 128 MiB */
    "+x=3x1800x1800x1 mean=1x1x1x1 variance=1x1x1x1 gamma=1x1x1x1 beta=1x1x1x1", NULL};

const struct op op_batch_norm = {
    .name = "batch_norm",
    .inputs = {"x", "mean", "variance", "gamma", "beta", "residual?"},
    .outputs = {"y"},
    .attributes = {{"epsilon", 1e-5}, {"relu", 0}, {"training", 1}},
    .infer = infer,
    .reference = reference,
    .by_image = 1u << X | 1u << RESIDUAL,
    .forms = {{"narrow", lower_narrow}, {"plain", lower}},
    .gradient = gradient,
    .sample = forward_sample,
    .no_exact = true,
    .cases = cases,
};

/* ---- batch_norm_backward_reduce: dbeta = sum dy, dgamma = sum dy (x - mean) / deviation ---- */

enum { REDUCE_DY = 3 };

static enum status reduce_infer(const struct call *call, struct tensor out[]) {
    TRY(check_vectors(call, MEAN, VARIANCE, call->in[X]->shape.d[C]));
    TRY(check_same(call, X, REDUCE_DY));
    for (int k = 0; k < 2; k++) {
        out[k].dtype = DTYPE_F32;
        out[k].shape = call->in[MEAN]->shape;
    }
    return STATUS_OK;
}

static void reduce_reference(const struct call *call, const double *const in[], double *const out[],
                             double *const bound[]) {
    uint64_t channels = channel_count(call, X), count = shape_count(call->in[X]->shape);
    double pixels = (double)(count / channels);
    for (uint64_t c = 0; c < channels; c++) {
        double reciprocal = reciprocal_deviation(call, in[VARIANCE][c]);
        double sum = 0, absolute = 0, product = 0, absolute_product = 0;
        for (uint64_t i = c; i < count; i += channels) {
            double dy = in[REDUCE_DY][i], term = dy * (in[X][i] - in[MEAN][c]) * reciprocal;
            sum += dy;
            absolute += fabs(dy);
            product += term;
            absolute_product += fabs(term);
        }
        out[0][c] = product;
        out[1][c] = sum;
        /* Each term of dgamma itself carries three roundings. */
        bound[0][c] = bound_sum(pixels, absolute_product, product) + 4 * UNIT_ROUNDOFF * absolute_product;
        bound[1][c] = bound_sum(pixels, absolute, sum);
    }
}

static bool reduce_lower_as(const struct call *call, const struct device_facts *facts, struct lowering *lowering,
                            bool narrow) {
    struct channel_reduce cut = channel_reduce_cut(call->in[X], facts, narrow);
    struct dispatch *first = channel_reduce_first(lowering, &cut, "batch_norm_backward_reduce", 2);
    dispatch_input(first, X);
    dispatch_input(first, REDUCE_DY);
    dispatch_input(first, MEAN);
    dispatch_scratch(first, 0);
    first->bytes = 2.0 * (double)tensor_bytes(call->in[X]);
    if (!channel_reduce_slice(lowering, &cut, facts, 1u << X | 1u << REDUCE_DY))
        return false;
    struct dispatch *second = channel_reduce_second(lowering, &cut, "batch_norm_backward_merge", attr(call, "epsilon"));
    dispatch_input(second, VARIANCE);
    dispatch_output(second, 0);
    dispatch_output(second, 1);
    return true;
}

static bool reduce_lower_narrow(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && reduce_lower_as(call, facts, lowering, true);
}

static bool reduce_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return reduce_lower_as(call, facts, lowering, false);
}

/* Exact data: whole numbers, with variance + epsilon a power of four, for an epsilon of few bits. */
static bool reduce_has_exact(const struct call *call) {
    double epsilon = attr(call, "epsilon");
    return epsilon <= 1 && epsilon * 256 == rint(epsilon * 256);
}

static double reduce_sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    if (input == VARIANCE && kind == DATA_EXACT)
        return (1 << 2 * random_below(seed, VARIANCE, (uint32_t)index, 3)) - attr(call, "epsilon");
    return input == VARIANCE ? sample_variance(kind, input, index, seed) : NAN;
}

static const char *const reduce_cases[] = {"x=2x5x3x7 mean=1x1x1x7 variance=1x1x1x7 dy=2x5x3x7 epsilon=1",
                                           "x=1x1x1x1 mean=1x1x1x1 variance=1x1x1x1 dy=1x1x1x1 epsilon=0.25",
                                           "x=3x7x9x17 mean=1x1x1x17 variance=1x1x1x17 dy=3x7x9x17 epsilon=1",
                                           "x=1x33x31x64 mean=1x1x1x64 variance=1x1x1x64 dy=1x33x31x64 epsilon=0.25",
                                           "x=64x9x9x16 mean=1x1x1x16 variance=1x1x1x16 dy=64x9x9x16 epsilon=1",
                                           "x=4x16x16x3 mean=1x1x1x3 variance=1x1x1x3 dy=4x16x16x3",
                                           "+x=128x32x32x16 mean=1x1x1x16 variance=1x1x1x16 dy=128x32x32x16 epsilon=1",
                                           "+x=8x56x56x256 mean=1x1x1x256 variance=1x1x1x256 dy=8x56x56x256",
                                           "+x=3x1800x1800x1 mean=1x1x1x1 variance=1x1x1x1 dy=3x1800x1800x1",
                                           NULL};

const struct op op_batch_norm_backward_reduce = {
    .name = "batch_norm_backward_reduce",
    .inputs = {"x", "mean", "variance", "dy"},
    .outputs = {"dgamma", "dbeta"},
    .attributes = {{"epsilon", 1e-5}},
    .infer = reduce_infer,
    .reference = reduce_reference,
    .forms = {{"narrow", reduce_lower_narrow}, {"plain", reduce_lower}},
    .sample = reduce_sample,
    .has_exact = reduce_has_exact,
    .no_hostile = true,
    .cases = reduce_cases,
};

/*
 * ---- batch_norm_backward_input ----
 * training: dx = gamma / deviation (dy - dbeta / n - (x - mean) / deviation dgamma / n), n pixels a channel;
 * otherwise mean and variance are constants: dx = gamma / deviation dy.
 */

enum { INPUT_DY = 4, INPUT_DGAMMA, INPUT_DBETA };

static enum status input_infer(const struct call *call, struct tensor out[]) {
    TRY(check_vectors(call, MEAN, GAMMA, call->in[X]->shape.d[C]));
    TRY(check_vectors(call, INPUT_DGAMMA, INPUT_DBETA, call->in[X]->shape.d[C]));
    TRY(check_same(call, X, INPUT_DY));
    out[0].dtype = DTYPE_F32;
    out[0].shape = call->in[X]->shape;
    return STATUS_OK;
}

/* No product carries more than 16 roundings. */
static void input_reference(const struct call *call, const double *const in[], double *const out[],
                            double *const bound[]) {
    uint64_t channels = channel_count(call, X), count = shape_count(call->in[X]->shape);
    double share = attr(call, "training") != 0 ? (double)channels / (double)count : 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t c = i % channels;
        double x = in[X][i], mean = in[MEAN][c], reciprocal = reciprocal_deviation(call, in[VARIANCE][c]);
        double scale = in[GAMMA][c] * reciprocal;
        double slope = scale * reciprocal * in[INPUT_DGAMMA][c] * share, shift = scale * in[INPUT_DBETA][c] * share;
        double direct = scale * in[INPUT_DY][i];
        out[0][i] = direct - shift - (x - mean) * slope;
        bound[0][i] = 16 * UNIT_ROUNDOFF * (fabs(direct) + fabs(shift) + (fabs(x) + fabs(mean)) * fabs(slope));
    }
}

/* Rows of scale, slope and shift: dx = dy * row 0 + x * row 1 + row 2. */
static void add_slope(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    static const uint32_t inputs[] = {VARIANCE, GAMMA, MEAN, INPUT_DGAMMA, INPUT_DBETA};
    struct shape shape = call->in[X]->shape;
    struct dispatch *dispatch;
    if (facts->max_storage_buffers > COUNT(inputs)) {
        dispatch = add_coefficients(call, lowering, "batch_norm_backward_coefficients", 3, inputs, COUNT(inputs));
        dispatch_push_float(dispatch, attr(call, "epsilon"));
    } else {
        add_scale(call, lowering, 3, inputs);
        dispatch = add_coefficients(call, lowering, "batch_norm_backward_shift", 3, inputs + 2, 3);
    }
    dispatch_push_float(dispatch, (double)(call->batch ? call->batch : shape.d[N]) * shape.d[H] * shape.d[W]);
}

static bool input_lower_as(const struct call *call, const struct device_facts *facts, struct lowering *lowering,
                           bool narrow) {
    if (attr(call, "training") == 0) {
        static const uint32_t inputs[] = {VARIANCE, GAMMA};
        add_scale(call, lowering, 2, inputs);
        add_apply(call, lowering, narrow, INPUT_DY, -1, 0, false, false);
        return true;
    }
    add_slope(call, facts, lowering);
    struct dispatch *dispatch = lowering_add(lowering, "batch_norm_backward_input");
    dispatch_input(dispatch, X);
    dispatch_input(dispatch, INPUT_DY);
    dispatch_scratch(dispatch, 1);
    dispatch_output(dispatch, 0);
    push_map(dispatch, narrow, call->in[X], true);
    dispatch->bytes = 3.0 * (double)tensor_bytes(call->in[X]);
    return true;
}

static bool input_lower_narrow(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && input_lower_as(call, facts, lowering, true);
}

static bool input_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return input_lower_as(call, facts, lowering, false);
}

static const char *const input_cases[] = {
    "x=2x5x3x7 mean=1x1x1x7 variance=1x1x1x7 gamma=1x1x1x7 dy=2x5x3x7 dgamma=1x1x1x7 dbeta=1x1x1x7",
    "x=1x1x1x1 mean=1x1x1x1 variance=1x1x1x1 gamma=1x1x1x1 dy=1x1x1x1 dgamma=1x1x1x1 dbeta=1x1x1x1",
    "x=3x7x9x17 mean=1x1x1x17 variance=1x1x1x17 gamma=1x1x1x17 dy=3x7x9x17 dgamma=1x1x1x17 dbeta=1x1x1x17 training=0",
    "x=2x9x8x64 mean=1x1x1x64 variance=1x1x1x64 gamma=1x1x1x64 dy=2x9x8x64 dgamma=1x1x1x64 dbeta=1x1x1x64 "
    "epsilon=0.001",
    "+x=128x32x32x16 mean=1x1x1x16 variance=1x1x1x16 gamma=1x1x1x16 dy=128x32x32x16 dgamma=1x1x1x16 dbeta=1x1x1x16",
    "+x=3x1800x1800x1 mean=1x1x1x1 variance=1x1x1x1 gamma=1x1x1x1 dy=3x1800x1800x1 dgamma=1x1x1x1 dbeta=1x1x1x1",
    NULL};

const struct op op_batch_norm_backward_input = {
    .name = "batch_norm_backward_input",
    .inputs = {"x", "mean", "variance", "gamma", "dy", "dgamma", "dbeta"},
    .outputs = {"dx"},
    .attributes = {{"epsilon", 1e-5}, {"training", 1}},
    .infer = input_infer,
    .reference = input_reference,
    .l2_bound = {1e-5},
    .by_image = 1u << X | 1u << INPUT_DY,
    .forms = {{"narrow", input_lower_narrow}, {"plain", input_lower}},
    .sample = sample,
    .no_exact = true,
    .no_hostile = true,
    .cases = input_cases,
};

/*
 * ---- batch_norm_fold ----
 * Weight and bias of a convolution (bias absent: 0) that does the work of the batch normalization after it:
 * folded_weight = weight gamma / deviation for each output channel, folded_bias = beta + (bias - mean) gamma /
 * deviation.
 */

enum { WEIGHT, FOLD_GAMMA, FOLD_BETA, FOLD_MEAN, FOLD_VARIANCE, FOLD_BIAS };

static enum status fold_infer(const struct call *call, struct tensor out[]) {
    TRY(check_vectors(call, FOLD_GAMMA, FOLD_BIAS, call->in[WEIGHT]->shape.d[KO]));
    out[0].dtype = out[1].dtype = DTYPE_F32;
    out[0].shape = call->in[WEIGHT]->shape;
    out[1].shape = call->in[FOLD_GAMMA]->shape;
    return STATUS_OK;
}

static void fold_reference(const struct call *call, const double *const in[], double *const out[],
                           double *const bound[]) {
    uint64_t channels = channel_count(call, WEIGHT);
    for (uint64_t i = 0; i < shape_count(call->in[WEIGHT]->shape); i++) {
        uint64_t c = i % channels;
        out[0][i] = in[WEIGHT][i] * in[FOLD_GAMMA][c] * reciprocal_deviation(call, in[FOLD_VARIANCE][c]);
        bound[0][i] = 8 * UNIT_ROUNDOFF * fabs(out[0][i]);
    }
    for (uint64_t c = 0; c < channels; c++) {
        double scale = in[FOLD_GAMMA][c] * reciprocal_deviation(call, in[FOLD_VARIANCE][c]);
        double bias = in[FOLD_BIAS] ? in[FOLD_BIAS][c] : 0, mean = in[FOLD_MEAN][c];
        out[1][c] = in[FOLD_BETA][c] + (bias - mean) * scale;
        bound[1][c] = UNIT_ROUNDOFF * (10 * fabs(scale) * (fabs(bias) + fabs(mean)) + 3 * fabs(out[1][c]));
    }
}

static bool fold_lower_as(const struct call *call, struct lowering *lowering, bool narrow) {
    uint32_t quads = tensor_row(call->in[WEIGHT]) / 4;
    static const uint32_t inputs[] = {FOLD_VARIANCE, FOLD_GAMMA, FOLD_MEAN, FOLD_BETA};
    add_scale_shift(call, lowering, inputs); /* for many steps: not worth a kernel */
    add_apply(call, lowering, narrow, WEIGHT, -1, 0, false, false);
    if (call->in[FOLD_BIAS]) {
        add_apply(call, lowering, narrow, FOLD_BIAS, -1, 1, true, false);
        return true;
    }
    struct dispatch *dispatch = lowering_add(lowering, "copy");
    dispatch_scratch(dispatch, 1);
    dispatch->operands[0].offset = UINT64_C(16) * coefficient_row(quads);
    dispatch->operands[0].bytes = UINT64_C(16) * quads;
    dispatch_output(dispatch, 1);
    dispatch_push(dispatch, quads);
    dispatch_linear(dispatch, quads, 64);
    dispatch->bytes = 32.0 * quads;
    return true;
}

static bool fold_lower_narrow(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && fold_lower_as(call, lowering, true);
}

static bool fold_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    return fold_lower_as(call, lowering, false);
}

static double fold_sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    (void)call;
    return input == FOLD_VARIANCE ? sample_variance(kind, input, index, seed) : NAN;
}

static const char *const fold_cases[] = {
    "weight=3x3x5x7 gamma=1x1x1x7 beta=1x1x1x7 mean=1x1x1x7 variance=1x1x1x7",
    "weight=1x1x1x1 gamma=1x1x1x1 beta=1x1x1x1 mean=1x1x1x1 variance=1x1x1x1 bias=1x1x1x1",
    "weight=3x3x16x70 gamma=1x1x1x70 beta=1x1x1x70 mean=1x1x1x70 variance=1x1x1x70 epsilon=0.001",
    "weight=1x1x33x17 gamma=1x1x1x17 beta=1x1x1x17 mean=1x1x1x17 variance=1x1x1x17 bias=1x1x1x17", NULL};

const struct op op_batch_norm_fold = {
    .name = "batch_norm_fold",
    .inputs = {"weight", "gamma", "beta", "mean", "variance", "bias?"},
    .outputs = {"folded_weight", "folded_bias"},
    .attributes = {{"epsilon", 1e-5}},
    .infer = fold_infer,
    .reference = fold_reference,
    .forms = {{"narrow", fold_lower_narrow}, {"plain", fold_lower}},
    .sample = fold_sample,
    .no_exact = true,
    .no_hostile = true,
    .cases = fold_cases,
};

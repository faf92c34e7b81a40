/*
 * softmax: p = exp(x) / sum of exp(x), over the classes of each image; x is [n,1,1,k].
 * softmax_cross_entropy: loss = - sum of q log p with q = smoothing / k, + 1 - smoothing at the target; correct = 1
 * where the first largest logit is the target. Its backward: dlogits = dloss (p - q). A target that is no class
 * (0xFFFFFFFF) leaves its image out: loss, correct and gradient are 0. A mixed target [1,1,3,n] (mix.c) has a row of
 * targets, one of second targets and one of their shares s in units of 2^-24: 1 - smoothing is then split, 1 - s for
 * the first target and s for the second (if that is a class).
 *
 * Bounds. With z = x - max x, a device's exp(z) is within 3 + 2|z| ulp (Vulkan specification, "Precision and Operation
 * of SPIR-V Instructions"), and z itself within u |z|: relative (6 + 5|z|) u. The sum s of all exp(z) is then
 * relatively within the mean of those errors weighted with p, (6 + 5 sum of p|z|) u, and the rounding of the sum.
 */
#include "ir/op.h"

#include "base/memory.h"
#include "base/random.h"
#include "ir/bound.h"
#include "ir/graph.h"

enum { GROUP_SIZE = 32, SHORT_ROW = 16 /* quads that one invocation may take on a large device */ };

/* What is known of one row of logits. */
struct row {
    const double *x;
    double largest, sum; /* of exp(x - largest) */
    double error;        /* relative, of a device's sum */
};

static struct row examine(const double *x, uint32_t classes) {
    struct row row = {.x = x, .largest = x[0]};
    double weighted = 0;
    for (uint32_t k = 1; k < classes; k++)
        row.largest = fmax(row.largest, x[k]);
    for (uint32_t k = 0; k < classes; k++) {
        double z = x[k] - row.largest;
        row.sum += exp(z);
        weighted += exp(z) * fabs(z);
    }
    row.error = (6 + 5 * weighted / row.sum + fmin(classes, 4 * sqrt(classes))) * UNIT_ROUNDOFF;
    return row;
}

static double probability(const struct row *row, uint32_t k) {
    return exp(row->x[k] - row->largest) / row->sum;
}

/* Of exp, of the sum, and 2.5 ulp of the division; what underflows may be 0. */
static double probability_bound(const struct row *row, uint32_t k) {
    double exponent = (6 + 5 * (row->largest - row->x[k])) * UNIT_ROUNDOFF;
    return probability(row, k) * (exponent + row->error + 5 * UNIT_ROUNDOFF) + 0x1p-126;
}

/* ---- softmax ---- */

static enum status infer(const struct call *call, struct tensor out[]) {
    struct shape x = call->in[0]->shape;
    char text[48];
    if (x.d[H] != 1 || x.d[W] != 1)
        return fail(STATUS_USAGE, "x should be [n,1,1,k], it is %s", shape_print(x, text));
    out[0].dtype = DTYPE_F32;
    out[0].shape = x;
    return STATUS_OK;
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    uint32_t images = call->in[0]->shape.d[N], classes = call->in[0]->shape.d[C];
    for (size_t n = 0; n < images; n++) {
        struct row row = examine(in[0] + n * classes, classes);
        for (uint32_t k = 0; k < classes; k++) {
            out[0][n * classes + k] = probability(&row, k);
            bound[0][n * classes + k] = probability_bound(&row, k);
        }
    }
}

/*
 * Constants, groups and the push block that the three kernels share. `lanes` invocations take one row: 1 is the form
 * for short rows and for devices where barriers are dear, a whole workgroup the one for long rows. `rows`: images, with
 * padding where that is stored.
 */
static void set_rows(struct dispatch *dispatch, const struct call *call, uint32_t lanes, uint64_t rows,
                     double smoothing) {
    uint32_t images = call->in[0]->shape.d[N], classes = call->in[0]->shape.d[C];
    dispatch_constant(dispatch, lanes);
    dispatch_push(dispatch, images);
    dispatch_push(dispatch, classes);
    dispatch_push_float(dispatch, 1 - smoothing);
    dispatch_push_float(dispatch, smoothing / classes);
    dispatch_push(dispatch, call->in[1] && call->in[1]->shape.d[W] > 1 ? tensor_row(call->in[1]) : 0);
    dispatch_linear(dispatch, rows * lanes, GROUP_SIZE);
    dispatch->bytes = 12.0 * images * classes;
}

/* The kernels pass over a row at most four times. */
static bool loops_fit(const struct call *call, const struct device_facts *facts, uint32_t lanes) {
    return 4 * (ceil_div(call->in[0]->shape.d[C], UINT64_C(4) * lanes) + 8) <= facts->max_loop_steps;
}

static bool suits_one_lane(const struct call *call, const struct device_facts *facts) {
    bool is_short = facts->kind == DEVICE_CPU || ceil_div(call->in[0]->shape.d[C], 4) <= SHORT_ROW;
    return is_short && loops_fit(call, facts, 1);
}

static bool add_softmax(const struct call *call, struct lowering *lowering, uint32_t lanes) {
    struct dispatch *dispatch = lowering_add(lowering, "softmax");
    dispatch_input(dispatch, 0);
    dispatch_output(dispatch, 0);
    set_rows(dispatch, call, lanes, call->in[0]->shape.d[N], 0);
    return true;
}

static bool lower_lane(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return suits_one_lane(call, facts) && add_softmax(call, lowering, 1);
}

static bool lower_group(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return loops_fit(call, facts, GROUP_SIZE) && add_softmax(call, lowering, GROUP_SIZE);
}

/* Rows with a common part of up to 1000, which must cancel, and differences of ordinary size. */
static double sample_logit(const struct call *call, uint64_t index, uint32_t seed) {
    uint32_t row = (uint32_t)(index / call->in[0]->shape.d[C]);
    double common = row % 3 == 2 ? 2000 * random_uniform(seed, 1, row) - 1000 : 0;
    return common + 3 * random_normal(seed, 2, (uint32_t)index);
}

static double sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    (void)kind, (void)input;
    return sample_logit(call, index, seed);
}

static const char *const cases[] = {
    "x=5x1x1x10",
    "x=1x1x1x1",
    "x=3x1x1x3",
    "x=128x1x1x10",
    "x=1x1x1x1000",
    "x=37x1x1x101",
    "x=2x1x1x17",
    "x=1x1x1x256",
    "x=2x1x1x257",
    "+x=256x1x1x1000",
    /* more groups than an axis has */ "+x=70000x1x1x10",
    NULL,
};

const struct op op_softmax = {
    .name = "softmax",
    .inputs = {"x"},
    .outputs = {"p"},
    .infer = infer,
    .reference = reference,
    .forms = {{"lane", lower_lane}, {"plain", lower_group}},
    .sample = sample,
    .no_exact = true,
    .no_hostile = true,
    .cases = cases,
};

/* ---- cross-entropy ---- */

enum { MIXED_ROWS = 3 };

static enum status check_logits(const struct call *call) {
    const struct tensor *logits = call->in[0], *target = call->in[1];
    double smoothing = attr(call, "smoothing");
    char texts[2][48];
    if (logits->shape.d[H] != 1 || logits->shape.d[W] != 1 || target->dtype != DTYPE_U32 ||
        (!shape_equal(target->shape, shape_vector(logits->shape.d[N])) &&
         !shape_equal(target->shape, shape4(1, 1, MIXED_ROWS, logits->shape.d[N]))))
        return fail(STATUS_USAGE,
                    "logits should be [n,1,1,k] and target whole numbers [1,1,1,n] or [1,1,3,n], they are %s and %s",
                    shape_print(logits->shape, texts[0]), shape_print(target->shape, texts[1]));
    if (!(smoothing >= 0 && smoothing < 1))
        return fail(STATUS_USAGE, "smoothing should be at least 0 and below 1, it is %g", smoothing);
    return STATUS_OK;
}

static enum status loss_infer(const struct call *call, struct tensor out[]) {
    TRY(check_logits(call));
    out[0].dtype = out[1].dtype = DTYPE_F32;
    out[0].shape = out[1].shape = shape_vector(call->in[0]->shape.d[N]);
    return STATUS_OK;
}

static double first_largest(const struct row *row, uint32_t classes, double target) {
    uint32_t best = 0;
    for (uint32_t k = 1; k < classes; k++)
        if (row->x[k] > row->x[best])
            best = k;
    return best == target;
}

/* Of which classes an image is. */
struct wanted {
    bool counts;
    uint32_t first, second;
    double share; /* of the second */
};

static struct wanted find_wanted(const struct call *call, const double *target, size_t image) {
    uint32_t images = call->in[0]->shape.d[N], classes = call->in[0]->shape.d[C];
    struct wanted wanted = {.counts = target[image] < classes};
    wanted.first = wanted.second = wanted.counts ? (uint32_t)target[image] : 0;
    if (call->in[1]->shape.d[W] > 1 && target[images + image] < classes) {
        wanted.second = (uint32_t)target[images + image];
        wanted.share = 0x1p-24 * target[2 * (size_t)images + image];
    }
    return wanted;
}

/*
 * loss = log s - on z_target - off sum of z; of two targets, z_target is z_first + share (z_second - z_first). The
 * sum's relative error is an absolute one of its logarithm; log itself is within 2^-21 for s in [0.5, 2], else within 3
 * ulp. The products, sums and z add their roundings.
 */
static double row_loss(const struct row *row, uint32_t classes, const struct wanted *wanted, double smoothing,
                       double *bound) {
    double on = 1 - smoothing, off = smoothing / classes, z = row->x[wanted->first] - row->largest;
    double apart = wanted->share * (row->x[wanted->second] - row->x[wanted->first]);
    double sum = 0, logarithm = log(row->sum), u = UNIT_ROUNDOFF;
    for (uint32_t k = 0; k < classes; k++)
        sum += row->largest - row->x[k];
    *bound = row->error + 0x1p-21 + 8 * u * logarithm + 5 * u * on * (fabs(z) + fabs(apart));
    *bound += off * sum * (5 + fmin(classes, 4 * sqrt(classes))) * u;
    return logarithm - on * (z + apart) + off * sum;
}

static void loss_reference(const struct call *call, const double *const in[], double *const out[],
                           double *const bound[]) {
    uint32_t images = call->in[0]->shape.d[N], classes = call->in[0]->shape.d[C];
    for (size_t n = 0; n < images; n++) {
        out[0][n] = out[1][n] = bound[0][n] = bound[1][n] = 0;
        struct wanted wanted = find_wanted(call, in[1], n);
        if (!wanted.counts)
            continue;
        struct row row = examine(in[0] + n * classes, classes);
        out[0][n] = row_loss(&row, classes, &wanted, attr(call, "smoothing"), &bound[0][n]);
        out[1][n] = first_largest(&row, classes, in[1][n]);
    }
}

static bool add_loss(const struct call *call, struct lowering *lowering, uint32_t lanes) {
    struct dispatch *dispatch = lowering_add(lowering, "softmax_cross_entropy");
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    dispatch_output(dispatch, 0);
    dispatch_output(dispatch, 1);
    set_rows(dispatch, call, lanes, round_up(call->in[0]->shape.d[N], 4), attr(call, "smoothing"));
    return true;
}

static bool loss_lower_lane(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return suits_one_lane(call, facts) && add_loss(call, lowering, 1);
}

static bool loss_lower_group(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return loops_fit(call, facts, GROUP_SIZE) && add_loss(call, lowering, GROUP_SIZE);
}

static void loss_gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                          tensor_id din[]) {
    if (need[0] && dout[0] != TENSOR_NONE)
        din[0] = graph_apply(graph, "softmax_cross_entropy_backward", OPERANDS(node->in[0], node->in[1], dout[0]),
                             ATTRIBUTES({"smoothing", node_attr(node, "smoothing")}));
}

/* Every fifth image has no target, every fourth no second one. A third of the others have their largest logit twice,
 * the target on one of them. */
static double loss_sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    (void)kind;
    uint32_t classes = call->in[0]->shape.d[C], i = (uint32_t)index;
    if (input == 0) {
        uint32_t row = i / classes, k = i % classes;
        bool tied = k == random_below(seed, 3, row, classes) || k == random_below(seed, 4, row, classes);
        return row % 3 == 1 && tied ? 20 : sample_logit(call, index, seed);
    }
    uint32_t images = call->in[0]->shape.d[N], row = i / images;
    if (input == 1 && row == 1)
        return i % 4 == 3 ? (double)UINT32_MAX : random_below(seed, 6, i, classes);
    if (input == 1 && row == 2)
        return random_below(seed, 7, i, 1 << 24);
    if (input == 1)
        return i % 5 == 4 ? (double)UINT32_MAX : random_below(seed, i % 3 == 1 ? 3 : 5, i, classes);
    return NAN;
}

static const char *const loss_cases[] = {
    "logits=5x1x1x10 target=1x1x1x5",
    "logits=1x1x1x1 target=1x1x1x1",
    "logits=7x1x1x3 target=1x1x1x7 smoothing=0.25",
    "logits=128x1x1x10 target=1x1x1x128",
    "logits=1x1x1x1000 target=1x1x1x1",
    "logits=38x1x1x101 target=1x1x1x38 smoothing=0.1",
    "logits=6x1x1x257 target=1x1x1x6",
    "logits=13x1x1x10 target=1x1x3x13",
    "logits=38x1x1x101 target=1x1x3x38 smoothing=0.1",
    "logits=7x1x1x1000 target=1x1x3x7",
    "+logits=256x1x1x1000 target=1x1x1x256 smoothing=0.1",
    "+logits=70000x1x1x10 target=1x1x1x70000", /* more groups than an axis has */
    NULL,
};

const struct op op_softmax_cross_entropy = {
    .name = "softmax_cross_entropy",
    .inputs = {"logits", "target"},
    .input_dtypes = {DTYPE_F32, DTYPE_U32},
    .outputs = {"loss", "correct"},
    .attributes = {{"smoothing", 0}},
    .infer = loss_infer,
    .reference = loss_reference,
    .forms = {{"lane", loss_lower_lane}, {"plain", loss_lower_group}},
    .gradient = loss_gradient,
    .sample = loss_sample,
    .no_exact = true,
    .no_hostile = true,
    .cases = loss_cases,
};

/* ---- its gradient ---- */

static enum status backward_infer(const struct call *call, struct tensor out[]) {
    TRY(check_logits(call));
    char texts[2][48];
    if (!shape_equal(call->in[2]->shape, shape_vector(call->in[0]->shape.d[N])))
        return fail(STATUS_USAGE, "logits are %s, but dloss is %s", shape_print(call->in[0]->shape, texts[0]),
                    shape_print(call->in[2]->shape, texts[1]));
    out[0].dtype = DTYPE_F32;
    out[0].shape = call->in[0]->shape;
    return STATUS_OK;
}

static void backward_reference(const struct call *call, const double *const in[], double *const out[],
                               double *const bound[]) {
    uint32_t images = call->in[0]->shape.d[N], classes = call->in[0]->shape.d[C];
    double smoothing = attr(call, "smoothing");
    for (size_t n = 0; n < images; n++) {
        struct row row = examine(in[0] + n * classes, classes);
        struct wanted wanted = find_wanted(call, in[1], n);
        for (uint32_t k = 0; k < classes; k++) {
            double weight = (k == wanted.first ? 1 - wanted.share : 0) + (k == wanted.second ? wanted.share : 0);
            double p = probability(&row, k), q = smoothing / classes + (1 - smoothing) * weight;
            double rounding = (wanted.share > 0 ? 4 : 2) * UNIT_ROUNDOFF * (q + fabs(p - q));
            out[0][n * classes + k] = wanted.counts ? in[2][n] * (p - q) : 0;
            bound[0][n * classes + k] = wanted.counts ? fabs(in[2][n]) * (probability_bound(&row, k) + rounding) : 0;
        }
    }
}

static bool add_backward(const struct call *call, struct lowering *lowering, uint32_t lanes) {
    struct dispatch *dispatch = lowering_add(lowering, "softmax_cross_entropy_backward");
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    dispatch_input(dispatch, 2);
    dispatch_output(dispatch, 0);
    set_rows(dispatch, call, lanes, call->in[0]->shape.d[N], attr(call, "smoothing"));
    return true;
}

static bool backward_lower_lane(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return suits_one_lane(call, facts) && add_backward(call, lowering, 1);
}

static bool backward_lower_group(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return loops_fit(call, facts, GROUP_SIZE) && add_backward(call, lowering, GROUP_SIZE);
}

static const char *const backward_cases[] = {
    "logits=5x1x1x10 target=1x1x1x5 dloss=1x1x1x5",
    "logits=1x1x1x2 target=1x1x1x1 dloss=1x1x1x1",
    "logits=7x1x1x3 target=1x1x1x7 dloss=1x1x1x7 smoothing=0.25",
    "logits=128x1x1x10 target=1x1x1x128 dloss=1x1x1x128",
    "logits=1x1x1x1000 target=1x1x1x1 dloss=1x1x1x1",
    "logits=38x1x1x101 target=1x1x1x38 dloss=1x1x1x38 smoothing=0.1",
    "logits=6x1x1x257 target=1x1x1x6 dloss=1x1x1x6",
    "logits=13x1x1x10 target=1x1x3x13 dloss=1x1x1x13",
    "logits=38x1x1x101 target=1x1x3x38 dloss=1x1x1x38 smoothing=0.1",
    "logits=7x1x1x1000 target=1x1x3x7 dloss=1x1x1x7",
    "+logits=256x1x1x1000 target=1x1x1x256 dloss=1x1x1x256 smoothing=0.1",
    "+logits=70000x1x1x10 target=1x1x1x70000 dloss=1x1x1x70000", /* more groups than an axis has */
    NULL,
};

const struct op op_softmax_cross_entropy_backward = {
    .name = "softmax_cross_entropy_backward",
    .inputs = {"logits", "target", "dloss"},
    .input_dtypes = {DTYPE_F32, DTYPE_U32, DTYPE_F32},
    .outputs = {"dlogits"},
    .attributes = {{"smoothing", 0}},
    .infer = backward_infer,
    .reference = backward_reference,
    .forms = {{"lane", backward_lower_lane}, {"plain", backward_lower_group}},
    .sample = loss_sample,
    .no_exact = true,
    .no_hostile = true,
    .cases = backward_cases,
};

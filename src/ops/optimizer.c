/*
 * sgd and adam: one step of an optimizer over flat values, in place. accumulate: the gradients of several batches.
 *
 *   sgd    g += weight_decay w; v = momentum v + g; w -= lr (nesterov ? g + momentum v : v)        (as PyTorch's SGD)
 *   adam   g += weight_decay w (decoupled: w *= 1 - lr weight_decay instead, AdamW);
 *          m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
 *          w -= lr m c1 / (sqrt(v c2) + epsilon), c1 = 1 / (1 - beta1^t), c2 = 1 / (1 - beta2^t)
 *
 *   accumulate   sum += value; in the first batch of `count` it starts anew: sum = value
 *
 * lr = hyper[0] * lr_scale: a layer may learn more slowly than another, and yet follow the same schedule.
 *
 * hyper = (learning rate, c1, c2, rest): `rest` more batches are to be accumulated before the optimizer's step, which
 * changes nothing unless it is 0. Nor does it when the first element of gate is not finite.
 */
#include "ir/op.h"

#include "base/memory.h"
#include "base/random.h"
#include "ir/bound.h"

enum { GROUP_SIZE = 64 };

/* What flushing denormal intermediate results to zero may cost. */
#define FLUSHED 0x1p-124

/* ---- what both share ---- */

/* The first `count` operands are of one shape; hyper and perhaps gate follow. */
static enum status check_operands(const struct call *call, int count) {
    char texts[2][48];
    for (int j = 1; j < count; j++)
        if (!shape_equal(call->in[j]->shape, call->in[0]->shape))
            return fail(STATUS_USAGE, "parameters are %s, but %s is %s", shape_print(call->in[0]->shape, texts[0]),
                        call->op->inputs[j], shape_print(call->in[j]->shape, texts[1]));
    if (!shape_equal(call->in[count]->shape, shape_vector(4)))
        return fail(STATUS_USAGE, "hyper should be 1x1x1x4, it is %s", shape_print(call->in[count]->shape, texts[0]));
    return STATUS_OK;
}

static void set_outputs(const struct call *call, struct tensor out[]) {
    for (int k = 0; call->op->outputs[k]; k++) {
        out[k].dtype = DTYPE_F32;
        out[k].shape = call->in[0]->shape;
    }
}

/* Whether the step is done. `gate` is the gate's operand number, hyper stands before it. */
static bool is_open(const struct call *call, const double *const in[], int gate) {
    return in[gate - 1][3] == 0 && (!call->in[gate] || isfinite(in[gate][0]));
}

/* What the device makes of the learning rate, with one rounding. */
static double rate_of(const struct call *call, const double *hyper) {
    return (float)hyper[0] * (double)(float)attr(call, "lr_scale");
}

/* Replaces hyper by a copy whose last element is not 0 when the gate is closed, either. */
static void add_gate(struct lowering *lowering, uint32_t hyper, uint32_t gate) {
    struct dispatch *dispatch = lowering_add(lowering, "optimizer_gate");
    dispatch_input(dispatch, hyper);
    dispatch_input(dispatch, gate);
    dispatch_range(dispatch, 0, 16);
    dispatch_scratch(dispatch, 0);
    lowering->scratch_bytes[0] = 16;
}

/* Flat values over the device's storage range are done in parts. */
struct part {
    uint64_t first, bytes;
};

/* Bytes of a part that takes `dispatches` of a lowering, which may have one more for the gate; 0: not possible. */
static uint64_t part_bytes(const struct call *call, const struct device_facts *facts, uint32_t dispatches) {
    uint64_t most = facts->max_storage_range / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
    bool few = most && ceil_div(tensor_bytes(call->in[0]), most) * dispatches < LOWERING_DISPATCHES;
    return few ? most : 0;
}

static void bind_part(struct dispatch *dispatch, enum operand_kind kind, uint32_t index, struct part part) {
    if (kind == OPERAND_OUTPUT)
        dispatch_output(dispatch, index);
    else
        dispatch_input(dispatch, index);
    dispatch_range(dispatch, part.first, part.bytes);
}

/* The last binding, hyper or what the gate made of it, and the first word of the push block, the number of vec4. */
static void bind_hyper(struct dispatch *dispatch, const struct call *call, uint32_t hyper, struct part part) {
    if (call->in[hyper + 1])
        dispatch_scratch(dispatch, 0);
    else
        dispatch_input(dispatch, hyper);
    dispatch_push(dispatch, (uint32_t)(part.bytes / 16));
    dispatch_linear(dispatch, part.bytes / 16, GROUP_SIZE);
    dispatch->bytes = (double)part.bytes * dispatch->operand_count;
}

/* Bindings: parameters, gradients, `states` further values that are updated, hyper. Push block: the number of vec4,
 * then the words of `constants`. */
static bool lower_flat(const struct call *call, const struct device_facts *facts, struct lowering *lowering,
                       uint32_t states, const struct dispatch *constants) {
    uint32_t hyper = 2 + states;
    uint64_t bytes = tensor_bytes(call->in[0]), most = part_bytes(call, facts, 1);
    if (facts->max_storage_buffers < 3 + states || most == 0)
        return false;
    if (call->in[hyper + 1])
        add_gate(lowering, hyper, hyper + 1);
    for (uint64_t first = 0; first < bytes; first += most) {
        struct part part = {first, MIN(most, bytes - first)};
        struct dispatch *dispatch = lowering_add(lowering, call->op->name);
        bind_part(dispatch, OPERAND_OUTPUT, 0, part);
        bind_part(dispatch, OPERAND_INPUT, 1, part);
        for (uint32_t k = 1; k <= states; k++)
            bind_part(dispatch, OPERAND_OUTPUT, k, part);
        bind_hyper(dispatch, call, hyper, part);
        for (uint32_t i = 0; i < constants->push_count; i++)
            dispatch_push(dispatch, constants->push[i]);
        dispatch->bytes = (double)part.bytes * (3 + 2 * states);
    }
    return true;
}

/*
 * A step of infinite values has no defined answer, so hostile data meets steps that are left out, and must stay as it
 * is, bit by bit: because of the gate where that is one vec4, otherwise because of hyper.
 */
static double sample_hostile(const struct call *call, int gate, int input, uint64_t index, uint32_t seed) {
    static const double bad[] = {INFINITY, SAMPLE_NAN, -INFINITY};
    bool closed = call->in[gate] && shape_count(call->in[gate]->shape) <= 4;
    if (input == gate && index == 0)
        return closed ? bad[(shape_count(call->in[0]->shape) + seed) % COUNT(bad)] : 1;
    return input == gate - 1 && index == 3 ? !closed : NAN;
}

/* An open gate may hold any finite value. */
static double sample_open(uint64_t index, uint32_t seed) {
    return index == 0 && seed % 2 == 0 ? -0x1p127 : NAN;
}

/* ---- sgd ---- */

enum { SGD_HYPER = 3, SGD_GATE = 4 };

static enum status sgd_infer(const struct call *call, struct tensor out[]) {
    TRY(check_operands(call, SGD_HYPER));
    set_outputs(call, out);
    return STATUS_OK;
}

/* A term passes through at most three roundings on its way into v, and at most eight on its way into w. */
static void sgd_reference(const struct call *call, const double *const in[], double *const out[],
                          double *const bound[]) {
    double momentum = (float)attr(call, "momentum"), decay = (float)attr(call, "weight_decay");
    double rate = rate_of(call, in[SGD_HYPER]);
    bool nesterov = attr(call, "nesterov") != 0, open = is_open(call, in, SGD_GATE);
    for (uint64_t i = 0; i < shape_count(call->in[0]->shape); i++) {
        bound[0][i] = bound[1][i] = 0;
        if (!open)
            continue;
        double w = in[0][i], g = in[1][i] + decay * w, v = momentum * in[2][i] + g;
        double g_terms = fabs(in[1][i]) + fabs(decay * w), v_terms = fabs(momentum * in[2][i]) + g_terms;
        double step = nesterov ? g + momentum * v : v, step_terms = nesterov ? g_terms + momentum * v_terms : v_terms;
        out[0][i] = w - rate * step;
        out[1][i] = v;
        bound[0][i] = 9 * UNIT_ROUNDOFF * fabs(rate) * step_terms + UNIT_ROUNDOFF * fabs(w) + FLUSHED;
        bound[1][i] = 4 * UNIT_ROUNDOFF * v_terms + FLUSHED;
    }
}

static bool sgd_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct dispatch constants = {0};
    dispatch_push_float(&constants, attr(call, "momentum"));
    dispatch_push_float(&constants, attr(call, "weight_decay"));
    dispatch_push(&constants, attr(call, "nesterov") != 0);
    dispatch_push_float(&constants, attr(call, "lr_scale"));
    return lower_flat(call, facts, lowering, 1, &constants);
}

static bool is_dyadic(double value) {
    return value * 64 == floor(value * 64);
}

/* Exact data leaves out the terms whose constant is no short binary fraction: rounding would hide the exact answer. */
static double sgd_sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    bool momentum = is_dyadic(attr(call, "momentum")), decay = is_dyadic(attr(call, "weight_decay"));
    (void)seed;
    if (kind == DATA_HOSTILE)
        return sample_hostile(call, SGD_GATE, input, index, seed);
    if (input == SGD_HYPER)
        return index == 0 ? 0.25 : 0;
    if (kind == DATA_EXACT && ((input == 0 && !decay) || (input == 2 && !momentum) ||
                               (input == 1 && !momentum && attr(call, "nesterov") != 0)))
        return 0;
    return input == SGD_GATE ? sample_open(index, seed) : NAN;
}

#define FLAT3(shape) "parameters=" shape " gradients=" shape " velocity=" shape " hyper=1x1x1x4 "
static const char *const sgd_cases[] = {
    FLAT3("1x1x1x4097") "momentum=0.875 weight_decay=0.25 nesterov=1",
    FLAT3("1x1x1x1"),
    FLAT3("3x3x5x7") "momentum=0.5 weight_decay=0.03125 gate=1x1x1x4",
    FLAT3("1x1x1x1030") "momentum=0 gate=2x3x3x5",
    FLAT3("1x1x1x70000") "weight_decay=0.0005",
    FLAT3("1x1x1x259") "momentum=0.5 weight_decay=0.0625 lr_scale=0.375",
    "+" FLAT3("1x1x1x2000003") "momentum=0.5 gate=1x1x1x4",
    "+" FLAT3("3x1800x1800x1") "momentum=0.5", /* more groups than an axis has, over 128 MiB */
    NULL,
};

const struct op op_sgd = {
    .name = "sgd",
    .inputs = {"parameters", "gradients", "velocity", "hyper", "gate?"},
    .outputs = {"parameters", "velocity"},
    .updates = {1, 3},
    .attributes = {{"momentum", 0.9}, {"weight_decay", 0}, {"nesterov", 0}, {"lr_scale", 1}},
    .infer = sgd_infer,
    .reference = sgd_reference,
    .forms = {{"plain", sgd_lower}},
    .sample = sgd_sample,
    .cases = sgd_cases,
};

/* ---- adam ---- */

enum { ADAM_HYPER = 4, ADAM_GATE = 5 };

static enum status adam_infer(const struct call *call, struct tensor out[]) {
    TRY(check_operands(call, ADAM_HYPER));
    /* The gaps between parameters are zero and must stay so: 0 / (0 + epsilon). */
    if (!(attr(call, "epsilon") >= 0x1p-126))
        return fail(STATUS_USAGE, "epsilon should be positive (at least 2^-126), it is %g", attr(call, "epsilon"));
    set_outputs(call, out);
    return STATUS_OK;
}

struct adam {
    double beta1, beta1_rest, beta2, beta2_rest, epsilon, decay;
    bool decoupled;
    double rate, c1, c2;
};

/* Constants as the device gets them, in float32. */
static struct adam adam_constants(const struct call *call, const double *hyper) {
    return (struct adam){
        .beta1 = (float)attr(call, "beta1"),
        .beta1_rest = (float)(1 - attr(call, "beta1")),
        .beta2 = (float)attr(call, "beta2"),
        .beta2_rest = (float)(1 - attr(call, "beta2")),
        .epsilon = (float)attr(call, "epsilon"),
        .decay = (float)attr(call, "weight_decay"),
        .decoupled = attr(call, "decoupled") != 0,
        .rate = rate_of(call, hyper),
        .c1 = hyper[1],
        .c2 = hyper[2],
    };
}

/* A number with the error that a device may have made so far. */
struct value {
    double is, error;
};

/* sqrt is 1 / inversesqrt on a device, 2 ulp and 2.5 ulp (Vulkan specification): 9 u. */
static struct value root(struct value x) {
    double is = sqrt(x.is), below = sqrt(fmax(x.is - x.error, 0)), above = sqrt(x.is + x.error);
    return (struct value){is, fmax(is - below, above - is) + 9 * UNIT_ROUNDOFF * is};
}

/* lr m c1 / (sqrt(v c2) + epsilon), with a rounding each, also of lr, and 5 u of the division (2.5 ulp). */
static struct value adam_step(const struct adam *adam, struct value m, struct value v) {
    const double u = UNIT_ROUNDOFF;
    struct value scaled = {adam->c2 * v.is, adam->c2 * v.error + u * adam->c2 * v.is + FLUSHED}, bottom = root(scaled);
    bottom.is += adam->epsilon;
    bottom.error += u * bottom.is;
    double step = adam->rate * adam->c1 * m.is / bottom.is;
    double error = fabs(adam->rate * adam->c1) * m.error / bottom.is + fabs(step) * (bottom.error / bottom.is + 8 * u);
    return (struct value){step, error};
}

static void adam_reference(const struct call *call, const double *const in[], double *const out[],
                           double *const bound[]) {
    const double u = UNIT_ROUNDOFF;
    struct adam adam = adam_constants(call, in[ADAM_HYPER]);
    bool open = is_open(call, in, ADAM_GATE);
    for (uint64_t i = 0; i < shape_count(call->in[0]->shape); i++) {
        bound[0][i] = bound[1][i] = bound[2][i] = 0;
        if (!open)
            continue;
        double w = in[0][i], g = in[1][i], terms = fabs(g);
        if (adam.decoupled) {
            w *= 1 - adam.rate * adam.decay;
        } else {
            g += adam.decay * w;
            terms += fabs(adam.decay * w);
        }
        /* g is within 2 u terms; its product adds two roundings, its square four halves of that and three. */
        struct value m = {adam.beta1 * in[2][i] + adam.beta1_rest * g, 0};
        m.error = 4 * u * (fabs(adam.beta1 * in[2][i]) + adam.beta1_rest * terms) + FLUSHED;
        struct value v = {adam.beta2 * in[3][i] + adam.beta2_rest * g * g, 0};
        v.error = 4 * u * adam.beta2 * in[3][i] + 8 * u * adam.beta2_rest * terms * terms + FLUSHED;
        struct value step = adam_step(&adam, m, v);
        out[0][i] = w - step.is;
        out[1][i] = m.is;
        out[2][i] = v.is;
        bound[0][i] = step.error + (adam.decoupled ? 3 + fabs(adam.rate * adam.decay) : 0) * u * fabs(w) +
                      u * fabs(out[0][i]) + FLUSHED;
        bound[1][i] = m.error;
        bound[2][i] = v.error;
    }
}

static bool adam_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct dispatch constants = {0};
    dispatch_push_float(&constants, attr(call, "beta1"));
    dispatch_push_float(&constants, 1 - attr(call, "beta1"));
    dispatch_push_float(&constants, attr(call, "beta2"));
    dispatch_push_float(&constants, 1 - attr(call, "beta2"));
    dispatch_push_float(&constants, attr(call, "epsilon"));
    dispatch_push_float(&constants, attr(call, "weight_decay"));
    dispatch_push(&constants, attr(call, "decoupled") != 0);
    dispatch_push_float(&constants, attr(call, "lr_scale"));
    return lower_flat(call, facts, lowering, 2, &constants);
}

/* One of the means: m (output 1), or v (output 2) of the squares. */
static void add_moment(const struct call *call, struct lowering *lowering, uint32_t output, struct part part) {
    double beta = attr(call, output == 1 ? "beta1" : "beta2");
    struct dispatch *dispatch = lowering_add(lowering, "adam_moment");
    bind_part(dispatch, OPERAND_OUTPUT, output, part);
    bind_part(dispatch, OPERAND_INPUT, 1, part);
    bind_part(dispatch, OPERAND_INPUT, 0, part);
    bind_hyper(dispatch, call, ADAM_HYPER, part);
    dispatch_push_float(dispatch, beta);
    dispatch_push_float(dispatch, 1 - beta);
    dispatch_push_float(dispatch, attr(call, "weight_decay"));
    dispatch_push(dispatch, attr(call, "decoupled") != 0);
    dispatch_push(dispatch, output == 2);
}

/* Three kernels of four storage buffers, which every device allows, instead of one of five. */
static bool adam_lower_split(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    uint64_t bytes = tensor_bytes(call->in[0]), most = part_bytes(call, facts, 3);
    if (most == 0)
        return false;
    if (call->in[ADAM_GATE])
        add_gate(lowering, ADAM_HYPER, ADAM_GATE);
    for (uint64_t first = 0; first < bytes; first += most) {
        struct part part = {first, MIN(most, bytes - first)};
        add_moment(call, lowering, 1, part);
        add_moment(call, lowering, 2, part);
        struct dispatch *dispatch = lowering_add(lowering, "adam_step");
        bind_part(dispatch, OPERAND_OUTPUT, 0, part);
        bind_part(dispatch, OPERAND_OUTPUT, 1, part);
        bind_part(dispatch, OPERAND_OUTPUT, 2, part);
        bind_hyper(dispatch, call, ADAM_HYPER, part);
        dispatch_push_float(dispatch, attr(call, "epsilon"));
        dispatch_push_float(dispatch, attr(call, "weight_decay"));
        dispatch_push(dispatch, attr(call, "decoupled") != 0);
        dispatch_push_float(dispatch, attr(call, "lr_scale"));
    }
    return true;
}

/* v is a mean of squares, sometimes zero; hyper as at the third step. */
static double adam_sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    static const double hyper[4] = {0.25, 3.690037, 333.66683, 0};
    if (kind == DATA_HOSTILE)
        return sample_hostile(call, ADAM_GATE, input, index, seed);
    if (input == ADAM_HYPER)
        return hyper[index];
    if (input == ADAM_GATE)
        return sample_open(index, seed);
    return input != 3 ? NAN : index % 16 == 5 ? 0 : pow(random_uniform(seed, 3, (uint32_t)index), 2);
}

#define FLAT4(shape) "parameters=" shape " gradients=" shape " m=" shape " v=" shape " hyper=1x1x1x4 "
static const char *const adam_cases[] = {
    FLAT4("1x1x1x4097") "weight_decay=0.01",
    FLAT4("1x1x1x1"),
    FLAT4("3x3x5x7") "weight_decay=0.125 decoupled=1 gate=1x1x1x4",
    FLAT4("1x1x1x1030") "beta1=0.5 beta2=0.75 epsilon=0.1 gate=2x3x3x5",
    FLAT4("1x1x1x259") "weight_decay=0.25 decoupled=1 lr_scale=0.375",
    "+" FLAT4("1x1x1x2000003") "gate=1x1x1x4",
    "+" FLAT4("3x1800x1800x1"), /* more groups than an axis has, over 128 MiB */
    NULL,
};

const struct op op_adam = {
    .name = "adam",
    .inputs = {"parameters", "gradients", "m", "v", "hyper", "gate?"},
    .outputs = {"parameters", "m", "v"},
    .updates = {1, 3, 4},
    .attributes =
        {{"beta1", 0.9}, {"beta2", 0.999}, {"epsilon", 1e-8}, {"weight_decay", 0}, {"decoupled", 0}, {"lr_scale", 1}},
    .infer = adam_infer,
    .reference = adam_reference,
    .forms = {{"plain", adam_lower}, {"split", adam_lower_split}},
    .sample = adam_sample,
    .no_exact = true,
    .cases = adam_cases,
};

/* ---- accumulate ---- */

enum { ACCUMULATE_HYPER = 2 };

static enum status accumulate_infer(const struct call *call, struct tensor out[]) {
    TRY(check_operands(call, ACCUMULATE_HYPER));
    set_outputs(call, out);
    return STATUS_OK;
}

static void accumulate_reference(const struct call *call, const double *const in[], double *const out[],
                                 double *const bound[]) {
    bool first = in[ACCUMULATE_HYPER][3] == attr(call, "count") - 1;
    for (uint64_t i = 0; i < shape_count(call->in[0]->shape); i++) {
        out[0][i] = first ? in[1][i] : in[0][i] + in[1][i];
        bound[0][i] = first ? 0 : 2 * UNIT_ROUNDOFF * fabs(out[0][i]) + FLUSHED;
    }
}

static bool accumulate_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct dispatch constants = {0};
    dispatch_push_float(&constants, attr(call, "count") - 1);
    return lower_flat(call, facts, lowering, 0, &constants);
}

/* Exact data is added, random data too, hostile data replaces what was there: adding it is the op add's. */
static double accumulate_sample(const struct call *call, enum data_kind kind, int input, uint64_t index,
                                uint32_t seed) {
    (void)seed;
    if (input != ACCUMULATE_HYPER || index != 3)
        return NAN;
    return kind == DATA_HOSTILE ? attr(call, "count") - 1 : 0;
}

#define FLAT2(shape) "sum=" shape " value=" shape " hyper=1x1x1x4 "
static const char *const accumulate_cases[] = {
    FLAT2("1x1x1x4097"),
    FLAT2("1x1x1x1") "count=3",
    FLAT2("3x3x5x7") "count=65536",
    FLAT2("1x1x1x70000"),
    "+" FLAT2("1x1x1x2000003") "count=4",
    "+" FLAT2("3x1800x1800x1") "count=4",
    NULL,
};

const struct op op_accumulate = {
    .name = "accumulate",
    .inputs = {"sum", "value", "hyper"},
    .outputs = {"sum"},
    .updates = {1},
    .attributes = {{"count", 2}},
    .infer = accumulate_infer,
    .reference = accumulate_reference,
    .forms = {{"plain", accumulate_lower}},
    .sample = accumulate_sample,
    .cases = accumulate_cases,
};

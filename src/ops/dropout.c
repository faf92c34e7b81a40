/*
 * dropout: y = x / (1 - p) where a value is kept, else 0 (Srivastava et al., "Dropout: A Simple Way to Prevent Neural
 * Networks from Overfitting", JMLR 15, 2014, scaled in training as PyTorch does it). x is [n,1,1,f].
 *
 * Whether a value is kept is a pure function of (seed, epoch, index of the image, layer, feature), with clock = (seed,
 * epoch, step, 0), so that it does not depend on the batch in which an image lies. The gradient keeps the same values.
 */
#include "base/memory.h"
#include "base/random.h"
#include "ir/bound.h"
#include "ir/graph.h"

enum { X, CLOCK, INDICES };
enum { GROUP_SIZE = 64 };

/* Random numbers of 24 bits below this are dropped. */
static uint32_t threshold(const struct call *call) {
    return (uint32_t)(attr(call, "p") * 0x1p24 + 0.5);
}

static enum status infer(const struct call *call, struct tensor out[]) {
    const struct tensor *x = call->in[X], *clock = call->in[CLOCK], *indices = call->in[INDICES];
    char texts[2][48];
    if (x->shape.d[H] != 1 || x->shape.d[W] != 1)
        return fail(STATUS_USAGE, "x should be [n,1,1,f], it is %s", shape_print(x->shape, texts[0]));
    if (clock->dtype != DTYPE_U32 || !shape_equal(clock->shape, shape_vector(4)))
        return fail(STATUS_USAGE, "clock should be whole numbers 1x1x1x4, it is %s",
                    shape_print(clock->shape, texts[0]));
    if (indices->dtype != DTYPE_U32 || !shape_equal(indices->shape, shape_vector(x->shape.d[N])))
        return fail(STATUS_USAGE, "indices should be whole numbers 1x1x1x%u, they are %s", x->shape.d[N],
                    shape_print(indices->shape, texts[0]));
    if (!(attr(call, "p") >= 0 && attr(call, "p") < 1))
        return fail(STATUS_USAGE, "p should be from 0 to 1, without 1, it is %g", attr(call, "p"));
    out[0].dtype = DTYPE_F32;
    out[0].shape = x->shape;
    return STATUS_OK;
}

/* As in shaders/dropout.comp. */
static bool keeps(const struct call *call, const double *const in[], uint32_t image, uint32_t feature) {
    uint32_t stream = 0x64000000u + 64u * (uint32_t)in[CLOCK][1] + attr_u(call, "layer");
    uint32_t own = random_bits((uint32_t)in[CLOCK][0], stream, (uint32_t)in[INDICES][image]);
    return random_bits(own, stream, feature) >> 8 >= threshold(call);
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    struct shape shape = call->in[X]->shape;
    double scale = 1 / (1 - attr(call, "p"));
    for (uint32_t n = 0; n < shape.d[N]; n++)
        for (uint32_t f = 0; f < shape.d[C]; f++) {
            size_t i = (size_t)n * shape.d[C] + f;
            out[0][i] = keeps(call, in, n, f) ? scale * in[X][i] : 0;
            /* The scale is rounded, and the product. */
            bound[0][i] = scale == rint(scale) ? 0 : 2 * UNIT_ROUNDOFF * fabs(out[0][i]);
            bound[0][i] += bound_denormal(in[X][i]) * scale;
        }
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    uint64_t quads = tensor_bytes(call->in[X]) / 16;
    struct dispatch *dispatch = lowering_add(lowering, "dropout");
    for (uint32_t j = X; j <= INDICES; j++)
        dispatch_input(dispatch, j);
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, (uint32_t)quads);
    dispatch_push(dispatch, (uint32_t)tensor_row(call->in[X]) / 4);
    dispatch_push(dispatch, attr_u(call, "layer"));
    dispatch_push(dispatch, threshold(call));
    dispatch_push_float(dispatch, 1 / (1 - attr(call, "p")));
    dispatch_linear(dispatch, quads, GROUP_SIZE);
    dispatch->bytes = 32.0 * (double)quads;
    return true;
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    if (need[X])
        din[X] = graph_apply(graph, "dropout", OPERANDS(dout[0], node->in[CLOCK], node->in[INDICES]),
                             ATTRIBUTES({"p", node_attr(node, "p")}, {"layer", node_attr(node, "layer")}));
}

static double sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    (void)call, (void)kind;
    if (input == X)
        return (double)NAN;
    return input == CLOCK && index == 3 ? 0 : random_bits(seed, (uint32_t)input, (uint32_t)index);
}

#define BATCH(n) " clock=1x1x1x4 indices=1x1x1x" n
static const char *const cases[] = {
    "x=5x1x1x9" BATCH("5"),
    "x=1x1x1x1" BATCH("1") " p=0",
    "x=3x1x1x130" BATCH("3") " p=0.2 layer=1",
    "x=130x1x1x3" BATCH("130") " p=0.9 layer=2",
    "+x=32x1x1x4096" BATCH("32") " layer=1",
    NULL,
};

static const char *const adjoint_cases[] = {"x=32x1x1x4096" BATCH("32"), NULL};

const struct op op_dropout = {
    .name = "dropout",
    .inputs = {"x", "clock", "indices"},
    .outputs = {"y"},
    .input_dtypes = {[CLOCK] = DTYPE_U32, [INDICES] = DTYPE_U32},
    .attributes = {{"p", 0.5}, {"layer", 0}},
    .infer = infer,
    .reference = reference,
    .forms = {{"plain", lower}},
    .gradient = gradient,
    .sample = sample,
    .no_hostile = true,
    .cases = cases,
    .homogeneous = {1u << X},
    .adjoint = adjoint_cases,
};

/*
 * sigmoid: y = 1 / (1 + exp(-x)).
 * sigmoid_backward: dx = dy y (1 - y); it needs the output only.
 */
#include "base/random.h"
#include "ir/bound.h"
#include "ir/graph.h"
#include "ir/map.h"

/*
 * The kernel computes e = exp(-|x|) and 1 / (1 + e) or e / (1 + e). Vulkan lets exp be wrong by 3 + 2 |x| units in the
 * last place and a division by 2.5, one unit being 2 u; the sum rounds once. y depends on e with the factor 1 - y, for
 * either sign of x. Where e is denormal it may count as zero.
 */
static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    for (uint64_t i = 0; i < shape_count(call->in[0]->shape); i++) {
        double x = in[0][i], e = exp(-fabs(x)), y = (x < 0 ? e : 1) / (1 + e), rest = (x < 0 ? 1 : e) / (1 + e);
        out[0][i] = y;
        bound[0][i] = UNIT_ROUNDOFF * y * (8 + (6 + 4 * fmin(fabs(x), 1024)) * rest) + 0x1p-126;
    }
}

/* The zeros that fill a row must not become halves: unlike other maps, this one knows how long a row is. */
static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    if (!map_lower(call, facts, lowering))
        return false;
    dispatch_push(&lowering->dispatches[0], tensor_row(call->in[0]) / 4);
    dispatch_push(&lowering->dispatches[0], call->in[0]->shape.d[C]);
    return true;
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    (void)need;
    din[0] = graph_apply(graph, "sigmoid_backward", OPERANDS(node->out[0], dout[0]), NULL);
}

static const char *const cases[] = {"x=2x5x3x7", "x=1x1x1x1", "x=8x1x1x256", "x=3x1x1x1027", "+x=128x32x32x16", NULL};

const struct op op_sigmoid = {
    .name = "sigmoid",
    .inputs = {"x"},
    .outputs = {"y"},
    .infer = map_infer,
    .reference = reference,
    .by_image = 1u << 0,
    .forms = {{"plain", lower}},
    .gradient = gradient,
    .no_exact = true,
    .cases = cases,
};

enum { Y, DY };

/* 1 - y rounds, and both products; what is denormal on the way may count as zero. */
static void backward_reference(const struct call *call, const double *const in[], double *const out[],
                               double *const bound[]) {
    for (uint64_t i = 0; i < shape_count(call->in[Y]->shape); i++) {
        double y = in[Y][i], dy = in[DY][i];
        out[0][i] = dy * y * (1 - y);
        bound[0][i] = 4 * UNIT_ROUNDOFF * fabs(out[0][i]) + 0x1p-126 * fmax(1, fabs(1 - y));
    }
}

/* Hostile data stand in dy only, and meet what a sigmoid gives: see conv.c. */
static double backward_sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    (void)call;
    return kind == DATA_HOSTILE && input == Y ? 0.25 + 0.5 * random_uniform(seed, 200, (uint32_t)index) : (double)NAN;
}

static const char *const backward_cases[] = {"y=2x5x3x7 dy=2x5x3x7", "y=1x1x1x1 dy=1x1x1x1", "y=8x1x1x256 dy=8x1x1x256",
                                             "+y=128x32x32x16 dy=128x32x32x16", NULL};

const struct op op_sigmoid_backward = {
    .name = "sigmoid_backward",
    .inputs = {"y", "dy"},
    .outputs = {"dx"},
    .infer = map_infer,
    .reference = backward_reference,
    .by_image = 1u << Y | 1u << DY,
    .forms = {{"plain", map_lower}},
    .sample = backward_sample,
    .cases = backward_cases,
};

/* add: y = a + b, as at the end of a residual block, and where gradients of several uses meet. */
#include "ir/bound.h"
#include "ir/graph.h"
#include "ir/map.h"

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    for (uint64_t i = 0; i < shape_count(call->in[0]->shape); i++) {
        double a = in[0][i], b = in[1][i], y = a + b;
        out[0][i] = y;
        bound[0][i] = 2 * UNIT_ROUNDOFF * fabs(y) + bound_denormal(a) + bound_denormal(b) + bound_denormal(y);
    }
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    (void)graph, (void)node, (void)need;
    din[0] = din[1] = dout[0];
}

static const char *const cases[] = {"a=2x5x3x7 b=2x5x3x7",
                                    "a=1x1x1x1 b=1x1x1x1",
                                    "a=1x1x1x4097 b=1x1x1x4097",
                                    "+a=128x32x32x16 b=128x32x32x16",
                                    /* more groups than an axis has, over 128 MiB */ "+a=3x1800x1800x1 b=3x1800x1800x1",
                                    NULL};

static const char *const adjoint_cases[] = {"a=3x9x7x17 b=3x9x7x17", "+a=8x56x56x256 b=8x56x56x256", NULL};

const struct op op_add = {
    .name = "add",
    .inputs = {"a", "b"},
    .outputs = {"y"},
    .infer = map_infer,
    .reference = reference,
    .by_image = 1u << 0 | 1u << 1,
    .forms = {{"plain", map_lower}},
    .gradient = gradient,
    .cases = cases,
    .homogeneous = {1u << 0 | 1u << 1},
    .adjoint = adjoint_cases,
};

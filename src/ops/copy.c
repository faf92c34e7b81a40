/* copy: y = x. */
#include "ir/graph.h"
#include "ir/map.h"

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    for (uint64_t i = 0; i < shape_count(call->in[0]->shape); i++) {
        out[0][i] = in[0][i];
        bound[0][i] = 0;
    }
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    (void)graph, (void)node, (void)need;
    din[0] = dout[0];
}

static const char *const cases[] = {"x=2x5x3x7", "x=1x1x1x1", "x=1x1x1x4097",
                                    /* more groups than an axis has, over 128 MiB */ "+x=3x1800x1800x1", NULL};

static const char *const adjoint_cases[] = {"x=3x9x7x17", "+x=8x56x56x256", NULL};

const struct op op_copy = {
    .name = "copy",
    .inputs = {"x"},
    .outputs = {"y"},
    .infer = map_infer,
    .reference = reference,
    .by_image = 1u << 0,
    .forms = {{"plain", map_lower}},
    .gradient = gradient,
    .cases = cases,
    .homogeneous = {1u << 0},
    .adjoint = adjoint_cases,
};

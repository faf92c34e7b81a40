/*
 * shortcut_pad: every stride-th row and column of x, with `before` and `after` channels of zeros around its own: the
 * parameter-free shortcut ("option A") of the CIFAR residual networks. Its backward op puts the gradients back in
 * place.
 */
#include "ir/graph.h"

#include <math.h>

static enum status check_attributes(const struct call *call) {
    static const struct {
        const char *name;
        double least, most;
    } ranges[] = {{"stride", 1, 65535}, {"before", 0, 0x1p30}, {"after", 0, 0x1p30}};
    for (int i = 0; i < 3; i++) {
        double value = attr(call, ranges[i].name);
        if (!(value >= ranges[i].least && value <= ranges[i].most && value == rint(value)))
            return fail(STATUS_USAGE, "%s is %g; it must be a whole number from %g to %g", ranges[i].name, value,
                        ranges[i].least, ranges[i].most);
    }
    return STATUS_OK;
}

static uint32_t ceil_share(uint32_t value, uint32_t stride) {
    return value / stride + (value % stride != 0);
}

static struct shape padded_shape(const struct call *call, struct shape x) {
    uint32_t stride = attr_u(call, "stride");
    return shape4(x.d[N], ceil_share(x.d[H], stride), ceil_share(x.d[W], stride),
                  x.d[C] + attr_u(call, "before") + attr_u(call, "after"));
}

static enum status infer(const struct call *call, struct tensor out[]) {
    TRY(check_attributes(call));
    out[0].dtype = DTYPE_F32;
    out[0].shape = padded_shape(call, call->in[0]->shape);
    return STATUS_OK;
}

/* Element of x that element i of y holds; false: y holds a zero. */
static bool source_of(const struct call *call, struct shape x, struct shape y, uint64_t i, uint64_t *source) {
    uint64_t c = i % y.d[C], pixel = i / y.d[C], before = attr_u(call, "before"), stride = attr_u(call, "stride");
    uint64_t column = pixel % y.d[W] * stride, row = pixel / y.d[W] % y.d[H] * stride, image = pixel / y.d[W] / y.d[H];
    if (c < before || c >= before + x.d[C])
        return false;
    *source = ((image * x.d[H] + row) * x.d[W] + column) * x.d[C] + c - before;
    return true;
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    struct shape y = call->out[0]->shape;
    for (uint64_t i = 0, source; i < shape_count(y); i++) {
        out[0][i] = source_of(call, call->in[0]->shape, y, i, &source) ? in[0][source] : 0;
        bound[0][i] = 0;
    }
}

/* Both kernels: `small` is y (or dy), `large` is x (or dx); one vec4 of the tensor that is written an invocation. */
static void push_geometry(const struct call *call, struct dispatch *dispatch, const struct tensor *large,
                          const struct tensor *small, const struct tensor *written) {
    uint32_t count = (uint32_t)(tensor_elements(written) / 4);
    dispatch_push(dispatch, count);
    dispatch_push_divisor(dispatch, tensor_row(written) / 4);
    dispatch_push_divisor(dispatch, written->shape.d[W]);
    dispatch_push_divisor(dispatch, written->shape.d[H]);
    dispatch_push_divisor(dispatch, attr_u(call, "stride"));
    dispatch_push(dispatch, attr_u(call, "before"));
    const struct tensor *read = written == large ? small : large;
    dispatch_push(dispatch, tensor_row(read) / 4);
    dispatch_push(dispatch, read->shape.d[W]);
    dispatch_push(dispatch, read->shape.d[H]);
    dispatch_push(dispatch, large->shape.d[C]);
    dispatch_linear(dispatch, count, 64);
    dispatch->bytes = 16.0 * count + (double)tensor_bytes(small);
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    struct dispatch *dispatch = lowering_add(lowering, "shortcut_pad");
    dispatch_input(dispatch, 0);
    dispatch_output(dispatch, 0);
    push_geometry(call, dispatch, call->in[0], call->out[0], call->out[0]);
    return true;
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    (void)need;
    struct shape x = graph_shape(graph, node->in[0]);
    din[0] = graph_apply(graph, "shortcut_pad_backward", OPERANDS(dout[0]),
                         ATTRIBUTES({"stride", node_attr(node, "stride")}, {"before", node_attr(node, "before")},
                                    {"after", node_attr(node, "after")}, {"h", x.d[H]}, {"w", x.d[W]}));
}

static const char *const cases[] = {
    "x=2x8x8x16 before=8 after=8",
    "x=1x7x5x3 before=1 after=4",
    "x=3x5x4x17 stride=3 before=6 after=1",
    "x=2x3x3x5 stride=1 before=3",
    "x=1x1x1x1",
    "x=2x6x7x8 after=8",
    "+x=128x32x32x16 before=8 after=8",
    /* more groups than an axis has, over 128 MiB */ "+x=3x1800x1800x1 stride=1 after=3",
    NULL};

static const char *const adjoint_cases[] = {"x=3x9x7x17 before=2 after=3", "+x=128x32x32x16 before=8 after=8",
                                            "+x=8x56x56x64 before=32 after=32", NULL};

const struct op op_shortcut_pad = {
    .name = "shortcut_pad",
    .inputs = {"x"},
    .outputs = {"y"},
    .attributes = {{"stride", 2}, {"before", 0}, {"after", 0}},
    .infer = infer,
    .reference = reference,
    .by_image = 1u << 0,
    .forms = {{"plain", lower}},
    .gradient = gradient,
    .cases = cases,
    .homogeneous = {1u << 0},
    .adjoint = adjoint_cases,
};

static enum status backward_infer(const struct call *call, struct tensor out[]) {
    TRY(check_attributes(call));
    struct shape dy = call->in[0]->shape;
    double h = attr(call, "h"), w = attr(call, "w"), around = attr(call, "before") + attr(call, "after");
    char texts[2][48];
    if (!(h >= 1 && w >= 1 && h <= 0x1p31 && w <= 0x1p31))
        return fail(STATUS_USAGE, "h is %g and w is %g; both must be whole numbers of at least 1", h, w);
    if (around >= dy.d[C])
        return fail(STATUS_USAGE, "dy has %u channels, %g of them padding", dy.d[C], around);
    struct shape dx = shape4(dy.d[N], attr_u(call, "h"), attr_u(call, "w"), dy.d[C] - (uint32_t)around);
    if (!shape_equal(padded_shape(call, dx), dy))
        return fail(STATUS_USAGE, "dy is %s, but the padded shortcut is %s", shape_print(dy, texts[0]),
                    shape_print(padded_shape(call, dx), texts[1]));
    out[0].dtype = DTYPE_F32;
    out[0].shape = dx;
    return STATUS_OK;
}

static void backward_reference(const struct call *call, const double *const in[], double *const out[],
                               double *const bound[]) {
    struct shape dx = call->out[0]->shape, dy = call->in[0]->shape;
    for (uint64_t i = 0; i < shape_count(dx); i++)
        out[0][i] = bound[0][i] = 0;
    for (uint64_t i = 0, source; i < shape_count(dy); i++)
        if (source_of(call, dx, dy, i, &source))
            out[0][source] = in[0][i];
}

static bool backward_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    struct dispatch *dispatch = lowering_add(lowering, "shortcut_pad_backward");
    dispatch_input(dispatch, 0);
    dispatch_output(dispatch, 0);
    push_geometry(call, dispatch, call->out[0], call->in[0], call->out[0]);
    return true;
}

static const char *const backward_cases[] = {"dy=2x4x4x32 h=8 w=8 before=8 after=8",
                                             "dy=1x4x3x8 h=7 w=5 before=1 after=4",
                                             "dy=3x2x2x24 h=5 w=4 stride=3 before=6 after=1",
                                             "dy=2x3x3x8 h=3 w=3 stride=1 before=3",
                                             "dy=1x1x1x1 h=1 w=1",
                                             "dy=2x3x4x16 h=6 w=7 after=8",
                                             "+dy=128x16x16x32 h=32 w=32 before=8 after=8",
                                             NULL};

const struct op op_shortcut_pad_backward = {
    .name = "shortcut_pad_backward",
    .inputs = {"dy"},
    .outputs = {"dx"},
    .attributes = {{"stride", 2}, {"before", 0}, {"after", 0}, {"h", 1}, {"w", 1}},
    .infer = backward_infer,
    .reference = backward_reference,
    .by_image = 1u << 0,
    .forms = {{"plain", backward_lower}},
    .cases = backward_cases,
};

/*
 * adaptive_average_pool: the means of h x w windows that cover images of any size, as PyTorch cuts them; and its
 * backward op, which gathers. Window i of `parts` over `size` pixels is [floor(i size / parts), ceil((i + 1) size /
 * parts)): windows overlap where the numbers do not divide, and repeat pixels where there are more windows than pixels.
 * Pixel p lies in the windows that the same formula gives for the sizes exchanged.
 */
#include "base/memory.h"
#include "ir/bound.h"
#include "ir/graph.h"

struct range {
    uint32_t first, last; /* [first, last) */
};

/* What window `index` of `parts` covers of `size` pixels. */
static struct range window_at(uint32_t index, uint32_t size, uint32_t parts) {
    uint64_t first = (uint64_t)index * size;
    return (struct range){(uint32_t)(first / parts), (uint32_t)ceil_div(first + size, parts)};
}

static double length(struct range range) {
    return range.last - range.first;
}

/* The tensor with the rows and columns that attributes h and w say; the kernels count rows times windows. */
static enum status infer(const struct call *call, struct tensor out[]) {
    const struct shape in = call->in[0]->shape;
    const char *const names[] = {"h", "w"};
    for (int axis = H; axis <= W; axis++) {
        double size = attr(call, names[axis - H]), limit = 0x1p31 / (in.d[axis] + 1.0) - 1;
        if (!(size >= 1 && size < limit && size == rint(size)))
            return fail(STATUS_USAGE, "%s is %g; beside %u it must be a whole number from 1 to %.0f", names[axis - H],
                        size, in.d[axis], limit);
    }
    out[0].dtype = DTYPE_F32;
    out[0].shape = shape4(in.d[N], attr_u(call, "h"), attr_u(call, "w"), in.d[C]);
    return STATUS_OK;
}

/* Rows and columns of `read` that belong to element `i` of a dense tensor `written`; returns where their plane, the
 * same image and channel, starts. */
static uint64_t seen_from(struct shape read, struct shape written, uint64_t i, struct range *rows,
                          struct range *columns) {
    uint64_t channel = i % written.d[C], pixel = i / written.d[C], line = pixel / written.d[W];
    *rows = window_at((uint32_t)(line % written.d[H]), read.d[H], written.d[H]);
    *columns = window_at((uint32_t)(pixel % written.d[W]), read.d[W], written.d[W]);
    return line / written.d[H] * read.d[H] * read.d[W] * read.d[C] + channel;
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    struct shape x = call->in[0]->shape, y = call->out[0]->shape;
    for (uint64_t i = 0; i < shape_count(y); i++) {
        struct range rows, columns;
        const double *plane = in[0] + seen_from(x, y, i, &rows, &columns);
        double sum = 0, absolute = 0, area = length(rows) * length(columns);
        for (uint32_t r = rows.first; r < rows.last; r++)
            for (uint32_t k = columns.first; k < columns.last; k++) {
                double value = plane[((uint64_t)r * x.d[W] + k) * x.d[C]];
                sum += value;
                absolute += fabs(value);
            }
        out[0][i] = sum / area;
        bound[0][i] = bound_sum(area, absolute / area, out[0][i]);
    }
}

/* For both kernels, with the push words of shaders/adaptive_pool.glsl; an invocation writes a vec4 of out[0]. */
static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    const struct tensor *read = call->in[0], *written = call->out[0];
    const uint32_t *from = read->shape.d, *to = written->shape.d;
    uint32_t count = (uint32_t)(tensor_elements(written) / 4);
    struct dispatch *dispatch = lowering_add(lowering, call->op->name);
    dispatch_input(dispatch, 0);
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, count);
    dispatch_push_divisor(dispatch, tensor_row(written) / 4);
    dispatch_push_divisor(dispatch, to[W]);
    dispatch_push_divisor(dispatch, to[H]);
    dispatch_push_divisor(dispatch, from[W]);
    dispatch_push_divisor(dispatch, from[H]);
    dispatch_linear(dispatch, count, 64);
    dispatch->bytes = (double)(tensor_bytes(read) + tensor_bytes(written));
    return (ceil_div(from[H], to[H]) + 1) * (ceil_div(from[W], to[W]) + 2) <= facts->max_loop_steps;
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    (void)need;
    struct shape x = graph_shape(graph, node->in[0]);
    din[0] = graph_apply(graph, "adaptive_average_pool_backward", OPERANDS(dout[0]),
                         ATTRIBUTES({"h", x.d[H]}, {"w", x.d[W]}));
}

/* Quotients are exact when the sizes of all windows are powers of two. */
static bool exact(struct shape image, struct shape pooled) {
    for (int axis = H; axis <= W; axis++)
        for (uint32_t i = 0; i < pooled.d[axis]; i++) {
            int exponent;
            if (frexp(length(window_at(i, image.d[axis], pooled.d[axis])), &exponent) != 0.5)
                return false;
        }
    return true;
}

static bool has_exact(const struct call *call) {
    return exact(call->in[0]->shape, call->out[0]->shape);
}

static const char *const cases[] = {"x=2x14x28x16 h=7 w=7",
                                    "x=3x1x2x17 h=7 w=7",
                                    "x=2x10x9x3 h=7 w=4",
                                    "x=1x5x11x64 h=5 w=3",
                                    "x=1x4x6x130 h=9 w=8",
                                    "x=1x1x1x1",
                                    "+x=8x12x13x512 h=7 w=7",
                                    "+x=160x256x256x4 h=100 w=255" /* over 128 MiB */,
                                    NULL};

static const char *const adjoint_cases[] = {"x=2x12x10x17 h=8 w=5", "x=3x2x1x16 h=7 w=7", "+x=8x28x28x512 h=7 w=7",
                                            NULL};

const struct op op_adaptive_average_pool = {
    .name = "adaptive_average_pool",
    .inputs = {"x"},
    .outputs = {"y"},
    .attributes = {{"h", 1}, {"w", 1}},
    .infer = infer,
    .reference = reference,
    .by_image = 1u << 0,
    .forms = {{"plain", lower}},
    .gradient = gradient,
    .has_exact = has_exact,
    .cases = cases,
    .homogeneous = {1u << 0},
    .adjoint = adjoint_cases,
};

static void backward_reference(const struct call *call, const double *const in[], double *const out[],
                               double *const bound[]) {
    struct shape dy = call->in[0]->shape, dx = call->out[0]->shape;
    for (uint64_t i = 0; i < shape_count(dx); i++) {
        struct range rows, columns;
        const double *plane = in[0] + seen_from(dy, dx, i, &rows, &columns);
        double sum = 0, absolute = 0;
        for (uint32_t r = rows.first; r < rows.last; r++)
            for (uint32_t k = columns.first; k < columns.last; k++) {
                double area = length(window_at(r, dx.d[H], dy.d[H])) * length(window_at(k, dx.d[W], dy.d[W]));
                double share = plane[((uint64_t)r * dy.d[W] + k) * dy.d[C]] / area;
                sum += share;
                absolute += fabs(share);
            }
        out[0][i] = sum;
        bound[0][i] = bound_sum(length(rows) * length(columns), absolute, sum);
    }
}

static bool backward_has_exact(const struct call *call) {
    return exact(call->out[0]->shape, call->in[0]->shape);
}

static const char *const backward_cases[] = {
    "dy=2x7x7x16 h=14 w=28",   "dy=3x7x7x17 h=1 w=2",           "dy=2x7x4x3 h=10 w=9",
    "dy=1x5x3x64 h=5 w=11",    "dy=1x9x8x130 h=4 w=6",          "dy=1x1x1x1",
    "+dy=8x7x7x512 h=12 w=13", "+dy=160x100x255x4 h=256 w=256", NULL};

const struct op op_adaptive_average_pool_backward = {
    .name = "adaptive_average_pool_backward",
    .inputs = {"dy"},
    .outputs = {"dx"},
    .attributes = {{"h", 1}, {"w", 1}},
    .infer = infer,
    .reference = backward_reference,
    .by_image = 1u << 0,
    .forms = {{"plain", lower}},
    .has_exact = backward_has_exact,
    .cases = backward_cases,
};

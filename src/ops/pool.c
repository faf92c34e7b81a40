/*
 * max_pool over windows, with padding on each side and the floor or ceiling rule for the size, as PyTorch has it
 * (ceil_mode: a last window that would start past the input and its left padding is left out); and its backward op,
 * which gathers: each input pixel looks at the windows that cover it.
 */
#include "base/memory.h"
#include "base/random.h"
#include "ir/bound.h"
#include "ir/graph.h"

/* ---- geometry of windows ---- */

/* One axis. */
struct axis {
    uint32_t in, out, kernel, stride, before; /* before: padding */
};

struct pool {
    struct axis h, w;
    uint32_t images, channels;
};

/* Pixels [first, last) of the input that a window covers. */
struct window {
    uint32_t first, last;
};

static struct window window_at(const struct axis *axis, uint32_t index) {
    int64_t first = (int64_t)index * axis->stride - axis->before;
    int64_t last = MIN(first + axis->kernel, (int64_t)axis->in);
    return (struct window){.first = (uint32_t)MAX(first, 0), .last = (uint32_t)last};
}

static enum status read_number(const struct call *call, const char *name, double least, double most, uint32_t *out) {
    double value = attr(call, name);
    if (!(value >= least && value <= most && value == rint(value)))
        return fail(STATUS_USAGE, "%s is %g; it must be a whole number from %g to %g", name, value, least, most);
    *out = (uint32_t)value;
    return STATUS_OK;
}

/* Reads the four attributes of an axis and finds its output size. */
static enum status read_axis(const struct call *call, const char *const names[4], uint32_t in, struct axis *axis) {
    uint32_t after = 0;
    axis->in = in;
    TRY(read_number(call, names[0], 1, 65535, &axis->kernel));
    TRY(read_number(call, names[1], 1, 65535, &axis->stride));
    TRY(read_number(call, names[2], 0, axis->kernel - 1, &axis->before));
    TRY(read_number(call, names[3], 0, axis->kernel - 1, &after));
    uint64_t padded = (uint64_t)in + axis->before + after, ceiling = attr(call, "ceil_mode") != 0;
    if (padded < axis->kernel)
        return fail(STATUS_USAGE, "%s is %u, but the input with its padding has %llu", names[0], axis->kernel,
                    (unsigned long long)padded);
    uint64_t out = (padded - axis->kernel + ceiling * (axis->stride - 1)) / axis->stride + 1;
    if ((out - 1) * axis->stride >= (uint64_t)in + axis->before)
        out--;
    axis->out = (uint32_t)out;
    return STATUS_OK;
}

static enum status read_pool(const struct call *call, struct shape in, struct pool *pool) {
    static const char *const rows[] = {"kernel_h", "stride_h", "pad_top", "pad_bottom"};
    static const char *const columns[] = {"kernel_w", "stride_w", "pad_left", "pad_right"};
    *pool = (struct pool){.images = in.d[N], .channels = in.d[C]};
    TRY(read_axis(call, rows, in.d[H], &pool->h));
    return read_axis(call, columns, in.d[W], &pool->w);
}

static struct shape pooled_shape(const struct pool *pool) {
    return shape4(pool->images, pool->h.out, pool->w.out, pool->channels);
}

/* The geometry of a call whose infer has succeeded; `in` is the shape of the pooled tensor. */
static struct pool pool_of(const struct call *call, struct shape in) {
    struct pool pool;
    enum status status = read_pool(call, in, &pool);
    (void)status;
    return pool;
}

static enum status infer(const struct call *call, struct tensor out[]) {
    struct pool pool;
    TRY(read_pool(call, call->in[0]->shape, &pool));
    out[0].dtype = DTYPE_F32;
    out[0].shape = pooled_shape(&pool);
    return STATUS_OK;
}

/* dy must have the shape that pooling `in` gives; the gradient has the shape `in`. */
static enum status infer_backward(const struct call *call, struct shape in, struct shape dy, struct tensor out[]) {
    struct pool pool;
    char texts[2][48];
    TRY(read_pool(call, in, &pool));
    if (!shape_equal(dy, pooled_shape(&pool)))
        return fail(STATUS_USAGE, "dy is %s, but pooling gives %s", shape_print(dy, texts[0]),
                    shape_print(pooled_shape(&pool), texts[1]));
    out[0].dtype = DTYPE_F32;
    out[0].shape = in;
    return STATUS_OK;
}

/* The push words of shaders/pool.glsl, for a kernel that writes `written`, one vec4 an invocation. */
static void push_pool(struct dispatch *dispatch, const struct pool *pool, const struct tensor *written) {
    uint32_t count = (uint32_t)(tensor_elements(written) / 4);
    dispatch_push(dispatch, count);
    dispatch_push_divisor(dispatch, tensor_row(written) / 4);
    dispatch_push_divisor(dispatch, written->shape.d[W]);
    dispatch_push_divisor(dispatch, written->shape.d[H]);
    const struct axis *axes[] = {&pool->h, &pool->w};
    for (int i = 0; i < 2; i++) {
        dispatch_push(dispatch, axes[i]->in);
        dispatch_push(dispatch, axes[i]->out);
        dispatch_push(dispatch, axes[i]->kernel);
        dispatch_push(dispatch, axes[i]->before);
        dispatch_push_divisor(dispatch, axes[i]->stride);
    }
    dispatch_linear(dispatch, count, 64);
}

/* Windows that cover one pixel, at most. */
static uint64_t covering(const struct axis *axis) {
    return ceil_div(axis->kernel, axis->stride);
}

static uint64_t window_area(const struct pool *pool) {
    return (uint64_t)pool->h.kernel * (pool->w.kernel + 1); /* as loop iterations: rows and pixels */
}

/* Adds the dispatch with inputs 0 .. inputs - 1; false when an invocation's loops are too long for the device. */
static bool add_pool(const struct call *call, const struct device_facts *facts, struct lowering *lowering,
                     const char *kernel, const struct pool *pool, uint32_t inputs, uint64_t loop_steps) {
    struct dispatch *dispatch = lowering_add(lowering, kernel);
    for (uint32_t j = 0; j < inputs; j++) {
        dispatch_input(dispatch, j);
        dispatch->bytes += (double)tensor_bytes(call->in[j]);
    }
    dispatch_output(dispatch, 0);
    dispatch->bytes += (double)tensor_bytes(call->out[0]);
    push_pool(dispatch, pool, call->out[0]);
    return loop_steps <= facts->max_loop_steps;
}

/* Index of element (image, row, column, 0) of a dense tensor. */
static uint64_t pixel_index(struct shape shape, uint32_t image, uint32_t row, uint32_t column) {
    return (((uint64_t)image * shape.d[H] + row) * shape.d[W] + column) * shape.d[C];
}

/* Calls `visit` for every window and channel: `y` is the element's index in the pooled tensor. */
typedef void visit_window(const struct pool *pool, struct shape in, uint64_t image_base, struct window rows,
                          struct window columns, uint32_t channel, uint64_t y, void *user);

static void for_windows(const struct pool *pool, struct shape in, visit_window *visit, void *user) {
    uint64_t y = 0;
    for (uint32_t n = 0; n < pool->images; n++)
        for (uint32_t i = 0; i < pool->h.out; i++)
            for (uint32_t j = 0; j < pool->w.out; j++)
                for (uint32_t c = 0; c < pool->channels; c++)
                    visit(pool, in, pixel_index(in, n, 0, 0), window_at(&pool->h, i), window_at(&pool->w, j), c, y++,
                          user);
}

/* What the references of all window ops work on. */
struct values {
    const double *x, *dy;
    double *out, *bound, *terms; /* terms: sums of absolute values, or NULL */
};

/* ---- max_pool ---- */

/* The first largest element of a window; a NaN counts as larger than everything, the last NaN wins. */
static uint64_t find_largest(const struct values *values, struct shape in, uint64_t image_base, struct window rows,
                             struct window columns, uint32_t channel) {
    uint64_t best = image_base + pixel_index(in, 0, rows.first, columns.first) + channel;
    for (uint32_t r = rows.first; r < rows.last; r++)
        for (uint32_t c = columns.first; c < columns.last; c++) {
            uint64_t at = image_base + pixel_index(in, 0, r, c) + channel;
            if (values->x[at] > values->x[best] || isnan(values->x[at]))
                best = at;
        }
    return best;
}

static void visit_max(const struct pool *pool, struct shape in, uint64_t image_base, struct window rows,
                      struct window columns, uint32_t channel, uint64_t y, void *user) {
    (void)pool;
    struct values *values = user;
    values->out[y] = values->x[find_largest(values, in, image_base, rows, columns, channel)];
    values->bound[y] = bound_denormal(values->out[y]);
}

static void max_reference(const struct call *call, const double *const in[], double *const out[],
                          double *const bound[]) {
    struct pool pool = pool_of(call, call->in[0]->shape);
    for_windows(&pool, call->in[0]->shape, visit_max, &(struct values){.x = in[0], .out = out[0], .bound = bound[0]});
}

static bool max_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct pool pool = pool_of(call, call->in[0]->shape);
    return add_pool(call, facts, lowering, "max_pool", &pool, 1, window_area(&pool));
}

static void max_gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                         tensor_id din[]) {
    (void)need;
    struct attribute attributes[OP_ATTRIBUTES + 1] = {{NULL, 0}};
    for (int i = 0; i < op_attribute_count(node->op); i++)
        attributes[i] = (struct attribute){node->op->attributes[i].name, node->attribute[i]};
    din[0] = graph_apply(graph, "max_pool_backward", OPERANDS(node->in[0], dout[0]), attributes);
}

#define WINDOW_ATTRIBUTES                                                                                              \
    {"kernel_h", 1}, {"kernel_w", 1}, {"stride_h", 1}, {"stride_w", 1}, {"pad_top", 0}, {"pad_bottom", 0},             \
        {"pad_left", 0}, {"pad_right", 0}, {                                                                           \
        "ceil_mode", 0                                                                                                 \
    }

static const char *const max_cases[] = {
    "x=2x8x8x16 kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1",
    "x=1x7x9x3 kernel_h=2 kernel_w=2 stride_h=2 stride_w=2 ceil_mode=1",
    "x=3x6x5x17 kernel_h=3 kernel_w=2 stride_h=1 stride_w=3 pad_top=2 pad_right=1 ceil_mode=1",
    "x=1x1x1x1 kernel_h=2 kernel_w=2 pad_bottom=1 pad_right=1",
    "x=1x5x11x64 kernel_h=5 kernel_w=4 stride_h=4 stride_w=2 pad_bottom=3 pad_left=2",
    "+x=2x112x112x64 kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1",
    /* more groups than an axis has, over 128 MiB */
    "+x=3x1800x1800x1 kernel_h=2 kernel_w=2 stride_h=2 stride_w=2", NULL};

static const char *const max_adjoint_cases[] = {
    "x=2x21x19x17 kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1",
    "+x=8x112x112x64 kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1", NULL};

const struct op op_max_pool = {
    .name = "max_pool",
    .inputs = {"x"},
    .outputs = {"y"},
    .attributes = {WINDOW_ATTRIBUTES},
    .infer = infer,
    .reference = max_reference,
    .by_image = 1u << 0,
    .forms = {{"plain", max_lower}},
    .gradient = max_gradient,
    .cases = max_cases,
    .homogeneous = {1u << 0},
    .adjoint = max_adjoint_cases,
};

static enum status max_backward_infer(const struct call *call, struct tensor out[]) {
    return infer_backward(call, call->in[0]->shape, call->in[1]->shape, out);
}

static void visit_max_backward(const struct pool *pool, struct shape in, uint64_t image_base, struct window rows,
                               struct window columns, uint32_t channel, uint64_t y, void *user) {
    (void)pool;
    struct values *values = user;
    uint64_t best = find_largest(values, in, image_base, rows, columns, channel);
    values->out[best] += values->dy[y];
    values->terms[best] += fabs(values->dy[y]);
}

/* dx and the sums of absolute terms start at zero; bounds follow from the latter, which bound[0] holds meanwhile. */
static void gather_reference(const struct pool *pool, struct shape in, visit_window *visit, struct values *values) {
    double windows = (double)(covering(&pool->h) * covering(&pool->w));
    for (uint64_t i = 0; i < shape_count(in); i++)
        values->out[i] = values->bound[i] = 0;
    values->terms = values->bound;
    for_windows(pool, in, visit, values);
    for (uint64_t i = 0; i < shape_count(in); i++)
        values->bound[i] = bound_sum(windows, values->terms[i], values->out[i]);
}

static void max_backward_reference(const struct call *call, const double *const in[], double *const out[],
                                   double *const bound[]) {
    struct pool pool = pool_of(call, call->in[0]->shape);
    gather_reference(&pool, call->in[0]->shape, visit_max_backward,
                     &(struct values){.x = in[0], .dy = in[1], .out = out[0], .bound = bound[0]});
}

static bool max_backward_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct pool pool = pool_of(call, call->in[0]->shape);
    return add_pool(call, facts, lowering, "max_pool_backward", &pool, 2,
                    covering(&pool.h) * (1 + covering(&pool.w) * (1 + window_area(&pool))));
}

/* Where devices may take denormal numbers as zero the largest is not defined: x has none. */
static double max_backward_sample(const struct call *call, enum data_kind kind, int input, uint64_t index,
                                  uint32_t seed) {
    static const double special[] = {INFINITY, -INFINITY, SAMPLE_NAN, 0.0, -0.0, 1e15, -1e15, 1e-30};
    (void)call;
    uint32_t bits = random_bits(seed, 7, (uint32_t)index);
    if (kind != DATA_HOSTILE || input != 0)
        return NAN;
    return bits % 8 == 0 ? special[bits / 8 % COUNT(special)] : random_normal(seed, 8, (uint32_t)index);
}

static const char *const max_backward_cases[] = {
    "x=2x8x8x16 dy=2x4x4x16 kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1",
    "x=1x7x9x3 dy=1x4x5x3 kernel_h=2 kernel_w=2 stride_h=2 stride_w=2 ceil_mode=1",
    "x=3x6x5x17 dy=3x6x2x17 kernel_h=3 kernel_w=2 stride_h=1 stride_w=3 pad_top=2 pad_right=1 ceil_mode=1",
    "x=1x1x1x1 dy=1x1x1x1 kernel_h=2 kernel_w=2 pad_bottom=1 pad_right=1",
    "x=1x6x11x64 dy=1x3x5x64 kernel_h=3 kernel_w=4 stride_h=2 stride_w=2 pad_bottom=1 pad_left=2",
    "+x=2x112x112x64 dy=2x56x56x64 kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_top=1 pad_bottom=1 pad_left=1 "
    "pad_right=1",
    "+x=3x1800x1800x1 dy=3x900x900x1 kernel_h=2 kernel_w=2 stride_h=2 stride_w=2",
    NULL};

const struct op op_max_pool_backward = {
    .name = "max_pool_backward",
    .inputs = {"x", "dy"},
    .outputs = {"dx"},
    .attributes = {WINDOW_ATTRIBUTES},
    .infer = max_backward_infer,
    .reference = max_backward_reference,
    .by_image = 1u << 0 | 1u << 1,
    .forms = {{"plain", max_backward_lower}},
    .sample = max_backward_sample,
    .cases = max_backward_cases,
};

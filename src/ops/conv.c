/*
 * conv: two-dimensional convolution (cross-correlation, as networks use it) and its gradients.
 *
 *   conv2d                  y  = relu?(conv(x, weight) + bias + residual)
 *   conv2d_backward_input   dx = (sum over the outputs that read x + addend) where mask > 0, else 0
 *   conv2d_backward_weight  dweight = sum over all images and output positions
 */
#include "ir/op.h"

#include "base/random.h"
#include "ir/bound.h"
#include "ir/graph.h"
#include "ops/conv_forms.h"
#include "ops/conv_geometry.h"

#include <string.h>

enum { X, WEIGHT, BIAS, RESIDUAL, /* of conv2d_backward_input: */ ADDEND = 2, MASK };

/* ---- shapes ---- */

static enum status infer_conv2d(const struct call *call, struct tensor out[]) {
    TRY(conv_geometry_check(call));
    struct conv_geometry conv = conv_geometry_of(call, call->in[X], call->in[WEIGHT], NULL);
    TRY(conv_geometry_output(&conv));
    const struct tensor *bias = call->in[BIAS], *residual = call->in[RESIDUAL];
    char text[2][48];
    if (bias && !shape_equal(bias->shape, shape_vector(conv.y.d[C])))
        return fail(STATUS_USAGE, "bias is %s and not 1x1x1x%u", shape_print(bias->shape, text[0]), conv.y.d[C]);
    if (residual && !shape_equal(residual->shape, conv.y))
        return fail(STATUS_USAGE, "residual is %s, the output is %s", shape_print(residual->shape, text[0]),
                    shape_print(conv.y, text[1]));
    out[0].dtype = DTYPE_F32;
    out[0].shape = conv.y;
    return STATUS_OK;
}

/* The shape that dy must have for what the other operands and attributes say. */
static enum status check_dy(struct conv_geometry *conv, const struct tensor *dy) {
    char text[2][48];
    TRY(conv_geometry_output(conv));
    if (!shape_equal(dy->shape, conv->y))
        return fail(STATUS_USAGE, "dy is %s, the convolution gives %s", shape_print(dy->shape, text[0]),
                    shape_print(conv->y, text[1]));
    return STATUS_OK;
}

/* A size given as an attribute, 0 (also the default) if it is not a whole number from 1 to 2^31. */
static uint32_t size_attribute(const struct call *call, const char *name) {
    double value = attr(call, name);
    return value >= 1 && value <= 0x1p31 && value == (double)(uint32_t)value ? (uint32_t)value : 0;
}

static enum status infer_input(const struct call *call, struct tensor out[]) {
    const struct tensor *dy = call->in[0], *weight = call->in[1];
    TRY(conv_geometry_check(call));
    struct conv_geometry conv = conv_geometry_of(call, NULL, weight, NULL);
    uint64_t channels = (uint64_t)weight->shape.d[KI] * conv.groups;
    conv.x = shape4(dy->shape.d[N], size_attribute(call, "h"), size_attribute(call, "w"), 0);
    conv.x.d[C] = channels > UINT32_MAX ? 0 : (uint32_t)channels;
    if (!shape_valid(conv.x))
        return fail(STATUS_USAGE, "h=%g w=%g with %llu channels is no size of x", attr(call, "h"), attr(call, "w"),
                    (unsigned long long)channels);
    TRY(check_dy(&conv, dy));
    char text[2][48];
    for (int j = ADDEND; j <= MASK; j++)
        if (call->in[j] && !shape_equal(call->in[j]->shape, conv.x))
            return fail(STATUS_USAGE, "%s is %s, dx is %s", j == MASK ? "mask" : "addend",
                        shape_print(call->in[j]->shape, text[0]), shape_print(conv.x, text[1]));
    out[0].dtype = DTYPE_F32;
    out[0].shape = conv.x;
    return STATUS_OK;
}

static enum status infer_weight(const struct call *call, struct tensor out[]) {
    const struct tensor *x = call->in[0], *dy = call->in[1];
    TRY(conv_geometry_check(call));
    struct conv_geometry conv = conv_geometry_of(call, x, NULL, NULL);
    conv.weight =
        shape4(size_attribute(call, "kh"), size_attribute(call, "kw"), x->shape.d[C] / conv.groups, dy->shape.d[C]);
    if (!shape_valid(conv.weight))
        return fail(STATUS_USAGE, "kh=%g kw=%g groups=%u is no kernel for %u channels", attr(call, "kh"),
                    attr(call, "kw"), conv.groups, x->shape.d[C]);
    TRY(check_dy(&conv, dy));
    out[0].dtype = DTYPE_F32;
    out[0].shape = conv.weight;
    return STATUS_OK;
}

/*
 * Hostile data stand in the first operand only, and meet factors above zero: a NaN or an infinity reaches exactly the
 * outputs whose window holds it, in every order of summation. (A kernel may multiply the zeros around an image with the
 * factors; these are finite.)
 */
static double factor(int input, uint64_t index, uint32_t seed) {
    return random_uniform(seed, (uint32_t)input + 200, (uint32_t)index) + 0x1p-10;
}

static double sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    (void)call;
    return kind == DATA_HOSTILE && input > 0 ? factor(input, index, seed) : NAN;
}

/* The same for the weight gradient, but only every third channel of x has them: the others must stay as they are. */
static double sample_weight(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    bool spared = input > 0 || index % call->in[0]->shape.d[C] % 3 != 1;
    return kind == DATA_HOSTILE && spared ? factor(input, index, seed) : NAN;
}

/* ---- references ---- */

/* Element index of [a,b,c,0] in a dense array. */
static size_t row_of(struct shape shape, uint32_t a, int64_t b, int64_t c) {
    return (((size_t)a * shape.d[1] + (size_t)b) * shape.d[2] + (size_t)c) * shape.d[3];
}

static bool inside(const struct conv_geometry *conv, int64_t row, int64_t column) {
    return row >= 0 && row < conv->x.d[H] && column >= 0 && column < conv->x.d[W];
}

/* One tap that connects a pixel of x with a pixel of y: element indices of their first channels and of weight[k,l,0,0].
 */
struct tap {
    size_t x, weight, y;
};

/* Adds what the tap contributes, channel by channel, to the sums and to the sums of absolute values. */
typedef void add_tap(const struct conv_geometry *conv, struct tap tap, const double *const in[], double *sum,
                     double *absolute);

static void for_each_tap(const struct conv_geometry *conv, add_tap *add, const double *const in[], double *sum,
                         double *absolute) {
    for (uint32_t n = 0; n < conv->y.d[N]; n++)
        for (uint32_t r = 0; r < conv->y.d[H]; r++)
            for (uint32_t s = 0; s < conv->y.d[W]; s++)
                for (uint32_t k = 0; k < conv->weight.d[KH]; k++)
                    for (uint32_t l = 0; l < conv->weight.d[KW]; l++) {
                        int64_t row = conv_geometry_source(conv, ROWS, r, k);
                        int64_t column = conv_geometry_source(conv, COLUMNS, s, l);
                        if (!inside(conv, row, column))
                            continue;
                        struct tap tap = {row_of(conv->x, n, row, column), row_of(conv->weight, k, l, 0),
                                          row_of(conv->y, n, r, s)};
                        add(conv, tap, in, sum, absolute);
                    }
}

static void finish_bounds(uint64_t count, double terms, const double *value, double *bound) {
    for (uint64_t i = 0; i < count; i++)
        bound[i] = bound_sum(terms, bound[i], value[i]);
}

static void clear(uint64_t count, double *a, double *b) {
    for (uint64_t i = 0; i < count; i++)
        a[i] = b[i] = 0;
}

static void add_to_y(const struct conv_geometry *conv, struct tap tap, const double *const in[], double *sum,
                     double *absolute) {
    uint32_t ki = conv->weight.d[KI], filters = conv->weight.d[KO] / conv->groups;
    for (uint32_t g = 0; g < conv->groups; g++)
        for (uint32_t i = 0; i < ki; i++) {
            double x = in[X][tap.x + (size_t)g * ki + i];
            const double *weight = in[WEIGHT] + tap.weight + (size_t)i * conv->weight.d[KO] + (size_t)g * filters;
            size_t y = tap.y + (size_t)g * filters;
            for (uint32_t o = 0; o < filters; o++) {
                double term = x * weight[o];
                sum[y + o] += term;
                absolute[y + o] += fabs(term);
            }
        }
}

static void reference_conv2d(const struct call *call, const double *const in[], double *const out[],
                             double *const bound[]) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[X], call->in[WEIGHT], call->out[0]);
    uint64_t count = shape_count(conv.y);
    double terms = (double)shape_count(conv.weight) / conv.weight.d[KO] + !!in[BIAS] + !!in[RESIDUAL];
    clear(count, out[0], bound[0]);
    for_each_tap(&conv, add_to_y, in, out[0], bound[0]);
    for (uint64_t i = 0; i < count; i++) {
        double bias = in[BIAS] ? in[BIAS][i % conv.y.d[C]] : 0, residual = in[RESIDUAL] ? in[RESIDUAL][i] : 0;
        out[0][i] += bias + residual;
        bound[0][i] += fabs(bias) + fabs(residual);
    }
    finish_bounds(count, terms, out[0], bound[0]);
    for (uint64_t i = 0; i < count && attr(call, "relu") != 0; i++)
        if (out[0][i] < 0)
            out[0][i] = 0;
}

static void add_to_dx(const struct conv_geometry *conv, struct tap tap, const double *const in[], double *sum,
                      double *absolute) {
    uint32_t ki = conv->weight.d[KI], filters = conv->weight.d[KO] / conv->groups;
    for (uint32_t g = 0; g < conv->groups; g++)
        for (uint32_t i = 0; i < ki; i++) {
            const double *dy = in[0] + tap.y + (size_t)g * filters;
            const double *weight = in[1] + tap.weight + (size_t)i * conv->weight.d[KO] + (size_t)g * filters;
            double total = 0, magnitude = 0;
            for (uint32_t o = 0; o < filters; o++) {
                total += dy[o] * weight[o];
                magnitude += fabs(dy[o] * weight[o]);
            }
            sum[tap.x + (size_t)g * ki + i] += total;
            absolute[tap.x + (size_t)g * ki + i] += magnitude;
        }
}

static void reference_input(const struct call *call, const double *const in[], double *const out[],
                            double *const bound[]) {
    struct conv_geometry conv = conv_geometry_of(call, call->out[0], call->in[1], call->in[0]);
    uint64_t count = shape_count(conv.x);
    double terms = (double)conv.weight.d[KH] * conv.weight.d[KW] * conv.weight.d[KO] / conv.groups;
    clear(count, out[0], bound[0]);
    for_each_tap(&conv, add_to_dx, in, out[0], bound[0]);
    for (uint64_t i = 0; i < count && in[ADDEND]; i++) {
        out[0][i] += in[ADDEND][i];
        bound[0][i] += fabs(in[ADDEND][i]);
    }
    finish_bounds(count, terms + !!in[ADDEND], out[0], bound[0]);
    for (uint64_t i = 0; i < count && in[MASK]; i++) {
        if (in[MASK][i] > 0 && in[MASK][i] < 0x1p-126) /* a denormal may count as zero */
            bound[0][i] += fabs(out[0][i]);
        if (!(in[MASK][i] > 0))
            out[0][i] = bound[0][i] = 0;
    }
}

static void add_to_dweight(const struct conv_geometry *conv, struct tap tap, const double *const in[], double *sum,
                           double *absolute) {
    uint32_t ki = conv->weight.d[KI], filters = conv->weight.d[KO] / conv->groups;
    for (uint32_t g = 0; g < conv->groups; g++)
        for (uint32_t i = 0; i < ki; i++) {
            double x = in[0][tap.x + (size_t)g * ki + i];
            const double *dy = in[1] + tap.y + (size_t)g * filters;
            size_t weight = tap.weight + (size_t)i * conv->weight.d[KO] + (size_t)g * filters;
            for (uint32_t o = 0; o < filters; o++) {
                sum[weight + o] += x * dy[o];
                absolute[weight + o] += fabs(x * dy[o]);
            }
        }
}

/*
 * All weights that read an input channel with a NaN or an infinity in it, or write such an output channel, may be
 * anything: where a tap leaves the image a kernel multiplies with zeros, and strides may pass by the place.
 */
static void loosen_poisoned(const struct conv_geometry *conv, const double *const in[], double *bound) {
    uint32_t ki = conv->weight.d[KI], ko = conv->weight.d[KO], filters = ko / conv->groups;
    const struct shape *shapes[] = {&conv->x, &conv->y};
    for (int side = 0; side < 2; side++)
        for (uint64_t i = 0; i < shape_count(*shapes[side]); i++) {
            if (isfinite(in[side][i]))
                continue;
            for (uint64_t w = 0; w < shape_count(conv->weight); w++) {
                uint64_t of_x = w / ko % ki + w % ko / filters * ki, of_y = w % ko;
                if ((side ? of_y : of_x) == i % shapes[side]->d[C])
                    bound[w] = BOUND_ANY;
            }
        }
}

static void reference_weight(const struct call *call, const double *const in[], double *const out[],
                             double *const bound[]) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->out[0], call->in[1]);
    uint64_t count = shape_count(conv.weight);
    clear(count, out[0], bound[0]);
    for_each_tap(&conv, add_to_dweight, in, out[0], bound[0]);
    finish_bounds(count, (double)shape_count(conv.y) / conv.y.d[C], out[0], bound[0]);
    loosen_poisoned(&conv, in, bound[0]);
}

/* ---- gradient, work ---- */

/* The attributes of the forward node that both backward ops share, then two of their own. */
static const struct attribute *backward_attributes(const struct node *node, const char *first, uint32_t first_value,
                                                   const char *second, uint32_t second_value,
                                                   struct attribute list[OP_ATTRIBUTES + 1]) {
    size_t count = 0;
    for (const struct attribute *attribute = node->op->attributes; attribute->name; attribute++)
        if (strcmp(attribute->name, "relu") != 0)
            list[count++] = (struct attribute){attribute->name, node_attr(node, attribute->name)};
    list[count++] = (struct attribute){first, first_value};
    list[count++] = (struct attribute){second, second_value};
    list[count] = (struct attribute){NULL, 0};
    return list;
}

static void gradient(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]) {
    struct shape x = graph_shape(graph, node->in[X]), weight = graph_shape(graph, node->in[WEIGHT]);
    struct attribute list[OP_ATTRIBUTES + 1];
    tensor_id dy = dout[0];
    if (node_attr(node, "relu") != 0)
        dy = graph_apply(graph, "relu_backward", OPERANDS(node->out[0], dy), NULL);
    if (need[X])
        din[X] = graph_apply(graph, "conv2d_backward_input", OPERANDS(dy, node->in[WEIGHT]),
                             backward_attributes(node, "h", x.d[H], "w", x.d[W], list));
    if (need[WEIGHT])
        din[WEIGHT] = graph_apply(graph, "conv2d_backward_weight", OPERANDS(node->in[X], dy),
                                  backward_attributes(node, "kh", weight.d[KH], "kw", weight.d[KW], list));
    if (need[BIAS])
        din[BIAS] = graph_apply(graph, "channel_sum", OPERANDS(dy), NULL);
    if (need[RESIDUAL])
        din[RESIDUAL] = dy;
}

static double multiply_adds_conv2d(const struct call *call) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[X], call->in[WEIGHT], call->out[0]);
    return conv_geometry_multiply_adds(&conv);
}

static double multiply_adds_input(const struct call *call) {
    struct conv_geometry conv = conv_geometry_of(call, call->out[0], call->in[1], call->in[0]);
    return conv_geometry_multiply_adds(&conv);
}

static double multiply_adds_weight(const struct call *call) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->out[0], call->in[1]);
    return conv_geometry_multiply_adds(&conv);
}

/* ---- records ---- */

/* 64 sqrt(K) u S instead of bound_sum's 4 sqrt(K) u S + u |y|, and 2e-5 of the norm. */
#define WINOGRAD                                                                                                       \
    { "winograd", 15, 2e-5 }

#define PAD1 " pad_top=1 pad_bottom=1 pad_left=1 pad_right=1"
#define PAD3 " pad_top=3 pad_bottom=3 pad_left=3 pad_right=3"
#define STRIDE2 " stride_h=2 stride_w=2"

static const char *const cases_conv2d[] = {
    "x=1x1x1x1 weight=1x1x1x1",
    "x=2x9x7x5 weight=3x3x5x7" PAD1,
    "x=3x8x8x16 weight=3x3x16x16 bias=1x1x1x16 residual=3x8x8x16 relu=1" PAD1,
    "x=2x8x8x8 weight=1x1x8x12 bias=1x1x1x12 relu=1",
    "x=2x5x6x4 weight=1x1x4x6 residual=2x5x6x6",
    "x=2x9x9x16 weight=3x3x16x32" PAD1 STRIDE2,
    "x=2x8x8x16 weight=3x3x16x32 pad_bottom=1 pad_right=1" STRIDE2,
    "x=2x8x8x16 weight=1x1x16x32" STRIDE2,
    "x=1x7x10x3 weight=2x5x3x6 pad_left=3 pad_top=2 stride_w=3 dilation_h=2",
    "x=2x20x20x3 weight=7x7x3x64" PAD3 STRIDE2,
    "x=2x9x9x8 weight=3x3x8x8 pad_top=2 pad_bottom=2 pad_left=2 pad_right=2 dilation_h=2 dilation_w=2",
    "x=2x6x9x8 weight=3x3x8x12 residual=2x6x8x12 pad_top=2 pad_right=1",
    "x=2x7x7x6 weight=3x3x3x10 bias=1x1x1x10 groups=2" PAD1,
    "x=2x7x7x6 weight=3x3x1x6 groups=6 relu=1" PAD1,
    "x=2x7x7x8 weight=3x3x4x16 groups=2" PAD1 STRIDE2,
    "x=2x9x14x20 weight=3x3x4x20 bias=1x1x1x20 residual=2x9x14x20 groups=5 relu=1" PAD1,
    "x=3x8x11x16 weight=3x3x8x48 groups=2 pad_top=1 pad_left=2 pad_right=1",
    "x=1x9x10x16 weight=3x3x8x16 residual=1x5x5x16 groups=2 relu=1" PAD1 STRIDE2,
    "x=2x13x11x24 weight=2x3x12x24 bias=1x1x1x24 groups=2 pad_bottom=3 pad_right=2 stride_h=3 stride_w=2",
    "x=1x11x9x16 weight=3x3x4x32 groups=4 pad_top=3 pad_bottom=2 pad_left=2 pad_right=2 dilation_h=3 dilation_w=2",
    "x=1x9x9x34 weight=3x3x17x34 groups=2" PAD1,
    "x=2x7x7x64 weight=3x3x32x64 bias=1x1x1x64 groups=2" PAD1,
    "+x=2x5x16x128 weight=3x3x16x128 groups=8" PAD1,
    "+x=1x6x7x12 weight=3x3x2x12 groups=6" PAD1,
    "+x=1x5x8x16 weight=1x1x4x16 groups=4",
    "+x=1x6x22x8 weight=3x9x4x8 groups=2 pad_left=4 pad_right=4 pad_top=1 pad_bottom=1",
    "+x=4x28x28x256 weight=3x3x8x256 groups=32" PAD1,
    "+x=2x14x14x1024 weight=3x3x32x1024 groups=32" PAD1 STRIDE2,
    "x=2x32x32x3 weight=3x3x3x16" PAD1,
    "x=1x32x32x16 weight=3x3x16x16" PAD1,
    "x=1x16x16x32 weight=3x3x32x32" PAD1,
    "x=3x8x8x64 weight=3x3x64x64" PAD1,
    "x=1x7x7x128 weight=3x3x128x40 bias=1x1x1x40 relu=1" PAD1,
    "+x=1x7x7x512 weight=3x3x512x40" PAD1,
    "+x=2x56x56x64 weight=3x3x64x64" PAD1,
    "+x=2x56x56x64 weight=1x1x64x256 bias=1x1x1x256 residual=2x56x56x256 relu=1",
    "+x=128x32x32x16 weight=3x3x16x16" PAD1,
    "+x=128x16x16x32 weight=3x3x32x64" PAD1 STRIDE2,
    "+x=2x112x112x3 weight=7x7x3x64" PAD3 STRIDE2,
    "+x=200x64x64x48 weight=1x1x48x4", /* over 128 MiB */
    /* At and just past the edges of blocks, tiles and vectors; more groups than an axis has, over 128 MiB. */
    "+x=1x5x7x3 weight=3x3x3x1" PAD1,
    "+x=1x5x8x1 weight=3x3x1x3" PAD1,
    "+x=2x3x9x17 weight=3x3x17x17" PAD1,
    "+x=1x6x15x4 weight=3x3x4x8" PAD1,
    "+x=1x3x16x5 weight=3x3x5x4" PAD1,
    "+x=1x4x17x16 weight=3x3x16x33" PAD1,
    "+x=1x5x29x8 weight=3x3x8x16" PAD1,
    "+x=2x9x14x8 weight=3x3x8x65" PAD1,
    "x=1x15x17x17 weight=3x3x17x33 pad_bottom=1 pad_right=1" STRIDE2,
    "+x=1x16x15x3 weight=3x3x3x17 pad_top=1 pad_left=1" STRIDE2,
    "+x=2x7x9x65 weight=1x1x65x129",
    "+x=5x4x4x16 weight=3x3x16x16" PAD1,
    "+x=1x4x19x3 weight=1x8x3x5 pad_left=4 pad_right=3",
    "+x=1x4x19x3 weight=1x9x3x5 pad_left=4 pad_right=4",
    "+x=1x35x33x3 weight=11x11x3x17 pad_top=2 pad_bottom=2 pad_left=2 pad_right=2 stride_h=4 stride_w=4",
    "+x=2x16x16x8 weight=3x3x8x8" PAD1,
    "+x=1x12x44x8 weight=3x3x8x8" PAD1,
    "+x=1x13x17x16 weight=3x3x16x8" PAD1,
    "+x=3x1800x1800x1 weight=1x1x1x1",
    NULL,
};

/* Layers of ResNet-18 and ResNet-50, and what else has a gradient: asymmetric padding, groups, dilation. */
static const char *const adjoint_conv2d[] = {
    "x=1x28x28x17 weight=3x3x17x20 pad_bottom=1 pad_right=1" STRIDE2,
    "x=2x28x28x24 weight=1x1x24x40" STRIDE2,
    "x=1x30x29x8 weight=3x3x8x12 bias=1x1x1x12 residual=1x30x29x12 relu=1 pad_top=2 pad_left=1 pad_right=1",
    "+x=2x224x224x3 weight=7x7x3x64" PAD3 STRIDE2,
    "+x=1x224x224x3 weight=7x7x3x64 pad_top=2 pad_bottom=3 pad_left=2 pad_right=3" STRIDE2,
    "+x=2x56x56x64 weight=3x3x64x64" PAD1,
    "+x=2x28x28x128 weight=3x3x128x128" PAD1,
    "+x=2x14x14x256 weight=3x3x256x256" PAD1,
    "+x=2x7x7x512 weight=3x3x512x512" PAD1,
    "+x=2x56x56x64 weight=3x3x64x128" PAD1 STRIDE2,
    "+x=2x28x28x256 weight=3x3x256x256" PAD1 STRIDE2,
    "+x=2x56x56x64 weight=1x1x64x256 bias=1x1x1x256 residual=2x56x56x256 relu=1",
    "+x=1x56x56x256 weight=1x1x256x512" STRIDE2,
    "+x=2x14x14x1024 weight=1x1x1024x2048" STRIDE2,
    "+x=32x7x7x2048 weight=1x1x2048x64",
    "+x=1x56x56x128 weight=3x3x4x128 groups=32" PAD1,
    "+x=1x28x28x64 weight=3x3x64x64 pad_top=2 pad_bottom=2 pad_left=2 pad_right=2 dilation_h=2 dilation_w=2",
    NULL,
};

const struct op op_conv2d = {
    .name = "conv2d",
    .inputs = {"x", "weight", "bias?", "residual?"},
    .outputs = {"y"},
    .attributes = {{"stride_h", 1},
                   {"stride_w", 1},
                   {"pad_top", 0},
                   {"pad_bottom", 0},
                   {"pad_left", 0},
                   {"pad_right", 0},
                   {"dilation_h", 1},
                   {"dilation_w", 1},
                   {"groups", 1},
                   {"relu", 0}},
    .infer = infer_conv2d,
    .reference = reference_conv2d,
    .by_image = 1u << 0 | 1u << 3,
    .forms = {{"winograd", conv_forms_winograd},
              {"subgroup", conv_forms_subgroup},
              {"quads", conv_forms_quads},
              {"lanes", conv_forms_lanes},
              {"tile", conv_forms_tile},
              {"plain", conv_forms_plain},
              {"tile", conv_forms_slow_tile},
              {"lanes", conv_forms_slow_lanes},
              {"winograd", conv_forms_slow_winograd}},
    .rounds_more = WINOGRAD,
    .gradient = gradient,
    .multiply_adds = multiply_adds_conv2d,
    .sample = sample,
    .cases = cases_conv2d,
    .homogeneous = {1u << X | 1u << BIAS | 1u << RESIDUAL, 1u << WEIGHT | 1u << BIAS | 1u << RESIDUAL},
    .adjoint = adjoint_conv2d,
};

static const char *const cases_input[] = {
    "dy=1x1x1x1 weight=1x1x1x1 h=1 w=1",
    "dy=2x9x7x7 weight=3x3x5x7 h=9 w=7" PAD1,
    "dy=3x8x8x16 weight=3x3x16x16 addend=3x8x8x16 mask=3x8x8x16 h=8 w=8" PAD1,
    "dy=2x8x8x12 weight=1x1x8x12 h=8 w=8",
    "dy=2x5x5x32 weight=3x3x16x32 h=9 w=9" PAD1 STRIDE2,
    "dy=2x5x5x32 weight=3x3x16x32 addend=2x10x10x16 mask=2x10x10x16 h=10 w=10" PAD1 STRIDE2,
    "dy=2x4x4x32 weight=3x3x16x32 h=8 w=8 pad_bottom=1 pad_right=1" STRIDE2,
    "dy=2x4x4x32 weight=1x1x16x32 h=8 w=8" STRIDE2,
    "dy=1x7x3x6 weight=2x5x3x6 h=7 w=10 pad_left=3 pad_top=2 stride_w=3 dilation_h=2",
    "dy=2x10x10x64 weight=7x7x3x64 h=20 w=20" PAD3 STRIDE2,
    "dy=2x9x9x8 weight=3x3x8x8 h=9 w=9 pad_top=2 pad_bottom=2 pad_left=2 pad_right=2 dilation_h=2 dilation_w=2",
    "dy=2x5x5x8 weight=3x3x8x8 addend=2x9x9x8 h=9 w=9 pad_top=2 pad_bottom=2 pad_left=2 pad_right=2 dilation_h=2 "
    "dilation_w=2" STRIDE2,
    "dy=2x6x8x12 weight=3x3x8x12 h=6 w=9 pad_top=2 pad_right=1",
    "dy=2x7x7x10 weight=3x3x3x10 addend=2x7x7x6 mask=2x7x7x6 h=7 w=7 groups=2" PAD1,
    "dy=2x7x7x6 weight=3x3x1x6 h=7 w=7 groups=6" PAD1,
    "dy=2x4x4x16 weight=3x3x4x16 h=7 w=7 groups=2" PAD1 STRIDE2,
    "dy=2x9x14x20 weight=3x3x4x20 addend=2x9x14x20 mask=2x9x14x20 h=9 w=14 groups=5" PAD1,
    "dy=3x7x12x48 weight=3x3x8x48 mask=3x8x11x16 h=8 w=11 groups=2 pad_top=1 pad_left=2 pad_right=1",
    "dy=1x5x5x16 weight=3x3x8x16 addend=1x9x10x16 h=9 w=10 groups=2" PAD1 STRIDE2,
    "dy=2x5x6x24 weight=2x3x12x24 h=13 w=11 groups=2 pad_bottom=3 pad_right=2 stride_h=3 stride_w=2",
    "dy=1x10x9x32 weight=3x3x4x32 h=11 w=9 groups=4 pad_top=3 pad_bottom=2 pad_left=2 pad_right=2 dilation_h=3 "
    "dilation_w=2",
    "dy=1x5x7x16 weight=3x3x4x16 h=10 w=14 groups=4" PAD1 STRIDE2,
    "dy=1x9x9x34 weight=3x3x17x34 h=9 w=9 groups=2" PAD1,
    "dy=2x7x7x64 weight=3x3x32x64 h=7 w=7 groups=2" PAD1,
    "+dy=2x5x16x128 weight=3x3x16x128 h=5 w=16 groups=8" PAD1,
    "+dy=1x6x7x12 weight=3x3x2x12 h=6 w=7 groups=6" PAD1,
    "+dy=1x5x8x16 weight=1x1x4x16 h=5 w=8 groups=4",
    "+dy=1x6x22x8 weight=3x9x4x8 h=6 w=22 groups=2 pad_left=4 pad_right=4 pad_top=1 pad_bottom=1",
    "+dy=4x28x28x256 weight=3x3x8x256 h=28 w=28 groups=32" PAD1,
    "+dy=2x7x7x1024 weight=3x3x32x1024 h=14 w=14 groups=32" PAD1 STRIDE2,
    "dy=1x32x32x16 weight=3x3x16x16 h=32 w=32" PAD1,
    "dy=1x16x16x32 weight=3x3x32x32 mask=1x16x16x32 h=16 w=16" PAD1,
    "dy=3x8x8x64 weight=3x3x64x64 h=8 w=8" PAD1,
    "dy=1x7x7x128 weight=3x3x40x128 h=7 w=7" PAD1,
    "+dy=1x7x7x512 weight=3x3x40x512 h=7 w=7" PAD1,
    "+dy=2x56x56x64 weight=3x3x64x64 h=56 w=56" PAD1,
    "+dy=2x56x56x256 weight=1x1x64x256 h=56 w=56",
    "+dy=128x32x32x16 weight=3x3x16x16 h=32 w=32" PAD1,
    "+dy=128x8x8x64 weight=3x3x32x64 h=16 w=16" PAD1 STRIDE2,
    "+dy=200x64x64x48 weight=1x1x4x48 h=64 w=64", /* over 128 MiB */
    /* At and just past the edges of blocks, tiles and vectors; more groups than an axis has, over 128 MiB. */
    "+dy=1x5x7x1 weight=3x3x3x1 h=5 w=7" PAD1,
    "+dy=1x5x8x3 weight=3x3x1x3 h=5 w=8" PAD1,
    "+dy=2x3x9x17 weight=3x3x17x17 h=3 w=9" PAD1,
    "+dy=1x6x15x8 weight=3x3x4x8 h=6 w=15" PAD1,
    "+dy=1x3x16x4 weight=3x3x5x4 h=3 w=16" PAD1,
    "+dy=1x4x17x33 weight=3x3x16x33 h=4 w=17" PAD1,
    "+dy=1x5x29x16 weight=3x3x8x16 h=5 w=29" PAD1,
    "+dy=2x9x14x65 weight=3x3x8x65 h=9 w=14" PAD1,
    "dy=1x7x8x33 weight=3x3x17x33 h=15 w=17 pad_bottom=1 pad_right=1" STRIDE2,
    "+dy=1x8x7x17 weight=3x3x3x17 h=16 w=15 pad_top=1 pad_left=1" STRIDE2,
    "+dy=2x7x9x129 weight=1x1x65x129 h=7 w=9",
    "+dy=5x4x4x16 weight=3x3x16x16 h=4 w=4" PAD1,
    "+dy=1x4x19x5 weight=1x8x3x5 h=4 w=19 pad_left=4 pad_right=3",
    "+dy=1x4x19x5 weight=1x9x3x5 h=4 w=19 pad_left=4 pad_right=4",
    "+dy=1x8x7x17 weight=11x11x3x17 h=35 w=33 pad_top=2 pad_bottom=2 pad_left=2 pad_right=2 stride_h=4 stride_w=4",
    "+dy=2x16x16x8 weight=3x3x8x8 h=16 w=16" PAD1,
    "+dy=1x12x44x8 weight=3x3x8x8 h=12 w=44" PAD1,
    "+dy=1x13x17x8 weight=3x3x16x8 h=13 w=17" PAD1,
    "+dy=3x1800x1800x1 weight=1x1x1x1 h=1800 w=1800",
    NULL,
};

const struct op op_conv2d_backward_input = {
    .name = "conv2d_backward_input",
    .inputs = {"dy", "weight", "addend?", "mask?"},
    .outputs = {"dx"},
    .attributes = {{"stride_h", 1},
                   {"stride_w", 1},
                   {"pad_top", 0},
                   {"pad_bottom", 0},
                   {"pad_left", 0},
                   {"pad_right", 0},
                   {"dilation_h", 1},
                   {"dilation_w", 1},
                   {"groups", 1},
                   {"h", 0},
                   {"w", 0}},
    .infer = infer_input,
    .reference = reference_input,
    .by_image = 1u << 0 | 1u << ADDEND | 1u << MASK,
    .absorbs = {{"add", 0, ADDEND}, {"add", 1, ADDEND}, {"relu_backward", 1, MASK}},
    .forms = {{"winograd", conv_forms_winograd_input},
              {"subgroup", conv_forms_subgroup_input},
              {"quads", conv_forms_quads_input},
              {"lanes", conv_forms_lanes_input},
              {"tile", conv_forms_tile_input},
              {"plain", conv_forms_plain_input},
              {"tile", conv_forms_slow_tile_input},
              {"lanes", conv_forms_slow_lanes_input},
              {"winograd", conv_forms_slow_winograd_input}},
    .rounds_more = WINOGRAD,
    .multiply_adds = multiply_adds_input,
    .sample = sample,
    .cases = cases_input,
};

static const char *const cases_weight[] = {
    "x=1x1x1x1 dy=1x1x1x1 kh=1 kw=1",
    "x=2x9x7x5 dy=2x9x7x7 kh=3 kw=3" PAD1,
    "x=3x8x8x16 dy=3x8x8x16 kh=3 kw=3" PAD1,
    "x=2x8x8x8 dy=2x8x8x12 kh=1 kw=1",
    "x=2x9x9x16 dy=2x5x5x32 kh=3 kw=3" PAD1 STRIDE2,
    "x=2x8x8x16 dy=2x4x4x32 kh=3 kw=3 pad_bottom=1 pad_right=1" STRIDE2,
    "x=2x8x8x16 dy=2x4x4x32 kh=1 kw=1" STRIDE2,
    "x=1x7x10x3 dy=1x7x3x6 kh=2 kw=5 pad_left=3 pad_top=2 stride_w=3 dilation_h=2",
    "x=2x20x20x3 dy=2x10x10x64 kh=7 kw=7" PAD3 STRIDE2,
    "x=2x9x9x8 dy=2x9x9x8 kh=3 kw=3 pad_top=2 pad_bottom=2 pad_left=2 pad_right=2 dilation_h=2 dilation_w=2",
    "x=2x7x7x6 dy=2x7x7x10 kh=3 kw=3 groups=2" PAD1,
    "x=2x7x7x6 dy=2x7x7x6 kh=3 kw=3 groups=6" PAD1,
    "x=2x7x7x8 dy=2x4x4x16 kh=3 kw=3 groups=2" PAD1 STRIDE2,
    "x=2x9x14x20 dy=2x9x14x20 kh=3 kw=3 groups=5" PAD1,
    "x=3x8x11x16 dy=3x7x12x48 kh=3 kw=3 groups=2 pad_top=1 pad_left=2 pad_right=1",
    "x=1x9x10x16 dy=1x5x5x16 kh=3 kw=3 groups=2" PAD1 STRIDE2,
    "x=2x13x11x24 dy=2x5x6x24 kh=2 kw=3 groups=2 pad_bottom=3 pad_right=2 stride_h=3 stride_w=2",
    "x=1x11x9x16 dy=1x10x9x32 kh=3 kw=3 groups=4 pad_top=3 pad_bottom=2 pad_left=2 pad_right=2 dilation_h=3 "
    "dilation_w=2",
    "x=1x9x9x34 dy=1x9x9x34 kh=3 kw=3 groups=2" PAD1,
    "x=2x7x7x64 dy=2x7x7x64 kh=3 kw=3 groups=2" PAD1,
    "x=1x3x5x8 dy=1x9x5x8 kh=3 kw=1 groups=2 pad_top=4 pad_bottom=4",
    "+x=2x5x16x128 dy=2x5x16x128 kh=3 kw=3 groups=8" PAD1,
    "+x=1x6x7x12 dy=1x6x7x12 kh=3 kw=3 groups=6" PAD1,
    "+x=1x5x8x16 dy=1x5x8x16 kh=1 kw=1 groups=4",
    "+x=1x6x22x8 dy=1x6x22x8 kh=3 kw=9 groups=2 pad_left=4 pad_right=4 pad_top=1 pad_bottom=1",
    "+x=4x28x28x256 dy=4x28x28x256 kh=3 kw=3 groups=32" PAD1,
    "+x=2x14x14x1024 dy=2x7x7x1024 kh=3 kw=3 groups=32" PAD1 STRIDE2,
    "x=2x32x32x3 dy=2x32x32x16 kh=3 kw=3" PAD1,
    "x=1x32x32x16 dy=1x32x32x16 kh=3 kw=3" PAD1,
    "x=1x16x16x32 dy=1x16x16x32 kh=3 kw=3" PAD1,
    "x=3x8x8x64 dy=3x8x8x64 kh=3 kw=3" PAD1,
    "x=1x3x3x256 dy=1x3x3x40 kh=3 kw=3" PAD1,
    "x=20x4x5x4 dy=20x4x5x16 kh=3 kw=3" PAD1,
    "x=4x2x2x32 dy=4x2x2x64 kh=3 kw=3" PAD1,
    "x=3x31x5x8 dy=3x31x5x16 kh=3 kw=3" PAD1,
    "+x=2x56x56x64 dy=2x56x56x64 kh=3 kw=3" PAD1,
    "+x=2x56x56x64 dy=2x56x56x256 kh=1 kw=1",
    "+x=128x32x32x16 dy=128x32x32x16 kh=3 kw=3" PAD1,
    "+x=128x16x16x32 dy=128x8x8x64 kh=3 kw=3" PAD1 STRIDE2,
    "+x=200x64x64x48 dy=200x64x64x4 kh=1 kw=1", /* over 128 MiB */
    /* At and just past the edges of blocks, tiles and vectors; more groups than an axis has, over 128 MiB. */
    "+x=1x5x7x3 dy=1x5x7x1 kh=3 kw=3" PAD1,
    "+x=1x5x8x1 dy=1x5x8x3 kh=3 kw=3" PAD1,
    "+x=2x3x9x17 dy=2x3x9x17 kh=3 kw=3" PAD1,
    "+x=1x6x15x4 dy=1x6x15x8 kh=3 kw=3" PAD1,
    "+x=1x3x16x5 dy=1x3x16x4 kh=3 kw=3" PAD1,
    "+x=1x4x17x16 dy=1x4x17x33 kh=3 kw=3" PAD1,
    "+x=1x5x29x8 dy=1x5x29x16 kh=3 kw=3" PAD1,
    "+x=2x9x14x8 dy=2x9x14x65 kh=3 kw=3" PAD1,
    "x=1x15x17x17 dy=1x7x8x33 kh=3 kw=3 pad_bottom=1 pad_right=1" STRIDE2,
    "+x=1x16x15x3 dy=1x8x7x17 kh=3 kw=3 pad_top=1 pad_left=1" STRIDE2,
    "+x=2x7x9x65 dy=2x7x9x129 kh=1 kw=1",
    "+x=5x4x4x16 dy=5x4x4x16 kh=3 kw=3" PAD1,
    "+x=1x4x19x3 dy=1x4x19x5 kh=1 kw=8 pad_left=4 pad_right=3",
    "+x=1x4x19x3 dy=1x4x19x5 kh=1 kw=9 pad_left=4 pad_right=4",
    "+x=1x35x33x3 dy=1x8x7x17 kh=11 kw=11 pad_top=2 pad_bottom=2 pad_left=2 pad_right=2 stride_h=4 stride_w=4",
    "+x=2x16x16x8 dy=2x16x16x8 kh=3 kw=3" PAD1,
    "+x=1x12x44x8 dy=1x12x44x8 kh=3 kw=3" PAD1,
    "+x=1x13x17x16 dy=1x13x17x8 kh=3 kw=3" PAD1,
    "+x=3x1800x1800x1 dy=3x1800x1800x1 kh=1 kw=1",
    "+x=1x395x1000x4 dy=1x300x1000x32 kh=96 kw=1", /* more steps than lavapipe's loops have */
    NULL,
};

const struct op op_conv2d_backward_weight = {
    .name = "conv2d_backward_weight",
    .inputs = {"x", "dy"},
    .outputs = {"dweight"},
    .attributes = {{"stride_h", 1},
                   {"stride_w", 1},
                   {"pad_top", 0},
                   {"pad_bottom", 0},
                   {"pad_left", 0},
                   {"pad_right", 0},
                   {"dilation_h", 1},
                   {"dilation_w", 1},
                   {"groups", 1},
                   {"kh", 0},
                   {"kw", 0}},
    .infer = infer_weight,
    .reference = reference_weight,
    .forms = {{"subgroup", conv_forms_subgroup_weight},
              {"quads", conv_forms_quads_weight},
              {"lanes", conv_forms_lanes_weight},
              {"tile", conv_forms_tile_weight},
              {"plain", conv_forms_plain_weight},
              {"tile", conv_forms_slow_tile_weight},
              {"lanes", conv_forms_slow_lanes_weight}},
    .multiply_adds = multiply_adds_weight,
    .sample = sample_weight,
    .cases = cases_weight,
};

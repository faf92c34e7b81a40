#include "ops/conv_geometry.h"

#include "base/memory.h"

#include <math.h>

/* Keeps every position along an axis within 32 bits, in shaders as well. */
#define ATTRIBUTE_LIMIT 65535

static enum status check(const struct call *call, const char *name, uint32_t least) {
    double value = attr(call, name);
    if (!(value >= least && value <= ATTRIBUTE_LIMIT) || value != floor(value))
        return fail(STATUS_USAGE, "%s=%g is not a whole number from %u to %d", name, value, least, ATTRIBUTE_LIMIT);
    return STATUS_OK;
}

enum status conv_geometry_check(const struct call *call) {
    static const char *const positive[] = {"stride_h", "stride_w", "dilation_h", "dilation_w", "groups"};
    static const char *const padding[] = {"pad_top", "pad_bottom", "pad_left", "pad_right"};
    for (size_t i = 0; i < COUNT(positive); i++)
        TRY(check(call, positive[i], 1));
    for (size_t i = 0; i < COUNT(padding); i++)
        TRY(check(call, padding[i], 0));
    return STATUS_OK;
}

struct conv_geometry conv_geometry_of(const struct call *call, const struct tensor *x, const struct tensor *weight,
                                      const struct tensor *y) {
    struct conv_geometry conv = {
        .stride = {attr_u(call, "stride_h"), attr_u(call, "stride_w")},
        .before = {attr_u(call, "pad_top"), attr_u(call, "pad_left")},
        .after = {attr_u(call, "pad_bottom"), attr_u(call, "pad_right")},
        .dilation = {attr_u(call, "dilation_h"), attr_u(call, "dilation_w")},
        .groups = attr_u(call, "groups"),
    };
    if (x)
        conv.x = x->shape;
    if (weight)
        conv.weight = weight->shape;
    if (y)
        conv.y = y->shape;
    return conv;
}

static enum status output_extent(const struct conv_geometry *conv, int axis, uint32_t *extent) {
    uint64_t padded = (uint64_t)conv->x.d[axis + H] + conv->before[axis] + conv->after[axis];
    uint64_t field = (uint64_t)(conv->weight.d[axis + KH] - 1) * conv->dilation[axis] + 1;
    if (padded > INT32_MAX)
        return fail(STATUS_USAGE, "%llu padded %s are more than 2^31 - 1", (unsigned long long)padded,
                    axis == ROWS ? "rows" : "columns");
    if (padded < field)
        return fail(STATUS_USAGE, "x with padding has %llu %s, the kernel with dilation spans %llu",
                    (unsigned long long)padded, axis == ROWS ? "rows" : "columns", (unsigned long long)field);
    *extent = (uint32_t)((padded - field) / conv->stride[axis] + 1);
    return STATUS_OK;
}

enum status conv_geometry_output(struct conv_geometry *conv) {
    uint32_t channels = conv->x.d[C], filters = conv->weight.d[KO];
    if (channels % conv->groups || filters % conv->groups)
        return fail(STATUS_USAGE, "groups=%u divides not both the %u input and the %u output channels", conv->groups,
                    channels, filters);
    if (conv->weight.d[KI] != channels / conv->groups)
        return fail(STATUS_USAGE, "weight takes %u input channels, x has %u in %u group%s", conv->weight.d[KI],
                    channels, conv->groups, conv->groups == 1 ? "" : "s");
    conv->y = shape4(conv->x.d[N], 0, 0, filters);
    TRY(output_extent(conv, ROWS, &conv->y.d[H]));
    TRY(output_extent(conv, COLUMNS, &conv->y.d[W]));
    if (!shape_valid(conv->y))
        return fail(STATUS_USAGE, "the output %ux%ux%ux%u has more than 2^31 elements", conv->y.d[N], conv->y.d[H],
                    conv->y.d[W], conv->y.d[C]);
    return STATUS_OK;
}

double conv_geometry_multiply_adds(const struct conv_geometry *conv) {
    return (double)shape_count(conv->y) * conv->weight.d[KH] * conv->weight.d[KW] * conv->weight.d[KI];
}

struct conv_axis conv_axis_forward(const struct conv_geometry *conv, int axis) {
    return (struct conv_axis){.count = conv->y.d[H + axis],
                              .step = 1,
                              .source_first = -(int32_t)conv->before[axis],
                              .source_scale = (int32_t)conv->stride[axis],
                              .source_step = (int32_t)conv->dilation[axis],
                              .tap_step = 1,
                              .taps = conv->weight.d[KH + axis]};
}

/* dx at h gets a contribution through tap k if h + padding - k * dilation is a multiple of the stride. */
struct conv_axis conv_axis_backward(const struct conv_geometry *conv, int axis, uint32_t remainder) {
    uint32_t stride = conv->stride[axis], dilation = conv->dilation[axis], taps = conv->weight.d[KH + axis];
    struct conv_axis result = {.first = remainder, .step = stride, .source_scale = 1, .tap_step = 1};
    int64_t start = (int64_t)remainder + conv->before[axis];
    result.count = (conv->x.d[H + axis] - remainder + stride - 1) / stride;
    while (result.tap_step * dilation % stride)
        result.tap_step++;
    while (result.first_tap < taps && (start - (int64_t)result.first_tap * dilation) % stride)
        result.first_tap++;
    if (result.first_tap < taps) {
        result.taps = (taps - 1 - result.first_tap) / result.tap_step + 1;
        result.source_first = (int32_t)((start - (int64_t)result.first_tap * dilation) / stride);
        result.source_step = -(int32_t)(result.tap_step * dilation / stride);
    }
    return result;
}

/*
 * conv_geometry: the numbers of one convolution, the same for conv2d and its two backward ops.
 *
 *   y[n,r,s,o] = sum over k,l,i of x[n, r * stride - before + k * dilation, ...][group(o) * ki + i] * weight[k,l,i,o]
 */
#ifndef RVK_OPS_CONV_GEOMETRY_H
#define RVK_OPS_CONV_GEOMETRY_H

#include "ir/op.h"

/* Index of a pair: rows, columns. */
enum { ROWS, COLUMNS };

struct conv_geometry {
    struct shape x, weight, y;
    uint32_t stride[2], before[2], after[2], dilation[2];
    uint32_t groups;
};

/* vec4s that hold so many channels. */
static inline uint32_t conv_quads(uint32_t channels) {
    return (channels + 3) / 4;
}

/* Fails when an attribute that all three ops have makes no sense. */
CHECKED enum status conv_geometry_check(const struct call *call);

/* Reads the attributes, and the shapes of the tensors that are known (the others may be NULL). */
struct conv_geometry conv_geometry_of(const struct call *call, const struct tensor *x, const struct tensor *weight,
                                      const struct tensor *y);

/* With x, weight and groups known: checks the channels and fills y, or fails with a sentence. */
CHECKED enum status conv_geometry_output(struct conv_geometry *conv);

/* Multiply-adds of each of the three ops, those with padding counted. */
double conv_geometry_multiply_adds(const struct conv_geometry *conv);

/*
 * The positions along one axis of the target (forward: y, backward: dx) that use the same taps, and how these map to
 * the source (x, dy): target = first + i * step for i < count, and number j < taps of the taps, which is tap first_tap
 * + j * tap_step, reads source_first + i * source_scale + j * source_step (nothing, if that lies outside).
 */
struct conv_axis {
    uint32_t count, first, step;
    int32_t source_first, source_scale, source_step;
    uint32_t first_tap, tap_step, taps;
};

struct conv_axis conv_axis_forward(const struct conv_geometry *conv, int axis);

/* Positions of dx that are `remainder` modulo the stride. */
struct conv_axis conv_axis_backward(const struct conv_geometry *conv, int axis, uint32_t remainder);

/*
 * The position in x that tap `tap` of output position `position` reads, along one axis (a row or column; may lie
 * outside).
 */
static inline int64_t conv_geometry_source(const struct conv_geometry *conv, int axis, uint32_t position,
                                           uint32_t tap) {
    return (int64_t)position * conv->stride[axis] + (int64_t)tap * conv->dilation[axis] - conv->before[axis];
}

#endif

/*
 * conv_mapping: a convolution on a rectangle of pixels, as conv2d_tile.glsl and conv2d_tile_weight.glsl see it.
 */
#ifndef RVK_OPS_CONV_MAPPING_H
#define RVK_OPS_CONV_MAPPING_H

#include "ops/conv_geometry.h"

/*
 * Pixel i of the grid, which is pixel target_first + i * target_step of the target, and tap j read the source at
 * first + (i * scale + j * step) * spacing. Index: ROWS, COLUMNS.
 */
struct mapping {
    uint32_t images, grid[2], source[2], target[2], target_first[2], target_step[2];
    int32_t first[2], weight_step[2], weight_first; /* in vec4s of the weights */
    uint32_t spacing[2], scale[2], step[2], taps[2];
    uint32_t source_channels, target_channels;
};

/* The pixels of the target that `r` and `c` say, in x (backward) or y. */
struct mapping mapping_of(const struct conv_geometry *conv, const struct conv_axis *r, const struct conv_axis *c,
                          bool backward);

/* Pixels of the source along an axis that `pixels` of the target and all taps read, without those between. */
uint32_t mapping_patch(const struct mapping *map, int axis, uint32_t pixels);

/* `count` things in parts of about the same size, at most `most`: the size of the largest. */
uint32_t mapping_even(uint32_t count, uint32_t most);

/* a / b, rounded up. */
uint32_t mapping_ratio(uint32_t a, uint32_t b);

#endif

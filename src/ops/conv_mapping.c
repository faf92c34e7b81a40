#include "ops/conv_mapping.h"

#include "base/memory.h"

#include <stdlib.h>

uint32_t mapping_ratio(uint32_t a, uint32_t b) {
    return (a + b - 1) / b;
}

static uint32_t common_divisor(uint32_t a, uint32_t b) {
    return b == 0 ? a : common_divisor(b, a % b);
}

/* Taps that go towards smaller positions are taken from the last to the first. */
static void map_axis(struct mapping *map, const struct conv_axis *axis, int index, uint32_t weight_step) {
    uint32_t taps = MAX(axis->taps, 1), scale = (uint32_t)axis->source_scale, step = (uint32_t)abs(axis->source_step);
    bool reversed = axis->source_step < 0;
    uint32_t spacing = taps > 1 ? common_divisor(scale, step) : scale;
    map->grid[index] = axis->count;
    map->target_first[index] = axis->first;
    map->target_step[index] = axis->step;
    map->taps[index] = taps;
    map->spacing[index] = spacing;
    map->scale[index] = scale / spacing;
    map->step[index] = taps > 1 ? step / spacing : 1;
    map->first[index] = axis->source_first + (reversed ? (int32_t)(taps - 1) * axis->source_step : 0);
    map->weight_step[index] = (int32_t)(axis->tap_step * weight_step) * (reversed ? -1 : 1);
    map->weight_first += (int32_t)((axis->first_tap + (reversed ? (taps - 1) * axis->tap_step : 0)) * weight_step);
}

/* A product of pixels that follow one another in both tensors: one row of an image. */
static void flatten(struct mapping *map) {
    for (int i = 0; i < 2; i++)
        if (map->taps[i] != 1 || map->first[i] != 0 || map->spacing[i] != 1 || map->target_step[i] != 1 ||
            map->grid[i] != map->source[i] || map->grid[i] != map->target[i])
            return;
    uint64_t pixels = (uint64_t)map->images * map->grid[ROWS] * map->grid[COLUMNS];
    map->images = map->grid[ROWS] = map->source[ROWS] = map->target[ROWS] = 1;
    map->grid[COLUMNS] = map->source[COLUMNS] = map->target[COLUMNS] = (uint32_t)pixels;
}

struct mapping mapping_of(const struct conv_geometry *conv, const struct conv_axis *r, const struct conv_axis *c,
                          bool backward) {
    struct shape source = backward ? conv->y : conv->x, target = backward ? conv->x : conv->y;
    uint32_t column_step = conv->weight.d[KI] * conv_quads(conv->weight.d[KO]);
    struct mapping map = {.images = source.d[N],
                          .source = {source.d[H], source.d[W]},
                          .target = {target.d[H], target.d[W]},
                          .source_channels = source.d[C],
                          .target_channels = target.d[C]};
    map_axis(&map, r, ROWS, conv->weight.d[KW] * column_step);
    map_axis(&map, c, COLUMNS, column_step);
    if (r->taps == 0 || c->taps == 0) /* nothing reaches these pixels: sums over no channels are zero */
        map.source_channels = 0;
    flatten(&map);
    return map;
}

uint32_t mapping_patch(const struct mapping *map, int index, uint32_t pixels) {
    return (pixels - 1) * map->scale[index] + (map->taps[index] - 1) * map->step[index] + 1;
}

uint32_t mapping_even(uint32_t count, uint32_t most) {
    return mapping_ratio(count, mapping_ratio(count, most));
}

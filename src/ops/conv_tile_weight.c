/*
 * conv_tile_weight: conv2d_backward_weight as a matrix product with tiles in shared memory, for GPUs. The loops are in
 * shaders/conv2d_tile_weight.glsl; here is the choice of the tile.
 */
#include "ops/conv_forms.h"

#include "base/memory.h"
#include "ops/conv_mapping.h"

/* Invocations that keep a large GPU busy, and a software device. */
#define INVOCATIONS_GPU 16384
#define INVOCATIONS_CPU 512
/* Vec4s that an invocation brings at once, bytes of shared memory for each that leave room for other workgroups. */
#define LOADS_MOST 10
#define LOADS_FEW 5 /* in few registers */
#define SHARED_BYTES 112
#define RUN_COST 20                    /* addresses of a run, in multiply-adds */
#define VALUES_MOST 10                 /* vec4s of x that an invocation holds */
#define PART_BYTES (UINT64_C(1) << 26) /* of all parts */

struct tile {
    uint32_t run, channel_quads, filter_quads, tap_block; /* an invocation's block */
    uint32_t invocations, slices, images, size[2], channels, filters, lanes;
    uint32_t rectangles[2], rectangle_count, chunks, tiles;
    double score;
};

/* ---- the tile ---- */

static uint32_t tap_blocks(const struct mapping *map, const struct tile *tile) {
    return mapping_ratio(map->taps[COLUMNS], tile->tap_block);
}

static uint32_t slice_invocations(const struct mapping *map, const struct tile *tile) {
    return tile->filters / (4 * tile->filter_quads) * (tile->channels / (4 * tile->channel_quads)) * map->taps[ROWS] *
           tap_blocks(map, tile);
}

static uint32_t tile_runs(const struct tile *tile) {
    return tile->images * tile->size[ROWS] * tile->size[COLUMNS] / tile->run;
}

static uint32_t patch_columns(const struct mapping *map, const struct tile *tile) {
    return mapping_patch(map, COLUMNS, tile->size[COLUMNS]) +
           (tap_blocks(map, tile) * tile->tap_block - map->taps[COLUMNS]) * map->step[COLUMNS];
}

/* Pixels of x that a block reads of a run: with one tap none of those between. */
static uint32_t run_values(const struct mapping *map, const struct tile *tile) {
    uint32_t scale = tile->tap_block == 1 ? 1 : map->scale[COLUMNS];
    return (tile->run - 1) * scale + (tile->tap_block - 1) * map->step[COLUMNS] + 1;
}

/* Vec4s of x and of dy. */
static uint64_t left_cells(const struct mapping *map, const struct tile *tile) {
    return (uint64_t)tile->images * mapping_patch(map, ROWS, tile->size[ROWS]) * patch_columns(map, tile) *
           (tile->channels / 4);
}

static uint64_t right_cells(const struct tile *tile) {
    return (uint64_t)tile_runs(tile) * tile->run * (tile->filters / 4);
}

/* As conv2d_tile_weight.glsl has it: whole loads of all invocations. */
static uint64_t shared_bytes(const struct mapping *map, const struct tile *tile) {
    return 16 * (round_up(left_cells(map, tile), tile->invocations) + round_up(right_cells(tile), tile->invocations));
}

/* A rectangle of about `pixels` pixels. */
static void find_rectangle(const struct mapping *map, uint32_t pixels, struct tile *tile) {
    uint32_t across = mapping_even(mapping_ratio(map->grid[COLUMNS], tile->run), MAX(pixels / tile->run, 1));
    tile->size[COLUMNS] = across * tile->run;
    tile->size[ROWS] = mapping_even(map->grid[ROWS], MAX(pixels / tile->size[COLUMNS], 1));
    tile->images = MIN(map->images, MAX(pixels / (tile->size[COLUMNS] * tile->size[ROWS]), 1));
    for (int i = 0; i < 2; i++)
        tile->rectangles[i] = mapping_ratio(map->grid[i], tile->size[i]);
    tile->rectangle_count =
        mapping_ratio(map->images, tile->images) * tile->rectangles[ROWS] * tile->rectangles[COLUMNS];
}

/* How often the invocations can share the runs of a rectangle; 0: not even once. */
static uint32_t find_slices(const struct mapping *map, const struct tile *tile) {
    uint32_t slices = MIN(tile->invocations / slice_invocations(map, tile), tile_runs(tile));
    while (slices > 1 && tile_runs(tile) % slices)
        slices--;
    return slices;
}

static uint64_t part_bytes(const struct mapping *map) {
    return 16 * (uint64_t)map->taps[ROWS] * map->taps[COLUMNS] * map->source_channels *
           conv_quads(map->target_channels);
}

/* Chunks of rectangles for workgroups of their own; 0: an invocation would loop too often. */
static uint32_t find_chunks(const struct mapping *map, const struct tile *tile, const struct device_facts *facts) {
    uint64_t wanted = facts->kind == DEVICE_CPU ? INVOCATIONS_CPU : INVOCATIONS_GPU;
    uint64_t steps = tile_runs(tile) / tile->slices + 1, most = facts->max_loop_steps / steps;
    uint64_t parts = MAX(MIN(PART_BYTES, facts->max_storage_range) / part_bytes(map), 1);
    uint64_t chunks = MIN(ceil_div(wanted, (uint64_t)tile->tiles * tile->invocations), tile->rectangle_count);
    chunks = MAX(MIN(chunks, parts / tile->slices), 1);
    return ceil_div(tile->rectangle_count, chunks) <= most ? (uint32_t)chunks : 0;
}

/* A GPU whose lanes can share x has few registers. */
static bool few_registers(const struct device_facts *facts) {
    return facts->kind != DEVICE_CPU && conv_forms_lane_count(facts);
}

/* 0: any. The shortest subgroups have most registers. */
static uint32_t subgroup_size(const struct tile *tile, const struct device_facts *facts) {
    return tile->lanes ? tile->lanes : few_registers(facts) ? conv_forms_lane_count(facts) : conv_forms_wave(facts);
}

/* Whole subgroups: the rest of one would cost as much as all of it. */
static bool tile_fits(const struct mapping *map, const struct tile *tile, const struct device_facts *facts) {
    uint32_t per_row = tile->filters / (4 * tile->filter_quads);
    uint32_t wave = conv_forms_wave(facts) ? conv_forms_wave(facts) : MAX(facts->subgroup_size, 1);
    return conv_forms_group_fits(tile->invocations, subgroup_size(tile, facts), facts) &&
           tile->invocations % wave == 0 && tile->channels % (4 * tile->channel_quads) == 0 &&
           tile->filters % (4 * tile->filter_quads) == 0 && tile->invocations % (tile->channels / 4) == 0 &&
           tile->invocations % (tile->filters / 4) == 0 && slice_invocations(map, tile) <= tile->invocations &&
           (tile->lanes == 0 || per_row % tile->lanes == 0);
}

/*
 * Speed relative to a device's best, as in conv_tile.c: useful work, times the part of the device that is busy and
 * holds enough workgroups, by the cost of a multiply-add with what it reads, what is brought for it, and its share of
 * the parts.
 */
static double score(const struct mapping *map, const struct tile *tile, const struct device_facts *facts) {
    double taps = (double)map->taps[ROWS] * map->taps[COLUMNS], sums = 16.0 * tile->channel_quads * tile->filter_quads;
    double left = 4.0 * tile->channel_quads * run_values(map, tile), right = 4.0 * tile->run * tile->filter_quads;
    double reads = (tile->lanes ? left / tile->lanes : left) + right;
    double cells = (double)(left_cells(map, tile) + right_cells(tile));
    double pixels = (double)map->images * map->grid[ROWS] * map->grid[COLUMNS];
    double cost = 1 + (2 * reads + RUN_COST) / (tile->run * tile->tap_block * sums) +
                  36 * cells / ((double)right_cells(tile) * 4 * tile->channels * taps) +
                  64 * (double)tile->chunks * tile->slices / pixels;
    double done = (double)tile->tiles * tile->rectangle_count * tile_runs(tile) * tile->run * tile->tap_block * sums /
                  tile->slices * tile->invocations;
    double wanted = facts->kind == DEVICE_CPU ? INVOCATIONS_CPU : INVOCATIONS_GPU;
    double busy = MIN((double)tile->tiles * tile->chunks * tile->invocations / wanted, 1.0);
    double room = MIN((double)SHARED_BYTES * tile->invocations / (double)shared_bytes(map, tile), 1.0);
    return pixels * map->source_channels * map->target_channels * taps / done * busy * room / cost;
}

/* Of one invocation, all in registers at once; a run leaves few of them on Intel. */
static uint32_t loads_most(const struct mapping *map, const struct device_facts *facts, const struct tile *tile) {
    if (tile->lanes == 0)
        return few_registers(facts) ? LOADS_FEW : LOADS_MOST;
    return map->taps[COLUMNS] == 1 ? 6 : map->scale[COLUMNS] > 1 ? 5 : 7;
}

/* Completes the tile for rectangles of about `pixels` pixels; score 0: it does not fit. */
static void complete(const struct mapping *map, const struct device_facts *facts, uint32_t pixels, struct tile *tile) {
    tile->score = 0;
    if (!tile_fits(map, tile, facts))
        return;
    find_rectangle(map, pixels, tile);
    uint64_t left = left_cells(map, tile), right = right_cells(tile);
    tile->slices = find_slices(map, tile);
    tile->tiles =
        mapping_ratio(map->source_channels, tile->channels) * mapping_ratio(map->target_channels, tile->filters);
    tile->chunks = find_chunks(map, tile, facts);
    if (shared_bytes(map, tile) <= facts->max_shared_bytes && tile->chunks > 0 &&
        ceil_div(left, tile->invocations) + ceil_div(right, tile->invocations) <= loads_most(map, facts, tile))
        tile->score = score(map, tile, facts);
}

/* The tile that is like `tile` in its block and lanes. */
static struct tile choose_size(const struct mapping *map, const struct device_facts *facts, struct tile tile) {
    struct tile best = {.score = 0};
    for (tile.channels = 4; tile.channels <= 256; tile.channels *= 2)
        for (tile.filters = 16; tile.filters <= 256; tile.filters *= 2)
            for (tile.invocations = 64; tile.invocations <= 384; tile.invocations += 32)
                for (uint32_t pixels = 16; pixels <= 256; pixels *= 2) {
                    complete(map, facts, pixels, &tile);
                    if (tile.score > best.score)
                        best = tile;
                }
    return best;
}

/* Whether registers suffice: the sums, and with more taps than one a run of x; with shared lanes that is spread. */
static bool block_fits(const struct mapping *map, const struct device_facts *facts, const struct tile *block) {
    uint32_t sums = 16 * block->tap_block * block->channel_quads * block->filter_quads;
    if (block->lanes)
        return map->taps[COLUMNS] == 1 ? block->run == 8 && sums <= 32 : block->run == 2 && sums <= 48;
    if (few_registers(facts) && (sums > 48 || (map->taps[COLUMNS] > 1 && block->run != 2)))
        return false;
    uint32_t held = block->tap_block == 1 ? 1 : run_values(map, block);
    return sums <= 64 && held * block->channel_quads <= VALUES_MOST &&
           (map->taps[COLUMNS] == 1 ? block->run == 4 : block->run < 8);
}

static struct tile choose_tile(const struct mapping *map, const struct device_facts *facts, uint32_t lanes) {
    static const uint32_t runs[] = {4, 7, 2, 8};
    /* All taps of a row in blocks of the same size, or each for itself: with a stride they share less of x. */
    const uint32_t tap_blocks[] = {mapping_even(map->taps[COLUMNS], lanes ? 3 : 4), 1};
    struct tile best = {.score = 0};
    for (size_t i = 0; i < COUNT(runs) * COUNT(tap_blocks); i++)
        for (uint32_t quads = 0; quads < 4; quads++) {
            struct tile block = {.run = runs[i % COUNT(runs)],
                                 .channel_quads = 1 + quads / 2,
                                 .filter_quads = 1 + quads % 2,
                                 .tap_block = tap_blocks[i / COUNT(runs)],
                                 .lanes = lanes};
            if (!block_fits(map, facts, &block))
                continue;
            struct tile tile = choose_size(map, facts, block);
            if (tile.score > best.score)
                best = tile;
        }
    return best;
}

/* ---- the dispatch ---- */

/*
 * How many vec4s of an image of so many rows and columns, whose pixels have `quads`, and `step` of which are one of y,
 * lie between a rectangle and the next one: across, where a row of rectangles ends, and where an image ends.
 * Differences are modulo 2^32.
 */
static void push_steps(struct dispatch *dispatch, const struct tile *tile, const uint32_t size[2],
                       const uint32_t step[2], uint32_t quads) {
    uint32_t across = tile->size[COLUMNS] * step[COLUMNS] * quads;
    uint32_t down = tile->size[ROWS] * step[ROWS] * size[COLUMNS] * quads;
    uint32_t image = tile->images * size[ROWS] * size[COLUMNS] * quads;
    uint32_t back_across = (tile->rectangles[COLUMNS] - 1) * across, back_down = (tile->rectangles[ROWS] - 1) * down;
    dispatch_push(dispatch, across);
    dispatch_push(dispatch, down - back_across);
    dispatch_push(dispatch, image - back_across - back_down);
}

static void push_tile(struct dispatch *dispatch, const struct mapping *map, const struct tile *tile) {
    const uint32_t constants[] = {tile->invocations,   tile->slices,       tile->images,          tile->size[ROWS],
                                  tile->size[COLUMNS], tile->run,          tile->channels,        tile->filters,
                                  tile->channel_quads, tile->filter_quads, map->taps[ROWS],       map->taps[COLUMNS],
                                  tile->tap_block,     map->scale[ROWS],   map->scale[COLUMNS],   map->step[ROWS],
                                  map->step[COLUMNS],  map->spacing[ROWS], map->spacing[COLUMNS], tile->lanes};
    for (size_t i = 0; i < COUNT(constants) - (tile->lanes == 0); i++)
        dispatch_constant(dispatch, constants[i]);
    const uint32_t push[] = {map->source[ROWS],
                             map->source[COLUMNS],
                             map->grid[ROWS],
                             map->grid[COLUMNS],
                             (uint32_t)map->first[ROWS],
                             (uint32_t)map->first[COLUMNS],
                             tile->rectangles[ROWS],
                             tile->rectangles[COLUMNS],
                             map->images,
                             map->source_channels,
                             map->target_channels,
                             tile->tiles,
                             mapping_ratio(map->target_channels, tile->filters),
                             tile->rectangle_count,
                             mapping_ratio(tile->rectangle_count, tile->chunks)};
    for (size_t i = 0; i < COUNT(push); i++)
        dispatch_push(dispatch, push[i]);
    const uint32_t one[2] = {1, 1};
    const uint32_t step[2] = {map->scale[ROWS] * map->spacing[ROWS], map->scale[COLUMNS] * map->spacing[COLUMNS]};
    push_steps(dispatch, tile, map->source, step, conv_quads(map->source_channels));
    push_steps(dispatch, tile, map->grid, one, conv_quads(map->target_channels));
}

static struct mapping mapping_of_call(const struct call *call) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->out[0], call->in[1]);
    struct conv_axis r = conv_axis_forward(&conv, ROWS), c = conv_axis_forward(&conv, COLUMNS);
    return mapping_of(&conv, &r, &c, false);
}

static bool lower_weight(const struct call *call, const struct device_facts *facts, uint32_t lanes,
                         struct lowering *lowering) {
    if (!conv_forms_tile_applies(call, facts))
        return false;
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->out[0], call->in[1]);
    struct mapping map = mapping_of_call(call);
    struct tile tile = choose_tile(&map, facts, lanes);
    if (tile.score == 0)
        return false;
    uint32_t groups = mapping_ratio(tile.rectangle_count, mapping_ratio(tile.rectangle_count, tile.chunks));
    struct dispatch *dispatch = lowering_add(lowering, lanes ? "conv2d_tile_weight_lanes" : "conv2d_tile_weight");
    dispatch->subgroup_size = subgroup_size(&tile, facts);
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    if (groups * tile.slices == 1)
        dispatch_output(dispatch, 0);
    else
        dispatch_scratch(dispatch, 0);
    push_tile(dispatch, &map, &tile);
    dispatch_linear(dispatch, (uint64_t)tile.tiles * groups, 1);
    dispatch->flops = 2 * conv_geometry_multiply_adds(&conv);
    dispatch->bytes = 4 * (double)(shape_count(conv.x) + shape_count(conv.y));
    if (groups * tile.slices == 1)
        return true;
    lowering->scratch_bytes[0] = part_bytes(&map) * groups * tile.slices;
    conv_forms_sum_parts(lowering, (uint32_t)(part_bytes(&map) / 16), groups * tile.slices);
    return true;
}

/* ---- forms ---- */

bool conv_forms_tile_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind != DEVICE_CPU && lower_weight(call, facts, 0, lowering);
}

bool conv_forms_slow_tile_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && lower_weight(call, facts, 0, lowering);
}

/*
 * Whether shared lanes are the faster form: with few filters most of them would work beyond the last one. Alone, an
 * invocation reads more of x than the score says: PLAIN is by the table of docs/gpu.txt.
 */
static bool lanes_pay(const struct call *call, const struct device_facts *facts) {
    const double PLAIN = 0.85;
    if (!conv_forms_tile_applies(call, facts))
        return false;
    struct mapping map = mapping_of_call(call);
    double shared = choose_tile(&map, facts, conv_forms_lane_count(facts)).score;
    return shared > PLAIN * choose_tile(&map, facts, 0).score;
}

bool conv_forms_lanes_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind != DEVICE_CPU && conv_forms_lane_count(facts) && lanes_pay(call, facts) &&
           lower_weight(call, facts, conv_forms_lane_count(facts), lowering);
}

bool conv_forms_slow_lanes_weight(const struct call *call, const struct device_facts *facts,
                                  struct lowering *lowering) {
    return conv_forms_lane_count(facts) && (facts->kind == DEVICE_CPU || !lanes_pay(call, facts)) &&
           lower_weight(call, facts, conv_forms_lane_count(facts), lowering);
}

/*
 * conv_tile: conv2d and conv2d_backward_input as matrix products with tiles in shared memory, for GPUs. The loops are
 * in shaders/conv2d_tile*.glsl; here is the choice of the tile.
 */
#include "ops/conv_forms.h"

#include "base/memory.h"
#include "ops/conv_mapping.h"

/* Invocations that keep a large GPU busy, and a software device. */
#define INVOCATIONS_GPU 16384
#define INVOCATIONS_CPU 256
/* Vec4s that an invocation brings at once: more of them take too many registers. */
#define LOADS_MOST 11
#define LOADS_MOST_LANES 10
#define LOADS_AHEAD_MOST 6
#define LOADS_AHEAD_LANES 4
/* Writing and reading a sum of a part, in multiply-adds. */
#define PART_COST 64
#define PARTS_MOST 16
/* Pixels in a row of a tile, where patches of the source overlap: the more square they are, the better. */
#define LONGEST_ROW 32
#define PART_BYTES (UINT64_C(1) << 26) /* of all parts */

enum { SUM_GROUP = 64 }; /* local_size_x of conv2d_tile_sum.comp */

/* An invocation's sums: runs of pixels x channels. */
struct block {
    uint32_t runs, run, columns;
};

struct tile {
    struct block block;
    uint32_t invocations, images, size[2], channels, depth;
    uint32_t lanes; /* that share their weights; 0: none */
    uint32_t parts; /* workgroups that share the channels of the source */
    double score;
};

/* Runs of seven suit the images of 7, 14, 28 and 56 pixels that large networks have; with one tap they have no use. */
static const struct block blocks[] = {{2, 4, 8}, {1, 7, 8}, {1, 7, 4}, {1, 4, 8}, {1, 4, 4}};
/* With shared weights, on GPUs that have 128 registers: half as many sums. */
static const struct block lane_blocks[] = {{1, 4, 8}, {1, 7, 4}, {1, 4, 4}};

/* ---- the tile ---- */

/* Vec4s of a tap's weights. */
static uint64_t tap_cells(const struct tile *tile) {
    return (uint64_t)tile->depth * tile->channels / 4;
}

/* Channels of the source that are in shared memory at once: a padded vec4 need not be there as a whole. */
static uint32_t planes(const struct mapping *map, const struct tile *tile) {
    return tile->depth == 4 ? MAX(MIN(map->source_channels, 4), 1) : tile->depth;
}

/* As conv2d_tile_load.glsl has it. */
static uint64_t shared_bytes(const struct mapping *map, const struct tile *tile) {
    uint64_t rows = (uint64_t)tile->images * mapping_patch(map, ROWS, tile->size[ROWS]);
    uint64_t plane = round_up(rows * round_up(mapping_patch(map, COLUMNS, tile->size[COLUMNS]), 4), 8) + 4;
    uint64_t cells = tap_cells(tile),
             loaded = round_up(map->taps[ROWS] * map->taps[COLUMNS] * cells, tile->invocations);
    return 4 * planes(map, tile) * (plane + ceil_div(loaded, cells) * (tile->channels + 4));
}

static uint64_t patch_cells(const struct mapping *map, const struct tile *tile) {
    return (uint64_t)tile->images * mapping_patch(map, ROWS, tile->size[ROWS]) *
           mapping_patch(map, COLUMNS, tile->size[COLUMNS]);
}

/* The most depth for which registers and shared memory suffice; false: there is none. */
static bool find_depth(const struct mapping *map, const struct device_facts *facts, struct tile *tile) {
    uint32_t ahead = tile->lanes ? LOADS_AHEAD_LANES : LOADS_AHEAD_MOST;
    uint32_t taps = map->taps[ROWS] * map->taps[COLUMNS], most = taps == 1 ? 16 : taps <= 4 ? 8 : 4;
    for (tile->depth = MIN(most, MAX(4 * conv_quads(map->source_channels), 4)); tile->depth >= 4; tile->depth -= 4) {
        uint64_t left = ceil_div(patch_cells(map, tile) * (tile->depth / 4), tile->invocations);
        uint64_t right = ceil_div(taps * tap_cells(tile), tile->invocations);
        if (16 % tile->depth == 0 && shared_bytes(map, tile) <= facts->max_shared_bytes &&
            (taps == 1 ? left + right <= ahead : MAX(left, right) <= (tile->lanes ? LOADS_MOST_LANES : LOADS_MOST)))
            return true;
    }
    return false;
}

/* Fills the rectangle of pixels for as many runs as the invocations have. */
static void find_rectangle(const struct mapping *map, struct tile *tile) {
    uint32_t runs = tile->invocations / (tile->channels / tile->block.columns) * tile->block.runs;
    uint32_t longest = map->taps[ROWS] > 1 ? MIN(runs, LONGEST_ROW / tile->block.run) : runs;
    uint32_t across = mapping_even(mapping_ratio(map->grid[COLUMNS], tile->block.run), longest);
    tile->size[COLUMNS] = across * tile->block.run;
    tile->size[ROWS] = mapping_even(map->grid[ROWS], runs / across);
    tile->images = MIN(map->images, runs / across / tile->size[ROWS]);
}

/* Depth of a part, in vec4s. */
static uint32_t part_depth(const struct mapping *map, const struct tile *tile) {
    return (uint32_t)round_up(mapping_ratio(conv_quads(map->source_channels), tile->parts), tile->depth / 4);
}

static uint64_t tile_count(const struct mapping *map, const struct tile *tile) {
    return ceil_div(map->images, tile->images) * ceil_div(map->grid[ROWS], tile->size[ROWS]) *
           ceil_div(map->grid[COLUMNS], tile->size[COLUMNS]) * ceil_div(map->target_channels, tile->channels) *
           tile->parts;
}

/*
 * Speed relative to a device's best: the part of its work that is not beyond an edge, times the part of the device that
 * is busy (with the dispatches for the other pixels of a stride, which run at the same time), by what a multiply-add
 * costs with the words that it reads from shared memory (about two words a clock) and its share of what is brought
 * there.
 */
static double score(const struct mapping *map, const struct tile *tile, const struct device_facts *facts) {
    const struct block *block = &tile->block;
    double sums = (double)block->runs * block->run * block->columns,
           taps = (double)map->taps[ROWS] * map->taps[COLUMNS];
    uint32_t weights = tile->lanes ? mapping_ratio(block->columns, tile->lanes) : block->columns;
    double reads = block->runs * mapping_patch(map, COLUMNS, block->run) + map->taps[COLUMNS] * weights;
    double words = (double)patch_cells(map, tile) + taps * tile->channels;
    double cost = 1 + 2 * reads / (sums * map->taps[COLUMNS]) + 12 * words / (sums * tile->invocations * taps) +
                  0.5 / (taps * tile->depth);
    if (tile->parts > 1)
        cost += PART_COST * tile->parts / (taps * map->source_channels);
    double groups = (double)tile_count(map, tile), done = groups * tile->invocations;
    double pixels = (double)map->images * map->grid[ROWS] * map->grid[COLUMNS];
    double wanted = facts->kind == DEVICE_CPU ? INVOCATIONS_CPU : INVOCATIONS_GPU;
    return pixels * map->target_channels * tile->parts / (done * sums) *
           MIN(done * map->target_step[ROWS] * map->target_step[COLUMNS] / wanted, 1.0) / cost;
}

static bool tile_fits(const struct tile *tile, const struct device_facts *facts) {
    uint32_t row_blocks = tile->invocations / (tile->channels / tile->block.columns);
    return conv_forms_group_fits(tile->invocations, tile->lanes, facts) &&
           tile->channels <= tile->block.columns * tile->invocations &&
           (tile->lanes == 0 || row_blocks % tile->lanes == 0);
}

/* The best number of parts, for a tile that has all the rest. */
static void choose_parts(const struct mapping *map, const struct device_facts *facts, uint32_t most,
                         struct tile *tile) {
    struct tile best = *tile;
    for (tile->parts = 1; tile->parts <= most; tile->parts++) {
        tile->score = score(map, tile, facts);
        bool empty = part_depth(map, tile) * (tile->parts - 1) >= MAX(conv_quads(map->source_channels), 1);
        if (tile->score > best.score && !empty)
            best = *tile;
    }
    *tile = best;
}

/* `parts`: at most so many. */
static struct tile choose_tile(const struct mapping *map, const struct device_facts *facts, uint32_t lanes,
                               uint32_t parts) {
    struct tile best = {.score = 0};
    for (size_t i = 0; i < (lanes ? COUNT(lane_blocks) : COUNT(blocks)); i++)
        for (uint32_t channels = 16; channels <= 128; channels *= 2)
            for (uint32_t invocations = 64; invocations <= 256; invocations *= 2) {
                struct tile tile = {.block = lanes ? lane_blocks[i] : blocks[i],
                                    .invocations = invocations,
                                    .channels = channels,
                                    .lanes = lanes};
                if (!tile_fits(&tile, facts) || (tile.block.run == 7 && map->taps[COLUMNS] == 1))
                    continue;
                find_rectangle(map, &tile);
                if (!find_depth(map, facts, &tile))
                    continue;
                choose_parts(map, facts, parts, &tile);
                if (tile.score > best.score)
                    best = tile;
            }
    return best;
}

/* ---- the dispatch ---- */

static void push_pair(struct dispatch *dispatch, const uint32_t pair[2]) {
    dispatch_push(dispatch, pair[ROWS]);
    dispatch_push(dispatch, pair[COLUMNS]);
}

static void push_constants(struct dispatch *dispatch, const struct mapping *map, const struct tile *tile, bool backward,
                           uint32_t flags) {
    const uint32_t constants[] = {tile->invocations,
                                  tile->images,
                                  tile->size[ROWS],
                                  tile->size[COLUMNS],
                                  tile->channels,
                                  tile->depth,
                                  tile->block.runs,
                                  tile->block.run,
                                  tile->block.columns,
                                  map->taps[ROWS],
                                  map->taps[COLUMNS],
                                  map->scale[ROWS],
                                  map->scale[COLUMNS],
                                  map->step[ROWS],
                                  map->step[COLUMNS],
                                  backward,
                                  flags,
                                  planes(map, tile),
                                  tile->lanes};
    for (size_t i = 0; i < COUNT(constants) - (tile->lanes == 0); i++)
        dispatch_constant(dispatch, constants[i]);
}

static void push_mapping(struct dispatch *dispatch, const struct mapping *map, const struct tile *tile,
                         uint32_t weight_quads) {
    const uint32_t first[] = {(uint32_t)map->first[ROWS], (uint32_t)map->first[COLUMNS]};
    const uint32_t weight_step[] = {(uint32_t)map->weight_step[ROWS], (uint32_t)map->weight_step[COLUMNS]};
    const uint32_t tiles[] = {mapping_ratio(map->grid[ROWS], tile->size[ROWS]),
                              mapping_ratio(map->grid[COLUMNS], tile->size[COLUMNS])};
    push_pair(dispatch, map->source);
    push_pair(dispatch, map->grid);
    push_pair(dispatch, map->target);
    push_pair(dispatch, map->target_first);
    push_pair(dispatch, map->target_step);
    push_pair(dispatch, first);
    push_pair(dispatch, map->spacing);
    push_pair(dispatch, tiles);
    dispatch_push(dispatch, mapping_ratio(map->target_channels, tile->channels));
    dispatch_push(dispatch, tile->parts);
    dispatch_push(dispatch, part_depth(map, tile));
    dispatch_push(dispatch, map->images);
    dispatch_push(dispatch, map->source_channels);
    dispatch_push(dispatch, map->target_channels);
    dispatch_push(dispatch, weight_quads);
    dispatch_push(dispatch, (uint32_t)map->weight_first);
    push_pair(dispatch, weight_step);
}

/* The parts go to scratch block 0, and what `first` was to do at its end is done to their sum. */
static void add_sum(const struct call *call, const struct mapping *map, const struct tile *tile, uint32_t flags,
                    struct lowering *lowering) {
    struct dispatch *first = &lowering->dispatches[lowering->count - 1], *sum;
    uint64_t count = tensor_bytes(call->out[0]) / 16;
    sum = lowering_add(lowering, "conv2d_tile_sum");
    dispatch_scratch(sum, 0);
    sum->operands[sum->operand_count++] = first->operands[2];
    sum->operands[sum->operand_count++] = first->operands[3];
    dispatch_output(sum, 0);
    first->operands[4] = sum->operands[0];
    first->operands[2] = first->operands[3] = first->operands[1];
    dispatch_constant(sum, flags);
    dispatch_push(sum, (uint32_t)count);
    dispatch_push(sum, tile->parts);
    dispatch_push(sum, map->target_channels);
    dispatch_linear(sum, count, SUM_GROUP);
    sum->bytes = 16 * (double)count * (tile->parts + 1);
    lowering->scratch_bytes[0] = 16 * count * tile->parts;
}

/* Scratch memory for parts exists only once, for all pixels; parts of a sum are stored as the target is. */
static uint32_t most_parts(const struct call *call, const struct conv_axis *r, const struct conv_axis *c,
                           const struct device_facts *facts) {
    uint64_t bytes = MIN(PART_BYTES, facts->max_storage_range) / tensor_bytes(call->out[0]);
    return r->step == 1 && c->step == 1 ? (uint32_t)MAX(MIN(bytes, PARTS_MOST), 1) : 1;
}

static bool add_product(const struct call *call, const struct device_facts *facts, const struct conv_geometry *conv,
                        const struct conv_axis *r, const struct conv_axis *c, bool backward, uint32_t lanes,
                        struct lowering *lowering) {
    struct mapping map = mapping_of(conv, r, c, backward);
    struct tile tile = choose_tile(&map, facts, lanes, most_parts(call, r, c, facts));
    if (tile.score == 0)
        return false;
    struct dispatch *dispatch = lowering_add(lowering, lanes ? "conv2d_tile_lanes" : "conv2d_tile");
    uint32_t flags = conv_forms_bind(dispatch, call, backward);
    dispatch->subgroup_size = lanes ? lanes : conv_forms_wave(facts);
    push_constants(dispatch, &map, &tile, backward, tile.parts == 1 ? flags : 0);
    push_mapping(dispatch, &map, &tile, conv_quads(conv->weight.d[KO]));
    dispatch_linear(dispatch, tile_count(&map, &tile), 1);
    struct shape target = backward ? conv->x : conv->y;
    dispatch->flops =
        2.0 * target.d[N] * r->count * c->count * r->taps * c->taps * conv->weight.d[KI] * conv->weight.d[KO];
    dispatch->bytes *= (double)r->count * c->count / ((double)target.d[H] * target.d[W]);
    if (tile.parts > 1)
        add_sum(call, &map, &tile, flags, lowering);
    return true;
}

static bool lower_forward(const struct call *call, const struct device_facts *facts, uint32_t lanes,
                          struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->in[1], call->out[0]);
    struct conv_axis r = conv_axis_forward(&conv, ROWS), c = conv_axis_forward(&conv, COLUMNS);
    return conv_forms_tile_applies(call, facts) && add_product(call, facts, &conv, &r, &c, false, lanes, lowering);
}

static bool lower_input(const struct call *call, const struct device_facts *facts, uint32_t lanes,
                        struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->out[0], call->in[1], call->in[0]);
    uint32_t rows = MIN(conv.stride[ROWS], conv.x.d[H]), columns = MIN(conv.stride[COLUMNS], conv.x.d[W]);
    if (!conv_forms_tile_applies(call, facts) || (uint64_t)rows * columns > LOWERING_DISPATCHES)
        return false;
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t j = 0; j < columns; j++) {
            struct conv_axis r = conv_axis_backward(&conv, ROWS, i), c = conv_axis_backward(&conv, COLUMNS, j);
            if (!add_product(call, facts, &conv, &r, &c, true, lanes, lowering))
                return false;
        }
    return true;
}

/* ---- forms ---- */

bool conv_forms_tile(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind != DEVICE_CPU && lower_forward(call, facts, 0, lowering);
}

bool conv_forms_tile_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind != DEVICE_CPU && lower_input(call, facts, 0, lowering);
}

bool conv_forms_slow_tile(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && lower_forward(call, facts, 0, lowering);
}

bool conv_forms_slow_tile_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && lower_input(call, facts, 0, lowering);
}

bool conv_forms_lanes(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind != DEVICE_CPU && conv_forms_lane_count(facts) &&
           lower_forward(call, facts, conv_forms_lane_count(facts), lowering);
}

bool conv_forms_lanes_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind != DEVICE_CPU && conv_forms_lane_count(facts) &&
           lower_input(call, facts, conv_forms_lane_count(facts), lowering);
}

bool conv_forms_slow_lanes(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && conv_forms_lane_count(facts) &&
           lower_forward(call, facts, conv_forms_lane_count(facts), lowering);
}

bool conv_forms_slow_lanes_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && conv_forms_lane_count(facts) &&
           lower_input(call, facts, conv_forms_lane_count(facts), lowering);
}

bool conv_forms_tile_applies(const struct call *call, const struct device_facts *facts) {
    if (attr(call, "groups") != 1 || facts->max_storage_buffers < 5)
        return false;
    for (int i = 0; i < OP_INPUTS; i++)
        if (call->in[i] && tensor_bytes(call->in[i]) > facts->max_storage_range)
            return false;
    return tensor_bytes(call->out[0]) <= facts->max_storage_range;
}

uint32_t conv_forms_wave(const struct device_facts *facts) {
    enum { AMD = 0x1002, HALF = 32 };
    return facts->vendor_id == AMD && facts->least_subgroup == HALF && !facts->matrix_units ? HALF : 0;
}

uint32_t conv_forms_lane_count(const struct device_facts *facts) {
    enum { INTEL = 0x8086, MOST = 16 };
    uint32_t size = facts->least_subgroup ? facts->least_subgroup : facts->subgroup_size;
    bool wanted = facts->vendor_id == INTEL || facts->kind == DEVICE_CPU;
    return wanted && facts->subgroup_shuffle && size > 1 && size <= MOST ? size : 0;
}

bool conv_forms_group_fits(uint32_t invocations, uint32_t lanes, const struct device_facts *facts) {
    bool counted = lanes && facts->max_subgroups;
    return invocations <= facts->max_invocations && invocations <= facts->max_group_size[0] &&
           (!counted || invocations / lanes <= facts->max_subgroups);
}

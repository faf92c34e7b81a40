/*
 * conv_tile: the convolution ops as matrix products with tiles in shared memory, for GPUs. The loops are in
 * shaders/conv2d_tile.comp and conv2d_tile_weight.comp; here is the choice of the tile.
 */
#include "ops/conv_forms.h"

#include "base/memory.h"
#include "ops/conv_geometry.h"

enum { INTEL = 0x8086 };

/* Workgroups that keep a large GPU busy, and a software device. */
#define GROUPS_GPU 256
#define GROUPS_CPU 2
/* Rows of a chunk of the weight gradient, and bytes of all parts. */
#define CHUNK_ROWS_LEAST 4
#define PART_BYTES (UINT64_C(1) << 26)

/* A workgroup's tile of the product, and an invocation's block of it; speed relative to the largest block. */
struct tile {
    uint32_t height, width, rows, columns;
    double speed;
};

static const struct tile tiles[] = {
    {128, 128, 8, 8, 1.0}, {64, 128, 8, 8, 0.95}, {128, 64, 8, 8, 0.95}, {256, 32, 8, 8, 0.85},
    {128, 64, 8, 4, 0.76}, {64, 64, 8, 4, 0.75},  {128, 32, 8, 4, 0.72}, {256, 16, 8, 4, 0.6},
    {64, 32, 4, 4, 0.5},   {128, 16, 4, 4, 0.45}, {64, 16, 4, 4, 0.4},
};

static uint32_t quads(uint32_t count) {
    return (count + 3) / 4;
}

static uint32_t groups_wanted(const struct device_facts *facts) {
    return facts->kind == DEVICE_CPU ? GROUPS_CPU : GROUPS_GPU;
}

static uint32_t invocations(const struct tile *tile) {
    return tile->height / tile->rows * (tile->width / tile->columns);
}

static bool tile_fits(const struct tile *tile, uint32_t depth, const struct device_facts *facts) {
    uint32_t shared_bytes = 4 * depth * (tile->height + tile->width + 8);
    /* Intel's compilers spill registers with 64 sums. */
    bool registers = facts->vendor_id != INTEL || tile->rows * tile->columns <= 32;
    return registers && shared_bytes <= facts->max_shared_bytes && invocations(tile) <= facts->max_invocations &&
           invocations(tile) <= facts->max_group_size[0];
}

/*
 * The fastest tile for a product of height x width: its own speed, times the part of its tiles that is not beyond the
 * edge, times the part of the device that the workgroups fill (each may be split into `splits`). NULL: none fits.
 */
static const struct tile *choose_tile(uint64_t height, uint64_t width, uint64_t splits, uint32_t depth,
                                      const struct device_facts *facts) {
    const struct tile *best = NULL;
    double best_score = 0;
    for (size_t i = 0; i < COUNT(tiles); i++) {
        uint64_t down = ceil_div(height, tiles[i].height), across = ceil_div(width, tiles[i].width);
        double used =
            (double)height * (double)width / ((double)(down * tiles[i].height) * (double)(across * tiles[i].width));
        double busy = MIN((double)(down * across * splits) / groups_wanted(facts), 1.0);
        double score = tiles[i].speed * used * busy;
        if (score > best_score && tile_fits(&tiles[i], depth, facts)) {
            best = &tiles[i];
            best_score = score;
        }
    }
    return best;
}

/* Depth of the tiles for `length` values in a row of the sum: Intel's gain from fewer, longer steps. */
static uint32_t choose_depth(uint32_t length, const struct device_facts *facts) {
    return length <= 4 ? 4 : length >= 16 && facts->vendor_id == INTEL ? 16 : 8;
}

static bool applies(const struct call *call, const struct conv_geometry *conv, const struct device_facts *facts) {
    if (conv->groups != 1 || facts->max_storage_buffers < 5)
        return false;
    for (int i = 0; i < OP_INPUTS; i++)
        if (call->in[i] && tensor_bytes(call->in[i]) > facts->max_storage_range)
            return false;
    return tensor_bytes(call->out[0]) <= facts->max_storage_range;
}

static void push_tile(struct dispatch *dispatch, const struct tile *tile, uint32_t depth) {
    const uint32_t constants[] = {invocations(tile), tile->height, tile->width, depth, tile->rows, tile->columns};
    for (size_t i = 0; i < COUNT(constants); i++)
        dispatch_constant(dispatch, constants[i]);
}

static void push_pair(struct dispatch *dispatch, uint32_t rows, uint32_t columns) {
    dispatch_push(dispatch, rows);
    dispatch_push(dispatch, columns);
}

/* ---- forward, input gradient ---- */

/* The push block of conv2d_tile.comp. `r`, `c`: rows and columns of the target that this dispatch computes. */
static void push_mapping(struct dispatch *dispatch, const struct conv_geometry *conv, const struct conv_axis *r,
                         const struct conv_axis *c, bool backward) {
    struct shape source = backward ? conv->y : conv->x, target = backward ? conv->x : conv->y;
    uint32_t weight_quads = quads(conv->weight.d[KO]), column_step = conv->weight.d[KI] * weight_quads;
    uint32_t row_step = conv->weight.d[KW] * column_step;
    push_pair(dispatch, source.d[H], source.d[W]);
    push_pair(dispatch, r->count, c->count);
    push_pair(dispatch, target.d[H], target.d[W]);
    push_pair(dispatch, r->first, c->first);
    push_pair(dispatch, r->step, c->step);
    push_pair(dispatch, (uint32_t)r->source_first, (uint32_t)c->source_first);
    push_pair(dispatch, (uint32_t)r->source_scale, (uint32_t)c->source_scale);
    push_pair(dispatch, (uint32_t)r->source_step, (uint32_t)c->source_step);
    push_pair(dispatch, r->taps, c->taps);
    dispatch_push(dispatch, source.d[N]);
    push_pair(dispatch, source.d[C], target.d[C]);
    dispatch_push(dispatch, weight_quads);
    dispatch_push(dispatch, r->first_tap * row_step + c->first_tap * column_step);
    push_pair(dispatch, r->tap_step * row_step, c->tap_step * column_step);
}

static bool add_product(const struct call *call, const struct device_facts *facts, const struct conv_geometry *conv,
                        const struct conv_axis *r, const struct conv_axis *c, bool backward,
                        struct lowering *lowering) {
    struct shape source = backward ? conv->y : conv->x, target = backward ? conv->x : conv->y;
    uint32_t depth = choose_depth(source.d[C], facts);
    uint64_t pixels = (uint64_t)target.d[N] * r->count * c->count;
    const struct tile *tile = choose_tile(pixels, target.d[C], 1, depth, facts);
    if (!tile)
        return false;
    struct dispatch *dispatch = lowering_add(lowering, "conv2d_tile");
    uint32_t flags = conv_forms_bind(dispatch, call, backward);
    push_tile(dispatch, tile, depth);
    dispatch_constant(dispatch, backward);
    dispatch_constant(dispatch, flags);
    push_mapping(dispatch, conv, r, c, backward);
    uint32_t across = (uint32_t)ceil_div(target.d[C], tile->width);
    dispatch_push(dispatch, across);
    dispatch_linear(dispatch, ceil_div(pixels, tile->height) * across, 1);
    double share = (double)r->count * c->count / ((double)target.d[H] * target.d[W]);
    dispatch->flops = 2 * share * conv_geometry_multiply_adds(conv);
    dispatch->bytes *= share;
    return true;
}

static bool lower_forward(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->in[1], call->out[0]);
    struct conv_axis r = conv_axis_forward(&conv, ROWS), c = conv_axis_forward(&conv, COLUMNS);
    return applies(call, &conv, facts) && add_product(call, facts, &conv, &r, &c, false, lowering);
}

static bool lower_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->out[0], call->in[1], call->in[0]);
    uint32_t rows = MIN(conv.stride[ROWS], conv.x.d[H]), columns = MIN(conv.stride[COLUMNS], conv.x.d[W]);
    if (!applies(call, &conv, facts) || (uint64_t)rows * columns > LOWERING_DISPATCHES)
        return false;
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t j = 0; j < columns; j++) {
            struct conv_axis r = conv_axis_backward(&conv, ROWS, i), c = conv_axis_backward(&conv, COLUMNS, j);
            if (!add_product(call, facts, &conv, &r, &c, true, lowering))
                return false;
        }
    return true;
}

/* ---- weight gradient ---- */

static bool lower_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->out[0], call->in[1]);
    uint32_t taps = conv.weight.d[KH] * conv.weight.d[KW], height = taps * 4 * quads(conv.x.d[C]);
    uint32_t rows = conv.y.d[N] * conv.y.d[H], depth = choose_depth(conv.y.d[W], facts);
    uint64_t part = (uint64_t)taps * conv.weight.d[KI] * quads(conv.y.d[C]);
    uint64_t most = MIN(rows / CHUNK_ROWS_LEAST, MIN(PART_BYTES, facts->max_storage_range) / (16 * part));
    const struct tile *tile = choose_tile(height, conv.y.d[C], MAX(most, 1), depth, facts);
    if (!applies(call, &conv, facts) || !tile)
        return false;
    uint32_t across = (uint32_t)ceil_div(conv.y.d[C], tile->width);
    uint32_t tile_count = (uint32_t)ceil_div(height, tile->height) * across;
    uint64_t chunks = MAX(MIN(ceil_div(2 * groups_wanted(facts), tile_count), most), 1);
    uint32_t chunk_rows = (uint32_t)ceil_div(rows, chunks), parts = (uint32_t)ceil_div(rows, chunk_rows);
    struct dispatch *dispatch = lowering_add(lowering, "conv2d_tile_weight");
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    if (parts == 1)
        dispatch_output(dispatch, 0);
    else
        dispatch_scratch(dispatch, 0);
    push_tile(dispatch, tile, depth);
    push_pair(dispatch, conv.x.d[H], conv.x.d[W]);
    push_pair(dispatch, conv.y.d[H], conv.y.d[W]);
    push_pair(dispatch, conv.weight.d[KH], conv.weight.d[KW]);
    push_pair(dispatch, conv.stride[ROWS], conv.stride[COLUMNS]);
    push_pair(dispatch, conv.before[ROWS], conv.before[COLUMNS]);
    push_pair(dispatch, conv.dilation[ROWS], conv.dilation[COLUMNS]);
    dispatch_push(dispatch, conv.x.d[N]);
    push_pair(dispatch, conv.x.d[C], conv.y.d[C]);
    push_pair(dispatch, tile_count, across);
    dispatch_push(dispatch, chunk_rows);
    dispatch_linear(dispatch, (uint64_t)tile_count * parts, 1);
    dispatch->flops = 2 * conv_geometry_multiply_adds(&conv);
    dispatch->bytes = 4 * (double)(shape_count(conv.x) + shape_count(conv.y));
    if (parts == 1)
        return true;
    lowering->scratch_bytes[0] = 16 * part * parts;
    conv_forms_sum_parts(lowering, (uint32_t)part, parts);
    return true;
}

/* ---- forms ---- */

bool conv_forms_tile(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind != DEVICE_CPU && lower_forward(call, facts, lowering);
}

bool conv_forms_tile_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind != DEVICE_CPU && lower_input(call, facts, lowering);
}

bool conv_forms_tile_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind != DEVICE_CPU && lower_weight(call, facts, lowering);
}

bool conv_forms_slow_tile(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && lower_forward(call, facts, lowering);
}

bool conv_forms_slow_tile_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && lower_input(call, facts, lowering);
}

bool conv_forms_slow_tile_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return facts->kind == DEVICE_CPU && lower_weight(call, facts, lowering);
}

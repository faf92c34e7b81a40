/*
 * conv_subgroup: the convolution ops for devices where bulk reads through texel buffers and subgroup shuffles are cheap
 * and shared memory and barriers are not (software devices). The loops are in shaders/conv2d_subgroup.comp and
 * conv2d_subgroup_weight.comp; here is the choice of their block sizes.
 */
#include "ops/conv_forms.h"

#include "base/memory.h"
#include "ops/conv_geometry.h"

/* Multiply-adds of one tap from which a larger block (faster, but twice the code to compile) is worth it. */
#define LARGE_WORK 3.5e6
/* Most taps in a row, and columns that a block may need: both are unrolled. */
#define TAPS_MOST 8
#define SPAN_MOST 64
/* Workgroups of the weight gradient: enough to share them evenly between the cores of a large machine. */
#define WEIGHT_GROUPS 96

static bool tensors_fit(const struct call *call, const struct device_facts *facts) {
    for (int i = 0; i < OP_INPUTS; i++)
        if (call->in[i] && tensor_elements(call->in[i]) / 4 > facts->max_texel_elements)
            return false;
    return tensor_bytes(call->out[0]) <= facts->max_storage_range;
}

bool conv_forms_subgroup_fits(const struct call *call, const struct conv_geometry *conv,
                              const struct device_facts *facts) {
    uint32_t size = facts->subgroup_size;
    return facts->prefers_texels && facts->subgroup_shuffle && (size == 4 || size == 8 || size == 16) &&
           facts->max_storage_texels >= 4 && conv->groups == 1 && conv->weight.d[KW] <= TAPS_MOST &&
           (conv->weight.d[KW] - 1) * conv->dilation[COLUMNS] + 8 * conv->stride[COLUMNS] <= SPAN_MOST &&
           tensors_fit(call, facts);
}

/* Lanes side by side over the vec4s of the channels: a power of two, at most the subgroup. */
static uint32_t lanes_for(uint32_t channels, const struct device_facts *facts) {
    uint32_t lanes = 1;
    while (lanes < conv_quads(channels) && lanes < facts->subgroup_size)
        lanes *= 2;
    return lanes;
}

/* ---- forward, input gradient ---- */

/* The block of target pixels that a team computes. width: of the source, if a block spans all of its columns. */
struct block {
    uint32_t rows, columns, width;
};

/* Blocks of 8 columns, or of 14 where these divide a row evenly; of whole rows without a halo where such are short. */
static struct block choose_block(const struct conv_geometry *conv, bool backward) {
    bool large = conv_geometry_multiply_adds(conv) >= LARGE_WORK * conv->weight.d[KH] * conv->weight.d[KW];
    uint32_t source_quads = conv_quads(backward ? conv->y.d[C] : conv->x.d[C]), stride = conv->stride[COLUMNS];
    uint32_t pixels = conv->weight.d[KW] > 4 || !large ? 16 : source_quads == 1 ? 24 : 32;
    uint32_t width = (backward ? conv->x : conv->y).d[W], columns = backward && 8 % stride ? 8 * stride : 8;
    bool same = stride == 1 && conv->dilation[COLUMNS] == 1 && conv->x.d[W] == conv->y.d[W];
    if (large && same && width <= pixels && (width <= pixels / 2 || width % 8))
        return (struct block){MAX(pixels / width, 1), width, width};
    if (large && width % 14 == 0 && width % 8 && 14 % stride == 0)
        columns = 14;
    return (struct block){MAX(pixels / columns, 1), columns, 0};
}

/*
 * Further block sizes, for the tuner: rows, columns (0: all of the target's). 16 to 32 pixels are 64 to 128 sums a
 * lane; more would not stay in registers, fewer do not pay for the loads.
 */
static const struct block other_blocks[] = {{2, 8, 0},  {3, 8, 0},  {4, 8, 0}, {1, 16, 0}, {2, 16, 0},
                                            {2, 14, 0}, {1, 28, 0}, {1, 0, 0}, {2, 0, 0},  {4, 0, 0}};

static bool block_fits(const struct conv_geometry *conv, const struct block *block, bool backward) {
    uint32_t pixels = block->rows * block->columns, stride = conv->stride[COLUMNS];
    uint32_t halo = (conv->weight.d[KW] - 1) * conv->dilation[COLUMNS];
    struct shape target = backward ? conv->x : conv->y;
    return pixels >= 14 && pixels <= 32 && block->rows <= target.d[H] && block->columns <= round_up(target.d[W], 8) &&
           (!backward || block->columns % stride == 0) &&
           (backward ? block->columns : (block->columns - 1) * stride) + halo < SPAN_MOST;
}

/* The block of the variant that is asked for; false when there is no such, or when it is the usual one. */
static bool find_block(const struct conv_geometry *conv, bool backward, struct lowering *lowering,
                       struct block *block) {
    struct block usual = choose_block(conv, backward);
    uint32_t width = (backward ? conv->x : conv->y).d[W];
    lowering->variants = COUNT(other_blocks);
    *block = usual;
    if (lowering->variant == 0)
        return true;
    if (lowering->variant > COUNT(other_blocks))
        return false;
    *block = other_blocks[lowering->variant - 1];
    if (block->columns == 0) {
        if (conv->stride[COLUMNS] != 1 || conv->dilation[COLUMNS] != 1 || conv->x.d[W] != conv->y.d[W])
            return false;
        block->columns = block->width = width;
    }
    bool same = block->rows == usual.rows && block->columns == usual.columns && block->width == usual.width;
    return !same && block_fits(conv, block, backward);
}

static void push_rows(struct dispatch *dispatch, const struct conv_geometry *conv, const struct conv_axis *rows,
                      bool backward) {
    struct shape source = backward ? conv->y : conv->x, target = backward ? conv->x : conv->y;
    uint32_t column_step = conv->weight.d[KI] * conv_quads(conv->weight.d[KO]);
    uint32_t row_step = conv->weight.d[KW] * column_step;
    const uint32_t words[] = {
        source.d[H],
        source.d[W],
        rows->count,
        target.d[W],
        target.d[H],
        target.d[W],
        rows->first,
        rows->step,
        (uint32_t)rows->source_first,
        (uint32_t)rows->source_scale,
        (uint32_t)rows->source_step,
        rows->taps,
        source.d[N],
        source.d[C],
        target.d[C],
        conv_quads(conv->weight.d[KO]),
        rows->first_tap * row_step,
        rows->tap_step * row_step,
        column_step,
    };
    for (size_t i = 0; i < COUNT(words); i++)
        dispatch_push(dispatch, words[i]);
}

/* Everything but the operands. `weight_step`: vec4s from the weights of one image to the next; 0: all have the same. */
static void set_rows(struct dispatch *dispatch, const struct device_facts *facts, const struct conv_geometry *conv,
                     const struct conv_axis *rows, struct block block, bool backward, uint32_t flags,
                     uint32_t weight_step) {
    uint32_t channels = backward ? conv->x.d[C] : conv->y.d[C], columns = backward ? conv->x.d[W] : conv->y.d[W];
    uint32_t lanes = lanes_for(channels, facts);
    uint32_t tiles = (conv_quads(channels) + lanes - 1) / lanes;
    /* With one tap a row there is too little to do in a step for its fixed costs. */
    uint32_t depth = conv->weight.d[KW] == 1 && conv_quads(backward ? conv->y.d[C] : conv->x.d[C]) % 2 == 0 ? 2 : 1;
    const uint32_t constants[] = {
        facts->subgroup_size,
        lanes,
        block.rows,
        block.columns,
        conv->weight.d[KW],
        conv->stride[COLUMNS],
        conv->dilation[COLUMNS],
        conv->before[COLUMNS],
        block.width,
        backward,
        flags & CONV_MASK ? flags | CONV_RESIDUAL : flags, /* one kernel to compile for input gradients, not two */
        depth,
    };
    for (size_t i = 0; i < COUNT(constants); i++)
        dispatch_constant(dispatch, constants[i]);
    push_rows(dispatch, conv, rows, backward);
    dispatch_push(dispatch, tiles);
    dispatch_push(dispatch, flags & CONV_RESIDUAL);
    dispatch_push(dispatch, weight_step);
    uint64_t blocks = (uint64_t)conv->x.d[N] * ceil_div(rows->count, block.rows) * ceil_div(columns, block.columns);
    dispatch_linear(dispatch, ceil_div(blocks, facts->subgroup_size / lanes) * tiles, 1);
    double share = (double)rows->count / (backward ? conv->x.d[H] : conv->y.d[H]);
    dispatch->flops = 2 * share * conv_geometry_multiply_adds(conv);
    dispatch->bytes *= share;
}

static void add_rows(const struct call *call, const struct device_facts *facts, const struct conv_geometry *conv,
                     const struct conv_axis *rows, struct block block, bool backward, struct lowering *lowering) {
    struct dispatch *dispatch = lowering_add(lowering, "conv2d_subgroup");
    uint32_t flags = conv_forms_bind(dispatch, call, backward);
    set_rows(dispatch, facts, conv, rows, block, backward, flags, 0);
}

struct dispatch *conv_forms_subgroup_products(struct lowering *lowering, const struct device_facts *facts,
                                              uint32_t matrices, uint32_t rows, const struct conv_geometry *conv,
                                              bool backward) {
    const struct block block = {4, 8, 0};
    struct conv_geometry product = {.x = shape4(matrices, rows / block.columns, block.columns, conv->x.d[C]),
                                    .weight = shape4(1, 1, conv->x.d[C], conv->y.d[C]),
                                    .y = shape4(matrices, rows / block.columns, block.columns, conv->y.d[C]),
                                    .stride = {1, 1},
                                    .dilation = {1, 1},
                                    .groups = 1};
    struct conv_axis axis = backward ? conv_axis_backward(&product, ROWS, 0) : conv_axis_forward(&product, ROWS);
    struct dispatch *dispatch = lowering_add(lowering, "conv2d_subgroup");
    set_rows(dispatch, facts, &product, &axis, block, backward, 0, conv->x.d[C] * conv_quads(conv->y.d[C]));
    return dispatch;
}

bool conv_forms_subgroup(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->in[1], call->out[0]);
    struct block block;
    if (!conv_forms_subgroup_fits(call, &conv, facts) || !find_block(&conv, false, lowering, &block))
        return false;
    struct conv_axis rows = conv_axis_forward(&conv, ROWS);
    add_rows(call, facts, &conv, &rows, block, false, lowering);
    return true;
}

bool conv_forms_subgroup_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->out[0], call->in[1], call->in[0]);
    uint32_t remainders = MIN(conv.stride[ROWS], conv.x.d[H]);
    struct block block;
    if (!conv_forms_subgroup_fits(call, &conv, facts) || remainders > LOWERING_DISPATCHES ||
        !find_block(&conv, true, lowering, &block))
        return false;
    for (uint32_t remainder = 0; remainder < remainders; remainder++) {
        struct conv_axis rows = conv_axis_backward(&conv, ROWS, remainder);
        add_rows(call, facts, &conv, &rows, block, true, lowering);
    }
    return true;
}

/* ---- weight gradient ---- */

/* vec4s of channels and columns that are summed at once, and workgroups wanted. */
struct weight_block {
    uint32_t quads, columns, groups;
};

/* Further ones, for the tuner. */
static const struct weight_block other_weight_blocks[] = {{1, 4, 96}, {2, 4, 96}, {4, 4, 96}, {2, 8, 96},
                                                          {4, 8, 96}, {2, 4, 24}, {4, 4, 24}};

/* As find_block. */
static bool find_weight_block(const struct conv_geometry *conv, struct lowering *lowering, struct weight_block *block) {
    uint32_t taps = conv->weight.d[KW], quads_most = MIN(conv_quads(conv->x.d[C]), MAX(12 / taps, 1));
    struct weight_block usual = {MIN(quads_most, 4), MIN(conv->y.d[W], 4), WEIGHT_GROUPS};
    lowering->variants = COUNT(other_weight_blocks);
    *block = usual;
    if (lowering->variant == 0)
        return true;
    if (lowering->variant > COUNT(other_weight_blocks))
        return false;
    *block = other_weight_blocks[lowering->variant - 1];
    bool same = block->quads == usual.quads && block->columns == usual.columns && block->groups == usual.groups;
    return !same && block->quads <= quads_most && block->columns <= conv->y.d[W];
}

bool conv_forms_subgroup_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->out[0], call->in[1]);
    struct weight_block block;
    if (!conv_forms_subgroup_fits(call, &conv, facts) || !find_weight_block(&conv, lowering, &block))
        return false;
    uint32_t lanes = lanes_for(conv.y.d[C], facts), teams = facts->subgroup_size / lanes, taps = conv.weight.d[KW];
    uint32_t channel_tiles = (conv_quads(conv.x.d[C]) + block.quads - 1) / block.quads;
    uint32_t filter_tiles = (conv_quads(conv.y.d[C]) + lanes - 1) / lanes;
    uint32_t tiles = conv.weight.d[KH] * channel_tiles * filter_tiles, rows = conv.y.d[N] * conv.y.d[H];
    uint64_t part = (uint64_t)conv.weight.d[KH] * taps * conv.weight.d[KI] * conv_quads(conv.y.d[C]);
    /* At least four rows a chunk, and all parts together within the storage range. */
    uint32_t most = (uint32_t)MIN(ceil_div(rows, 4 * teams), MAX(facts->max_storage_range / (16 * part * teams), 1));
    uint32_t chunk_rows = (uint32_t)ceil_div(rows, (uint64_t)MIN(MAX(block.groups / tiles, 1), most) * teams);
    uint32_t groups = (uint32_t)ceil_div(rows, (uint64_t)chunk_rows * teams), parts = groups * teams;
    struct dispatch *dispatch = lowering_add(lowering, "conv2d_subgroup_weight");
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    if (parts == 1)
        dispatch_output(dispatch, 0);
    else
        dispatch_scratch(dispatch, 0);
    const uint32_t constants[] = {
        facts->subgroup_size, lanes, block.quads, block.columns, taps, conv.stride[COLUMNS], conv.dilation[COLUMNS],
        conv.y.d[C] % 4 != 0};
    for (size_t i = 0; i < COUNT(constants); i++)
        dispatch_constant(dispatch, constants[i]);
    const uint32_t words[] = {conv.x.d[H],       conv.x.d[W],          conv.y.d[H],       conv.y.d[W],
                              conv.before[ROWS], conv.before[COLUMNS], conv.stride[ROWS], conv.dilation[ROWS],
                              conv.x.d[N],       conv.x.d[C],          conv.y.d[C],       conv.weight.d[KH],
                              channel_tiles,     filter_tiles,         chunk_rows};
    for (size_t i = 0; i < COUNT(words); i++)
        dispatch_push(dispatch, words[i]);
    dispatch_linear(dispatch, (uint64_t)groups * tiles, 1);
    dispatch->flops = 2 * conv_geometry_multiply_adds(&conv);
    dispatch->bytes = 4 * (double)(shape_count(conv.x) + shape_count(conv.y));
    if (parts == 1)
        return true;
    lowering->scratch_bytes[0] = 16 * part * parts;
    conv_forms_sum_parts(lowering, (uint32_t)part, parts);
    return true;
}

/*
 * conv_rows: the convolution ops without shared memory and barriers, two forms with the same loops, those of
 * shaders/conv2d_rows.glsl and conv2d_rows_weight.glsl; here is the choice of their block sizes.
 *
 *   subgroup  for devices where bulk reads through texel buffers and subgroup shuffles are cheap (software devices)
 *   quads     for any device, where every group of channels has whole vec4s: invocations have little to share
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
/* Invocations of a workgroup without teams, and those of the weight gradient that keep a large GPU busy. */
#define QUADS_GROUP 64
#define QUADS_WEIGHT_INVOCATIONS 32768

static bool tensors_fit(const struct call *call, const struct device_facts *facts) {
    for (int i = 0; i < OP_INPUTS; i++)
        if (call->in[i] && tensor_elements(call->in[i]) / 4 > facts->max_texel_elements)
            return false;
    return tensor_bytes(call->out[0]) <= facts->max_storage_range;
}

/* Whether each group has vec4s of its own, and the loops are short enough, those that are unrolled as well. */
static bool loops_fit(const struct conv_geometry *conv, const struct device_facts *facts) {
    uint32_t channels = conv->weight.d[KI], filters = conv->y.d[C] / conv->groups;
    uint64_t steps = (uint64_t)conv->weight.d[KH] * (conv_quads(MAX(channels, filters)) + 1);
    return (conv->groups == 1 || (channels % 4 == 0 && filters % 4 == 0)) && steps <= facts->max_loop_steps &&
           conv->weight.d[KW] <= TAPS_MOST &&
           (conv->weight.d[KW] - 1) * conv->dilation[COLUMNS] + 8 * conv->stride[COLUMNS] <= SPAN_MOST;
}

bool conv_forms_subgroup_fits(const struct call *call, const struct conv_geometry *conv,
                              const struct device_facts *facts) {
    uint32_t size = facts->subgroup_size;
    return facts->prefers_texels && facts->subgroup_shuffle && (size == 4 || size == 8 || size == 16) &&
           facts->max_storage_texels >= 4 && loops_fit(conv, facts) && tensors_fit(call, facts);
}

/* With kernels that bind so many buffers. */
static bool quads_fit(const struct call *call, const struct conv_geometry *conv, const struct device_facts *facts,
                      uint32_t buffers) {
    for (int i = 0; i < OP_INPUTS; i++)
        if (call->in[i] && tensor_bytes(call->in[i]) > facts->max_storage_range)
            return false;
    return conv->groups > 1 && facts->max_storage_buffers >= buffers && QUADS_GROUP <= facts->max_invocations &&
           QUADS_GROUP <= facts->max_group_size[0] && loops_fit(conv, facts) &&
           tensor_bytes(call->out[0]) <= facts->max_storage_range;
}

/* How the invocations form teams: see shaders/conv2d_share.glsl. */
struct teams {
    bool share;
    uint32_t invocations, lanes; /* of a workgroup, of a team */
};

/*
 * With `share`, lanes side by side over the vec4s of the channels: a power of two, at most the subgroup, and none of
 * them in another group.
 */
static struct teams teams_for(const struct conv_geometry *conv, uint32_t channels, const struct device_facts *facts,
                              bool share) {
    struct teams teams = {share, share ? facts->subgroup_size : QUADS_GROUP, 1};
    uint32_t quads = conv_quads(channels / conv->groups);
    while (share && teams.lanes < facts->subgroup_size &&
           (conv->groups == 1 ? teams.lanes < quads : quads % (2 * teams.lanes) == 0))
        teams.lanes *= 2;
    return teams;
}

/* Teams of a workgroup, as the kernel counts them. */
static uint32_t team_count(const struct teams *teams) {
    return teams->share ? teams->invocations / teams->lanes : 1;
}

/* The first two constants, and workgroups for so many blocks of so many tiles of channels. */
static void set_teams(struct dispatch *dispatch, const struct teams *teams, uint64_t blocks, uint32_t tiles) {
    dispatch_constant(dispatch, teams->invocations);
    dispatch_constant(dispatch, teams->lanes);
    dispatch_linear(dispatch, ceil_div(blocks, team_count(teams)) * tiles, teams->share ? 1 : teams->invocations);
}

/* ---- forward, input gradient ---- */

/* Source channels that a target channel sees. */
static uint32_t depth_of(const struct conv_geometry *conv, bool backward) {
    return backward ? conv->y.d[C] / conv->groups : conv->weight.d[KI];
}

/* The block of target pixels that a team computes. width: of the source, if a block spans all of its columns. */
struct block {
    uint32_t rows, columns, width;
};

/* Blocks of 8 columns, or of 14 where these divide a row evenly; of whole rows without a halo where such are short. */
static struct block choose_shared_block(const struct conv_geometry *conv, bool backward) {
    bool large = conv_geometry_multiply_adds(conv) >= LARGE_WORK * conv->weight.d[KH] * conv->weight.d[KW];
    uint32_t source_quads = conv_quads(depth_of(conv, backward)), stride = conv->stride[COLUMNS];
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
 * Columns of y in a block, such that a GPU's registers hold them with all that they read; seven suit the images of
 * large networks. `width`: columns that blocks should divide.
 */
static uint32_t quads_columns(const struct conv_geometry *conv, const struct device_facts *facts, uint32_t width) {
    if (facts->kind != DEVICE_CPU && conv_forms_lane_count(facts)) /* few registers */
        return conv->stride[COLUMNS] > 1 ? 2 : 4;
    return width % 7 == 0 ? 7 : 4;
}

/* Pixels of one row only, so that its taps are known. */
static struct block choose_quads_block(const struct conv_geometry *conv, const struct device_facts *facts,
                                       bool backward) {
    uint32_t stride = conv->stride[COLUMNS], repeated = backward ? MIN(stride, 2) : 1;
    uint32_t width = backward ? conv->x.d[W] / repeated : conv->y.d[W];
    uint32_t columns = repeated * quads_columns(conv, facts, width);
    return (struct block){1, (uint32_t)round_up(columns, backward ? stride : 1), 0};
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

/* The shared block of the variant that is asked for; false when there is no such, or when it is the usual one. */
static bool find_block(const struct conv_geometry *conv, bool backward, struct lowering *lowering,
                       struct block *block) {
    struct block usual = choose_shared_block(conv, backward);
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

/*
 * Of the source columns from the first on that would face the first of a block, were there one tap only and no padding:
 * how many exist, for every block; 0 if not all blocks are full.
 */
static uint32_t inner_columns(const struct conv_geometry *conv, uint32_t columns, bool backward) {
    uint32_t stride = conv->stride[COLUMNS], x = conv->x.d[W], y = conv->y.d[W];
    if (backward)
        return x % columns == 0 && columns % stride == 0 && (uint64_t)y * stride >= x ? columns / stride : 0;
    return y % columns == 0 && x >= (uint64_t)y * stride ? columns * stride : 0;
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
        depth_of(conv, backward),
        target.d[C],
        conv_quads(source.d[C]),
        conv_quads(target.d[C] / conv->groups),
        conv_quads(conv->weight.d[KO]),
        rows->first_tap * row_step,
        rows->tap_step * row_step,
        column_step,
    };
    for (size_t i = 0; i < COUNT(words); i++)
        dispatch_push(dispatch, words[i]);
}

/* Everything but the operands. `weight_step`: vec4s from the weights of one image to the next; 0: all have the same. */
static void set_rows(struct dispatch *dispatch, const struct teams *teams, const struct conv_geometry *conv,
                     const struct conv_axis *rows, struct block block, bool backward, uint32_t flags,
                     uint32_t weight_step) {
    struct shape target = backward ? conv->x : conv->y;
    uint32_t tiles = (uint32_t)ceil_div(conv_quads(target.d[C]), teams->lanes);
    /* With one tap a row there is too little to do in a step for its fixed costs. */
    uint32_t depth = conv->weight.d[KW] == 1 && conv_quads(depth_of(conv, backward)) % 2 == 0 ? 2 : 1;
    const uint32_t constants[] = {
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
        teams->share ? 0 : inner_columns(conv, block.columns, backward),
    };
    set_teams(dispatch, teams,
              (uint64_t)conv->x.d[N] * ceil_div(rows->count, block.rows) * ceil_div(target.d[W], block.columns), tiles);
    for (size_t i = 0; i < COUNT(constants); i++)
        dispatch_constant(dispatch, constants[i]);
    push_rows(dispatch, conv, rows, backward);
    dispatch_push(dispatch, tiles);
    dispatch_push(dispatch, flags & CONV_RESIDUAL);
    dispatch_push(dispatch, weight_step);
    double share = (double)rows->count / target.d[H];
    dispatch->flops = 2 * share * conv_geometry_multiply_adds(conv);
    dispatch->bytes *= share;
}

static void add_rows(const struct call *call, const struct teams *teams, const struct conv_geometry *conv,
                     const struct conv_axis *rows, struct block block, bool backward, struct lowering *lowering) {
    struct dispatch *dispatch = lowering_add(lowering, teams->share ? "conv2d_subgroup" : "conv2d_quads");
    uint32_t flags = conv_forms_bind(dispatch, call, backward);
    set_rows(dispatch, teams, conv, rows, block, backward, flags, 0);
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
    struct teams teams = teams_for(&product, backward ? conv->x.d[C] : conv->y.d[C], facts, true);
    struct dispatch *dispatch = lowering_add(lowering, "conv2d_subgroup");
    set_rows(dispatch, &teams, &product, &axis, block, backward, 0, conv->x.d[C] * conv_quads(conv->y.d[C]));
    return dispatch;
}

static void lower_forward(const struct call *call, const struct device_facts *facts, const struct conv_geometry *conv,
                          struct block block, bool share, struct lowering *lowering) {
    struct teams teams = teams_for(conv, conv->y.d[C], facts, share);
    struct conv_axis rows = conv_axis_forward(conv, ROWS);
    add_rows(call, &teams, conv, &rows, block, false, lowering);
}

bool conv_forms_subgroup(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->in[1], call->out[0]);
    struct block block;
    if (!conv_forms_subgroup_fits(call, &conv, facts) || !find_block(&conv, false, lowering, &block))
        return false;
    lower_forward(call, facts, &conv, block, true, lowering);
    return true;
}

bool conv_forms_quads(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->in[1], call->out[0]);
    if (!quads_fit(call, &conv, facts, 5))
        return false;
    lower_forward(call, facts, &conv, choose_quads_block(&conv, facts, false), false, lowering);
    return true;
}

/* Fails when there are more remainders of rows modulo the stride than dispatches. */
static bool lower_input(const struct call *call, const struct device_facts *facts, const struct conv_geometry *conv,
                        struct block block, bool share, struct lowering *lowering) {
    struct teams teams = teams_for(conv, conv->x.d[C], facts, share);
    uint32_t remainders = MIN(conv->stride[ROWS], conv->x.d[H]);
    for (uint32_t remainder = 0; remainder < remainders && remainders <= LOWERING_DISPATCHES; remainder++) {
        struct conv_axis rows = conv_axis_backward(conv, ROWS, remainder);
        add_rows(call, &teams, conv, &rows, block, true, lowering);
    }
    return remainders <= LOWERING_DISPATCHES;
}

bool conv_forms_subgroup_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->out[0], call->in[1], call->in[0]);
    struct block block;
    return conv_forms_subgroup_fits(call, &conv, facts) && find_block(&conv, true, lowering, &block) &&
           lower_input(call, facts, &conv, block, true, lowering);
}

bool conv_forms_quads_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->out[0], call->in[1], call->in[0]);
    return quads_fit(call, &conv, facts, 5) &&
           lower_input(call, facts, &conv, choose_quads_block(&conv, facts, true), false, lowering);
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
    uint32_t taps = conv->weight.d[KW], quads_most = MIN(conv_quads(conv->weight.d[KI]), MAX(12 / taps, 1));
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

/* The rows of all images in chunks: `rows` of them for each team, `parts` chunks in all. */
struct chunks {
    uint32_t rows, parts;
};

/*
 * At least four rows a chunk, unless a loop would be too long. False when all parts together exceed the storage range.
 */
static bool cut_rows(const struct conv_geometry *conv, const struct device_facts *facts, uint32_t teams,
                     uint32_t groups, uint32_t columns, struct chunks *chunks) {
    uint64_t rows = (uint64_t)conv->y.d[N] * conv->y.d[H], row_steps = ceil_div(conv->y.d[W], columns);
    uint64_t part = 4 * shape_count(conv->weight) / conv->weight.d[KO] * round_up(conv->weight.d[KO], 4);
    uint64_t most = MIN(ceil_div(rows, 4 * teams), MAX(facts->max_storage_range / (part * teams), 1));
    uint64_t chunk = MIN(ceil_div(rows, MIN(MAX(groups, 1), most) * teams), facts->max_loop_steps / row_steps);
    if (chunk == 0)
        return false;
    uint64_t parts = ceil_div(rows, chunk * teams) * teams;
    *chunks = (struct chunks){(uint32_t)chunk, (uint32_t)parts};
    return parts == 1 || part * parts <= facts->max_storage_range;
}

static void push_weight(struct dispatch *dispatch, const struct conv_geometry *conv, uint32_t channel_tiles,
                        uint32_t filter_tiles, const struct chunks *chunks) {
    const uint32_t words[] = {
        conv->x.d[H],
        conv->x.d[W],
        conv->y.d[H],
        conv->y.d[W],
        conv->before[ROWS],
        conv->stride[ROWS],
        conv->dilation[ROWS],
        conv->x.d[N],
        conv->weight.d[KI],
        conv->y.d[C],
        conv_quads(conv->x.d[C]),
        conv_quads(conv->y.d[C] / conv->groups),
        conv->weight.d[KH],
        channel_tiles,
        filter_tiles,
        chunks->rows,
        chunks->parts,
    };
    for (size_t i = 0; i < COUNT(words); i++)
        dispatch_push(dispatch, words[i]);
}

/* False when there is no way to cut the rows. block->groups: workgroups with `share`, otherwise invocations. */
static bool lower_weight(const struct conv_geometry *conv, const struct device_facts *facts,
                         const struct weight_block *block, bool share, struct lowering *lowering) {
    struct teams teams = teams_for(conv, conv->y.d[C], facts, share);
    uint32_t channel_tiles = (uint32_t)ceil_div(conv_quads(conv->weight.d[KI]), block->quads);
    uint32_t filter_tiles = (uint32_t)ceil_div(conv_quads(conv->y.d[C]), teams.lanes);
    uint32_t tiles = conv->weight.d[KH] * channel_tiles * filter_tiles, taps = conv->weight.d[KW];
    struct chunks chunks;
    if (!cut_rows(conv, facts, team_count(&teams), block->groups / tiles, block->columns, &chunks))
        return false;
    struct dispatch *dispatch = lowering_add(lowering, share ? "conv2d_subgroup_weight" : "conv2d_quads_weight");
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    if (chunks.parts == 1)
        dispatch_output(dispatch, 0);
    else
        dispatch_scratch(dispatch, 0);
    set_teams(dispatch, &teams, chunks.parts, tiles);
    const uint32_t constants[] = {
        block->quads,
        block->columns,
        taps,
        conv->stride[COLUMNS],
        conv->dilation[COLUMNS],
        conv->y.d[C] % 4 != 0,
        conv->before[COLUMNS],
        share ? 0 : inner_columns(conv, block->columns, false),
    };
    for (size_t i = 0; i < COUNT(constants); i++)
        dispatch_constant(dispatch, constants[i]);
    push_weight(dispatch, conv, channel_tiles, filter_tiles, &chunks);
    dispatch->flops = 2 * conv_geometry_multiply_adds(conv);
    dispatch->bytes = 4 * (double)(shape_count(conv->x) + shape_count(conv->y));
    if (chunks.parts == 1)
        return true;
    uint32_t part = conv->weight.d[KH] * taps * conv->weight.d[KI] * conv_quads(conv->y.d[C]);
    lowering->scratch_bytes[0] = UINT64_C(16) * part * chunks.parts;
    conv_forms_sum_parts(lowering, part, chunks.parts);
    return true;
}

/* Where neighbouring filters are in other groups, teams of one lane would read from distant rows at the same time. */
bool conv_forms_subgroup_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->out[0], call->in[1]);
    struct weight_block block;
    return conv_forms_subgroup_fits(call, &conv, facts) && find_weight_block(&conv, lowering, &block) &&
           (conv.groups == 1 || teams_for(&conv, conv.y.d[C], facts, true).lanes > 1) &&
           lower_weight(&conv, facts, &block, true, lowering);
}

bool conv_forms_quads_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->out[0], call->in[1]);
    uint32_t columns = quads_columns(&conv, facts, conv.y.d[W]);
    const struct weight_block block = {1, MIN(conv.y.d[W], columns), QUADS_WEIGHT_INVOCATIONS};
    return quads_fit(call, &conv, facts, 3) && lower_weight(&conv, facts, &block, false, lowering);
}

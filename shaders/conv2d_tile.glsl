// Convolution without groups, and its input gradient, as a matrix product on GPUs: target pixels x source channels and taps
// times source channels and taps x target channels.
//
// A workgroup computes CHANNELS channels of a rectangle of target pixels (in IMAGES images). The patch of the source that all
// its taps read is brought into shared memory once for every DEPTH channels, with the weights of all taps. An invocation's
// block is RUNS runs of RUN neighbouring pixels of a row x COLUMNS channels: a value of the patch that it has read serves all
// taps of the row. With LANES, the size of a subgroup, the lanes of a subgroup have the same channels, and each weight is read
// by one lane and reaches the others through a shuffle.
//
// Pixel i of the target and tap j read the source at first + (i * SCALE + j * STEP) * spacing, along rows and columns;
// whatever lies between is not brought. The host sees to it that SCALE and STEP are positive: taps may come from last to
// first. BACKWARD swaps the roles of the weights' channels; with a stride, the host dispatches once for each remainder of row
// and column, each with the taps that exist there.
//
// Where a device would not be busy otherwise, several workgroups share the channels of the source: each stores a part of its
// own, to which conv2d_tile_sum.comp does what is to be done at the end.
#include "tensor.glsl"

layout(local_size_x_id = 0) in;
// INVOCATIONS, CHANNELS and DEPTH are powers of two.
layout(constant_id = 0) const uint INVOCATIONS = 128; // a multiple of CHANNELS / COLUMNS; with enough runs for all pixels
layout(constant_id = 1) const uint IMAGES = 1;
layout(constant_id = 2) const uint TILE_ROWS = 16;
layout(constant_id = 3) const uint TILE_COLUMNS = 32; // a multiple of RUN
layout(constant_id = 4) const uint CHANNELS = 16;
layout(constant_id = 5) const uint DEPTH = 4;
layout(constant_id = 6) const uint RUNS = 2;
layout(constant_id = 7) const uint RUN = 4;
layout(constant_id = 8) const uint COLUMNS = 8;
layout(constant_id = 9) const uint TAP_ROWS = 3;
layout(constant_id = 10) const uint TAP_COLUMNS = 3;
layout(constant_id = 11) const uint SCALE_ROWS = 1;
layout(constant_id = 12) const uint SCALE_COLUMNS = 1;
layout(constant_id = 13) const uint STEP_ROWS = 1;
layout(constant_id = 14) const uint STEP_COLUMNS = 1;
layout(constant_id = 15) const uint BACKWARD = 0;
layout(constant_id = 16) const uint FLAGS = 0; // what is added and done at the end
#ifdef SHARE_LANES
layout(constant_id = 17) const uint LANES = 8;
#endif

INPUT(0, source);
INPUT(1, weight);
INPUT(2, bias); // or, with MASK, the values that must be positive
INPUT(3, residual);
OUTPUT(4, target);
layout(push_constant) uniform Push {
    ivec2 source_size; // pairs are (rows, columns)
    ivec2 grid;        // rows and columns of the target that this dispatch computes
    ivec2 target_size;
    ivec2 target_first, target_step; // grid -> target
    ivec2 first, spacing;
    ivec2 tiles; // of the grid
    int channel_tiles;
    int parts, part_depth; // in vec4s
    int images;
    int source_channels, target_channels;
    int weight_quads;                                      // of a row of the weights
    int weight_first, weight_row_step, weight_column_step; // first vec4 of a tap's weights
};

#include "conv2d_end.glsl"

const uint DEPTH_QUADS = DEPTH / 4u, TAPS = TAP_ROWS * TAP_COLUMNS, TILE_RUNS = IMAGES * TILE_ROWS * TILE_COLUMNS / RUN;
const uint PATCH_ROWS = (TILE_ROWS - 1u) * SCALE_ROWS + (TAP_ROWS - 1u) * STEP_ROWS + 1u;
const uint PATCH_COLUMNS = (TILE_COLUMNS - 1u) * SCALE_COLUMNS + (TAP_COLUMNS - 1u) * STEP_COLUMNS + 1u;
const uint PATCH_PITCH = (PATCH_COLUMNS + 3u) / 4u * 4u, PATCH_CELLS = IMAGES * PATCH_ROWS * PATCH_COLUMNS;
// The planes of the depths are apart by a multiple of four that is none of the banks' number.
const uint LEFT_PITCH = (IMAGES * PATCH_ROWS * PATCH_PITCH + 7u) / 8u * 8u + 4u, RIGHT_PITCH = CHANNELS + 4u;
const uint TAP_CELLS = DEPTH_QUADS * CHANNELS; // vec4s of a tap's weights
const uint LEFT_LOADS = (PATCH_CELLS * DEPTH_QUADS + INVOCATIONS - 1u) / INVOCATIONS;
const uint RIGHT_LOADS = (TAPS * TAP_CELLS + INVOCATIONS - 1u) / INVOCATIONS;
// The last load may bring what nobody reads.
const uint RIGHT_ROWS = (RIGHT_LOADS * INVOCATIONS + TAP_CELLS - 1u) / TAP_CELLS * DEPTH;
const uint ROWS = RUNS * RUN, RUN_VALUES = (RUN - 1u) * SCALE_COLUMNS + (TAP_COLUMNS - 1u) * STEP_COLUMNS + 1u;
const uint COLUMN_BLOCKS = CHANNELS / COLUMNS, ROW_BLOCKS = INVOCATIONS / COLUMN_BLOCKS;
shared float left[DEPTH * LEFT_PITCH];        // [depth][image, row, column]
shared float right[RIGHT_ROWS * RIGHT_PITCH]; // [tap, depth][channel]

#ifdef SHARE_LANES
const uint LANE_LOADS = (COLUMNS + LANES - 1u) / LANES;
uint self = gl_SubgroupID * LANES + gl_SubgroupInvocationID;
uint row_block = self % ROW_BLOCKS, column_block = self / ROW_BLOCKS;
#else
uint self = gl_LocalInvocationIndex;
uint row_block = self / COLUMN_BLOCKS, column_block = self % COLUMN_BLOCKS;
#endif

// The channel in the tile of column j of this block: fours that lie apart, so that neighbours read neighbouring words.
uint block_column(uint j) {
    return j / 4u * (CHANNELS / (COLUMNS / 4u)) + column_block * 4u + j % 4u;
}

// The place in the tile (image, row, column) of run r of this block; runs beyond the last are computed in vain.
uint run_number(uint r) {
    return row_block + r * ROW_BLOCKS;
}

uvec3 run_place(uint r) {
    if (RUNS * ROW_BLOCKS == TILE_COLUMNS / RUN) // one row
        return uvec3(0u, 0u, run_number(r) * RUN);
    uint number = min(run_number(r), TILE_RUNS - 1u), row = number / (TILE_COLUMNS / RUN);
    return uvec3(row / TILE_ROWS, row % TILE_ROWS, number % (TILE_COLUMNS / RUN) * RUN);
}

int first_channel, source_quads, end_depth;
uint run_at[RUNS];       // in a plane of the patch
float sum[ROWS * COLUMNS]; // [pixel][channel]
int left_at[LEFT_LOADS]; // vec4 of the source at depth 0, of what this invocation brings; negative: outside
uint left_to[LEFT_LOADS];
int right_at[RIGHT_LOADS]; // vec4 of the weights, likewise
vec4 left_next[LEFT_LOADS], right_next[RIGHT_LOADS];

void find_left(ivec3 corner) {
    [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++) {
        uint quad = self % DEPTH_QUADS, cell = self / DEPTH_QUADS + i * (INVOCATIONS / DEPTH_QUADS);
        uint row = PATCH_CELLS == PATCH_COLUMNS ? 0u : cell / PATCH_COLUMNS, column = cell - row * PATCH_COLUMNS;
        bool beyond = cell >= PATCH_CELLS;
        left_to[i] = quad * 4u * LEFT_PITCH + (beyond ? IMAGES * PATCH_ROWS * PATCH_PITCH : row * PATCH_PITCH + column);
        ivec2 in_grid = corner.yz * ivec2(SCALE_ROWS, SCALE_COLUMNS) + ivec2(row % PATCH_ROWS, column);
        ivec3 at = ivec3(corner.x + int(row / PATCH_ROWS), first + in_grid * spacing);
        bool inside = all(greaterThanEqual(at.yz, ivec2(0))) && all(lessThan(at, ivec3(images, source_size)));
        int pixel = (at.x * source_size.x + at.y) * source_size.y + at.z;
        left_at[i] = inside ? pixel * source_quads + int(quad) : -1;
    }
}

// Tap and vec4 of its weights that this invocation brings: (tap, row, vec4 in it). Rows are channels of the source, BACKWARD:
// of the target.
uvec3 cell_of(uint e) {
    uint row_quads = BACKWARD != 0u ? DEPTH_QUADS : CHANNELS / 4u;
    return uvec3(e / TAP_CELLS, e / row_quads % (TAP_CELLS / row_quads), e % row_quads);
}

// As powers of two, the numbers of invocation and load are added without a carry, and the latter's part is a constant.
ivec3 right_cell(uint i) {
    return ivec3(cell_of(self) + cell_of(i * INVOCATIONS));
}

// Where the first word of such a cell is in shared memory.
uint right_word(uint e) {
    uvec3 cell = cell_of(e);
    return BACKWARD != 0u ? (cell.x * DEPTH + 4u * cell.z) * RIGHT_PITCH + cell.y
                          : (cell.x * DEPTH + cell.y) * RIGHT_PITCH + 4u * cell.z;
}

void find_right() {
    [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; i++) {
        ivec3 cell = right_cell(i);
        int row = cell.y + (BACKWARD != 0u ? first_channel : 0), quad = cell.z + (BACKWARD != 0u ? 0 : first_channel / 4);
        bool inside = cell.x < TAPS && (BACKWARD != 0u ? row < target_channels : quad < weight_quads);
        int tap = cell.x / int(TAP_COLUMNS) * weight_row_step + cell.x % int(TAP_COLUMNS) * weight_column_step;
        right_at[i] = inside ? weight_first + tap + row * weight_quads + quad : -1;
    }
}

// A load must be there for all, and where it is not wanted it reads vec4 0: compilers make branches of anything else.
vec4 load_left(uint i, int depth) {
    bool inside = all(bvec2(left_at[i] >= 0, int(self % DEPTH_QUADS) < source_quads - depth));
    vec4 loaded = LOAD(source, inside ? left_at[i] + depth : 0);
    return inside ? loaded : vec4(0.0);
}

vec4 load_right(uint i, int depth) {
    ivec3 cell = right_cell(i);
    bool there = BACKWARD != 0u ? cell.z < weight_quads - depth : cell.y < source_channels - 4 * depth;
    bool inside = all(bvec2(there, right_at[i] >= 0));
    int at = right_at[i] + (BACKWARD != 0u ? depth : 4 * depth * weight_quads);
    vec4 loaded = LOAD(weight, inside ? at : 0);
    return inside ? loaded : vec4(0.0);
}

// With one tap, what is needed next is on its way while the block multiplies; with more, the registers are worth more.
void load_ahead(int depth) {
    if (TAPS > 1u || depth >= end_depth)
        return;
    [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++)
        left_next[i] = load_left(i, depth);
    [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; i++)
        right_next[i] = load_right(i, depth);
}

// What lies beyond the last cell goes where nobody reads it.
void share(int depth) {
    barrier();
    [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; i++) {
        vec4 loaded = TAPS > 1u ? load_right(i, depth) : right_next[i];
        uint to = right_word(self) + right_word(i * INVOCATIONS);
        [[unroll]] for (uint j = 0u; j < 4u; j++)
            right[to + j * (BACKWARD != 0u ? RIGHT_PITCH : 1u)] = loaded[j];
    }
    [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++) {
        vec4 loaded = TAPS > 1u ? load_left(i, depth) : left_next[i];
        [[unroll]] for (uint j = 0u; j < 4u; j++)
            left[left_to[i] + j * LEFT_PITCH] = loaded[j];
    }
    barrier();
}

// The weights of this block's channels, row `row` of the tile.
void read_right(uint row, out float b[COLUMNS]) {
#ifdef SHARE_LANES
    float mine[LANE_LOADS];
    [[unroll]] for (uint i = 0u; i < LANE_LOADS; i++)
        mine[i] = right[row * RIGHT_PITCH + block_column(min(i * LANES + gl_SubgroupInvocationID, COLUMNS - 1u))];
    [[unroll]] for (uint j = 0u; j < COLUMNS; j++)
        b[j] = subgroupShuffle(mine[j / LANES], j % LANES);
#else
    [[unroll]] for (uint j = 0u; j < COLUMNS; j++)
        b[j] = right[row * RIGHT_PITCH + block_column(j)];
#endif
}

void multiply(uint tap_row) {
    [[unroll]] for (uint k = 0u; k < DEPTH; k++) {
        float a[RUNS * RUN_VALUES], b[COLUMNS];
        [[unroll]] for (uint r = 0u; r < RUNS; r++)
            [[unroll]] for (uint i = 0u; i < RUN_VALUES; i++)
                a[r * RUN_VALUES + i] = left[k * LEFT_PITCH + run_at[r] + tap_row * STEP_ROWS * PATCH_PITCH + i];
        [[unroll]] for (uint t = 0u; t < TAP_COLUMNS; t++) {
            read_right((tap_row * TAP_COLUMNS + t) * DEPTH + k, b);
            [[unroll]] for (uint i = 0u; i < ROWS; i++) {
                float value = a[i / RUN * RUN_VALUES + i % RUN * SCALE_COLUMNS + t * STEP_COLUMNS];
                [[unroll]] for (uint j = 0u; j < COLUMNS; j++)
                    sum[i * COLUMNS + j] = fma(value, b[j], sum[i * COLUMNS + j]);
            }
        }
    }
}

void main() {
    int number = int(gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x);
    int part = number / channel_tiles % parts, tile = number / channel_tiles / parts;
    ivec3 corner = ivec3(tile / (tiles.x * tiles.y), tile / tiles.y % tiles.x, tile % tiles.y);
    corner *= ivec3(IMAGES, TILE_ROWS, TILE_COLUMNS);
    if (corner.x >= images)
        return;
    first_channel = number % channel_tiles * int(CHANNELS);
    [[unroll]] for (uint r = 0u; r < RUNS; r++) {
        uvec3 place = run_place(r);
        run_at[r] = (place.x * PATCH_ROWS + place.y * SCALE_ROWS) * PATCH_PITCH + place.z * SCALE_COLUMNS;
    }
    [[unroll]] for (uint i = 0u; i < ROWS * COLUMNS; i++)
        sum[i] = 0.0;

    source_quads = (source_channels + 3) / 4;
    end_depth = min((part + 1) * part_depth, source_quads);
    find_left(corner);
    find_right();
    load_ahead(part * part_depth);
    for (int depth = part * part_depth; depth < end_depth; depth += int(DEPTH_QUADS)) {
        share(depth);
        load_ahead(depth + int(DEPTH_QUADS));
        if (TAP_ROWS == 1u)
            multiply(0u);
        else
            [[dont_unroll]] for (uint tap_row = 0u; tap_row < TAP_ROWS; tap_row++)
                multiply(tap_row);
    }

    int target_quads = (target_channels + 3) / 4;
    [[unroll]] for (uint i = 0u; i < ROWS; i++) {
        ivec3 place = corner + ivec3(run_place(i / RUN)) + ivec3(0, 0, i % RUN);
        if (run_number(i / RUN) >= TILE_RUNS || any(greaterThanEqual(place, ivec3(images, grid))))
            continue;
        place.yz = place.yz * target_step + target_first;
        int at = ((part * images + place.x) * target_size.x + place.y) * target_size.y + place.z;
        [[unroll]] for (uint j = 0u; j < COLUMNS; j += 4u) {
            int quad = (first_channel + int(block_column(j))) / 4;
            uint s = i * COLUMNS + j;
            if (quad < target_quads)
                target[at * target_quads + quad] =
                    finish(vec4(sum[s], sum[s + 1u], sum[s + 2u], sum[s + 3u]), at * target_quads + quad, quad);
        }
    }
}

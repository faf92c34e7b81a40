// Convolution without groups, and its input gradient, as a matrix product on GPUs: target pixels x source channels and taps
// times source channels and taps x target channels.
//
// A workgroup computes CHANNELS channels of a rectangle of target pixels (in IMAGES images). The patch of the source that all
// its taps read is brought into shared memory once for every DEPTH channels, with the weights of all taps. An invocation's
// block is RUNS runs of RUN neighbouring pixels of a row x COLUMNS channels: a value of the patch that it has read serves all
// taps of the row. With LANES, the size of a subgroup, the lanes of a subgroup have the same channels, and each weight is read
// by one lane and reaches the others through a shuffle.
//
// BACKWARD swaps the roles of the weights' channels; with a stride, the host dispatches once for each remainder of row and
// column, each with the taps that exist there.
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
layout(constant_id = 17) const uint PLANES = 4; // DEPTH, or the channels of the source if these are fewer than 4
#ifdef SHARE_LANES
layout(constant_id = 18) const uint LANES = 8;
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
#include "conv2d_tile_load.glsl"

const uint ROWS = RUNS * RUN, RUN_VALUES = (RUN - 1u) * SCALE_COLUMNS + (TAP_COLUMNS - 1u) * STEP_COLUMNS + 1u;
const uint TILE_RUNS = IMAGES * TILE_ROWS * TILE_COLUMNS / RUN;
uint run_at[RUNS];         // in a plane of the patch
float sum[ROWS * COLUMNS]; // [pixel][channel]

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

void multiply(uint tap_row) {
    [[unroll]] for (uint k = 0u; k < PLANES; k++) {
        float a[RUNS * RUN_VALUES], b[COLUMNS];
        [[unroll]] for (uint r = 0u; r < RUNS; r++)
            [[unroll]] for (uint i = 0u; i < RUN_VALUES; i++)
                a[r * RUN_VALUES + i] = left[k * LEFT_PITCH + run_at[r] + tap_row * STEP_ROWS * PATCH_PITCH + i];
        [[unroll]] for (uint t = 0u; t < TAP_COLUMNS; t++) {
            read_right((tap_row * TAP_COLUMNS + t) * PLANES + k, b);
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

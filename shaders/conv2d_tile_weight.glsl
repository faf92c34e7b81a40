// Weight gradient of a convolution without groups on GPUs, in the manner of conv2d_tile.glsl: a workgroup computes all taps of
// CHANNELS channels of x and FILTERS filters. It goes through rectangles of pixels of y (in IMAGES images), and brings each
// with the patch of x that all taps read into shared memory.
//
// An invocation's block is TAP_BLOCK taps of a row x CHANNEL_QUADS fours of channels x FILTER_QUADS fours of filters; it takes
// a run of RUN neighbouring pixels at a time, and what it has read of x serves all its taps. With LANES, the size of a subgroup,
// the lanes of a subgroup have the same taps and channels, and each value of x is read by one lane and reaches the others through
// a shuffle. SLICES blocks share the runs of a rectangle; each of them makes a part of its own.
#include "conv2d_tile_weight_load.glsl"

// Pixels of x that all taps read for a pixel of y, with those between, and for a run; the latter's channels.
const uint REACH = (TAP_BLOCK - 1u) * STEP_COLUMNS + 1u, RUN_VALUES = (RUN - 1u) * SCALE_COLUMNS + REACH;
const uint LEFT_VALUES = RUN_VALUES * CHANNEL_QUADS * 4u;
const uint CHANNEL_BLOCKS = LEFT_QUADS / CHANNEL_QUADS, FILTER_BLOCKS = RIGHT_QUADS / FILTER_QUADS;
const uint SUMS = TAP_BLOCK * CHANNEL_QUADS * 4u * FILTER_QUADS;
vec4 sum[SUMS]; // [tap][channel][four of filters]

// The vec4 number i of x that a block holds, if `from` is its first.
uint left_quad(uint from, uint i) {
    return from + i / CHANNEL_QUADS * LEFT_QUADS + i % CHANNEL_QUADS * CHANNEL_BLOCKS;
}

#ifdef SHARE_LANES
const uint LANE_LOADS = (LEFT_VALUES + LANES - 1u) / LANES;
uint lane_last; // the vec4 that this lane reads in the last load, from the first one that it reads on
#endif

// Reads of x, as (pixel, channel), what pixel p of a run is the first to need; lanes that share it read all of it at once.
// `from` is the first vec4 that this invocation reads.
void read_left(uint p, uint from, inout float a[LEFT_VALUES]) {
#ifdef SHARE_LANES
    if (p > 0u)
        return;
    float mine[LANE_LOADS];
    [[unroll]] for (uint i = 0u; i < LANE_LOADS; i++) {
        bool whole = (i + 1u) * LANES <= LEFT_VALUES;
        uint at = from + (whole ? left_quad(0u, i * LANES / 4u) : lane_last);
        mine[i] = left[at][gl_SubgroupInvocationID % 4u];
    }
    [[unroll]] for (uint i = 0u; i < LEFT_VALUES; i++)
        a[i] = subgroupShuffle(mine[i / LANES], i % LANES);
#else
    uint start = p * SCALE_COLUMNS, known = p == 0u ? 0u : start - SCALE_COLUMNS + REACH;
    [[unroll]] for (uint i = max(start, known) * CHANNEL_QUADS * 4u; i < (start + REACH) * CHANNEL_QUADS * 4u; i++)
        a[i] = left[left_quad(from, i / 4u)][i % 4u];
#endif
}

// A slice has neighbouring runs of a rectangle: where a row holds all of them, a slice's are in one row.
const uint ACROSS = TILE_COLUMNS / RUN, SLICE_RUNS = TILE_RUNS / SLICES;
const bool WRAPS = ACROSS % SLICE_RUNS != 0u;

// How many vec4s a run (image, row, number across) lies behind the first one in what was brought of x.
uint left_run(uvec3 run) {
    uint row = run.x * PATCH_ROWS + run.y * SCALE_ROWS;
    return (row * PATCH_COLUMNS + run.z * RUN * SCALE_COLUMNS) * LEFT_QUADS;
}

// From a run to the next one: across, where a row ends, and where an image ends. Modulo 2^32.
const uvec3 ACROSS_STEP = uvec3(0u, 0u, 1u), DOWN_STEP = uvec3(0u, 1u, 1u - ACROSS);
const uvec3 IMAGE_STEP = uvec3(1u, 1u - TILE_ROWS, 1u - ACROSS);

// Adds a run of pixels: `left_from` is the first vec4 that this block reads of x, `right_from` of dy.
void multiply(uint left_from, uint right_from) {
    float a[LEFT_VALUES];
    vec4 b[FILTER_QUADS];
    [[unroll]] for (uint p = 0u; p < RUN; p++) {
        read_left(p, left_from, a);
        [[unroll]] for (uint j = 0u; j < FILTER_QUADS; j++)
            b[j] = right[right_from + p * RIGHT_QUADS + j * FILTER_BLOCKS];
        [[unroll]] for (uint s = 0u; s < SUMS; s++) {
            uint tap = s / (CHANNEL_QUADS * 4u * FILTER_QUADS), channel = s / FILTER_QUADS % (CHANNEL_QUADS * 4u);
            float value = a[(p * SCALE_COLUMNS + tap * STEP_COLUMNS) * CHANNEL_QUADS * 4u + channel];
            sum[s] = fma(vec4(value), b[s % FILTER_QUADS], sum[s]);
        }
    }
}

void main() {
    int number = int(gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x), tile = number % tiles, chunk = number / tiles;
    int first_quad = tile / filter_tiles * int(LEFT_QUADS), first_filter_quad = tile % filter_tiles * int(RIGHT_QUADS);
    uint filter_block = self % FILTER_BLOCKS;
    uint channel_block = self / FILTER_BLOCKS % CHANNEL_BLOCKS, rest = self / (FILTER_BLOCKS * CHANNEL_BLOCKS);
    uint first_tap = rest % TAP_BLOCKS * TAP_BLOCK, tap_row = rest / TAP_BLOCKS % TAP_ROWS;
    uint slice = rest / (TAP_BLOCKS * TAP_ROWS);
    uint first_run = min(slice, SLICES - 1u) * SLICE_RUNS, right_first = first_run * RUN * RIGHT_QUADS + filter_block;
    uint first_across = first_run % ACROSS, first_row = first_run / ACROSS % TILE_ROWS;
    uint left_first = left_run(uvec3(first_run / ACROSS / TILE_ROWS, first_row, first_across)) + channel_block +
                      (tap_row * STEP_ROWS * PATCH_COLUMNS + first_tap * STEP_COLUMNS) * LEFT_QUADS;
    [[unroll]] for (uint s = 0u; s < SUMS; s++)
        sum[s] = vec4(0.0);
    int channel_quad = first_quad + int(self % LEFT_QUADS), filter_quad = first_filter_quad + int(self % RIGHT_QUADS);
    left_inside = 4 * channel_quad < channels;
    right_inside = 4 * filter_quad < filters;
#ifdef SHARE_LANES
    uint lane_first = left_quad(0u, gl_SubgroupInvocationID / 4u);
    left_first += lane_first;
    lane_last = left_quad(0u, min((LANE_LOADS - 1u) * LANES + gl_SubgroupInvocationID, LEFT_VALUES - 1u) / 4u) - lane_first;
#endif
    [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++)
        left_at[i] = pixel(left_place(i), size) * ((channels + 3) / 4) + channel_quad;
    [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; i++)
        right_at[i] = pixel(right_place(i), output_size) * ((filters + 3) / 4) + filter_quad;

    int last = min((chunk + 1) * chunk_rectangles, rectangle_count);
    int first_rectangle = chunk * chunk_rectangles;
    ivec3 corner = ivec3(first_rectangle / (rectangles.x * rectangles.y), first_rectangle / rectangles.y % rectangles.x,
                         first_rectangle % rectangles.y) *
                   ivec3(IMAGES, TILE_ROWS, TILE_COLUMNS);
    int left_base = pixel(left_origin(corner), size) * ((channels + 3) / 4);
    int right_base = pixel(corner, output_size) * ((filters + 3) / 4);
    for (int rectangle = first_rectangle; rectangle < last; rectangle++) {
        share(corner, left_base, right_base);
        uint left_from = left_first, right_from = right_first, row = first_row, across = first_across;
        [[dont_unroll]] for (uint i = 0u; i < SLICE_RUNS; i++) {
            multiply(left_from, right_from);
            across++;
            bool down = WRAPS && across == ACROSS, next_image = down && IMAGES > 1u && row == TILE_ROWS - 1u;
            across = down ? 0u : across;
            row = next_image ? 0u : down ? row + 1u : row;
            left_from += next_image ? left_run(IMAGE_STEP) : down ? left_run(DOWN_STEP) : left_run(ACROSS_STEP);
            right_from += RUN * RIGHT_QUADS;
        }
        corner.z += int(TILE_COLUMNS);
        bool row_ends = corner.z >= output_size.y, image_ends = row_ends && corner.y + int(TILE_ROWS) >= output_size.x;
        corner = row_ends ? ivec3(corner.x, corner.y + int(TILE_ROWS), 0) : corner;
        corner = image_ends ? ivec3(corner.x + int(IMAGES), 0, 0) : corner;
        left_base += image_ends ? left_image : row_ends ? left_down : left_across;
        right_base += image_ends ? right_image : row_ends ? right_down : right_across;
    }

    int part = chunk * int(SLICES) + int(slice), output_quads = (filters + 3) / 4;
    if (slice >= SLICES)
        return;
    [[unroll]] for (uint s = 0u; s < SUMS; s++) {
        int tap = int(first_tap + s / (CHANNEL_QUADS * 4u * FILTER_QUADS));
        uint in_block = s / FILTER_QUADS % (CHANNEL_QUADS * 4u);
        int channel = 4 * (first_quad + int(channel_block + in_block / 4u * CHANNEL_BLOCKS)) + int(in_block % 4u);
        int quad = first_filter_quad + int(filter_block + s % FILTER_QUADS * FILTER_BLOCKS);
        int row = (part * int(TAP_ROWS) + int(tap_row)) * int(TAP_COLUMNS) + tap;
        if (tap < TAP_COLUMNS && channel < channels && quad < output_quads)
            parts[(row * channels + channel) * output_quads + quad] =
                keep(sum[s], uint(filters - 4 * quad));
    }
}

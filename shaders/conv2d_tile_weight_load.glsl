// What the two kernels of conv2d_tile_weight.glsl work on, and how a workgroup brings a rectangle of y's pixels into shared
// memory, with the patch of x that all taps read. Pixel i and tap j read x at first + (i * SCALE + j * STEP) * SPACING.
#include "keep.glsl"
#include "tensor.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint INVOCATIONS = 192; // a multiple of CHANNELS / 4 and FILTERS / 4; enough for all blocks
layout(constant_id = 1) const uint SLICES = 4;        // a divisor of the number of runs
layout(constant_id = 2) const uint IMAGES = 1;
layout(constant_id = 3) const uint TILE_ROWS = 4;
layout(constant_id = 4) const uint TILE_COLUMNS = 32; // a multiple of RUN
layout(constant_id = 5) const uint RUN = 4;
layout(constant_id = 6) const uint CHANNELS = 16;
layout(constant_id = 7) const uint FILTERS = 16;
layout(constant_id = 8) const uint CHANNEL_QUADS = 1;
layout(constant_id = 9) const uint FILTER_QUADS = 1;
layout(constant_id = 10) const uint TAP_ROWS = 3;
layout(constant_id = 11) const uint TAP_COLUMNS = 3;
layout(constant_id = 12) const uint TAP_BLOCK = 3;
layout(constant_id = 13) const uint SCALE_ROWS = 1;
layout(constant_id = 14) const uint SCALE_COLUMNS = 1;
layout(constant_id = 15) const uint STEP_ROWS = 1;
layout(constant_id = 16) const uint STEP_COLUMNS = 1;
layout(constant_id = 17) const uint SPACING_ROWS = 1;
layout(constant_id = 18) const uint SPACING_COLUMNS = 1;
#ifdef SHARE_LANES
layout(constant_id = 19) const uint LANES = 8; // a divisor of FILTERS / 4 / FILTER_QUADS; 4, or a multiple of 4 * CHANNEL_QUADS
#endif

INPUT(0, x);
INPUT(1, dy);
OUTPUT(2, parts);
layout(push_constant) uniform Push {
    ivec2 size;        // of x; pairs are (rows, columns)
    ivec2 output_size; // of y
    ivec2 first;
    ivec2 rectangles; // of an image of y
    int images;
    int channels, filters;
    int tiles, filter_tiles; // all tiles; those side by side
    int rectangle_count;     // in all images
    int chunk_rectangles;    // rectangles of a workgroup
    // Vec4s from a rectangle to the next: across, to the next row of them, to the next images.
    int left_across, left_down, left_image, right_across, right_down, right_image;
};

const uint TAP_BLOCKS = (TAP_COLUMNS + TAP_BLOCK - 1u) / TAP_BLOCK, TILE_RUNS = IMAGES * TILE_ROWS * TILE_COLUMNS / RUN;
const uint PATCH_ROWS = (TILE_ROWS - 1u) * SCALE_ROWS + (TAP_ROWS - 1u) * STEP_ROWS + 1u;
const uint PATCH_COLUMNS = (TILE_COLUMNS - 1u) * SCALE_COLUMNS + (TAP_BLOCKS * TAP_BLOCK - 1u) * STEP_COLUMNS + 1u;
const uint LEFT_QUADS = CHANNELS / 4u, RIGHT_QUADS = FILTERS / 4u;
const uint LEFT_CELLS = IMAGES * PATCH_ROWS * PATCH_COLUMNS * LEFT_QUADS, RIGHT_CELLS = TILE_RUNS * RUN * RIGHT_QUADS;
const uint LEFT_LOADS = (LEFT_CELLS + INVOCATIONS - 1u) / INVOCATIONS;
const uint RIGHT_LOADS = (RIGHT_CELLS + INVOCATIONS - 1u) / INVOCATIONS;
// [image, row, column][channel], [image, row, column][filter], and room for what nobody reads.
shared vec4 left[LEFT_LOADS * INVOCATIONS], right[RIGHT_LOADS * INVOCATIONS];

#ifdef SHARE_LANES
uint self = gl_SubgroupID * LANES + gl_SubgroupInvocationID;
#else
uint self = gl_LocalInvocationIndex;
#endif

// What this invocation brings: a vec4 of the same channels and filters of every cell; see share().
bool left_inside, right_inside; // are there such channels and filters; if not, the row is beyond the last
int left_at[LEFT_LOADS], right_at[RIGHT_LOADS];

// Image, row and column of a cell of so many rows and columns an image.
ivec3 place(uint cell, uint rows, uint columns) {
    uint row = cell / columns, image = IMAGES == 1u ? 0u : row / rows;
    return ivec3(image, row - image * rows, cell % columns);
}

ivec3 left_place(uint i) {
    uint cell = (self + i * INVOCATIONS) / LEFT_QUADS;
    return place(cell, PATCH_ROWS, PATCH_COLUMNS) * ivec3(1, SPACING_ROWS, SPACING_COLUMNS);
}

ivec3 right_place(uint i) {
    return place((self + i * INVOCATIONS) / RIGHT_QUADS, TILE_ROWS, TILE_COLUMNS);
}

int pixel(ivec3 at, ivec2 image_size) {
    return (at.x * image_size.x + at.y) * image_size.y + at.z;
}

// One image is always there. As unsigned numbers, negative ones are large.
bool inside(ivec3 at, ivec2 image_size) {
    bvec2 in_image = lessThan(uvec2(at.yz), uvec2(image_size));
    return all(bvec3(in_image, IMAGES == 1u || at.x < images));
}

ivec3 left_origin(ivec3 corner) {
    return corner * ivec3(1, SCALE_ROWS * SPACING_ROWS, SCALE_COLUMNS * SPACING_COLUMNS) + ivec3(0, first);
}

// Brings the rectangle at `corner`, whose first pixels are these vec4s of x and dy.
void share(ivec3 corner, int left_base, int right_base) {
    ivec3 origin = left_origin(corner);
    origin.y = left_inside ? origin.y : size.x;
    corner.y = right_inside ? corner.y : output_size.x;
    barrier();
    [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++) {
        bool there = inside(origin + left_place(i), size);
        vec4 loaded = LOAD(x, there ? left_base + left_at[i] : 0);
        left[self + i * INVOCATIONS] = there ? loaded : vec4(0.0);
    }
    [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; i++) {
        bool there = inside(corner + right_place(i), output_size);
        vec4 loaded = LOAD(dy, there ? right_base + right_at[i] : 0);
        right[self + i * INVOCATIONS] = there ? loaded : vec4(0.0);
    }
    barrier();
}

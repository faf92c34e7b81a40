#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Weight gradient of a convolution without groups as a matrix product on GPUs, in the manner of conv2d_tile.comp: (taps times
// channels of x) x pixels of y times pixels of y x filters. A workgroup computes a tile of HEIGHT x FILTERS of dweight over a
// chunk of the output rows, DEPTH columns at a time, and writes it into a part of its own.
#include "tensor.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint INVOCATIONS = 128; // HEIGHT / ROWS * FILTERS / COLUMNS
layout(constant_id = 1) const uint HEIGHT = 64;
layout(constant_id = 2) const uint FILTERS = 64;
layout(constant_id = 3) const uint DEPTH = 8;
layout(constant_id = 4) const uint ROWS = 8;
layout(constant_id = 5) const uint COLUMNS = 4;

INPUT(0, x);
INPUT(1, dy);
OUTPUT(2, parts);
layout(push_constant) uniform Push {
    ivec2 size;        // of x; pairs are (rows, columns)
    ivec2 output_size; // of y
    ivec2 kernel, stride, padding, dilation;
    int images;
    int channels, filters;
    int tiles, filter_tiles; // all tiles; those side by side
    int chunk_rows;          // rows of all images in a chunk
};

const uint LEFT_PITCH = HEIGHT + 4u, RIGHT_PITCH = FILTERS + 4u;
const uint LEFT_LOADS = (DEPTH * HEIGHT / 4u + INVOCATIONS - 1u) / INVOCATIONS;
const uint RIGHT_LOADS = (DEPTH * FILTERS / 4u + INVOCATIONS - 1u) / INVOCATIONS;
shared float left[DEPTH * LEFT_PITCH], right[DEPTH * RIGHT_PITCH]; // [pixel][tap, channel], [pixel][filter]

// Rows and columns of the tile that belong to this invocation's block.
uint block_row(uint i) {
    return i / 4u * (HEIGHT / (ROWS / 4u)) + gl_LocalInvocationIndex / (FILTERS / COLUMNS) * 4u + i % 4u;
}

uint block_column(uint j) {
    return j / 4u * (FILTERS / (COLUMNS / 4u)) + gl_LocalInvocationIndex % (FILTERS / COLUMNS) * 4u + j % 4u;
}

// The vec4 number i that this invocation brings: (pixel, vec4 of the row) of a tile with `quads` vec4s a row.
uvec2 cell(uint i, uint quads) {
    uint e = gl_LocalInvocationIndex + i * INVOCATIONS;
    return uvec2(e / quads, e % quads);
}

void main() {
    int input_quads = (channels + 3) / 4, output_quads = (filters + 3) / 4;
    int number = int(gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x), tile = number % tiles;
    int chunk = number / tiles, rows = images * output_size.x;
    int first_quad = tile / filter_tiles * int(HEIGHT / 4u), first_filter = tile % filter_tiles * int(FILTERS);
    if (chunk * chunk_rows >= rows)
        return;

    // Row and column of x that the vec4s of this invocation are apart from stride * (row, 0), and their quad of channels.
    ivec2 offset[LEFT_LOADS];
    int input_quad[LEFT_LOADS];
    [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++) {
        ivec2 here = ivec2(cell(i, HEIGHT / 4u));
        int quad = first_quad + here.y, tap = quad / input_quads;
        offset[i] = ivec2(tap / kernel.y, tap % kernel.y) * dilation - padding + ivec2(0, here.x * stride.y);
        input_quad[i] = tap < kernel.x * kernel.y ? quad % input_quads : -1;
    }
    float sum[ROWS * COLUMNS];
    [[unroll]] for (uint i = 0u; i < ROWS * COLUMNS; i++)
        sum[i] = 0.0;

    int last_row = min((chunk + 1) * chunk_rows, rows), row = chunk * chunk_rows, column = 0;
    int steps = (last_row - row) * ((output_size.y + int(DEPTH) - 1) / int(DEPTH));
    int left_row[LEFT_LOADS]; // vec4 at column 0 of the row of x; negative: outside
    vec4 left_next[LEFT_LOADS], right_next[RIGHT_LOADS];
    for (int next = 0; next <= steps; next++) {
        if (next > 0) {
            barrier();
            [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++) {
                uvec2 here = cell(i, HEIGHT / 4u);
                if (DEPTH * HEIGHT / 4u % INVOCATIONS == 0u || here.x < DEPTH)
                    [[unroll]] for (uint j = 0u; j < 4u; j++)
                        left[here.x * LEFT_PITCH + 4u * here.y + j] = left_next[i][j];
            }
            [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; i++) {
                uvec2 here = cell(i, FILTERS / 4u);
                if (DEPTH * FILTERS / 4u % INVOCATIONS == 0u || here.x < DEPTH)
                    [[unroll]] for (uint j = 0u; j < 4u; j++)
                        right[here.x * RIGHT_PITCH + 4u * here.y + j] = right_next[i][j];
            }
            barrier();
        }
        if (next < steps) {
            if (column == 0)
                [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++) {
                    int source_row = row % output_size.x * stride.x + offset[i].x;
                    bool inside = input_quad[i] >= 0 && source_row >= 0 && source_row < size.x;
                    int pixel = (row / output_size.x * size.x + source_row) * size.y;
                    left_row[i] = inside ? pixel * input_quads + input_quad[i] : -1;
                }
            [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++) {
                int source_column = column * stride.y + offset[i].y;
                bool inside = left_row[i] >= 0 && source_column >= 0 && source_column < size.y;
                vec4 loaded = LOAD(x, inside ? left_row[i] + source_column * input_quads : 0);
                left_next[i] = inside ? loaded : vec4(0.0);
            }
            [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; i++) {
                ivec2 here = ivec2(cell(i, FILTERS / 4u)) + ivec2(column, first_filter / 4);
                bool inside = here.x < output_size.y && here.y < output_quads;
                vec4 loaded = LOAD(dy, inside ? (row * output_size.y + here.x) * output_quads + here.y : 0);
                right_next[i] = inside ? loaded : vec4(0.0);
            }
            column += int(DEPTH);
            if (column >= output_size.y) {
                column = 0;
                row++;
            }
        }
        if (next > 0)
            [[unroll]] for (uint k = 0u; k < DEPTH; k++) {
                float a[ROWS], b[COLUMNS];
                [[unroll]] for (uint i = 0u; i < ROWS; i++)
                    a[i] = left[k * LEFT_PITCH + block_row(i)];
                [[unroll]] for (uint j = 0u; j < COLUMNS; j++)
                    b[j] = right[k * RIGHT_PITCH + block_column(j)];
                [[unroll]] for (uint i = 0u; i < ROWS; i++)
                    [[unroll]] for (uint j = 0u; j < COLUMNS; j++)
                        sum[i * COLUMNS + j] = fma(a[i], b[j], sum[i * COLUMNS + j]);
            }
    }

    int taps = kernel.x * kernel.y;
    [[unroll]] for (uint i = 0u; i < ROWS; i++) {
        int in_tile = int(block_row(i)), quad = first_quad + in_tile / 4, tap = quad / input_quads;
        int channel = quad % input_quads * 4 + in_tile % 4;
        if (tap >= taps || channel >= channels)
            continue;
        [[unroll]] for (uint j = 0u; j < COLUMNS; j += 4u) {
            int output_quad = (first_filter + int(block_column(j))) / 4;
            uint s = i * COLUMNS + j;
            if (output_quad < output_quads)
                parts[((chunk * taps + tap) * channels + channel) * output_quads + output_quad] =
                    vec4(sum[s], sum[s + 1u], sum[s + 2u], sum[s + 3u]);
        }
    }
}

#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Convolution without groups, and its input gradient, as a matrix product on GPUs: target pixels x source channels and taps
// times source channels and taps x target channels. The left matrix is gathered from the source as it is needed.
//
// A workgroup computes a tile of PIXELS x CHANNELS of the target. For each tap and each DEPTH source channels it brings both
// factors into shared memory, while the vec4s of the next step are already on their way into registers; an invocation
// multiplies them into its own block of ROWS x COLUMNS sums. Rows and columns of the block come in fours that lie apart, so
// that neighbours read neighbouring words.
//
// Which source pixel a tap reads is affine in row and column. BACKWARD swaps the roles of the weights' channels; with a
// stride, the host dispatches once for each remainder of row and column, each with the taps that exist there.
#include "tensor.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint INVOCATIONS = 128; // PIXELS / ROWS * CHANNELS / COLUMNS
layout(constant_id = 1) const uint PIXELS = 64;
layout(constant_id = 2) const uint CHANNELS = 64;
layout(constant_id = 3) const uint DEPTH = 8;
layout(constant_id = 4) const uint ROWS = 8;
layout(constant_id = 5) const uint COLUMNS = 4;
layout(constant_id = 6) const uint BACKWARD = 0;
layout(constant_id = 7) const uint FLAGS = 0; // what is added and done at the end
const uint RELU = 1u, BIAS = 2u, RESIDUAL = 4u, MASK = 8u;

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
    ivec2 first, scale, step_of_tap; // source = first + grid * scale + number of the tap * step_of_tap
    ivec2 taps;
    int images;
    int source_channels, target_channels;
    int weight_quads;                                      // of a row of the weights
    int weight_first, weight_row_step, weight_column_step; // first vec4 of a tap's weights
    int tiles;                                             // of target channels
};

// Rows of the tiles in shared memory are apart by a multiple of four that is none of the banks' number.
const uint LEFT_PITCH = PIXELS + 4u, RIGHT_PITCH = CHANNELS + 4u;
const uint DEPTH_QUADS = DEPTH / 4u;
const uint LEFT_LOADS = (PIXELS * DEPTH_QUADS + INVOCATIONS - 1u) / INVOCATIONS;
const uint RIGHT_LOADS = (CHANNELS * DEPTH_QUADS + INVOCATIONS - 1u) / INVOCATIONS;
shared float left[DEPTH * LEFT_PITCH], right[DEPTH * RIGHT_PITCH]; // [depth][pixel], [depth][channel]

ivec3 grid_position(int pixel) {
    int row = pixel / grid.y;
    return ivec3(row / grid.x, row % grid.x, pixel % grid.y);
}

// Rows and columns of the tile that belong to this invocation's block.
uint block_row(uint i) {
    return i / 4u * (PIXELS / (ROWS / 4u)) + gl_LocalInvocationIndex / (CHANNELS / COLUMNS) * 4u + i % 4u;
}

uint block_column(uint j) {
    return j / 4u * (CHANNELS / (COLUMNS / 4u)) + gl_LocalInvocationIndex % (CHANNELS / COLUMNS) * 4u + j % 4u;
}

// The vec4 of the weights' tile that this invocation brings: row (forward: source channel, BACKWARD: target channel), vec4 in it.
uvec2 right_cell(uint i) {
    uint e = gl_LocalInvocationIndex + i * INVOCATIONS, row_quads = BACKWARD != 0u ? DEPTH_QUADS : CHANNELS / 4u;
    return uvec2(e / row_quads, e % row_quads);
}

void main() {
    int source_quads = (source_channels + 3) / 4, target_quads = (target_channels + 3) / 4;
    int number = int(gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x);
    int first_pixel = number / tiles * int(PIXELS), first_channel = number % tiles * int(CHANNELS);
    int pixel_count = images * grid.x * grid.y;
    if (first_pixel >= pixel_count)
        return;
    uint self = gl_LocalInvocationIndex;

    // What this invocation brings: vec4 number `depth_quad` of the depth of some pixels, and its part of the weights.
    uint depth_quad = self % DEPTH_QUADS, left_row = self / DEPTH_QUADS;
    ivec3 origin[LEFT_LOADS];
    [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++) {
        int pixel = first_pixel + int(left_row + i * (INVOCATIONS / DEPTH_QUADS));
        origin[i] = grid_position(min(pixel, pixel_count - 1));
        origin[i].yz = origin[i].yz * scale + first;
        origin[i].x *= source_size.x * source_size.y;
    }
    float sum[ROWS * COLUMNS];
    [[unroll]] for (uint i = 0u; i < ROWS * COLUMNS; i++)
        sum[i] = 0.0;

    ivec2 tap = ivec2(0);
    int depth = 0, steps = taps.x * taps.y * ((source_quads + int(DEPTH_QUADS) - 1) / int(DEPTH_QUADS));
    int left_at[LEFT_LOADS]; // first vec4 of the source pixel that the tap reads; negative: outside
    vec4 left_next[LEFT_LOADS], right_next[RIGHT_LOADS];
    for (int next = 0; next <= steps; next++) {
        if (next > 0) {
            barrier();
            [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++) {
                uint row = left_row + i * (INVOCATIONS / DEPTH_QUADS);
                if (PIXELS * DEPTH_QUADS % INVOCATIONS == 0u || row < PIXELS)
                    [[unroll]] for (uint j = 0u; j < 4u; j++)
                        left[(4u * depth_quad + j) * LEFT_PITCH + row] = left_next[i][j];
            }
            [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; i++) {
                uvec2 cell = right_cell(i);
                if (CHANNELS * DEPTH_QUADS % INVOCATIONS == 0u || cell.x < (BACKWARD != 0u ? CHANNELS : DEPTH))
                    [[unroll]] for (uint j = 0u; j < 4u; j++)
                        right[BACKWARD != 0u ? (4u * cell.y + j) * RIGHT_PITCH + cell.x
                                             : cell.x * RIGHT_PITCH + 4u * cell.y + j] = right_next[i][j];
            }
            barrier();
        }
        if (next < steps) {
            if (depth == 0) {
                [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++) {
                    ivec2 at = origin[i].yz + tap * step_of_tap;
                    bool inside = all(greaterThanEqual(at, ivec2(0))) && all(lessThan(at, source_size));
                    int pixel = origin[i].x + at.x * source_size.y + at.y;
                    left_at[i] = inside ? pixel * source_quads : -1;
                }
            }
            [[unroll]] for (uint i = 0u; i < LEFT_LOADS; i++) {
                int quad = depth + int(depth_quad);
                bool inside = left_at[i] >= 0 && quad < source_quads;
                vec4 loaded = LOAD(source, inside ? left_at[i] + quad : 0);
                left_next[i] = inside ? loaded : vec4(0.0);
            }
            int weights = weight_first + tap.x * weight_row_step + tap.y * weight_column_step;
            [[unroll]] for (uint i = 0u; i < RIGHT_LOADS; i++) {
                ivec2 cell = ivec2(right_cell(i)) + (BACKWARD != 0u ? ivec2(first_channel, depth) : ivec2(4 * depth, first_channel / 4));
                bool inside = cell.x < (BACKWARD != 0u ? target_channels : source_channels) && cell.y < weight_quads;
                vec4 loaded = LOAD(weight, inside ? weights + cell.x * weight_quads + cell.y : 0);
                right_next[i] = inside ? loaded : vec4(0.0);
            }
            depth += int(DEPTH_QUADS);
            if (depth >= source_quads) {
                depth = 0;
                tap.y++;
                if (tap.y == taps.y)
                    tap = ivec2(tap.x + 1, 0);
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

    bool whole = all(equal(grid, target_size));
    [[unroll]] for (uint i = 0u; i < ROWS; i++) {
        int pixel = first_pixel + int(block_row(i));
        if (pixel >= pixel_count)
            continue;
        int at = pixel;
        if (!whole) {
            ivec3 position = grid_position(pixel);
            position.yz = position.yz * target_step + target_first;
            at = (position.x * target_size.x + position.y) * target_size.y + position.z;
        }
        [[unroll]] for (uint j = 0u; j < COLUMNS; j += 4u) {
            int quad = (first_channel + int(block_column(j))) / 4;
            if (quad >= target_quads)
                continue;
            uint s = i * COLUMNS + j;
            vec4 result = vec4(sum[s], sum[s + 1u], sum[s + 2u], sum[s + 3u]);
            if ((FLAGS & BIAS) != 0u)
                result += LOAD(bias, quad);
            if ((FLAGS & RESIDUAL) != 0u)
                result += LOAD(residual, at * target_quads + quad);
            precise vec4 positive = mix(result, vec4(0.0), lessThan(result, vec4(0.0))); // max() would lose a NaN
            result = (FLAGS & RELU) != 0u ? positive : result;
            if ((FLAGS & MASK) != 0u)
                result = mix(vec4(0.0), result, greaterThan(LOAD(bias, at * target_quads + quad), vec4(0.0)));
            // The padding stays zero also where a NaN met the weights' padding.
            target[at * target_quads + quad] =
                mix(vec4(0.0), result, lessThan(4 * quad + ivec4(0, 1, 2, 3), ivec4(target_channels)));
        }
    }
}

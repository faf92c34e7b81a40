#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Tiles of 4x4 target pixels from Winograd's domain, and what a convolution adds and does at its end: one vec4 of channels
// an invocation.
#include "tensor.glsl"
#include "winograd.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint FLAGS = 0;
INPUT(0, products);
INPUT(1, bias); // or, with MASK, the values that must be positive
INPUT(2, residual);
OUTPUT(3, target);
layout(push_constant) uniform Push {
    ivec2 size, tiles; // rows, columns
    int quads, count;  // of channels; tiles in all
    int matrix;        // vec4s of each of the 36 matrices
    int target_channels;
};
#include "conv2d_end.glsl"

void main() {
    int index = int(linear_index());
    if (index >= count * quads)
        return;
    int quad = index % quads, tile = index / quads;
    ivec2 first = ivec2(tile / tiles.y % tiles.x, tile % tiles.y) * 4;
    int image = tile / (tiles.x * tiles.y);
    vec4 half_done[6][4], column[6], row[6];
    [[unroll]] for (int c = 0; c < 6; c++) {
        [[unroll]] for (int r = 0; r < 6; r++)
            column[r] = LOAD(products, (6 * r + c) * matrix + index);
        half_done[c] = target_transform(column);
    }
    [[unroll]] for (int r = 0; r < 4; r++) {
        [[unroll]] for (int c = 0; c < 6; c++)
            row[c] = half_done[c][r];
        vec4 done[4] = target_transform(row);
        [[unroll]] for (int c = 0; c < 4; c++) {
            ivec2 position = first + ivec2(r, c);
            if (any(greaterThanEqual(position, size)))
                continue;
            int at = ((image * size.x + position.x) * size.y + position.y) * quads + quad;
            target[at] = finish(done[c], at, quad);
        }
    }
}

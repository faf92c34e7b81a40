#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Source tiles of 6x6 pixels, which overlap by two, in Winograd's domain, [36][tile][channel]: one vec4 of channels an
// invocation.
#include "tensor.glsl"
#include "winograd.glsl"

layout(local_size_x = 64) in;
INPUT(0, source);
OUTPUT(1, transformed);
layout(push_constant) uniform Push {
    ivec2 size, tiles, padding; // rows, columns
    int quads, count;           // of channels; tiles in all
    int matrix;                 // vec4s of each of the 36 matrices
};

void main() {
    int index = int(linear_index());
    if (index >= count * quads)
        return;
    int quad = index % quads, tile = index / quads;
    ivec2 first = ivec2(tile / tiles.y % tiles.x, tile % tiles.y) * 4 - padding;
    int image = tile / (tiles.x * tiles.y);
    vec4 half_done[6][6], column[6], row[6];
    [[unroll]] for (int c = 0; c < 6; c++) {
        [[unroll]] for (int r = 0; r < 6; r++) {
            ivec2 at = first + ivec2(r, c);
            bool inside = all(greaterThanEqual(at, ivec2(0))) && all(lessThan(at, size));
            vec4 loaded = LOAD(source, inside ? ((image * size.x + at.x) * size.y + at.y) * quads + quad : 0);
            column[r] = inside ? loaded : vec4(0.0);
        }
        half_done[c] = source_transform(column);
    }
    [[unroll]] for (int r = 0; r < 6; r++) {
        [[unroll]] for (int c = 0; c < 6; c++)
            row[c] = half_done[c][r];
        vec4 done[6] = source_transform(row);
        [[unroll]] for (int c = 0; c < 6; c++)
            transformed[(6 * r + c) * matrix + index] = done[c];
    }
}

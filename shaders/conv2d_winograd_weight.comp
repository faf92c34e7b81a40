#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// The weights in Winograd's domain, [36][row][column]: one vec4 of the 3x3 kernels an invocation.
#include "tensor.glsl"
#include "winograd.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint FLIP = 0; // input gradient: the kernels turned by 180 degrees
INPUT(0, weight);
OUTPUT(1, transformed);
layout(push_constant) uniform Push { int count; }; // vec4s of one tap

void main() {
    int i = int(linear_index());
    if (i >= count)
        return;
    vec4 half_done[3][6], column[3], row[3];
    [[unroll]] for (int c = 0; c < 3; c++) {
        [[unroll]] for (int r = 0; r < 3; r++) {
            int tap = 3 * r + c;
            column[r] = LOAD(weight, (FLIP != 0u ? 8 - tap : tap) * count + i);
        }
        half_done[c] = weight_transform(column);
    }
    [[unroll]] for (int r = 0; r < 6; r++) {
        [[unroll]] for (int c = 0; c < 3; c++)
            row[c] = half_done[c][r];
        vec4 done[6] = weight_transform(row);
        [[unroll]] for (int c = 0; c < 6; c++)
            transformed[(6 * r + c) * count + i] = done[c];
    }
}

#version 450
#extension GL_GOOGLE_include_directive : require
// The end of a convolution whose channels of the source were shared among workgroups: the sum of their `parts` of `count` vec4
// each, always in the same order, and what conv2d_tile.glsl does at its end.
#include "tensor.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint FLAGS = 0;
INPUT(0, parts);
INPUT(1, bias); // or, with MASK, the values that must be positive
INPUT(2, residual);
OUTPUT(3, target);
layout(push_constant) uniform Push {
    uint count, part_count;
    int target_channels;
};
#include "conv2d_end.glsl"

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    vec4 sum = vec4(0.0);
    for (uint part = 0u; part < part_count; part++)
        sum += LOAD(parts, part * count + i);
    target[i] = finish(sum, int(i), int(i) % ((target_channels + 3) / 4));
}

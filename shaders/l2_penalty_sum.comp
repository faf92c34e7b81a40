#version 450
#extension GL_GOOGLE_include_directive : require
// y = scale * the sum of all parts, by one workgroup with a fixed tree.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, parts);
OUTPUT(1, y);
layout(push_constant) uniform Push {
    uint count;
    float scale;
};

shared vec4 sums[64];

void main() {
    uint lane = gl_LocalInvocationIndex;
    vec4 sum = vec4(0.0);
    for (uint i = lane; i < count; i += 64u)
        sum += LOAD(parts, i);
    sums[lane] = sum;
    for (uint span = 32u; span > 0u; span /= 2u) {
        barrier();
        if (lane < span)
            sums[lane] += sums[lane + span];
    }
    if (lane == 0u) {
        vec4 all = sums[0];
        y[0] = vec4(scale * (all.x + all.y + (all.z + all.w)), 0.0, 0.0, 0.0);
    }
}

#version 450
#extension GL_GOOGLE_include_directive : require
// y = (sum of loss, sum of correct, penalty, 0), by one workgroup with a fixed tree.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, loss);
INPUT(1, correct);
INPUT(2, penalty);
OUTPUT(3, y);
layout(push_constant) uniform Push { uint quads, has_penalty; };

shared vec2 parts[64];

void main() {
    uint lane = gl_LocalInvocationIndex;
    vec4 losses = vec4(0.0), hits = vec4(0.0);
    for (uint q = lane; q < quads; q += 64u) {
        losses += LOAD(loss, q);
        hits += LOAD(correct, q);
    }
    parts[lane] = vec2(losses.x + losses.y + (losses.z + losses.w), hits.x + hits.y + (hits.z + hits.w));
    for (uint span = 32u; span > 0u; span /= 2u) {
        barrier();
        if (lane < span)
            parts[lane] += parts[lane + span];
    }
    if (lane == 0u)
        y[0] = vec4(parts[0], has_penalty != 0u ? LOAD(penalty, 0u).x : 0.0, 0.0);
}

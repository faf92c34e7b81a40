#version 450
#extension GL_GOOGLE_include_directive : require
// sum += value, or sum = value in the first batch: when `most` more are to come, see src/ops/optimizer.c.
#include "tensor.glsl"

layout(local_size_x = 64) in;
UPDATE(0, sum);
INPUT(1, value);
INPUT(2, hyper);
layout(push_constant) uniform Push {
    uint quads;
    float most;
};

void main() {
    uint i = linear_index();
    if (i >= quads)
        return;
    vec4 more = LOAD(value, i);
    sum[i] = LOAD(hyper, 0u).w == most ? more : sum[i] + more;
}

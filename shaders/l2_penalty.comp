#version 450
#extension GL_GOOGLE_include_directive : require
// Partial sums of x^2: every invocation takes one vec4 in `stride`.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
OUTPUT(1, parts);
layout(push_constant) uniform Push { uint quads, stride, first_part; };

void main() {
    uint index = linear_index();
    if (index >= stride)
        return;
    vec4 sum = vec4(0.0);
    for (uint i = index; i < quads; i += stride) {
        vec4 value = LOAD(x, i);
        sum += value * value;
    }
    parts[first_part + index] = sum;
}

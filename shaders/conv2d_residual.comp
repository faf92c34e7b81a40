#version 450
#extension GL_GOOGLE_include_directive : require
// y = relu?(y + residual), in place: the second addend of a convolution that has a bias and a residual.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, residual);
UPDATE(1, y);
layout(push_constant) uniform Push { uint count, relu; };

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    vec4 value = y[i] + LOAD(residual, i);
    precise vec4 positive = mix(value, vec4(0.0), lessThan(value, vec4(0.0))); // max() would lose a NaN
    y[i] = relu != 0u ? positive : value;
}

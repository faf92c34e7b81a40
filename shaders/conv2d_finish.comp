#version 450
#extension GL_GOOGLE_include_directive : require
// y = relu?(y + other), or y where other > 0, in place: what a convolution with more operands than conv2d.comp binds does
// at its end.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, other);
UPDATE(1, y);
layout(push_constant) uniform Push { uint count, flags; };
const uint RELU = 1u, MASK = 8u;

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    vec4 operand = LOAD(other, i), value = y[i];
    if ((flags & MASK) != 0u) {
        y[i] = mix(vec4(0.0), value, greaterThan(operand, vec4(0.0)));
        return;
    }
    value += operand;
    precise vec4 positive = mix(value, vec4(0.0), lessThan(value, vec4(0.0))); // max() would lose a NaN
    y[i] = (flags & RELU) != 0u ? positive : value;
}

#version 450
#extension GL_GOOGLE_include_directive : require
// y = relu?(x * scale + residual?), one vec4 an invocation; one scale for each channel of each image.
#include "tensor.glsl"
#include "divide.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
INPUT(1, scale);
INPUT(2, residual);
OUTPUT(3, y);
layout(constant_id = 0) const bool HAS_RESIDUAL = true;
layout(constant_id = 1) const bool HAS_RELU = true;
layout(push_constant) uniform Push {
    uint count;           // vec4 of x
    Divisor quads, image; // vec4 of a pixel and of an image
};

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    vec4 factor = LOAD(scale, divide(i, image) * quads.value + remainder(i, quads));
    precise vec4 value = LOAD(x, i) * factor; // precise: see relu.comp
    if (HAS_RESIDUAL)
        value += LOAD(residual, i);
    if (HAS_RELU)
        value = mix(value, vec4(0), lessThan(value, vec4(0)));
    y[i] = value;
}

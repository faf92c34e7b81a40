#version 450
#extension GL_GOOGLE_include_directive : require
// dx = dy / pixels, for all pixels of an image alike; one vec4 an invocation.
#include "tensor.glsl"
#include "divide.glsl"

layout(local_size_x = 64) in;
INPUT(0, dy);
OUTPUT(1, dx);
layout(push_constant) uniform Push {
    uint count;           // vec4 of dx
    Divisor quads, image; // vec4 of a pixel and of an image
    float share;          // 1 / pixels
};

void main() {
    uint i = linear_index();
    if (i < count)
        dx[i] = LOAD(dy, divide(i, image) * quads.value + remainder(i, quads)) * share;
}

#version 450
#extension GL_GOOGLE_include_directive : require
// Planted mistake: the last vec4 is left out.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, a);
INPUT(1, b);
OUTPUT(2, y);
layout(push_constant) uniform Push { uint quads; };

void main() {
    uint i = linear_index();
    if (i + 1 < quads)
        y[i] = LOAD(a, i) + LOAD(b, i);
}

#version 450
#extension GL_GOOGLE_include_directive : require
// y = x, one vec4 an invocation.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
OUTPUT(1, y);
layout(push_constant) uniform Push { uint quads; };

void main() {
    uint i = linear_index();
    if (i < quads)
        y[i] = LOAD(x, i);
}

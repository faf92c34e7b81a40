#version 450
#extension GL_GOOGLE_include_directive : require
// dx = dy y (1 - y), one vec4 an invocation.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, y);
INPUT(1, dy);
OUTPUT(2, dx);
layout(push_constant) uniform Push { uint quads; };

void main() {
    uint i = linear_index();
    if (i >= quads)
        return;
    vec4 value = LOAD(y, i);
    dx[i] = LOAD(dy, i) * value * (1.0 - value);
}

#version 450
#extension GL_GOOGLE_include_directive : require
// dx = y > 0 ? dy : 0, one vec4 an invocation.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, y);
INPUT(1, dy);
OUTPUT(2, dx);
layout(push_constant) uniform Push { uint quads; };

void main() {
    uint i = linear_index();
    if (i < quads)
        dx[i] = mix(vec4(0), LOAD(dy, i), greaterThan(LOAD(y, i), vec4(0)));
}

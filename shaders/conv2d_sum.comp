#version 450
#extension GL_GOOGLE_include_directive : require
// y = sum of `chunks` parts of `count` vec4 each, always in the same order.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, parts);
OUTPUT(1, y);
layout(push_constant) uniform Push { uint count, chunks; };

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    vec4 sum = vec4(0.0);
    for (uint chunk = 0u; chunk < chunks; chunk++)
        sum += LOAD(parts, chunk * count + i);
    y[i] = sum;
}

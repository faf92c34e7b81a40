#version 450
#extension GL_GOOGLE_include_directive : require
// y = x < 0 ? 0 : x, one vec4 an invocation. `precise` forbids max(x, 0), which would lose a NaN.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
OUTPUT(1, y);
layout(push_constant) uniform Push { uint quads; };

void main() {
    uint i = linear_index();
    if (i >= quads)
        return;
    vec4 value = LOAD(x, i);
    precise vec4 result = mix(value, vec4(0), lessThan(value, vec4(0)));
    y[i] = result;
}

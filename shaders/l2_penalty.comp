#version 450
#extension GL_GOOGLE_include_directive : require
// Partial sums of x^2: every workgroup takes 64 `steps` consecutive vec4, every invocation one in 64 of them.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
OUTPUT(1, parts);
layout(push_constant) uniform Push { uint quads, steps, invocations, first_part; };

void main() {
    uint index = linear_index();
    if (index >= invocations)
        return;
    uint first = (index - gl_LocalInvocationIndex) * steps + gl_LocalInvocationIndex;
    vec4 sum = vec4(0.0);
    for (uint i = first; i < min(first + 64u * steps, quads); i += 64u) {
        vec4 value = LOAD(x, i);
        sum += value * value;
    }
    parts[first_part + index] = sum;
}

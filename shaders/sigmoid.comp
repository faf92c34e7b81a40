#version 450
#extension GL_GOOGLE_include_directive : require
// y = 1 / (1 + exp(-x)) without overflow, one vec4 an invocation. The zeros that fill a row stay zeros.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
OUTPUT(1, y);
layout(push_constant) uniform Push { uint quads, row_quads, width; };

void main() {
    uint i = linear_index();
    if (i >= quads)
        return;
    vec4 value = LOAD(x, i), e = exp(-abs(value));
    vec4 result = mix(vec4(1), e, lessThan(value, vec4(0))) / (1.0 + e);
    result = mix(result, value, isnan(value)); // Vulkan does not say what exp makes of it
    uvec4 channel = 4u * (i % row_quads) + uvec4(0u, 1u, 2u, 3u);
    y[i] = mix(vec4(0), result, lessThan(channel, uvec4(width)));
}

#version 450
#extension GL_GOOGLE_include_directive : require
// y = value, zero in the padding of each row of `width` elements; one vec4 an invocation.
#include "tensor.glsl"

layout(local_size_x = 64) in;
OUTPUT(0, y);
layout(push_constant) uniform Push {
    uint quads, width;
    float value;
};

void main() {
    uint i = linear_index();
    if (i >= quads)
        return;
    uint column = i % ((width + 3) / 4) * 4;
    y[i] = mix(vec4(0), vec4(value), lessThan(column + uvec4(0, 1, 2, 3), uvec4(width)));
}

#version 450
#extension GL_GOOGLE_include_directive : require
// dx = dy * row 0 + x * row 1 + row 2 of the coefficients.
#include "channel_map.glsl"

INPUT(0, x);
INPUT(1, dy);
INPUT(2, coefficients);
OUTPUT(3, dx);

void main() {
    uint first = linear_index(), quad = remainder(min(first, count - 1), quads);
    vec4 scale = LOAD(coefficients, quad), slope = LOAD(coefficients, row + quad);
    vec4 shift = LOAD(coefficients, 2 * row + quad);
    [[unroll]] for (uint k = 0; k < PIXELS; k++) {
        uint i = first + k * stride, at = min(i, count - 1);
        vec4 value = LOAD(dy, at) * scale + LOAD(x, at) * slope + shift;
        if (first < stride && i < count)
            dx[i] = value;
    }
}

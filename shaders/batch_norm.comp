#version 450
#extension GL_GOOGLE_include_directive : require
// y = relu?(x * scale + shift? + residual?). Coefficients: scales, then shifts.
#include "channel_map.glsl"

INPUT(0, x);
INPUT(1, coefficients);
INPUT(2, residual);
OUTPUT(3, y);
layout(constant_id = 2) const bool HAS_RESIDUAL = true;
layout(constant_id = 3) const bool HAS_RELU = true;

void main() {
    uint first = linear_index(), quad = remainder(min(first, count - 1), quads);
    vec4 scale = LOAD(coefficients, quad), shift = LOAD(coefficients, row + quad);
    shift = row != 0 ? shift : vec4(0);
    [[unroll]] for (uint k = 0; k < PIXELS; k++) {
        uint i = first + k * stride, at = min(i, count - 1);
        precise vec4 value = LOAD(x, at) * scale + shift; // precise: see relu.comp
        if (HAS_RESIDUAL)
            value += LOAD(residual, at);
        if (HAS_RELU)
            value = mix(value, vec4(0), lessThan(value, vec4(0)));
        if (first < stride && i < count)
            y[i] = value;
    }
}

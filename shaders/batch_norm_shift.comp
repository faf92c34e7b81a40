#version 450
#extension GL_GOOGLE_include_directive : require
// After batch_norm_scale: row 1 = beta - mean * row 0, so that y = x * row 0 + row 1.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, mean);
INPUT(1, beta);
UPDATE(2, coefficients);
layout(push_constant) uniform Push { uint quads, row; };

void main() {
    uint i = linear_index();
    if (i < quads)
        coefficients[row + i] = LOAD(beta, i) - LOAD(mean, i) * coefficients[i];
}

#version 450
#extension GL_GOOGLE_include_directive : require
// After batch_norm_scale, with n pixels a channel: row 1 = -row 0 * dgamma / (n deviation),
// row 2 = -row 0 * dbeta / n - mean * row 1, so that dx = dy * row 0 + x * row 1 + row 2.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, mean);
INPUT(1, dgamma);
INPUT(2, dbeta);
UPDATE(3, coefficients);
layout(push_constant) uniform Push {
    uint quads, row;
    float pixels;
};

void main() {
    uint i = linear_index();
    if (i >= quads)
        return;
    vec4 scale = coefficients[i] / -pixels;
    vec4 slope = scale * coefficients[row + i] * LOAD(dgamma, i);
    coefficients[row + i] = slope;
    coefficients[2 * row + i] = scale * LOAD(dbeta, i) - LOAD(mean, i) * slope;
}

#version 450
#extension GL_GOOGLE_include_directive : require
// What batch_norm_scale and batch_norm_shift do, at once: row 0 = gamma / deviation, row 1 = beta - mean * row 0.
#include "tensor.glsl"
#include "deviation.glsl"

layout(local_size_x = 64) in;
INPUT(0, variance);
INPUT(1, gamma);
INPUT(2, mean);
INPUT(3, beta);
OUTPUT(4, coefficients);
layout(push_constant) uniform Push {
    uint quads, row;
    float epsilon;
};

void main() {
    uint i = linear_index();
    if (i >= quads)
        return;
    vec4 scale = LOAD(gamma, i) * reciprocal_deviation(LOAD(variance, i), epsilon);
    coefficients[i] = scale;
    coefficients[row + i] = LOAD(beta, i) - LOAD(mean, i) * scale;
}

#version 450
#extension GL_GOOGLE_include_directive : require
// What batch_norm_scale and batch_norm_backward_shift do, at once.
#include "tensor.glsl"
#include "deviation.glsl"

layout(local_size_x = 64) in;
INPUT(0, variance);
INPUT(1, gamma);
INPUT(2, mean);
INPUT(3, dgamma);
INPUT(4, dbeta);
OUTPUT(5, coefficients);
layout(push_constant) uniform Push {
    uint quads, row;
    float epsilon, pixels;
};

void main() {
    uint i = linear_index();
    if (i >= quads)
        return;
    vec4 reciprocal = reciprocal_deviation(LOAD(variance, i), epsilon), scale = LOAD(gamma, i) * reciprocal;
    vec4 share = scale / -pixels, slope = share * reciprocal * LOAD(dgamma, i);
    coefficients[i] = scale;
    coefficients[row + i] = slope;
    coefficients[2 * row + i] = share * LOAD(dbeta, i) - LOAD(mean, i) * slope;
}

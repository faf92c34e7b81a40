#version 450
#extension GL_GOOGLE_include_directive : require
// Coefficients of each channel, in rows `row` vec4 apart: row 0 = gamma / deviation, row 1 = 1 / deviation.
#include "tensor.glsl"
#include "deviation.glsl"

layout(local_size_x = 64) in;
INPUT(0, variance);
INPUT(1, gamma);
OUTPUT(2, coefficients);
layout(push_constant) uniform Push {
    uint quads, row;
    float epsilon;
};

void main() {
    uint i = linear_index();
    if (i >= quads)
        return;
    vec4 reciprocal = reciprocal_deviation(LOAD(variance, i), epsilon);
    coefficients[i] = LOAD(gamma, i) * reciprocal;
    coefficients[row + i] = reciprocal;
}

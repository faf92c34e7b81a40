#version 450
#extension GL_GOOGLE_include_directive : require
// Planted mistake: the share of dbeta and of the mean is left out.
#include "tensor.glsl"
#include "divide.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
INPUT(1, dy);
INPUT(2, coefficients);
OUTPUT(3, dx);
layout(push_constant) uniform Push {
    uint count;    // vec4 of x
    Divisor quads; // vec4 of a row of x
    uint row;      // vec4 of a row of coefficients
};

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    uint quad = remainder(i, quads);
    dx[i] = LOAD(dy, i) * LOAD(coefficients, quad) + LOAD(x, i) * LOAD(coefficients, row + quad);
}

#version 450
#extension GL_GOOGLE_include_directive : require
// y = relu?(x * scale + shift? + residual?), one vec4 an invocation. Coefficients: scales, then shifts.
#include "tensor.glsl"
#include "divide.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
INPUT(1, coefficients);
INPUT(2, residual);
OUTPUT(3, y);
layout(push_constant) uniform Push {
    uint count;    // vec4 of x
    Divisor quads; // vec4 of a row of x
    uint shifts;   // where the shifts begin among the coefficients; 0: none
    uint has_residual, has_relu;
};

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    uint quad = remainder(i, quads);
    vec4 value = LOAD(x, i) * LOAD(coefficients, quad);
    if (shifts != 0)
        value += LOAD(coefficients, shifts + quad);
    if (has_residual != 0)
        value += LOAD(residual, i);
    precise vec4 positive = mix(value, vec4(0), lessThan(value, vec4(0)));
    y[i] = has_relu != 0 ? positive : value;
}

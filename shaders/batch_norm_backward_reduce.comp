#version 450
#extension GL_GOOGLE_include_directive : require
// Partial sums of dy and of dy (x - mean).
#include "channel_reduce.glsl"

INPUT(0, x);
INPUT(1, dy);
INPUT(2, mean);
OUTPUT(3, partial);
vec4 center;

void terms(uint i, out vec4 a, out vec4 b) {
    a = LOAD(dy, i);
    b = a * (LOAD(x, i) - center);
}

void main() {
    Slice s = slice();
    center = LOAD(mean, s.column);
    vec4 sum, product;
    sum_pixels(s, sum, product);
    sum = tree_sum(sum, lanes);
    product = tree_sum(product, lanes);
    if (s.writes) {
        uint at = gl_WorkGroupID.x * 2 * quads + s.quad;
        partial[at] = sum;
        partial[at + quads] = product;
    }
}

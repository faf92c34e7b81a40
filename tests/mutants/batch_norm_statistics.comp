#version 450
#extension GL_GOOGLE_include_directive : require
// Planted mistake: no shift, so the variance is the difference of two large sums.
#include "channel_reduce.glsl"

INPUT(0, x);
OUTPUT(1, partial);
vec4 shift;

void terms(uint i, out vec4 a, out vec4 b) {
    a = LOAD(x, i) - shift;
    b = a * a;
}

void main() {
    Slice s = slice();
    shift = vec4(0);
    vec4 sum, squares;
    sum_pixels(s, sum, squares);
    sum = tree_sum(sum, lanes);
    squares = tree_sum(squares, lanes);
    if (s.writes) {
        vec4 offset = sum / float(s.end - s.first);
        uint at = gl_WorkGroupID.x * 3 * quads + s.quad;
        partial[at] = shift;
        partial[at + quads] = offset;
        partial[at + 2 * quads] = max(squares - sum * offset, vec4(0));
    }
}

#version 450
#extension GL_GOOGLE_include_directive : require
// Planted mistake: the pixels after the last whole batch are left out.
#include "channel_reduce.glsl"

INPUT(0, x);
OUTPUT(1, partial);

void terms(uint i, out vec4 a, out vec4 b) {
    a = LOAD(x, i);
    b = vec4(0);
}

void main() {
    Slice s = slice();
    s.end -= (s.end - s.first) % (UNROLL * s.stride);
    vec4 sum, unused;
    sum_pixels(s, sum, unused);
    sum = tree_sum(sum, lanes);
    if (s.writes)
        partial[gl_WorkGroupID.x * quads + s.quad] = sum;
}

#version 450
#extension GL_GOOGLE_include_directive : require
// Partial sums of each channel.
#include "channel_reduce.glsl"

INPUT(0, x);
OUTPUT(1, partial);

void terms(uint i, out vec4 a, out vec4 b) {
    a = LOAD(x, i);
    b = vec4(0);
}

void main() {
    Slice s = slice();
    vec4 sum, unused;
    sum_pixels(s, sum, unused);
    sum = tree_sum(sum, lanes);
    if (s.writes)
        partial[gl_WorkGroupID.x * quads + s.quad] = sum;
}

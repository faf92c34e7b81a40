#version 450
#extension GL_GOOGLE_include_directive : require
// dbeta = sum dy, dgamma = sum dy (x - mean) / deviation, from the chunks' sums.
#include "tensor.glsl"
INPUT(0, partial);
#include "channel_merge.glsl"
#include "deviation.glsl"

INPUT(1, variance);
OUTPUT(2, dgamma);
OUTPUT(3, dbeta);

void main() {
    uint quad = merged_quad();
    if (quad >= quads)
        return;
    vec4 sum = sum_chunks(0, 2, quad), product = sum_chunks(1, 2, quad);
    if (gl_LocalInvocationIndex == 0) {
        dbeta[quad] = sum;
        dgamma[quad] = product * reciprocal_deviation(LOAD(variance, quad), epsilon);
    }
}

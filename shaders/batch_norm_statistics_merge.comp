#version 450
#extension GL_GOOGLE_include_directive : require
// Mean and variance of each channel from the chunks' shift, mean - shift and sum of squared deviations M. With n pixels
// in a chunk and N in all: mean = sum n mean_c / N, variance = sum (M_c + n (mean_c - mean)^2) / N (Chan, Golub and
// LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979, for all chunks at once).
// Means are taken from the first chunk's shift: near the true mean, their differences keep digits that they would lose.
#include "tensor.glsl"
INPUT(0, partial);
#include "channel_merge.glsl"

OUTPUT(1, mean);
OUTPUT(2, variance);

float chunk_pixels(uint c) {
    return float(min(chunk, pixels - c * chunk));
}

vec4 chunk_offset(uint c, vec4 base, uint quad) {
    return partial_result(c, 0, 3, quad) - base + partial_result(c, 1, 3, quad);
}

void main() {
    uint quad = merged_quad();
    if (quad >= quads)
        return;
    vec4 base = partial_result(0, 0, 3, quad), sum = vec4(0);
    for (uint c = gl_LocalInvocationIndex; c < chunks; c += gl_WorkGroupSize.x)
        sum += chunk_pixels(c) * chunk_offset(c, base, quad);
    vec4 offset = tree_sum(sum, 1) / float(pixels);
    sum = vec4(0);
    for (uint c = gl_LocalInvocationIndex; c < chunks; c += gl_WorkGroupSize.x) {
        vec4 apart = chunk_offset(c, base, quad) - offset;
        sum += partial_result(c, 2, 3, quad) + chunk_pixels(c) * apart * apart;
    }
    sum = tree_sum(sum, 1);
    if (gl_LocalInvocationIndex == 0) {
        mean[quad] = base + offset;
        variance[quad] = sum / float(pixels);
    }
}

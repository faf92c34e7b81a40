#version 450
#extension GL_GOOGLE_include_directive : require
// Sum of each channel from the chunks' sums.
#include "tensor.glsl"
INPUT(0, partial);
#include "channel_merge.glsl"

OUTPUT(1, y);

void main() {
    uint quad = merged_quad();
    if (quad >= quads)
        return;
    vec4 sum = sum_chunks(0, 1, quad);
    if (gl_LocalInvocationIndex == 0)
        y[quad] = sum;
}

#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// How fast a device reads memory: a workgroup sums consecutive rows of one vec4 an invocation. It writes one row.
#include "tensor.glsl"

layout(local_size_x_id = 0) in;
INPUT(0, x);
OUTPUT(1, y);
layout(push_constant) uniform Push { uint rows; };
const uint UNROLLED = 8;

void main() {
    uint group = linear_index() / gl_WorkGroupSize.x;
    uint first = group * rows * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    vec4 sum[UNROLLED];
    [[unroll]] for (uint u = 0; u < UNROLLED; u++)
        sum[u] = vec4(0);
    for (uint row = 0; row < rows; row += UNROLLED)
        [[unroll]] for (uint u = 0; u < UNROLLED; u++)
            sum[u] += LOAD(x, first + (row + u) * gl_WorkGroupSize.x);
    [[unroll]] for (uint u = 1; u < UNROLLED; u++)
        sum[0] += sum[u];
    y[linear_index()] = sum[0];
}

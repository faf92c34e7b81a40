// Stage two of channel_reduce.glsl: one workgroup a quad of channels merges the chunks' partial results, which lie as
// [chunk][number][quad]. Include it after tensor.glsl and INPUT(0, partial).
layout(local_size_x = 64, local_size_x_id = 0) in;
layout(push_constant) uniform Push {
    uint quads, pixels, chunk, chunks;
    float epsilon; // of a batch normalization
};

#include "tree.glsl"

uint merged_quad() {
    return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
}

vec4 partial_result(uint c, uint number, uint numbers, uint quad) {
    return LOAD(partial, (c * numbers + number) * quads + quad);
}

// Sum over the chunks, for all invocations.
vec4 sum_chunks(uint number, uint numbers, uint quad) {
    vec4 sum = vec4(0);
    for (uint c = gl_LocalInvocationIndex; c < chunks; c += gl_WorkGroupSize.x)
        sum += partial_result(c, number, numbers, quad);
    return tree_sum(sum, 1);
}

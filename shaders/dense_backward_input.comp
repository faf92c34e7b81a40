#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// dx[n,f] = sum over o of dy[n,o] weight[f,o]: four features of ROWS images an invocation.
#include "tensor.glsl"

layout(constant_id = 0) const uint ROWS = 8u;
layout(local_size_x = 64) in;
INPUT(0, dy);
INPUT(1, weight);
OUTPUT(2, dx);
layout(push_constant) uniform Push { uint images, features, outputs; };

void main() {
    uint feature_quads = (features + 3u) / 4u, output_quads = (outputs + 3u) / 4u;
    uint index = linear_index();
    uint quad = index % feature_quads, first = index / feature_quads * ROWS;
    if (first >= images)
        return;
    uint row[ROWS];
    vec4 sum[ROWS];
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        row[r] = min(first + r, images - 1u) * output_quads;
        sum[r] = vec4(0.0);
    }
    uvec4 feature = 4u * quad + uvec4(0u, 1u, 2u, 3u);
    uvec4 weight_row = min(feature, uvec4(features - 1u)) * output_quads;
    for (uint q = 0u; q < output_quads; q++) {
        vec4 w0 = LOAD(weight, weight_row.x + q), w1 = LOAD(weight, weight_row.y + q);
        vec4 w2 = LOAD(weight, weight_row.z + q), w3 = LOAD(weight, weight_row.w + q);
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            vec4 value = LOAD(dy, row[r] + q);
            sum[r] += vec4(dot(value, w0), dot(value, w1), dot(value, w2), dot(value, w3));
        }
    }
    bvec4 inside = lessThan(feature, uvec4(features));
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        if (first + r < images)
            dx[(first + r) * feature_quads + quad] = mix(vec4(0.0), sum[r], inside);
}

#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// y[n,o] = sum over f of x[n,f] weight[f,o], + bias[o]: four outputs of ROWS images an invocation.
#include "keep.glsl"
#include "tensor.glsl"

layout(constant_id = 0) const uint ROWS = 8u;
layout(local_size_x = 64) in;
INPUT(0, x);
INPUT(1, weight);
INPUT(2, bias);
OUTPUT(3, y);
layout(push_constant) uniform Push { uint images, features, outputs, has_bias; };

void main() {
    uint feature_quads = (features + 3u) / 4u, output_quads = (outputs + 3u) / 4u;
    uint index = linear_index();
    uint quad = index % output_quads, first = index / output_quads * ROWS;
    if (first >= images)
        return;
    uint row[ROWS];
    vec4 sum[ROWS];
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        row[r] = min(first + r, images - 1u) * feature_quads;
        sum[r] = vec4(0.0);
    }
    for (uint q = 0u; q < feature_quads; q++) {
        vec4 w[4];
        [[unroll]] for (uint j = 0u; j < 4u; j++) {
            uint feature = 4u * q + j;
            vec4 value = LOAD(weight, min(feature, features - 1u) * output_quads + quad);
            w[j] = feature < features ? value : vec4(0.0);
        }
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            vec4 value = LOAD(x, row[r] + q);
            sum[r] += value.x * w[0] + value.y * w[1] + value.z * w[2] + value.w * w[3];
        }
    }
    vec4 shift = has_bias != 0u ? LOAD(bias, quad) : vec4(0.0);
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        if (first + r < images)
            y[(first + r) * output_quads + quad] = keep(sum[r] + shift, outputs - 4u * quad);
}

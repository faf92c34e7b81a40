#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// dweight[f,o] = sum over n of x[n,f] dy[n,o]: four features times four outputs an invocation.
#include "keep.glsl"
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
INPUT(1, dy);
OUTPUT(2, dweight);
layout(push_constant) uniform Push { uint images, features, outputs; };

void main() {
    uint feature_quads = (features + 3u) / 4u, output_quads = (outputs + 3u) / 4u;
    uint index = linear_index();
    uint output_quad = index % output_quads, feature_quad = index / output_quads;
    if (feature_quad >= feature_quads)
        return;
    vec4 sum[4] = vec4[](vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    for (uint n = 0u; n < images; n++) {
        vec4 a = LOAD(x, n * feature_quads + feature_quad), b = LOAD(dy, n * output_quads + output_quad);
        [[unroll]] for (uint j = 0u; j < 4u; j++)
            sum[j] += a[j] * b;
    }
    [[unroll]] for (uint j = 0u; j < 4u; j++)
        if (4u * feature_quad + j < features) {
            sum[j] = keep(sum[j], outputs - 4u * output_quad);
            dweight[(4u * feature_quad + j) * output_quads + output_quad] = sum[j];
        }
}

#version 450
#extension GL_GOOGLE_include_directive : require
// dlogits = dloss (softmax - q), 0 in rows without a target.
#include "cross_entropy.glsl"

layout(set = 0, binding = 2, std430) readonly buffer dloss_block { float dloss[]; };
OUTPUT(3, dlogits);

void main() {
    uint row = find_row();
    float largest = row_max();
    float sum = row_sum(largest);
    if (row >= images)
        return;
    Wanted wanted = find_wanted(row);
    float scale = dloss[row];
    for (uint q = lane; q < row_quads; q += LANES) {
        uvec4 k = 4u * q + uvec4(0u, 1u, 2u, 3u);
        vec4 weight = mix(vec4(0.0), vec4(1.0 - wanted.share), equal(k, uvec4(wanted.place)));
        weight += mix(vec4(0.0), vec4(wanted.share), equal(k, uvec4(wanted.other)));
        vec4 value = scale * (exponentials(q, largest) / sum - (other_weight + target_weight * weight));
        bvec4 inside = is_class(q);
        dlogits[row_start + q] = wanted.counts ? mix(vec4(0.0), value, inside) : vec4(0.0);
    }
}

#version 450
#extension GL_GOOGLE_include_directive : require
// dlogits = dloss (softmax - q), 0 in rows without a target.
#include "softmax.glsl"

INPUT_UINT(1, target);
layout(set = 0, binding = 2, std430) readonly buffer dloss_block { float dloss[]; };
OUTPUT(3, dlogits);

void main() {
    uint row = find_row();
    float largest = row_max();
    float sum = row_sum(largest);
    if (row >= images)
        return;
    uint place = target[row];
    float scale = dloss[row];
    for (uint q = lane; q < row_quads; q += LANES) {
        bvec4 hit = equal(4u * q + uvec4(0u, 1u, 2u, 3u), uvec4(place));
        vec4 wanted = mix(vec4(other_weight), vec4(other_weight + target_weight), hit);
        vec4 value = scale * (exponentials(q, largest) / sum - wanted);
        bvec4 inside = is_class(q);
        dlogits[row_start + q] = place < classes ? mix(vec4(0.0), value, inside) : vec4(0.0);
    }
}

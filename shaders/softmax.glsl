// What softmax.comp and its loss share. LANES invocations of a workgroup of 32 share one row of logits: 1 where rows are
// short or barriers are dear, 32 where rows are long. Sums have one fixed order.
#include "tensor.glsl"

layout(constant_id = 0) const uint LANES = 1u;
layout(local_size_x = 32) in;
INPUT(0, logits); // [images,1,1,classes]
layout(push_constant) uniform Push {
    uint images, classes;
    float target_weight, other_weight; // label smoothing: q = other_weight, + target_weight at the target
    uint target_stride;                // from one row of a mixed target (src/ops/mix.c) to the next; 0: it is not mixed
};

shared float parts[32];
uint lane, row_quads, row_start;

// Returns the row's number; rows past the last are computed as the last, and must not be stored.
uint find_row() {
    uint row = linear_index() / LANES;
    lane = gl_LocalInvocationIndex % LANES;
    row_quads = (classes + 3u) / 4u;
    row_start = min(row, images - 1u) * row_quads;
    return row;
}

bvec4 is_class(uint quad) {
    return lessThan(4u * quad + uvec4(0u, 1u, 2u, 3u), uvec4(classes));
}

// All of the workgroup must call these together.
float reduce(float value, bool largest) {
    if (LANES == 1u)
        return value;
    uint i = gl_LocalInvocationIndex;
    barrier();
    parts[i] = value;
    for (uint span = LANES / 2u; span > 0u; span /= 2u) {
        barrier();
        if (lane < span)
            parts[i] = largest ? max(parts[i], parts[i + span]) : parts[i] + parts[i + span];
    }
    barrier();
    return parts[i - lane];
}

float row_max() {
    vec4 largest = vec4(-3.402823466e38);
    for (uint q = lane; q < row_quads; q += LANES)
        largest = mix(largest, max(largest, LOAD(logits, row_start + q)), is_class(q));
    return reduce(max(max(largest.x, largest.y), max(largest.z, largest.w)), true);
}

// exp(logit - largest) of one quad, 0 in the padding.
vec4 exponentials(uint q, float largest) {
    return mix(vec4(0.0), exp(LOAD(logits, row_start + q) - largest), is_class(q));
}

float row_sum(float largest) {
    vec4 sum = vec4(0.0);
    for (uint q = lane; q < row_quads; q += LANES)
        sum += exponentials(q, largest);
    return reduce(sum.x + sum.y + (sum.z + sum.w), false);
}

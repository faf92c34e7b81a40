#version 450
#extension GL_GOOGLE_include_directive : require
// loss = log(sum of exp(z)) - sum of q z with z = x - max x; correct = 1 where the first largest logit is the target.
#include "cross_entropy.glsl"

layout(set = 0, binding = 2, std430) writeonly buffer loss_block { float loss[]; };
layout(set = 0, binding = 3, std430) writeonly buffer correct_block { float correct[]; };

// Sum of z over the row.
float sum_of_logits(float largest) {
    vec4 sum = vec4(0.0);
    for (uint q = lane; q < row_quads; q += LANES)
        sum += mix(vec4(0.0), LOAD(logits, row_start + q) - largest, is_class(q));
    return reduce(sum.x + sum.y + (sum.z + sum.w), false);
}

// Number of logits that the target's logit, at `place`, does not beat: larger ones, and equal ones before it.
float count_ahead(float value, uint place) {
    vec4 count = vec4(0.0);
    for (uint q = lane; q < row_quads; q += LANES) {
        vec4 x = LOAD(logits, row_start + q);
        bvec4 before = lessThan(4u * q + uvec4(0u, 1u, 2u, 3u), uvec4(place));
        bvec4 ahead = mix(greaterThan(x, vec4(value)), greaterThanEqual(x, vec4(value)), before);
        count += mix(vec4(0.0), vec4(ahead), is_class(q));
    }
    return reduce(count.x + count.y + (count.z + count.w), false);
}

float logit(uint place) {
    return LOAD(logits, row_start + place / 4u)[place % 4u];
}

void main() {
    uint row = find_row();
    Wanted wanted = find_wanted(row);
    float largest = row_max();
    float sum = row_sum(largest);
    float value = logit(wanted.place), other = logit(wanted.other);
    float ahead = count_ahead(value, wanted.place);
    float result = log(sum) - target_weight * (value - largest + wanted.share * (other - value));
    if (other_weight != 0.0)
        result -= other_weight * sum_of_logits(largest);
    // Rows up to the next multiple of four are the padding of the vectors.
    if (lane == 0u && row < (images + 3u) / 4u * 4u) {
        loss[row] = wanted.counts ? result : 0.0;
        correct[row] = wanted.counts && ahead == 0.0 ? 1.0 : 0.0;
    }
}

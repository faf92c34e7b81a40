#version 450
#extension GL_GOOGLE_include_directive : require
// y = relu?(conv(x, weight) + addend?), without groups: four output channels of PIXELS pixels an invocation.
#define PUSH_WORDS uint flags;
#include "conv2d.glsl"
#include "keep.glsl"
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
INPUT(1, weight);
INPUT(2, addend); // bias or residual
OUTPUT(3, y);

// Bits of `flags`.
const uint RELU = 1u, BIAS = 2u, RESIDUAL = 4u;

void main() {
    uint input_quads = quads(channels), output_quads = quads(filters), pixels = pixel_count(output_size);
    uint index = linear_index();
    uint quad = index % output_quads, first = index / output_quads * PIXELS;
    if (first >= pixels)
        return;
    ivec3 pixel[PIXELS];
    vec4 sum[PIXELS];
    for (uint p = 0u; p < PIXELS; p++) {
        pixel[p] = pixel_at(min(first + p, pixels - 1u), output_size);
        sum[p] = vec4(0.0);
    }
    ivec2 tap;
    for (tap.x = 0; tap.x < kernel.x; tap.x++)
        for (tap.y = 0; tap.y < kernel.y; tap.y++) {
            uint source[PIXELS];
            bool inside[PIXELS];
            for (uint p = 0u; p < PIXELS; p++)
                source[p] = pixel_index(pixel[p].x, source_of(pixel[p].yz, tap), size, inside[p]) * input_quads;
            uint row = weight_row(tap, 0u) + quad;
            for (uint q = 0u; q < input_quads; q++) {
                vec4 w[4];
                for (uint j = 0u; j < 4u; j++) {
                    uint channel = 4u * q + j;
                    vec4 value = LOAD(weight, row + min(channel, channels - 1u) * output_quads);
                    w[j] = channel < channels ? value : vec4(0.0);
                }
                for (uint p = 0u; p < PIXELS; p++) {
                    vec4 value = LOAD(x, source[p] + q);
                    value = inside[p] ? value : vec4(0.0);
                    sum[p] += value.x * w[0] + value.y * w[1] + value.z * w[2] + value.w * w[3];
                }
            }
        }
    for (uint p = 0u; p < PIXELS && first + p < pixels; p++) {
        uint target = (first + p) * output_quads + quad;
        vec4 value = sum[p];
        if ((flags & (BIAS | RESIDUAL)) != 0u)
            value += LOAD(addend, (flags & BIAS) != 0u ? quad : target);
        precise vec4 positive = mix(value, vec4(0.0), lessThan(value, vec4(0.0))); // max() would lose a NaN
        y[target] = keep((flags & RELU) != 0u ? positive : value, filters - 4u * quad);
    }
}

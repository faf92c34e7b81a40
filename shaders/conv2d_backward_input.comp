#version 450
#extension GL_GOOGLE_include_directive : require
// dx, without groups: four channels of PIXELS pixels of x an invocation.
#define PUSH_WORDS
#include "conv2d.glsl"
#include "keep.glsl"
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, dy);
INPUT(1, weight);
OUTPUT(2, dx);

void main() {
    uint input_quads = quads(channels), output_quads = quads(filters), pixels = pixel_count(size);
    uint index = linear_index();
    uint quad = index % input_quads, first = index / input_quads * PIXELS;
    if (first >= pixels)
        return;
    ivec3 pixel[PIXELS];
    vec4 sum[PIXELS];
    for (uint p = 0u; p < PIXELS; p++) {
        pixel[p] = pixel_at(min(first + p, pixels - 1u), size);
        sum[p] = vec4(0.0);
    }
    ivec2 tap;
    for (tap.x = 0; tap.x < kernel.x; tap.x++)
        for (tap.y = 0; tap.y < kernel.y; tap.y++) {
            uint source[PIXELS];
            bool inside[PIXELS];
            for (uint p = 0u; p < PIXELS; p++)
                source[p] = pixel_index(pixel[p].x, reader_of(pixel[p].yz, tap), output_size, inside[p]) * output_quads;
            uint row[4];
            for (uint j = 0u; j < 4u; j++)
                row[j] = weight_row(tap, min(4u * quad + j, channels - 1u));
            for (uint q = 0u; q < output_quads; q++) {
                vec4 w[4];
                for (uint j = 0u; j < 4u; j++)
                    w[j] = LOAD(weight, row[j] + q);
                for (uint p = 0u; p < PIXELS; p++) {
                    vec4 value = LOAD(dy, source[p] + q);
                    value = inside[p] ? value : vec4(0.0);
                    sum[p] += vec4(dot(value, w[0]), dot(value, w[1]), dot(value, w[2]), dot(value, w[3]));
                }
            }
        }
    for (uint p = 0u; p < PIXELS && first + p < pixels; p++)
        dx[(first + p) * input_quads + quad] = keep(sum[p], channels - 4u * quad);
}

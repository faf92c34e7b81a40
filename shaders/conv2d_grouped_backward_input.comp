#version 450
#extension GL_GOOGLE_include_directive : require
// dx in groups of channels: four channels of one pixel of x an invocation.
#define PUSH_WORDS
#include "conv2d.glsl"
#include "keep.glsl"
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, dy);
INPUT(1, weight);
OUTPUT(2, dx);

void main() {
    uint input_quads = quads(channels), output_quads = quads(filters);
    uint index = linear_index();
    uint quad = index % input_quads, number = index / input_quads;
    if (number >= pixel_count(size))
        return;
    ivec3 pixel = pixel_at(number, size);
    uvec4 channel = min(4u * quad + uvec4(0u, 1u, 2u, 3u), uvec4(channels - 1u));
    uvec4 first_filter = channel / group_channels * group_filters;
    vec4 sum = vec4(0.0);
    ivec2 tap;
    for (tap.x = 0; tap.x < kernel.x; tap.x++)
        for (tap.y = 0; tap.y < kernel.y; tap.y++) {
            bool inside;
            uint source = pixel_index(pixel.x, reader_of(pixel.yz, tap), output_size, inside) * output_quads;
            if (!inside)
                continue;
            for (uint o = 0u; o < group_filters; o++)
                for (uint lane = 0u; lane < 4u; lane++) {
                    uint number_of_filter = first_filter[lane] + o, q = number_of_filter / 4u, part = number_of_filter % 4u;
                    uint row = weight_row(tap, channel[lane] % group_channels);
                    sum[lane] += LOAD(dy, source + q)[part] * LOAD(weight, row + q)[part];
                }
        }
    dx[index] = keep(sum, channels - 4u * quad);
}

#version 450
#extension GL_GOOGLE_include_directive : require
// y = relu?(conv(x, weight) + addend?), in groups of channels: four output channels of one pixel an invocation.
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
    uint input_quads = quads(channels), output_quads = quads(filters);
    uint index = linear_index();
    uint quad = index % output_quads, number = index / output_quads;
    if (number >= pixel_count(output_size))
        return;
    ivec3 pixel = pixel_at(number, output_size);
    uvec4 filter_of_lane = min(4u * quad + uvec4(0u, 1u, 2u, 3u), uvec4(filters - 1u));
    uvec4 first_channel = filter_of_lane / group_filters * group_channels;
    vec4 sum = vec4(0.0);
    ivec2 tap;
    for (tap.x = 0; tap.x < kernel.x; tap.x++)
        for (tap.y = 0; tap.y < kernel.y; tap.y++) {
            bool inside;
            uint source = pixel_index(pixel.x, source_of(pixel.yz, tap), size, inside) * input_quads;
            if (!inside)
                continue;
            for (uint i = 0u; i < group_channels; i++) {
                uvec4 channel = first_channel + i;
                vec4 value;
                for (uint lane = 0u; lane < 4u; lane++)
                    value[lane] = LOAD(x, source + channel[lane] / 4u)[channel[lane] % 4u];
                sum += value * LOAD(weight, weight_row(tap, i) + quad);
            }
        }
    if ((flags & (BIAS | RESIDUAL)) != 0u)
        sum += LOAD(addend, (flags & BIAS) != 0u ? quad : index);
    precise vec4 positive = mix(sum, vec4(0.0), lessThan(sum, vec4(0.0))); // max() would lose a NaN
    y[index] = keep((flags & RELU) != 0u ? positive : sum, filters - 4u * quad);
}

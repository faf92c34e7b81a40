#version 450
#extension GL_GOOGLE_include_directive : require
// dweight in groups, summed over one chunk of the output pixels: one channel by four filters of one tap an invocation.
// Chunk i writes part first_part + i, a copy of the weights.
#define PUSH_WORDS uint chunks, chunk_pixels, first_part;
#include "conv2d.glsl"
#include "keep.glsl"
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
INPUT(1, dy);
OUTPUT(2, parts);

void main() {
    uint input_quads = quads(channels), output_quads = quads(filters), pixels = pixel_count(output_size);
    uint index = linear_index();
    uint quad = index % output_quads, rest = index / output_quads;
    uint i = rest % group_channels;
    rest /= group_channels;
    uint taps = uint(kernel.x * kernel.y), chunk = rest / taps;
    if (chunk >= chunks)
        return;
    ivec2 tap = ivec2(rest % taps / uint(kernel.y), rest % uint(kernel.y));
    uvec4 filter_of_lane = min(4u * quad + uvec4(0u, 1u, 2u, 3u), uvec4(filters - 1u));
    uvec4 channel = filter_of_lane / group_filters * group_channels + i;
    vec4 sum = vec4(0.0);
    uint first = chunk * chunk_pixels, last = min(first + chunk_pixels, pixels);
    for (uint number = first; number < last; number++) {
        ivec3 pixel = pixel_at(number, output_size);
        bool inside;
        uint source = pixel_index(pixel.x, source_of(pixel.yz, tap), size, inside) * input_quads;
        if (!inside)
            continue;
        vec4 value;
        for (uint lane = 0u; lane < 4u; lane++)
            value[lane] = LOAD(x, source + channel[lane] / 4u)[channel[lane] % 4u];
        sum += value * LOAD(dy, number * output_quads + quad);
    }
    parts[(first_part + chunk) * taps * group_channels * output_quads + weight_row(tap, i) + quad] =
        keep(sum, filters - 4u * quad);
}

#version 450
#extension GL_GOOGLE_include_directive : require
// dweight without groups, summed over one chunk of the output pixels: a block of four channels by four filters of one
// tap an invocation. Chunk i writes part first_part + i, a copy of the weights.
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
    uint input_quad = rest % input_quads;
    rest /= input_quads;
    uint taps = uint(kernel.x * kernel.y), chunk = rest / taps;
    if (chunk >= chunks)
        return;
    ivec2 tap = ivec2(rest % taps / uint(kernel.y), rest % uint(kernel.y));
    vec4 sum[4] = vec4[](vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    uint first = chunk * chunk_pixels, last = min(first + chunk_pixels, pixels);
    ivec3 pixel = pixel_at(first, output_size);
    for (uint i = first; i < last; i++) {
        bool inside;
        uint source = pixel_index(pixel.x, source_of(pixel.yz, tap), size, inside) * input_quads;
        vec4 value = LOAD(x, source + input_quad);
        value = inside ? value : vec4(0.0);
        vec4 slope = LOAD(dy, i * output_quads + quad);
        for (uint j = 0u; j < 4u; j++)
            sum[j] += value[j] * slope;
        pixel.z++;
        if (pixel.z == output_size.y) {
            pixel.yz = ivec2(pixel.y + 1, 0);
            if (pixel.y == output_size.x)
                pixel.xy = ivec2(pixel.x + 1, 0);
        }
    }
    uint target = (first_part + chunk) * taps * channels * output_quads + weight_row(tap, 4u * input_quad) + quad;
    for (uint j = 0u; j < 4u && 4u * input_quad + j < channels; j++)
        parts[target + j * output_quads] = keep(sum[j], filters - 4u * quad);
}

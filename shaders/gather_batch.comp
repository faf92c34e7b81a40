#version 450
#extension GL_GOOGLE_include_directive : require
// x[place] = (byte - mean) * scale of an image, shifted and flipped as gather_choices.comp chose: one vec4 of one pixel an
// invocation. This dispatch holds images first_image .. first_image + image_count - 1.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT_UINT(0, bytes);
layout(set = 0, binding = 1, std430) readonly buffer choices_block { uvec4 choices[]; }; // index, rows, columns, flip
INPUT(2, table); // mean and scale by turns, see gather_table.comp
OUTPUT(3, x);
layout(push_constant) uniform Push {
    uint batch, height, width, channels, first_image, image_count;
    uint total_count; // of images in all parts
    uint mean_per_pixel, nearest;
};

// Bytes 4 quad .. 4 quad + 3 of the pixel that starts at byte `start`; those past its channels are any bytes.
vec4 load_bytes(uint start, uint quad) {
    uint begin = start + 4u * quad, count = min(channels - 4u * quad, 4u);
    uint low = bytes[begin / 4u], high = bytes[(begin + count - 1u) / 4u], shift_bits = 8u * (begin % 4u);
    uint word = shift_bits == 0u ? low : low >> shift_bits | high << (32u - shift_bits);
    return vec4(uvec4(word, word >> 8u, word >> 16u, word >> 24u) & 255u);
}

void main() {
    uint quads = (channels + 3u) / 4u, target = linear_index();
    uint quad = target % quads, column = target / quads % width, row = target / quads / width % height;
    uint place = target / quads / width / height;
    if (place >= batch)
        return;
    uvec4 choice = choices[place];
    uint index = choice.x;
    if (index >= total_count) {
        if (first_image == 0u)
            x[target] = vec4(0.0);
        return;
    }
    if (index - first_image >= image_count)
        return;
    ivec2 source = ivec2(row, choice.w != 0u ? int(width) - 1 - int(column) : int(column)) + ivec2(choice.yz);
    ivec2 edge = clamp(source, ivec2(0), ivec2(height, width) - 1);
    uint pixel = uint(edge.x) * width + uint(edge.y), at = (mean_per_pixel != 0u ? pixel * quads : 0u) + quad;
    vec4 value = load_bytes(((index - first_image) * height * width + pixel) * channels, quad);
    if (nearest == 0u && source != edge)
        value = vec4(0.0);
    // The padding of scale is zero, so that of x is.
    x[target] = (value - LOAD(table, 2u * at)) * LOAD(table, 2u * at + 1u);
}

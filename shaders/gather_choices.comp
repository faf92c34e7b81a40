#version 450
#extension GL_GOOGLE_include_directive : require
// What gather_batch.comp does with each image of the batch, a pure function of (seed, epoch, index): (number of the image,
// rows and columns to shift by, whether to flip). The number is the index; of a direct batch, the place.
#include "random.glsl"
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT_UINT(0, indices);
INPUT_UINT(1, clock); // seed, epoch
layout(set = 0, binding = 2, std430) writeonly buffer choices_block { uvec4 choices[]; };
layout(push_constant) uniform Push { uint batch, shift, flip, direct; };

// Purposes of random numbers, see src/ops/gather.c.
const uint ROWS = 0u, COLUMNS = 1u, FLIP = 2u;

uint choose(uint purpose, uint index, uint count) {
    return random_below(clock[0], 0x67610000u + 4u * clock[1] + purpose, index, count);
}

void main() {
    uint place = linear_index();
    if (place >= batch)
        return;
    uint index = indices[place], count = 2u * shift + 1u;
    uvec2 moved = shift != 0u ? uvec2(choose(ROWS, index, count), choose(COLUMNS, index, count)) - shift : uvec2(0u);
    uint image = direct != 0u && index != 0xffffffffu ? place : index;
    choices[place] = uvec4(image, moved, flip != 0u ? choose(FLIP, index, 2u) : 0u);
}

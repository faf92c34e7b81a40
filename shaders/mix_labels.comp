#version 450
#extension GL_GOOGLE_include_directive : require
// What the loss of a mixed batch takes: a row of the images' own labels, one of their partners', and one of the share of
// the latter (choice = (shift, ..., share, 0), see src/ops/mix.c). Places up to `stride` are the padding of the rows.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT_UINT(0, target);
INPUT_UINT(1, choice);
layout(set = 0, binding = 2, std430) writeonly buffer mixed_block { uint mixed[]; };
layout(push_constant) uniform Push { uint images, stride; };

void main() {
    uint i = linear_index();
    if (i >= stride)
        return;
    bool real = i < images;
    uint partner = (i + choice[0]) % images;
    mixed[i] = real ? target[i] : 0u;
    mixed[stride + i] = real ? target[partner] : 0u;
    mixed[2u * stride + i] = real ? choice[6] : 0u;
}

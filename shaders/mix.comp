#version 450
#extension GL_GOOGLE_include_directive : require
// y = x + share (partner - x), inside a box the partner. The partner of an image is `shift` places further on in the batch,
// choice = (shift, top, bottom, left, right, share in units of 2^-24, ...), see src/ops/mix.c. One vec4 an invocation.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
INPUT_UINT(1, choice);
OUTPUT(2, y);
layout(push_constant) uniform Push { uint images, height, width, quads; };

bool inside(uint row, uint column) {
    return row >= choice[1] && row < choice[2] && column >= choice[3] && column < choice[4];
}

void main() {
    uint i = linear_index(), image_quads = height * width * quads, image = i / image_quads;
    if (image >= images)
        return;
    uint rest = i - image * image_quads, pixel = rest / quads;
    uint partner = (image + choice[0]) % images;
    vec4 own = LOAD(x, i), other = LOAD(x, partner * image_quads + rest);
    float share = float(choice[5]) * (1.0 / 16777216.0);
    y[i] = inside(pixel / width, pixel % width) ? other : own + share * (other - own);
}

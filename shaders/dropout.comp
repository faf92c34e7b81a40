#version 450
#extension GL_GOOGLE_include_directive : require
// y = x * scale where a value is kept, else 0: a pure function of (seed, epoch, index of the image, layer, feature). One
// vec4 of one image an invocation.
#include "random.glsl"
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
INPUT_UINT(1, clock); // seed, epoch
INPUT_UINT(2, indices);
OUTPUT(3, y);
layout(push_constant) uniform Push {
    uint quads, row_quads, layer, threshold;
    float scale;
};

void main() {
    uint i = linear_index();
    if (i >= quads)
        return;
    uint stream = 0x64000000u + 64u * clock[1] + layer, own = random_bits(clock[0], stream, indices[i / row_quads]);
    uvec4 feature = 4u * (i % row_quads) + uvec4(0u, 1u, 2u, 3u), bits;
    for (int c = 0; c < 4; c++)
        bits[c] = random_bits(own, stream, feature[c]) >> 8u;
    y[i] = mix(vec4(0.0), scale * LOAD(x, i), greaterThanEqual(bits, uvec4(threshold)));
}

#version 450
#extension GL_GOOGLE_include_directive : require
// gated = hyper, with a 1 at the end when the first element of gate is not finite. sgd.comp and adam.comp do nothing when
// the end is not 0.
#include "tensor.glsl"

layout(local_size_x = 1) in;
INPUT(0, hyper);
INPUT(1, gate);
OUTPUT(2, gated);

void main() {
    uint exponent = floatBitsToUint(LOAD(gate, 0u).x) & 0x7f800000u;
    vec4 open = LOAD(hyper, 0u);
    gated[0] = vec4(open.xyz, exponent == 0x7f800000u ? 1.0 : open.w);
}

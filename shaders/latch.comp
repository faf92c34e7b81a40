#version 450
#extension GL_GOOGLE_include_directive : require
// state becomes NaN when the first element of value is not finite; otherwise it is left as it is.
#include "tensor.glsl"

layout(local_size_x = 1) in;
INPUT(0, value);
UPDATE(1, state);

void main() {
    uint exponent = floatBitsToUint(LOAD(value, 0u).x) & 0x7f800000u;
    if (exponent == 0x7f800000u)
        state[0] = vec4(uintBitsToFloat(0x7fc00000u), 0.0, 0.0, 0.0);
}

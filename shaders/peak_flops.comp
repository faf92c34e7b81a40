#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// How many float32 multiply-adds a device can do: independent chains of chain = chain * factor + term, which stay near 1.
// 32 steps are unrolled so that the loop does not count; 14 chains hide the latency and, with factor and term, fit the 16
// vector registers of a CPU.
#include "tensor.glsl"

layout(local_size_x = 64) in;
OUTPUT(0, y);
layout(push_constant) uniform Push {
    uint rounds;
    float factor, term;
};
const int CHAINS = 14, STEPS = 32; // also in src/exec/peak.h

void main() {
    float chain[CHAINS], a = factor, b = term;
    [[unroll]] for (int c = 0; c < CHAINS; c++)
        chain[c] = float(gl_LocalInvocationIndex) + float(c);
    for (uint round = 0; round < rounds; round++)
        [[unroll]] for (int s = 0; s < STEPS; s++)
            [[unroll]] for (int c = 0; c < CHAINS; c++)
                chain[c] = chain[c] * a + b;
    float sum = 0;
    [[unroll]] for (int c = 0; c < CHAINS; c++)
        sum += chain[c];
    y[linear_index()] = vec4(sum);
}

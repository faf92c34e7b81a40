#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Mean over the pixels of an image, one vec4 of the output an invocation. Batches are summed on their own first: shorter
// chains, smaller errors.
#include "tensor.glsl"
#include "divide.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
OUTPUT(1, y);
layout(push_constant) uniform Push {
    uint count;    // vec4 of y
    Divisor quads; // vec4 of a pixel
    uint pixels;   // of an image
};
const uint UNROLL = 8;

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    uint image = divide(i, quads), at = image * pixels * quads.value + i - image * quads.value, pixel = 0;
    vec4 sum = vec4(0);
    for (; pixel + UNROLL <= pixels; pixel += UNROLL) {
        vec4 batch = vec4(0);
        [[unroll]] for (uint k = 0; k < UNROLL; k++) {
            batch += LOAD(x, at);
            at += quads.value;
        }
        sum += batch;
    }
    for (; pixel < pixels; pixel++) {
        sum += LOAD(x, at);
        at += quads.value;
    }
    y[i] = sum / float(pixels);
}

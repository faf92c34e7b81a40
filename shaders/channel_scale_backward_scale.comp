#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Sum of x * dy over the pixels of an image, one vec4 of the output an invocation, in batches as global_average_pool.comp.
#include "tensor.glsl"
#include "divide.glsl"

layout(local_size_x = 64) in;
INPUT(0, x);
INPUT(1, dy);
OUTPUT(2, dscale);
layout(push_constant) uniform Push {
    uint count;    // vec4 of dscale
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
            batch += LOAD(x, at) * LOAD(dy, at);
            at += quads.value;
        }
        sum += batch;
    }
    for (; pixel < pixels; pixel++) {
        sum += LOAD(x, at) * LOAD(dy, at);
        at += quads.value;
    }
    dscale[i] = sum;
}

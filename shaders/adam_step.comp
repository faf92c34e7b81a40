#version 450
#extension GL_GOOGLE_include_directive : require
// The step of adam.comp with the means that adam_moment.comp made: w *= 1 - rate decay first (decoupled);
// w -= rate (m c1) / (sqrt(v c2) + epsilon), with hyper = (learning rate, c1, c2, skip) and rate = learning rate *
// lr_scale.
#include "tensor.glsl"

layout(local_size_x = 64) in;
UPDATE(0, parameters);
INPUT(1, m);
INPUT(2, v);
INPUT(3, hyper);
layout(push_constant) uniform Push {
    uint quads;
    float epsilon, decay;
    uint decoupled;
    float lr_scale;
};

void main() {
    uint i = linear_index();
    vec4 hypers = LOAD(hyper, 0u);
    if (i >= quads || hypers.w != 0.0)
        return;
    precise float rate = hypers.x * lr_scale;
    precise vec4 w = parameters[i];
    if (decoupled != 0u)
        w = w * (1.0 - rate * decay);
    parameters[i] = w - rate * (LOAD(m, i) * hypers.y / (sqrt(LOAD(v, i) * hypers.z) + epsilon));
}

#version 450
#extension GL_GOOGLE_include_directive : require
// g += weight_decay w; v = momentum v + g; w -= rate (nesterov ? g + momentum v : v), with hyper = (learning rate, .., ..,
// skip) and rate = learning rate * lr_scale.
#include "tensor.glsl"

layout(local_size_x = 64) in;
UPDATE(0, parameters);
INPUT(1, gradients);
UPDATE(2, velocity);
INPUT(3, hyper);
layout(push_constant) uniform Push {
    uint quads;
    float momentum, weight_decay;
    uint nesterov;
    float lr_scale;
};

void main() {
    uint i = linear_index();
    vec4 hypers = LOAD(hyper, 0u);
    if (i >= quads || hypers.w != 0.0)
        return;
    precise float rate = hypers.x * lr_scale;
    vec4 w = parameters[i];
    precise vec4 g = LOAD(gradients, i) + weight_decay * w;
    precise vec4 v = momentum * velocity[i] + g;
    precise vec4 step = nesterov != 0u ? g + momentum * v : v;
    precise vec4 next = w - rate * step;
    velocity[i] = v;
    parameters[i] = next;
}

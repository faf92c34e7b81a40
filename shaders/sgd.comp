#version 450
#extension GL_GOOGLE_include_directive : require
// g += weight_decay w; v = momentum v + g; w -= rate (nesterov ? g + momentum v : v).
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
};

void main() {
    uint i = linear_index();
    vec4 rate = LOAD(hyper, 0u);
    if (i >= quads || rate.w != 0.0)
        return;
    vec4 w = parameters[i];
    precise vec4 g = LOAD(gradients, i) + weight_decay * w;
    precise vec4 v = momentum * velocity[i] + g;
    precise vec4 step = nesterov != 0u ? g + momentum * v : v;
    precise vec4 next = w - rate.x * step;
    velocity[i] = v;
    parameters[i] = next;
}

#version 450
#extension GL_GOOGLE_include_directive : require
// g += decay w, or w *= 1 - rate decay first (decoupled); m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
// w -= rate (m c1) / (sqrt(v c2) + epsilon), with hyper = (learning rate, c1, c2, skip) and
// rate = learning rate * lr_scale.
#include "tensor.glsl"

layout(local_size_x = 64) in;
UPDATE(0, parameters);
INPUT(1, gradients);
UPDATE(2, m);
UPDATE(3, v);
INPUT(4, hyper);
layout(push_constant) uniform Push {
    uint quads;
    float beta1, beta1_rest, beta2, beta2_rest, epsilon, decay;
    uint decoupled;
    float lr_scale;
};

void main() {
    uint i = linear_index();
    vec4 hypers = LOAD(hyper, 0u);
    if (i >= quads || hypers.w != 0.0)
        return;
    precise float rate = hypers.x * lr_scale;
    precise vec4 w = parameters[i], g = LOAD(gradients, i);
    if (decoupled != 0u)
        w = w * (1.0 - rate * decay);
    else
        g = g + decay * w;
    precise vec4 first = beta1 * m[i] + beta1_rest * g;
    precise vec4 second = beta2 * v[i] + beta2_rest * (g * g);
    m[i] = first;
    v[i] = second;
    parameters[i] = w - rate * (first * hypers.y / (sqrt(second * hypers.z) + epsilon));
}

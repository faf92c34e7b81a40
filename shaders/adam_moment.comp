#version 450
#extension GL_GOOGLE_include_directive : require
// One of the two means of adam.comp, for devices with four storage buffers in a kernel: g += decay w (unless decoupled);
// moment = beta moment + beta_rest g, or g^2 in place of g. Then adam_step.comp.
#include "tensor.glsl"

layout(local_size_x = 64) in;
UPDATE(0, moment);
INPUT(1, gradients);
INPUT(2, parameters);
INPUT(3, hyper);
layout(push_constant) uniform Push {
    uint quads;
    float beta, beta_rest, decay;
    uint decoupled, squares;
};

void main() {
    uint i = linear_index();
    if (i >= quads || LOAD(hyper, 0u).w != 0.0)
        return;
    precise vec4 g = LOAD(gradients, i);
    if (decoupled == 0u)
        g = g + decay * LOAD(parameters, i);
    if (squares != 0u)
        g = g * g;
    precise vec4 next = beta * moment[i] + beta_rest * g;
    moment[i] = next;
}

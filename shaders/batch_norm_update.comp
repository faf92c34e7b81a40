#version 450
#extension GL_GOOGLE_include_directive : require
// running = (1 - momentum) running + momentum batch, in place; the batch variance is multiplied by `correction` first.
#include "tensor.glsl"

layout(local_size_x = 64) in;
UPDATE(0, running_mean);
UPDATE(1, running_variance);
INPUT(2, mean);
INPUT(3, variance);
layout(push_constant) uniform Push {
    uint quads;
    float keep, momentum, variance_momentum;
};

void main() {
    uint i = linear_index();
    if (i >= quads)
        return;
    running_mean[i] = keep * running_mean[i] + momentum * LOAD(mean, i);
    running_variance[i] = keep * running_variance[i] + variance_momentum * LOAD(variance, i);
}

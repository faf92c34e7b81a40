#version 450
// Runs as long as it is told to: one invocation a workgroup, each with its own word.
layout(local_size_x = 1) in;
layout(set = 0, binding = 0) buffer Y { uint y[]; };
layout(push_constant) uniform Push { uint rounds; };

void main() {
    uint i = gl_WorkGroupID.x % 64;
    uint value = y[i];
    for (uint round = 0; round < rounds; round++)
        value = value * 1664525u + 1013904223u;
    if (gl_WorkGroupID.x < 64)
        y[i] = value;
}

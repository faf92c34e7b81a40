#version 450
#extension GL_GOOGLE_include_directive : require
// table[2 i], table[2 i + 1] = mean[i], scale[i % quads]: one operand of gather_batch.comp instead of two, as a kernel
// has four storage buffers on some devices.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT(0, mean);
INPUT(1, scale);
OUTPUT(2, table);
layout(push_constant) uniform Push { uint count, quads; };

void main() {
    uint i = linear_index();
    if (i >= count)
        return;
    table[2u * i] = LOAD(mean, i);
    table[2u * i + 1u] = LOAD(scale, i % quads);
}

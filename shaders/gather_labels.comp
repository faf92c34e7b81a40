#version 450
#extension GL_GOOGLE_include_directive : require
// target[i] = labels[indices[i]], of a direct batch labels[i]; 0xFFFFFFFF where the index is no image.
#include "tensor.glsl"

layout(local_size_x = 64) in;
INPUT_UINT(0, labels);
INPUT_UINT(1, indices);
layout(set = 0, binding = 2, std430) writeonly buffer target_block { uint target[]; };
layout(push_constant) uniform Push { uint batch, total_count, direct; };

void main() {
    uint i = linear_index();
    if (i >= (batch + 3u) / 4u * 4u)
        return;
    uint index = i < batch ? indices[i] : 0u;
    if (direct != 0u && index != 0xffffffffu)
        index = i;
    uint label = index < total_count ? labels[index] : 0xffffffffu;
    target[i] = i < batch ? label : 0u;
}

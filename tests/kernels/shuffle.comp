#version 450
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
// A workgroup of one subgroup: every lane reads its neighbour, and says which lane it is.
layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) writeonly buffer Y { uint y[]; };

void main() {
    uint lane = gl_SubgroupInvocationID;
    uint neighbour = subgroupShuffle(lane * 10u, (lane + 1u) % gl_SubgroupSize);
    y[gl_GlobalInvocationID.x] = gl_SubgroupSize << 16 | neighbour;
}

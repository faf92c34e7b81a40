#version 450
// Reads texels through the sampled kinds of texel buffer.
layout(local_size_x = 4, local_size_y = 2, local_size_z = 1) in;
layout(set = 0, binding = 0) uniform textureBuffer x;
layout(set = 0, binding = 1) writeonly buffer Y { vec4 y[]; };

void main() {
    uint i = gl_WorkGroupID.x * 8 + gl_LocalInvocationIndex;
    y[i] = texelFetch(x, int(i)).wzyx;
}

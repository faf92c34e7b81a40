#version 450
// A texel buffer of another format is not one of the kinds that kernels use.
layout(local_size_x = 1) in;
layout(set = 0, binding = 0, r32ui) uniform readonly uimageBuffer x;
layout(set = 0, binding = 1) writeonly buffer Y { uint y[]; };

void main() {
    y[0] = imageLoad(x, 0).x;
}

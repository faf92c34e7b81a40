#version 450
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
// Needs 64-bit integers, which not every device has.
layout(local_size_x = 64) in;
layout(set = 0, binding = 0, std430) buffer values_block { uint values[]; };

void main() {
    uint64_t product = uint64_t(values[gl_GlobalInvocationID.x]) * 0x100000001ul;
    values[gl_GlobalInvocationID.x] = uint(product >> 32);
}

// How kernels see tensors (src/ir/tensor.h): rows of vec4, the last dimension padded with zeros to a multiple of four.
//
// INPUT(binding, name) declares a tensor to read, LOAD(name, i) reads its vec4 number i. With TEXELS, a build variant that
// every kernel using INPUT gets (NAME.texels.spv), the read goes through an RGBA32F texel buffer, the only fast bulk load of
// software drivers; otherwise through a storage buffer. OUTPUT(binding, name) is a storage buffer: name[i] = value.

#ifdef TEXELS
#define INPUT(number, name) layout(set = 0, binding = number, rgba32f) uniform readonly imageBuffer name
#define LOAD(name, i) imageLoad(name, int(i))
#else
#define INPUT(number, name)                                                                                            \
    layout(set = 0, binding = number, std430) readonly buffer name##_block { vec4 name[]; }
#define LOAD(name, i) name[i]
#endif

#define OUTPUT(number, name)                                                                                           \
    layout(set = 0, binding = number, std430) writeonly buffer name##_block { vec4 name[]; }
// Read and written in place.
#define UPDATE(number, name)                                                                                           \
    layout(set = 0, binding = number, std430) buffer name##_block { vec4 name[]; }
// Scalars of other types, read or written as words.
#define INPUT_UINT(number, name)                                                                                       \
    layout(set = 0, binding = number, std430) readonly buffer name##_block { uint name[]; }

// Number of this invocation in a dispatch made by dispatch_linear. A macro: gl_WorkGroupSize has its value only after the
// kernel's layout(local_size_x), which stands below the include (glslang takes 1 before it, without a word).
#define linear_index()                                                                                                 \
    ((gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_WorkGroupSize.x + gl_LocalInvocationIndex)

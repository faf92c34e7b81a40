/*
 * dispatch: what an op asks of the device, as plain data.
 *
 * A kernel is named after its file: "conv2d" is shaders/conv2d.comp. Binding i of set 0 is operand i. Workgroup size,
 * binding types and access (readonly / writeonly) are read from the SPIR-V, never repeated here.
 */
#ifndef RVK_IR_DISPATCH_H
#define RVK_IR_DISPATCH_H

#include "ir/facts.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    DISPATCH_OPERANDS = 10,
    DISPATCH_PUSH = 32, /* 128 bytes, what every device has */
    DISPATCH_CONSTANTS = 24,
    LOWERING_DISPATCHES = 16,
    LOWERING_SCRATCH = 3,
};

enum operand_kind { OPERAND_INPUT, OPERAND_OUTPUT, OPERAND_SCRATCH };

/* One buffer range: an input, output or scratch block of the op, whole (bytes == 0) or a part of it. */
struct operand {
    enum operand_kind kind;
    uint32_t index;
    uint64_t offset, bytes; /* offset is a multiple of TENSOR_ALIGNMENT */
};

struct dispatch {
    const char *kernel;
    struct operand operands[DISPATCH_OPERANDS];
    uint32_t operand_count;
    uint32_t push[DISPATCH_PUSH];
    uint32_t push_count;
    uint32_t constants[DISPATCH_CONSTANTS]; /* specialization constants 0 .. constant_count - 1 */
    uint32_t constant_count;
    uint32_t subgroup_size; /* that the kernel must run with, full; 0: any */
    uint32_t groups[3];
    double flops, bytes; /* nominal work and traffic, for the first guess of its duration and for reports */
};

struct lowering {
    uint32_t variant;  /* set by the caller. 0: the block sizes that the form itself thinks best */
    uint32_t variants; /* set by a form that has 1 .. variants as well; not each of them needs to fit each call */
    struct dispatch dispatches[LOWERING_DISPATCHES];
    uint32_t count;
    uint64_t scratch_bytes[LOWERING_SCRATCH];
};

/* Appends a dispatch of `kernel` with groups (1,1,1) and returns it for filling. Asserts that there is room. */
struct dispatch *lowering_add(struct lowering *lowering, const char *kernel);

void dispatch_input(struct dispatch *dispatch, uint32_t index);
void dispatch_output(struct dispatch *dispatch, uint32_t index);
void dispatch_scratch(struct dispatch *dispatch, uint32_t index);
/* Restricts the operand added last to `bytes` bytes from `offset` on (a multiple of TENSOR_ALIGNMENT). */
void dispatch_range(struct dispatch *dispatch, uint64_t offset, uint64_t bytes);
void dispatch_push(struct dispatch *dispatch, uint32_t word);
void dispatch_push_float(struct dispatch *dispatch, double value);
/* Three words for a Divisor in a kernel (shaders/divide.glsl): quotients by `divisor` (1 .. 2^31) without a division.
 */
void dispatch_push_divisor(struct dispatch *dispatch, uint32_t divisor);
void dispatch_constant(struct dispatch *dispatch, uint32_t word);

/*
 * Groups for `items` invocations in workgroups of `group_size` items, folded into x and y so that no axis passes
 * 65,535. In the shader: index = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * group_size + local,
 * see linear_index() in shaders/tensor.glsl; indices at or past `items` must return.
 */
void dispatch_linear(struct dispatch *dispatch, uint64_t items, uint32_t group_size);

#endif

#include "ir/dispatch.h"

#include <assert.h>
#include <string.h>

struct dispatch *lowering_add(struct lowering *lowering, const char *kernel) {
    assert(lowering->count < LOWERING_DISPATCHES);
    struct dispatch *dispatch = &lowering->dispatches[lowering->count++];
    *dispatch = (struct dispatch){.kernel = kernel, .groups = {1, 1, 1}};
    return dispatch;
}

static void add_operand(struct dispatch *dispatch, enum operand_kind kind, uint32_t index) {
    assert(dispatch->operand_count < DISPATCH_OPERANDS);
    dispatch->operands[dispatch->operand_count++] = (struct operand){.kind = kind, .index = index};
}

void dispatch_input(struct dispatch *dispatch, uint32_t index) {
    add_operand(dispatch, OPERAND_INPUT, index);
}

void dispatch_output(struct dispatch *dispatch, uint32_t index) {
    add_operand(dispatch, OPERAND_OUTPUT, index);
}

void dispatch_scratch(struct dispatch *dispatch, uint32_t index) {
    add_operand(dispatch, OPERAND_SCRATCH, index);
}

void dispatch_range(struct dispatch *dispatch, uint64_t offset, uint64_t bytes) {
    assert(dispatch->operand_count > 0);
    dispatch->operands[dispatch->operand_count - 1].offset = offset;
    dispatch->operands[dispatch->operand_count - 1].bytes = bytes;
}

void dispatch_push(struct dispatch *dispatch, uint32_t word) {
    assert(dispatch->push_count < DISPATCH_PUSH);
    dispatch->push[dispatch->push_count++] = word;
}

void dispatch_push_float(struct dispatch *dispatch, double value) {
    float narrow = (float)value;
    uint32_t word;
    memcpy(&word, &narrow, sizeof word);
    dispatch_push(dispatch, word);
}

/*
 * i / d == (i * m) >> (31 + s) for i < 2^31, with s = ceil(log2 d) and m = floor(2^(31 + s) / d) + 1 < 2^32
 * (Granlund and Montgomery, "Division by Invariant Integers using Multiplication", PLDI 1994).
 */
void dispatch_push_divisor(struct dispatch *dispatch, uint32_t divisor) {
    uint32_t shift = 0;
    while ((UINT64_C(1) << shift) < divisor)
        shift++;
    dispatch_push(dispatch, divisor);
    dispatch_push(dispatch, (uint32_t)((UINT64_C(1) << (31 + shift)) / divisor + 1));
    dispatch_push(dispatch, shift);
}

void dispatch_constant(struct dispatch *dispatch, uint32_t word) {
    assert(dispatch->constant_count < DISPATCH_CONSTANTS);
    dispatch->constants[dispatch->constant_count++] = word;
}

void dispatch_linear(struct dispatch *dispatch, uint64_t items, uint32_t group_size) {
    uint64_t groups = (items + group_size - 1) / group_size;
    uint64_t rows = (groups + 65534) / 65535;
    dispatch->groups[0] = (uint32_t)((groups + rows - 1) / rows);
    dispatch->groups[1] = (uint32_t)rows;
    dispatch->groups[2] = 1;
}

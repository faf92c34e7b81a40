#include "ir/slice.h"

#include "base/memory.h"

static uint64_t image_bytes(const struct tensor *tensor) {
    return tensor_bytes(tensor) / tensor->shape.d[N];
}

static bool follows(const struct call *call, enum operand_kind kind, uint32_t index) {
    return kind == OPERAND_OUTPUT || (kind == OPERAND_INPUT && (call->op->by_image >> index & 1) && call->in[index]);
}

/* Images for one slice, all slices but the last alike; 0: all. */
static uint32_t slice_images(const struct call *call, const struct device_facts *facts) {
    uint64_t largest = 1, unit = 1, images = call->out[0]->shape.d[N];
    for (uint32_t i = 0; i < OP_INPUTS + OP_OUTPUTS; i++) {
        bool input = i < OP_INPUTS;
        const struct tensor *tensor = input ? call->in[i] : call->out[i - OP_INPUTS];
        if (!tensor || (input && !follows(call, OPERAND_INPUT, i)))
            continue;
        largest = MAX(largest, image_bytes(tensor));
        while (image_bytes(tensor) * unit % TENSOR_ALIGNMENT)
            unit *= 2;
    }
    uint64_t most = facts->max_storage_range / largest;
    if (images <= most || most < unit)
        return 0;
    return (uint32_t)round_up(ceil_div(images, ceil_div(images, most / unit * unit)), unit);
}

/* Moves what the form made of `count` images to where they lie among all. */
static void move(const struct call *call, uint32_t first, uint32_t count, struct lowering *part) {
    for (uint32_t d = 0; d < part->count; d++)
        for (uint32_t i = 0; i < part->dispatches[d].operand_count; i++) {
            struct operand *operand = &part->dispatches[d].operands[i];
            if (!follows(call, operand->kind, operand->index))
                continue;
            uint64_t bytes =
                image_bytes(operand->kind == OPERAND_INPUT ? call->in[operand->index] : call->out[operand->index]);
            operand->bytes = operand->bytes ? operand->bytes : count * bytes - operand->offset;
            operand->offset += first * bytes;
        }
}

static bool lower_images(const struct form *form, const struct call *call, const struct device_facts *facts,
                         uint32_t first, uint32_t count, struct lowering *part) {
    struct call slice = *call;
    struct tensor tensors[OP_INPUTS + OP_OUTPUTS];
    slice.batch = call->out[0]->shape.d[N];
    for (uint32_t i = 0; i < OP_INPUTS + OP_OUTPUTS; i++) {
        const struct tensor **tensor = i < OP_INPUTS ? &slice.in[i] : &slice.out[i - OP_INPUTS];
        if (!*tensor || (i < OP_INPUTS && !follows(call, OPERAND_INPUT, i)))
            continue;
        tensors[i] = **tensor;
        tensors[i].shape.d[N] = count;
        *tensor = &tensors[i];
    }
    if (!form->lower(&slice, facts, part))
        return false;
    move(call, first, count, part);
    return true;
}

static bool append(struct lowering *whole, const struct lowering *part) {
    if (part->count > LOWERING_DISPATCHES - whole->count)
        return false;
    for (uint32_t d = 0; d < part->count; d++)
        whole->dispatches[whole->count++] = part->dispatches[d];
    whole->variants = part->variants;
    for (int s = 0; s < LOWERING_SCRATCH; s++)
        whole->scratch_bytes[s] = MAX(whole->scratch_bytes[s], part->scratch_bytes[s]);
    return true;
}

bool slice_lower(const struct form *form, const struct call *call, const struct device_facts *facts,
                 struct lowering *lowering) {
    uint32_t images = call->out[0]->shape.d[N], slice = call->op->by_image ? slice_images(call, facts) : 0;
    if (slice == 0)
        return form->lower(call, facts, lowering);
    const struct lowering empty = *lowering;
    for (uint32_t first = 0; first < images; first += slice) {
        struct lowering part = empty;
        if (!lower_images(form, call, facts, first, MIN(slice, images - first), &part) || !append(lowering, &part))
            return false;
    }
    return true;
}

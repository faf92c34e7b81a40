#include "exec/schedule.h"

#include "base/memory.h"

#include <stdlib.h>

static void touch(const struct graph *graph, struct block *blocks, tensor_id tensor, uint32_t node, bool write) {
    if (tensor == TENSOR_NONE)
        return;
    struct block *block = &blocks[graph_root(graph, tensor, NULL)];
    if (block->last == UINT32_MAX) /* first touch: a value that is read before it is written comes from outside */
        block->first = write ? node : 0;
    block->last = node;
}

static void touch_always(const struct graph *graph, struct block *blocks, tensor_id tensor) {
    if (tensor == TENSOR_NONE)
        return;
    struct block *block = &blocks[graph_root(graph, tensor, NULL)];
    block->first = 0;
    block->last = (uint32_t)graph->node_count - 1;
}

void schedule_lifetimes(const struct graph *graph, struct block *blocks) {
    for (size_t t = 0; t < graph->tensor_count; t++) {
        const struct tensor *tensor = &graph->tensors[t];
        bool packed = tensor->base == TENSOR_NONE && tensor->role == TENSOR_TEMPORARY;
        blocks[t] = (struct block){.bytes = packed ? tensor_bytes(tensor) : 0, .last = UINT32_MAX};
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        for (int j = 0; j < OP_INPUTS; j++)
            touch(graph, blocks, node->in[j], i, false);
        for (int k = 0; k < OP_OUTPUTS; k++)
            touch(graph, blocks, node->out[k], i, true);
    }
    for (uint32_t i = 0; i < graph->opening; i++) /* what these compute serves many steps */
        for (int k = 0; k < OP_OUTPUTS; k++)
            touch_always(graph, blocks, graph->nodes[i].out[k]);
    for (size_t t = 0; t < graph->tensor_count; t++)
        if (blocks[t].last == UINT32_MAX) /* handed from one node to the next, or of a node that was removed */
            blocks[t] = (struct block){0};
}

static int by_size(const void *a, const void *b) {
    const struct block *x = *(const struct block *const *)a, *y = *(const struct block *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

static int by_offset(const void *a, const void *b) {
    const struct block *x = *(const struct block *const *)a, *y = *(const struct block *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Lowest offset where `bytes` fit between the given neighbours (sorted by offset). */
static uint64_t lowest_gap(struct block *const *neighbours, size_t count, uint64_t bytes, uint64_t unit_bytes) {
    uint64_t offset = 0;
    for (size_t i = 0; i <= count; i++) {
        if (offset / unit_bytes != (offset + bytes - 1) / unit_bytes)
            offset = round_up(offset, unit_bytes);
        if (i == count || offset + bytes <= neighbours[i]->offset)
            break;
        uint64_t end = round_up(neighbours[i]->offset + neighbours[i]->bytes, TENSOR_ALIGNMENT);
        offset = MAX(offset, end);
    }
    return offset;
}

static void place(struct block **order, size_t index, struct block **neighbours, uint64_t unit_bytes) {
    struct block *block = order[index];
    size_t count = 0;
    for (size_t i = 0; i < index; i++)
        if (order[i]->first <= block->last && block->first <= order[i]->last)
            neighbours[count++] = order[i];
    qsort(neighbours, count, sizeof(struct block *), by_offset);
    block->offset = lowest_gap(neighbours, count, block->bytes, unit_bytes);
}

enum status schedule_pack(struct block *blocks, size_t count, uint64_t unit_bytes, uint64_t *total) {
    struct block **order;
    size_t used = 0;
    *total = 0;
    unit_bytes = unit_bytes / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
    TRY(memory_zeroed(2 * count, sizeof(struct block *), &order));
    for (size_t i = 0; i < count; i++)
        if (blocks[i].bytes > 0)
            order[used++] = &blocks[i];
    qsort(order, used, sizeof(struct block *), by_size);
    if (used && order[0]->bytes > unit_bytes) {
        uint64_t bytes = order[0]->bytes;
        free(order);
        return fail(STATUS_MEMORY,
                    "a tensor of %llu bytes is larger than the device's largest allocation, %llu bytes "
                    "(maxMemoryAllocationSize)",
                    (unsigned long long)bytes, (unsigned long long)unit_bytes);
    }
    for (size_t i = 0; i < used; i++) {
        place(order, i, order + count, unit_bytes);
        *total = MAX(*total, round_up(order[i]->offset + order[i]->bytes, TENSOR_ALIGNMENT));
    }
    free(order);
    return STATUS_OK;
}

uint64_t schedule_lower_bound(const struct block *blocks, size_t count) {
    uint64_t most = 0;
    for (size_t i = 0; i < count; i++) {
        if (blocks[i].bytes == 0)
            continue;
        uint64_t sum = 0; /* the maximum is reached where some block begins */
        for (size_t j = 0; j < count; j++)
            if (blocks[j].bytes && blocks[j].first <= blocks[i].first && blocks[i].first <= blocks[j].last)
                sum += round_up(blocks[j].bytes, TENSOR_ALIGNMENT);
        most = MAX(most, sum);
    }
    return most;
}

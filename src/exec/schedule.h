/*
 * schedule: lifetimes of a graph's temporaries and their packing into one arena. Pure functions, no device.
 */
#ifndef RVK_EXEC_SCHEDULE_H
#define RVK_EXEC_SCHEDULE_H

#include "ir/graph.h"

/* A block of memory that lives from node `first` to node `last`, both included. */
struct block {
    uint64_t bytes;
    uint32_t first, last;
    uint64_t offset; /* set by schedule_pack */
};

/*
 * Fills first and last for every root of the graph (an array of tensor_count blocks; bytes is 0 for views and for roots
 * that are not temporaries, or that no node touches). A temporary that no node writes first is alive from the start;
 * one that is never read dies where it was written. What the graph's opening computes is alive for good.
 */
void schedule_lifetimes(const struct graph *graph, struct block *blocks);

/*
 * Gives every block with bytes > 0 an offset (multiple of TENSOR_ALIGNMENT) such that blocks alive at the same time do
 * not overlap and none crosses a multiple of `unit_bytes` (one allocation). Greedy by size, into the lowest gap. *total
 * receives the arena's bytes. STATUS_MEMORY when a block is larger than unit_bytes.
 */
CHECKED enum status schedule_pack(struct block *blocks, size_t count, uint64_t unit_bytes, uint64_t *total);

/* The largest sum of bytes alive at one node. */
uint64_t schedule_lower_bound(const struct block *blocks, size_t count);

#endif

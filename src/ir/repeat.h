/*
 * repeat: activations that are computed twice instead of kept. The nodes of a graph may be marked as segments
 * (graph_segment): of a segment, only what later nodes read, and what is small, stays until the backward pass; the rest
 * is computed again from that, just before the gradient of the segment needs it (Chen et al., "Training Deep Nets with
 * Sublinear Memory Cost", 2016). The values, and so the gradients, are the same bit by bit.
 */
#ifndef RVK_IR_REPEAT_H
#define RVK_IR_REPEAT_H

#include "ir/graph.h"

/*
 * Appends the nodes of the segment that ends with node `last` once more, but for those that work in place or whose
 * results stay. now[t] is the value that holds what value t does; the values that are computed again are replaced
 * there. Only nodes before `forward` are looked at.
 */
void repeat_segment(struct graph *graph, size_t last, size_t forward, tensor_id *now);

/* Removes the nodes after the first `forward` ones that were repeated and whose results nobody reads. */
void repeat_trim(struct graph *graph, size_t forward);

#endif

/*
 * absorb: passes saved. A node that only adds to another node's output, or masks it, is left to that node where its op
 * can do both (op.absorbs): the value is then written once instead of written, read and written.
 */
#ifndef RVK_IR_ABSORB_H
#define RVK_IR_ABSORB_H

#include "ir/graph.h"

/*
 * Removes from a finished graph the nodes that others can do on the way. Values keep their ids, but those that were
 * handed from one node to the next are not computed any more: name what must stay TENSOR_OUTPUT before.
 */
void absorb_nodes(struct graph *graph);

#endif

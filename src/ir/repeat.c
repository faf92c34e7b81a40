#include "ir/repeat.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Results of so small a share of what they are computed from stay: sums over an image or a batch. */
#define SMALL_SHARE 16

static bool reads(const struct node *node, tensor_id value) {
    bool found = false;
    for (int j = 0; j < OP_INPUTS; j++)
        found |= node->in[j] == value;
    return found;
}

static bool is_small(const struct graph *graph, const struct node *node) {
    return tensor_bytes(&graph->tensors[node->out[0]]) * SMALL_SHARE <= tensor_bytes(&graph->tensors[node->in[0]]);
}

/* Whether a later node of the forward pass reads one of the results. */
static bool is_read_later(const struct graph *graph, const struct node *node, size_t end, size_t forward) {
    bool found = false;
    for (size_t i = end; i < forward; i++)
        for (int k = 0; k < OP_OUTPUTS; k++)
            found |= node->out[k] != TENSOR_NONE && reads(&graph->nodes[i], node->out[k]);
    return found;
}

static bool stays(const struct graph *graph, const struct node *node, size_t end, size_t forward) {
    return node->op->updates[0] || node->in[0] == TENSOR_NONE || is_small(graph, node) ||
           is_read_later(graph, node, end, forward);
}

static void repeat_node(struct graph *graph, const struct node *node, tensor_id *now) {
    struct attribute attributes[OP_ATTRIBUTES + 1] = {{NULL, 0}};
    tensor_id inputs[OP_INPUTS + 1];
    int count = op_input_count(node->op);
    for (int j = 0; j < count; j++)
        inputs[j] = node->in[j] == TENSOR_NONE ? TENSOR_ABSENT : now[node->in[j]];
    inputs[count] = TENSOR_NONE;
    for (int a = 0; node->op->attributes[a].name; a++)
        attributes[a] = (struct attribute){node->op->attributes[a].name, node->attribute[a]};
    graph_scope(graph, "%s", node->scope);
    graph_apply(graph, node->op->name, inputs, attributes);
    if (graph->status != STATUS_OK)
        return;
    graph->nodes[graph->node_count - 1].repeated = true;
    for (int k = 0; node->op->outputs[k]; k++)
        now[node->out[k]] = graph_output(graph, k);
}

void repeat_segment(struct graph *graph, size_t last, size_t forward, tensor_id *now) {
    size_t first = last, end = last + 1;
    while (first > 0 && graph->nodes[first - 1].segment == graph->nodes[last].segment)
        first--;
    for (size_t i = first; i < end && graph->status == STATUS_OK; i++) {
        const struct node node = graph->nodes[i];
        if (!stays(graph, &node, end, forward))
            repeat_node(graph, &node, now);
    }
}

static void count_readers(const struct graph *graph, const struct node *node, uint32_t *readers, uint32_t change) {
    for (int j = 0; j < OP_INPUTS; j++)
        if (node->in[j] != TENSOR_NONE)
            readers[graph_root(graph, node->in[j], NULL)] += change;
}

static bool is_unread(const struct node *node, const uint32_t *readers) {
    bool read = false;
    for (int k = 0; k < OP_OUTPUTS; k++)
        read |= node->out[k] != TENSOR_NONE && readers[node->out[k]] > 0;
    return !read;
}

void repeat_trim(struct graph *graph, size_t forward) {
    uint32_t *readers;
    if (graph->status != STATUS_OK)
        return;
    if (memory_zeroed(graph->tensor_count, sizeof *readers, &readers) != STATUS_OK) {
        graph_fail(graph, STATUS_MEMORY, "%s", status_message());
        return;
    }
    for (size_t i = 0; i < graph->node_count; i++)
        count_readers(graph, &graph->nodes[i], readers, 1);
    for (size_t i = graph->node_count; i-- > forward;) {
        struct node *node = &graph->nodes[i];
        if (!node->repeated || !is_unread(node, readers))
            continue;
        count_readers(graph, node, readers, UINT32_MAX);
        memmove(node, node + 1, (--graph->node_count - i) * sizeof *node);
    }
    free(readers);
}

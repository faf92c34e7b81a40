#include "ir/absorb.h"

#include <string.h>

enum { NONE = -1, SEVERAL = -2 };

/* The node that writes the tensor's root. */
static int find_writer(const struct graph *graph, tensor_id tensor) {
    int found = NONE;
    tensor_id root = graph_root(graph, tensor, NULL);
    for (size_t i = 0; i < graph->node_count; i++)
        for (int k = 0; k < OP_OUTPUTS; k++)
            if (graph->nodes[i].out[k] != TENSOR_NONE && graph_root(graph, graph->nodes[i].out[k], NULL) == root)
                found = found == NONE ? (int)i : SEVERAL;
    return found;
}

static int count_readers(const struct graph *graph, tensor_id tensor) {
    int count = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        for (int j = 0; j < OP_INPUTS; j++)
            count += graph->nodes[i].in[j] != TENSOR_NONE &&
                     graph_root(graph, graph->nodes[i].in[j], NULL) == graph_root(graph, tensor, NULL);
    return count;
}

/* The operand through which `writer` can do the work of `node`, which reads its output as operand `own`; NONE. */
static int find_operand(const struct node *writer, const struct node *node, int own) {
    for (const struct absorption *absorption = writer->op->absorbs; absorption->op; absorption++) {
        if (absorption->own != own || strcmp(absorption->op, node->op->name) != 0)
            continue;
        for (int j = absorption->operand; j < OP_INPUTS; j++)
            if (writer->in[j] != TENSOR_NONE) /* it, or what is done after it, is taken */
                return NONE;
        return absorption->operand;
    }
    return NONE;
}

static bool is_plain(const struct graph *graph, tensor_id tensor) {
    const struct tensor *value = &graph->tensors[tensor];
    return value->base == TENSOR_NONE && value->role != TENSOR_PERSISTENT;
}

static bool absorb(struct graph *graph, const struct node *node, int own) {
    tensor_id handed = node->in[own], other = node->in[1 - own];
    if (handed == TENSOR_NONE || other == TENSOR_NONE || !is_plain(graph, node->out[0]) || !is_plain(graph, handed) ||
        graph->tensors[handed].role != TENSOR_TEMPORARY || count_readers(graph, handed) != 1)
        return false;
    int writer = find_writer(graph, handed), source = find_writer(graph, other);
    if (writer < 0 || graph->nodes[writer].out[0] != handed || source == SEVERAL || source >= writer)
        return false;
    int operand = find_operand(&graph->nodes[writer], node, own);
    if (operand == NONE)
        return false;
    graph->nodes[writer].in[operand] = other;
    graph->nodes[writer].out[0] = node->out[0];
    return true;
}

void absorb_nodes(struct graph *graph) {
    for (size_t i = 0; graph->status == STATUS_OK && i < graph->node_count;) {
        const struct node node = graph->nodes[i];
        if (absorb(graph, &node, 0) || absorb(graph, &node, 1)) {
            memmove(&graph->nodes[i], &graph->nodes[i + 1], (graph->node_count - i - 1) * sizeof *graph->nodes);
            graph->node_count--;
        } else {
            i++;
        }
    }
}

#include "ir/graph.h"

#include "base/memory.h"
#include "ir/repeat.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void graph_create(struct graph *graph) {
    memset(graph, 0, sizeof *graph);
}

void graph_destroy(struct graph *graph) {
    free(graph->tensors);
    free(graph->nodes);
    memset(graph, 0, sizeof *graph);
}

enum status graph_status(const struct graph *graph) {
    return graph->status == STATUS_OK ? STATUS_OK : fail(graph->status, "%s", graph->message);
}

tensor_id graph_fail(struct graph *graph, enum status status, const char *format, ...) {
    if (graph->status != STATUS_OK)
        return TENSOR_NONE;
    graph->status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(graph->message, sizeof graph->message, format, arguments);
    va_end(arguments);
    return TENSOR_NONE;
}

void graph_scope(struct graph *graph, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(graph->scope, sizeof graph->scope, format, arguments);
    va_end(arguments);
}

void graph_segment(struct graph *graph, bool open) {
    uint32_t last = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        last = MAX(last, graph->nodes[i].segment);
    graph->segment = open ? last + 1 : 0;
}

static tensor_id add_tensor(struct graph *graph, const struct tensor *tensor) {
    if (graph->status != STATUS_OK)
        return TENSOR_NONE;
    if (!shape_valid(tensor->shape)) {
        char text[48];
        return graph_fail(graph, STATUS_USAGE, "%s: the shape %s has a zero dimension or more than 2^31 elements",
                          tensor->name, shape_print(tensor->shape, text));
    }
    if (memory_grow(&graph->tensors, &graph->tensor_capacity, graph->tensor_count + 1, sizeof *tensor) != STATUS_OK)
        return graph_fail(graph, STATUS_MEMORY, "%s", status_message());
    graph->tensors[graph->tensor_count] = *tensor;
    return (tensor_id)graph->tensor_count++;
}

tensor_id graph_tensor(struct graph *graph, const char *name, enum dtype dtype, struct shape shape,
                       enum tensor_role role) {
    struct tensor tensor = {.dtype = dtype, .shape = shape, .role = role, .base = TENSOR_NONE};
    snprintf(tensor.name, sizeof tensor.name, "%s", name);
    return add_tensor(graph, &tensor);
}

tensor_id graph_view(struct graph *graph, const char *name, tensor_id base, uint64_t offset, struct shape shape) {
    if (graph->status != STATUS_OK)
        return TENSOR_NONE;
    const struct tensor *whole = &graph->tensors[base];
    struct tensor tensor = {.dtype = whole->dtype, .shape = shape, .role = whole->role, .base = base, .offset = offset};
    snprintf(tensor.name, sizeof tensor.name, "%s", name);
    if (offset % TENSOR_ALIGNMENT || offset + tensor_bytes(&tensor) > tensor_bytes(whole))
        return graph_fail(graph, STATUS_USAGE,
                          "%s: a view of %llu bytes at byte %llu does not fit into %s (%llu bytes)", name,
                          (unsigned long long)tensor_bytes(&tensor), (unsigned long long)offset, whole->name,
                          (unsigned long long)tensor_bytes(whole));
    return add_tensor(graph, &tensor);
}

struct shape graph_shape(const struct graph *graph, tensor_id tensor) {
    if (tensor >= graph->tensor_count)
        return shape_vector(1);
    return graph->tensors[tensor].shape;
}

tensor_id graph_root(const struct graph *graph, tensor_id tensor, uint64_t *offset) {
    uint64_t sum = 0;
    while (graph->tensors[tensor].base != TENSOR_NONE) {
        sum += graph->tensors[tensor].offset;
        tensor = graph->tensors[tensor].base;
    }
    if (offset)
        *offset = sum;
    return tensor;
}

tensor_id graph_output(const struct graph *graph, int index) {
    return graph->status == STATUS_OK && graph->node_count ? graph->nodes[graph->node_count - 1].out[index]
                                                           : TENSOR_NONE;
}

static void fill_call(const struct graph *graph, const struct node *node, struct call *call) {
    memset(call, 0, sizeof *call);
    call->op = node->op;
    for (int i = 0; i < OP_INPUTS; i++)
        call->in[i] = node->in[i] == TENSOR_NONE ? NULL : &graph->tensors[node->in[i]];
    for (int i = 0; i < OP_OUTPUTS; i++)
        call->out[i] = node->out[i] == TENSOR_NONE ? NULL : &graph->tensors[node->out[i]];
    memcpy(call->attribute, node->attribute, sizeof call->attribute);
}

void graph_call(const struct graph *graph, size_t index, struct call *call) {
    fill_call(graph, &graph->nodes[index], call);
}

static bool take_inputs(struct graph *graph, struct node *node, const tensor_id inputs[]) {
    int count = op_input_count(node->op), given = 0;
    for (int i = 0; i < OP_INPUTS; i++)
        node->in[i] = TENSOR_NONE;
    while (given < count && inputs[given] != TENSOR_NONE) {
        node->in[given] = inputs[given] == TENSOR_ABSENT ? TENSOR_NONE : inputs[given];
        given++;
    }
    for (int i = 0; i < count; i++)
        if (node->in[i] == TENSOR_NONE && !op_input_optional(node->op, i)) {
            graph_fail(graph, STATUS_USAGE, "%s: the operand %s is missing", node->op->name, node->op->inputs[i]);
            return false;
        }
    return true;
}

static bool take_attributes(struct graph *graph, struct node *node, const struct attribute *given) {
    for (int i = 0; node->op->attributes[i].name; i++)
        node->attribute[i] = node->op->attributes[i].value;
    for (; given && given->name; given++) {
        int index = op_attribute_index(node->op, given->name);
        if (index < 0) {
            graph_fail(graph, STATUS_USAGE, "%s has no attribute %s", node->op->name, given->name);
            return false;
        }
        node->attribute[index] = given->value;
    }
    return true;
}

static bool add_outputs(struct graph *graph, struct node *node) {
    struct call call;
    struct tensor out[OP_OUTPUTS] = {0};
    fill_call(graph, node, &call);
    if (node->op->infer(&call, out) != STATUS_OK) {
        graph_fail(graph, STATUS_USAGE, "%s%s%s: %s", node->scope, *node->scope ? " " : "", node->op->name,
                   status_message());
        return false;
    }
    for (int k = 0; k < op_output_count(node->op); k++) {
        out[k].base = TENSOR_NONE;
        if (node->op->updates[k]) {
            out[k].base = node->in[node->op->updates[k] - 1];
            out[k].role = graph->tensors[out[k].base].role;
        }
        snprintf(out[k].name, sizeof out[k].name, "%.40s%s%.20s", node->scope, *node->scope ? "." : "",
                 node->op->outputs[k]);
        node->out[k] = add_tensor(graph, &out[k]);
    }
    return graph->status == STATUS_OK;
}

tensor_id graph_apply(struct graph *graph, const char *op, const tensor_id inputs[],
                      const struct attribute attributes[]) {
    if (graph->status != STATUS_OK)
        return TENSOR_NONE;
    struct node node = {.op = op_find(op), .segment = graph->segment};
    if (!node.op)
        return graph_fail(graph, STATUS_USAGE, "there is no op called %s", op);
    memcpy(node.scope, graph->scope, sizeof node.scope);
    for (int k = 0; k < OP_OUTPUTS; k++)
        node.out[k] = TENSOR_NONE;
    if (!take_inputs(graph, &node, inputs) || !take_attributes(graph, &node, attributes) || !add_outputs(graph, &node))
        return TENSOR_NONE;
    if (memory_grow(&graph->nodes, &graph->node_capacity, graph->node_count + 1, sizeof node) != STATUS_OK)
        return graph_fail(graph, STATUS_MEMORY, "%s", status_message());
    graph->nodes[graph->node_count++] = node;
    return node.out[0];
}

/* needed[t]: a wanted value can reach t, so t's gradient leads somewhere. */
static void mark_needed(const struct graph *graph, size_t node_count, const tensor_id wanted[], size_t count,
                        bool *needed) {
    for (size_t i = 0; i < count; i++)
        needed[wanted[i]] = true;
    for (size_t i = 0; i < node_count; i++) {
        const struct node *node = &graph->nodes[i];
        bool reached = false;
        for (int j = 0; node->op->inputs[j]; j++)
            reached |= node->in[j] != TENSOR_NONE && needed[node->in[j]];
        for (int k = 0; reached && node->op->gradient && node->op->outputs[k]; k++)
            needed[node->out[k]] = true;
    }
}

/* The node with the values that hold now what its own held. */
static struct node read_now(const struct node *node, const tensor_id *now) {
    struct node moved = *node;
    for (int j = 0; j < OP_INPUTS; j++)
        moved.in[j] = node->in[j] == TENSOR_NONE ? TENSOR_NONE : now[node->in[j]];
    for (int k = 0; k < OP_OUTPUTS; k++)
        moved.out[k] = node->out[k] == TENSOR_NONE ? TENSOR_NONE : now[node->out[k]];
    return moved;
}

static void append_backward(struct graph *graph, const struct node *node, const tensor_id *now, const bool *needed,
                            tensor_id *gradients) {
    tensor_id dout[OP_OUTPUTS], din[OP_INPUTS];
    bool need[OP_INPUTS] = {false}, any_out = false, any_in = false;
    for (int k = 0; k < OP_OUTPUTS; k++) {
        dout[k] = node->out[k] == TENSOR_NONE ? TENSOR_NONE : gradients[node->out[k]];
        any_out |= dout[k] != TENSOR_NONE;
    }
    for (int j = 0; j < OP_INPUTS; j++) {
        din[j] = TENSOR_NONE;
        need[j] = node->in[j] != TENSOR_NONE && needed[node->in[j]];
        any_in |= need[j];
    }
    if (!any_out || !any_in || !node->op->gradient)
        return;
    struct node moved = read_now(node, now);
    graph_scope(graph, "%s", node->scope);
    node->op->gradient(graph, &moved, dout, need, din);
    for (int j = 0; j < OP_INPUTS; j++) {
        if (!need[j] || din[j] == TENSOR_NONE)
            continue;
        tensor_id *sum = &gradients[node->in[j]];
        *sum = *sum == TENSOR_NONE ? din[j] : graph_apply(graph, "add", OPERANDS(*sum, din[j]), NULL);
    }
}

/* Appends the backward nodes of the first `forward` nodes, from the last to the first. */
static void walk_back(struct graph *graph, size_t forward, tensor_id *now, const bool *needed, tensor_id *gradients) {
    uint32_t segment = 0;
    graph_segment(graph, false);
    for (size_t i = forward; i-- > 0 && graph->status == STATUS_OK;) {
        struct node node = graph->nodes[i];
        if (graph->recompute && node.segment && node.segment != segment)
            repeat_segment(graph, i, forward, now);
        segment = node.segment;
        append_backward(graph, &node, now, needed, gradients);
    }
    if (graph->recompute)
        repeat_trim(graph, forward);
}

void graph_gradient(struct graph *graph, tensor_id value, tensor_id seed, const tensor_id wanted[], size_t count,
                    tensor_id gradient[]) {
    for (size_t i = 0; i < count; i++)
        gradient[i] = TENSOR_NONE;
    if (graph->status != STATUS_OK)
        return;
    size_t forward = graph->node_count, tensors = graph->tensor_count;
    bool *needed = calloc(tensors, sizeof *needed);
    tensor_id *gradients = malloc(2 * tensors * sizeof *gradients);
    if (needed && gradients) {
        tensor_id *now = gradients + tensors;
        for (size_t t = 0; t < tensors; t++) {
            gradients[t] = TENSOR_NONE;
            now[t] = (tensor_id)t;
        }
        gradients[value] = seed;
        mark_needed(graph, forward, wanted, count, needed);
        walk_back(graph, forward, now, needed, gradients);
        for (size_t i = 0; i < count; i++)
            gradient[i] = gradients[wanted[i]];
        graph_scope(graph, "%s", "");
    } else {
        graph_fail(graph, STATUS_MEMORY, "out of host memory for the gradient of %zu values", tensors);
    }
    free(needed);
    free(gradients);
}

tensor_id graph_place(struct graph *graph, tensor_id tensor, tensor_id base, uint64_t offset) {
    if (graph->status != STATUS_OK)
        return TENSOR_NONE;
    struct tensor *value = &graph->tensors[tensor];
    if (value->base != TENSOR_NONE || value->role != TENSOR_TEMPORARY)
        tensor = graph_apply(graph, "copy", OPERANDS(tensor), NULL);
    if (tensor == TENSOR_NONE)
        return TENSOR_NONE;
    value = &graph->tensors[tensor];
    if (offset % TENSOR_ALIGNMENT || offset + tensor_bytes(value) > tensor_bytes(&graph->tensors[base]))
        return graph_fail(graph, STATUS_USAGE, "%s does not fit into %s at byte %llu", value->name,
                          graph->tensors[base].name, (unsigned long long)offset);
    value->base = base;
    value->offset = offset;
    value->role = graph->tensors[base].role;
    return tensor;
}

/* ---- nodes that need not run in every step ---- */

/* varies[root]: whether the root's value may differ from step to step as far as its role and its writers say. */
static void find_varying(const struct graph *graph, uint32_t *writers, bool *varies) {
    for (size_t i = 0; i < graph->node_count; i++)
        for (int k = 0; k < OP_OUTPUTS; k++)
            if (graph->nodes[i].out[k] != TENSOR_NONE)
                writers[graph_root(graph, graph->nodes[i].out[k], NULL)]++;
    for (size_t t = 0; t < graph->tensor_count; t++) {
        enum tensor_role role = graph->tensors[t].role;
        varies[t] = role == TENSOR_INPUT || writers[t] != (role == TENSOR_PERSISTENT ? 0 : 1);
    }
}

/* Whether the node's results stay as they are; if not, they vary. */
static bool settled(const struct graph *graph, const struct node *node, bool *varies) {
    bool any = false;
    for (int j = 0; j < OP_INPUTS; j++)
        any |= node->in[j] != TENSOR_NONE && varies[graph_root(graph, node->in[j], NULL)];
    for (int k = 0; k < OP_OUTPUTS; k++)
        any |= node->out[k] != TENSOR_NONE && varies[graph_root(graph, node->out[k], NULL)];
    for (int k = 0; any && k < OP_OUTPUTS; k++)
        if (node->out[k] != TENSOR_NONE)
            varies[graph_root(graph, node->out[k], NULL)] = true;
    return !any;
}

void graph_hoist(struct graph *graph) {
    if (graph->status != STATUS_OK || graph->node_count == 0)
        return;
    uint32_t *writers = calloc(graph->tensor_count, sizeof *writers);
    bool *varies = calloc(graph->tensor_count, sizeof *varies);
    struct node *later = malloc(graph->node_count * sizeof *later);
    size_t later_count = 0;
    if (writers && varies && later) {
        find_varying(graph, writers, varies);
        for (size_t i = 0; i < graph->node_count; i++)
            if (settled(graph, &graph->nodes[i], varies))
                graph->nodes[graph->opening++] = graph->nodes[i];
            else
                later[later_count++] = graph->nodes[i];
        memcpy(graph->nodes + graph->opening, later, later_count * sizeof *later);
    } else {
        graph_fail(graph, STATUS_MEMORY, "out of host memory for the order of %zu nodes", graph->node_count);
    }
    free(writers);
    free(varies);
    free(later);
}

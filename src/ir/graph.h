/*
 * graph: values and the nodes that compute them, in execution order.
 *
 * Building never needs a check after each call: the first failure is kept, later calls do nothing and return
 * TENSOR_NONE, and graph_status tells at the end. Not thread-safe; a finished graph may be read from any thread.
 */
#ifndef RVK_IR_GRAPH_H
#define RVK_IR_GRAPH_H

#include "ir/op.h"

struct node {
    const struct op *op;
    char scope[64]; /* where in the model: "layer1.0.conv1"; for reports */
    tensor_id in[OP_INPUTS], out[OP_OUTPUTS];
    double attribute[OP_ATTRIBUTES];
    uint32_t segment; /* see graph_segment; 0: of none */
    bool repeated;    /* computes once more what a node of the forward pass did; see ir/repeat.h */
};

struct graph {
    struct tensor *tensors;
    size_t tensor_count, tensor_capacity;
    struct node *nodes;
    size_t node_count, node_capacity;
    size_t opening; /* the first so many nodes depend on values only that no node writes; see graph_hoist */
    char scope[64];
    uint32_t segment; /* that new nodes belong to */
    bool recompute;   /* graph_gradient computes the values of segments again instead of keeping them */
    enum status status;
    char message[512]; /* the sentence of the first failure */
};

void graph_create(struct graph *graph);
void graph_destroy(struct graph *graph);

/* The first failure of the building, with its sentence as this thread's message; STATUS_OK when there was none. */
CHECKED enum status graph_status(const struct graph *graph);

/* Marks the graph as failed with a sentence, unless it already is. Returns TENSOR_NONE. */
tensor_id graph_fail(struct graph *graph, enum status status, const char *format, ...) PRINTF_LIKE(3, 4);

/* Sets the scope that new nodes get. */
void graph_scope(struct graph *graph, const char *format, ...) PRINTF_LIKE(2, 3);

/* New nodes form a segment with each other, until the next call; with `open` false they belong to none. */
void graph_segment(struct graph *graph, bool open);

/* A root value without a producer: input, persistent, or a temporary that somebody else writes. */
tensor_id graph_tensor(struct graph *graph, const char *name, enum dtype dtype, struct shape shape,
                       enum tensor_role role);

/* A part of `base`'s storage, `offset` bytes in (a multiple of TENSOR_ALIGNMENT), with a shape of its own. */
tensor_id graph_view(struct graph *graph, const char *name, tensor_id base, uint64_t offset, struct shape shape);

/* An attribute that differs from its default; a list ends with a NULL name. */
#define ATTRIBUTES(...) ((const struct attribute[]){__VA_ARGS__, {NULL, 0}})
/* Operands in the order of the record; absent optional ones at the end may be left out. */
#define OPERANDS(...) ((const tensor_id[OP_INPUTS + 1]){__VA_ARGS__, TENSOR_NONE})

/*
 * Appends a node and returns its first output (further ones: graph_output). `inputs` ends with TENSOR_NONE or at the
 * op's operand count; `attributes` may be NULL.
 */
tensor_id graph_apply(struct graph *graph, const char *op, const tensor_id inputs[],
                      const struct attribute attributes[]);

/* Output `index` of the node appended last. */
tensor_id graph_output(const struct graph *graph, int index);

/* Shape of a value; 1x1x1x1 after a failure, so that building can go on. */
struct shape graph_shape(const struct graph *graph, tensor_id tensor);

/* The root of a view (itself for a root), and the view's first byte in it through `offset` (may be NULL). */
tensor_id graph_root(const struct graph *graph, tensor_id tensor, uint64_t *offset);

/* The call record of node `index`, for the op's functions. Pointers hold until the graph grows. */
void graph_call(const struct graph *graph, size_t index, struct call *call);

/*
 * Appends the backward nodes. `value` with gradient `seed` (same shape) is the root; on return gradient[i] is the
 * gradient of wanted[i], TENSOR_NONE where `value` does not depend on it. Several uses of a value are summed by "add"
 * nodes. With graph->recompute, each segment is computed again before its gradient (ir/repeat.h).
 */
void graph_gradient(struct graph *graph, tensor_id value, tensor_id seed, const tensor_id wanted[], size_t count,
                    tensor_id gradient[]);

/*
 * Makes `tensor`, a temporary root that one node writes, a view of `base` at `offset` bytes. A value that is already a
 * view, or persistent, is copied there by a "copy" node instead. Returns the value to use from now on.
 */
tensor_id graph_place(struct graph *graph, tensor_id tensor, tensor_id base, uint64_t offset);

/*
 * Moves the nodes whose results follow from persistent values that the graph does not write to the front and counts
 * them in `opening`: a plan runs them again only when such a value has changed, not in every step. Call it on the
 * finished graph.
 */
void graph_hoist(struct graph *graph);

#endif

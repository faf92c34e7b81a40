/*
 * support: what tests of ops share. Evaluates a graph with the ops' float64 references on the CPU, and checks what an
 * op asks of a device. Include it after all other headers of the project (cmocka takes the name `fail`).
 */
#ifndef RVK_TESTS_SUPPORT_H
#define RVK_TESTS_SUPPORT_H

#include "base/memory.h"
#include "base/random.h"
#include "exec/verify_internal.h"
#include "ir/graph.h"
#include "vk/kernel_table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- values of a graph, in float64 ---- */

/* Holds the storage of every root (rows padded as on the device), so that views and in-place updates act as there. */
struct evaluation {
    const struct graph *graph;
    double **storage; /* NULL for views */
};

static inline void evaluation_create(struct evaluation *evaluation, const struct graph *graph) {
    evaluation->graph = graph;
    evaluation->storage = calloc(graph->tensor_count, sizeof *evaluation->storage);
    assert_non_null(evaluation->storage);
    for (size_t t = 0; t < graph->tensor_count; t++)
        if (graph->tensors[t].base == TENSOR_NONE) {
            evaluation->storage[t] = calloc(tensor_elements(&graph->tensors[t]), sizeof(double));
            assert_non_null(evaluation->storage[t]);
        }
}

static inline void evaluation_destroy(struct evaluation *evaluation) {
    for (size_t t = 0; t < evaluation->graph->tensor_count; t++)
        free(evaluation->storage[t]);
    free(evaluation->storage);
}

/* Where the tensor starts in its root's storage. */
static inline double *evaluation_at(const struct evaluation *evaluation, tensor_id tensor) {
    uint64_t offset = 0;
    tensor_id root = graph_root(evaluation->graph, tensor, &offset);
    return evaluation->storage[root] + offset / (evaluation->graph->tensors[root].dtype == DTYPE_U8 ? 1 : 4);
}

static inline void evaluation_set(struct evaluation *evaluation, tensor_id tensor, const double *dense) {
    const struct tensor *shape = &evaluation->graph->tensors[tensor];
    double *stored = evaluation_at(evaluation, tensor);
    for (uint64_t i = 0, width = shape->shape.d[3]; i < shape_count(shape->shape); i++)
        stored[i / width * tensor_row(shape) + i % width] = dense[i];
}

static inline void evaluation_get(const struct evaluation *evaluation, tensor_id tensor, double *dense) {
    const struct tensor *shape = &evaluation->graph->tensors[tensor];
    const double *stored = evaluation_at(evaluation, tensor);
    for (uint64_t i = 0, width = shape->shape.d[3]; i < shape_count(shape->shape); i++)
        dense[i] = stored[i / width * tensor_row(shape) + i % width];
}

/* The tensor's dense values in a new block (free with free()). */
static inline double *evaluation_values(const struct evaluation *evaluation, tensor_id tensor) {
    double *dense = malloc(shape_count(evaluation->graph->tensors[tensor].shape) * sizeof *dense);
    assert_non_null(dense);
    evaluation_get(evaluation, tensor, dense);
    return dense;
}

/* Runs one node's reference. */
static inline void evaluation_step(struct evaluation *evaluation, size_t index) {
    const struct node *node = &evaluation->graph->nodes[index];
    double *in[OP_INPUTS] = {NULL}, *out[OP_OUTPUTS] = {NULL}, *bound[OP_OUTPUTS] = {NULL};
    struct call call;
    graph_call(evaluation->graph, index, &call);
    for (int j = 0; j < OP_INPUTS; j++)
        in[j] = node->in[j] == TENSOR_NONE ? NULL : evaluation_values(evaluation, node->in[j]);
    for (int k = 0; k < op_output_count(node->op); k++) {
        out[k] = evaluation_values(evaluation, node->out[k]);
        bound[k] = evaluation_values(evaluation, node->out[k]);
    }
    node->op->reference(&call, (const double *const *)in, out, bound);
    for (int k = 0; k < op_output_count(node->op); k++) {
        for (uint64_t i = 0; i < shape_count(call.out[k]->shape); i++)
            if (isfinite(out[k][i]) && !(bound[k][i] >= 0))
                fail_msg("%s: the bound of output %d at %llu is %g", node->op->name, k, (unsigned long long)i,
                         bound[k][i]);
        evaluation_set(evaluation, node->out[k], out[k]);
        free(out[k]);
        free(bound[k]);
    }
    for (int j = 0; j < OP_INPUTS; j++)
        free(in[j]);
}

/* Runs the first `node_count` nodes. */
static inline void evaluation_run(struct evaluation *evaluation, size_t node_count) {
    for (size_t i = 0; i < node_count; i++)
        evaluation_step(evaluation, i);
}

/* Gives a root its random values: what its first user's record says (op->sample), else standard normal numbers. */
static inline void evaluation_randomize(struct evaluation *evaluation, tensor_id tensor, uint32_t seed) {
    const struct graph *graph = evaluation->graph;
    struct call call = {0};
    int input = -1;
    for (size_t i = 0; i < graph->node_count && input < 0; i++)
        for (int j = 0; j < OP_INPUTS && input < 0; j++)
            if (graph->nodes[i].in[j] == tensor) {
                graph_call(graph, i, &call);
                input = j;
            }
    double *dense = evaluation_values(evaluation, tensor);
    for (uint64_t i = 0; i < shape_count(graph->tensors[tensor].shape); i++) {
        dense[i] = NAN;
        if (input >= 0 && call.op->sample)
            dense[i] = call.op->sample(&call, DATA_RANDOM, input, i, seed);
        if (isnan(dense[i]))
            dense[i] = random_normal(seed, tensor, (uint32_t)i);
    }
    evaluation_set(evaluation, tensor, dense);
    free(dense);
}

/* Randomizes every root that no node writes. */
static inline void evaluation_randomize_all(struct evaluation *evaluation, uint32_t seed) {
    const struct graph *graph = evaluation->graph;
    for (tensor_id t = 0; t < graph->tensor_count; t++) {
        bool written = graph->tensors[t].base != TENSOR_NONE;
        for (size_t i = 0; i < graph->node_count; i++)
            for (int k = 0; k < OP_OUTPUTS; k++)
                written |= graph->nodes[i].out[k] == t;
        if (!written)
            evaluation_randomize(evaluation, t, seed);
    }
}

static inline double evaluation_product(const struct evaluation *evaluation, tensor_id a, tensor_id b) {
    double *x = evaluation_values(evaluation, a), *y = evaluation_values(evaluation, b), sum = 0;
    for (uint64_t i = 0; i < shape_count(evaluation->graph->tensors[a].shape); i++)
        sum += x[i] * y[i];
    free(x);
    free(y);
    return sum;
}

/* ---- one op, from a line of its cases ---- */

/*
 * Applies `op` to new inputs as a line of its cases says; in[j] receives them. Returns output 0, TENSOR_NONE when the
 * op refuses (graph_status tells why).
 */
static inline tensor_id apply_case(struct graph *graph, const char *op, const char *line, tensor_id in[OP_INPUTS]) {
    struct verify_case parsed;
    size_t node;
    assert_non_null(op_find(op));
    if (verify_case_parse(op_find(op), line, &parsed) != STATUS_OK)
        fail_msg("%s", status_message());
    for (int j = 0; j < OP_INPUTS; j++)
        in[j] = TENSOR_NONE;
    if (verify_case_build(&parsed, graph, &node) != STATUS_OK)
        return TENSOR_NONE;
    memcpy(in, graph->nodes[node].in, sizeof graph->nodes[node].in);
    return graph->nodes[node].out[0];
}

/* infer must refuse this with a sentence that holds `part`. */
static inline void assert_refused(const char *op, const char *line, const char *part) {
    struct graph graph;
    tensor_id in[OP_INPUTS];
    graph_create(&graph);
    apply_case(&graph, op, line, in);
    assert_int_equal(graph_status(&graph), STATUS_USAGE);
    if (!strstr(status_message(), part))
        fail_msg("%s %s: \"%s\" does not say \"%s\"", op, line, status_message(), part);
    graph_destroy(&graph);
}

/* ---- what an op asks of a device ---- */

static inline void assert_dispatch(const struct call *call, const struct device_facts *facts,
                                   const struct lowering *lowering, const struct dispatch *dispatch) {
    bool found = false;
    for (const struct kernel_module *module = kernel_table; module->name; module++)
        found |= strcmp(module->name, dispatch->kernel) == 0;
    if (!found)
        fail_msg("%s: there is no kernel %s", call->op->name, dispatch->kernel);
    for (int axis = 0; axis < 3; axis++)
        assert_in_range(dispatch->groups[axis], 1, facts->max_groups[axis]);
    assert_in_range(dispatch->push_count * 4, 0, facts->max_push_bytes);
    assert_in_range(dispatch->operand_count, 1, facts->max_storage_buffers);
    for (uint32_t i = 0; i < dispatch->operand_count; i++) {
        const struct operand *operand = &dispatch->operands[i];
        uint64_t whole = 0;
        if (operand->kind == OPERAND_SCRATCH) {
            assert_in_range(operand->index, 0, LOWERING_SCRATCH - 1);
            whole = lowering->scratch_bytes[operand->index];
        } else {
            const struct tensor *tensor =
                operand->kind == OPERAND_INPUT ? call->in[operand->index] : call->out[operand->index];
            assert_non_null(tensor);
            whole = tensor_bytes(tensor);
        }
        assert_int_equal(operand->offset % TENSOR_ALIGNMENT, 0);
        assert_true(whole > 0 && operand->offset + operand->bytes <= whole);
    }
}

/* Every form and variant that applies to this call under `facts` stays within the limits; at least one applies. */
static inline void assert_lowering(const struct call *call, const struct device_facts *facts) {
    int applied = 0;
    for (const struct form *form = call->op->forms; form->name; form++) {
        struct lowering *lowering = calloc(1, sizeof *lowering);
        assert_non_null(lowering);
        for (uint32_t variant = 0, last = 0; variant <= last; variant++) {
            if (!form_lower(form, variant, call, facts, lowering))
                continue;
            applied++;
            last = lowering->variants;
            assert_in_range(lowering->count, 1, LOWERING_DISPATCHES);
            for (uint32_t i = 0; i < lowering->count; i++)
                assert_dispatch(call, facts, lowering, &lowering->dispatches[i]);
        }
        free(lowering);
    }
    if (!applied)
        fail_msg("%s: no form applies", call->op->name);
}

/* All cases of an op, long ones too, on the weakest device that the specification allows. */
static inline void assert_case_lowerings(const char *op) {
    struct device_facts facts;
    facts_minimum(&facts);
    for (const char *const *line = op_find(op)->cases; *line; line++) {
        struct graph graph;
        tensor_id in[OP_INPUTS];
        struct call call;
        graph_create(&graph);
        apply_case(&graph, op, *line, in);
        if (graph_status(&graph) != STATUS_OK)
            fail_msg("%s %s: %s", op, *line, status_message());
        graph_call(&graph, 0, &call);
        assert_lowering(&call, &facts);
        graph_destroy(&graph);
    }
}

#endif

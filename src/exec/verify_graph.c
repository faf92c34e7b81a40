/*
 * verify_graph: a whole graph on the device, node by node against the reference, then in one piece against itself, also
 * after other inputs went through.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "exec/verify_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tensors kept aside: what outlives the step before it, the inputs, and what outlives it after several runs. */
enum { BEFORE, INPUTS, WHOLE, LATEST, SAVED };

struct check {
    struct plan *plan;
    const struct graph *graph;
    const struct verify_options *options;
    struct verify_summary *summary;
    void **produced; /* of each tensor: its stored bytes when its node had run; NULL: not yet, or not needed any more */
    uint32_t *last_use;
    void **saved[SAVED]; /* of each tensor: its stored bytes; NULL: not saved */
};

static enum status read_tensor(const struct check *check, tensor_id tensor, void **stored) {
    TRY(memory_zeroed((size_t)tensor_bytes(&check->graph->tensors[tensor]), 1, stored));
    return plan_read(check->plan, tensor, *stored);
}

/* An input must still be what its node wrote: otherwise its memory was given away too early, or written by a stranger.
 */
static enum status read_input(struct check *check, tensor_id tensor, double **dense, struct verify_result *result) {
    const struct tensor *value = &check->graph->tensors[tensor];
    void *stored;
    enum status status = read_tensor(check, tensor, &stored);
    if (status == STATUS_OK && check->produced[tensor] &&
        memcmp(stored, check->produced[tensor], (size_t)tensor_bytes(value)) != 0)
        snprintf(result->failure, sizeof result->failure, "%s changed between its computation and its use",
                 value->name);
    if (status == STATUS_OK)
        status = memory_zeroed((size_t)shape_count(value->shape), sizeof **dense, dense);
    if (status == STATUS_OK)
        tensor_load(value, stored, *dense);
    free(stored);
    return status;
}

static enum status compare_outputs(struct check *check, size_t index, double *const in[],
                                   struct verify_result *result) {
    struct call call;
    struct expectation expected;
    uint64_t nonzero = 0;
    graph_call(check->graph, index, &call);
    enum status status = expectation_create(&call, (const double *const *)in, &expected);
    for (int k = 0; status == STATUS_OK && call.op->outputs[k]; k++) {
        tensor_id tensor = check->graph->nodes[index].out[k];
        free(check->produced[tensor]);
        status = read_tensor(check, tensor, &check->produced[tensor]);
        if (status == STATUS_OK)
            verify_compare(&call, k, check->produced[tensor], &expected, DATA_RANDOM, result, &nonzero);
    }
    expectation_destroy(&expected);
    return status;
}

static void forget_dead(struct check *check, size_t index) {
    const struct node *node = &check->graph->nodes[index];
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < (side ? OP_OUTPUTS : OP_INPUTS); i++) {
            tensor_id tensor = side ? node->out[i] : node->in[i];
            if (tensor == TENSOR_NONE || check->last_use[tensor] > index)
                continue;
            free(check->produced[tensor]);
            check->produced[tensor] = NULL;
        }
}

static enum status check_node(struct check *check, size_t index) {
    const struct node *node = &check->graph->nodes[index];
    double *in[OP_INPUTS] = {NULL};
    struct verify_result result = {
        .op = node->op->name, .form = plan_form(check->plan, index), .shape = node->scope, .kind = DATA_RANDOM};
    enum status status = STATUS_OK;
    for (int j = 0; j < OP_INPUTS && status == STATUS_OK; j++)
        if (node->in[j] != TENSOR_NONE)
            status = read_input(check, node->in[j], &in[j], &result);
    if (status == STATUS_OK)
        status = plan_run_nodes(check->plan, index, index + 1);
    if (status == STATUS_OK)
        status = compare_outputs(check, index, in, &result);
    for (int j = 0; j < OP_INPUTS; j++)
        free(in[j]);
    forget_dead(check, index);
    if (status == STATUS_OK)
        verify_report(check->options, &result, check->summary);
    return status;
}

/* ---- the values that outlive the step ---- */

static bool lasting(const struct tensor *tensor) {
    return tensor->base == TENSOR_NONE && (tensor->role == TENSOR_PERSISTENT || tensor->role == TENSOR_OUTPUT);
}

static bool is_input(const struct tensor *tensor) {
    return tensor->base == TENSOR_NONE && tensor->role == TENSOR_INPUT;
}

static enum status save_lasting(struct check *check, int which) {
    for (size_t t = 0; t < check->graph->tensor_count; t++)
        if (lasting(&check->graph->tensors[t])) {
            free(check->saved[which][t]);
            TRY(read_tensor(check, (tensor_id)t, &check->saved[which][t]));
        }
    return STATUS_OK;
}

static enum status restore_lasting(const struct check *check) {
    for (size_t t = 0; t < check->graph->tensor_count; t++)
        if (lasting(&check->graph->tensors[t]))
            TRY(plan_write(check->plan, (tensor_id)t, check->saved[BEFORE][t]));
    return STATUS_OK;
}

static void free_all(const struct check *check, void **values) {
    for (size_t t = 0; values && t < check->graph->tensor_count; t++)
        free(values[t]);
    free(values);
}

/* Name of the first lasting tensor that is not what it was after the step in one piece; NULL: all are. */
static const char *find_change(const struct check *check) {
    for (size_t t = 0; t < check->graph->tensor_count; t++) {
        const struct tensor *tensor = &check->graph->tensors[t];
        if (lasting(tensor) &&
            memcmp(check->saved[LATEST][t], check->saved[WHOLE][t], (size_t)tensor_bytes(tensor)) != 0)
            return tensor->name;
    }
    return NULL;
}

/* Reports that the latest run gave the bits of the step in one piece, or that it did not. `vacuous`: it proves nothing.
 */
static void report_bits(const struct check *check, const char *form, const char *what, bool vacuous) {
    struct verify_result result = {.op = "replay", .form = form, .shape = "", .kind = DATA_EXACT};
    const char *name = find_change(check);
    for (size_t t = 0; t < check->graph->tensor_count; t++)
        if (lasting(&check->graph->tensors[t]))
            result.values += shape_count(check->graph->tensors[t].shape);
    if (name)
        snprintf(result.failure, sizeof result.failure, "%s differs between %s", name, what);
    result.outcome = vacuous ? VERIFY_MISTRUSTED : VERIFY_PASSED;
    verify_report(check->options, &result, check->summary);
}

/* ---- the inputs ---- */

static enum status save_inputs(struct check *check) {
    for (size_t t = 0; t < check->graph->tensor_count; t++) {
        const struct tensor *tensor = &check->graph->tensors[t];
        if (!is_input(tensor))
            continue;
        TRY(memory_zeroed((size_t)tensor_bytes(tensor), 1, &check->saved[INPUTS][t]));
        memcpy(check->saved[INPUTS][t], plan_input(check->plan, (tensor_id)t), (size_t)tensor_bytes(tensor));
    }
    return STATUS_OK;
}

/* Other values that are as valid: numbers half as large and of the other sign, labels of a row in another order. */
static void disturb(const struct tensor *tensor, void *stored) {
    size_t size = tensor->dtype == DTYPE_U8 ? 1 : 4, width = tensor->shape.d[3], row = tensor_row(tensor);
    for (uint64_t r = 0; r < tensor_elements(tensor) / row; r++) {
        char *at = (char *)stored + r * row * size, first[4];
        float *values = (float *)stored + r * row;
        for (size_t i = 0; i < width && tensor->dtype == DTYPE_F32; i++)
            values[i] *= -0.5F;
        if (tensor->dtype == DTYPE_F32)
            continue;
        memcpy(first, at, size);
        memmove(at, at + size, (width - 1) * size);
        memcpy(at + (width - 1) * size, first, size);
    }
}

/* The inputs of the next step: those saved, or others. */
static void write_inputs(struct check *check, bool others) {
    for (size_t t = 0; t < check->graph->tensor_count; t++) {
        const struct tensor *tensor = &check->graph->tensors[t];
        if (!is_input(tensor))
            continue;
        void *input = plan_input(check->plan, (tensor_id)t);
        memcpy(input, check->saved[INPUTS][t], (size_t)tensor_bytes(tensor));
        if (others)
            disturb(tensor, input);
    }
}

/* ---- runs ---- */

static enum status run_stepwise(struct check *check) {
    TRY(plan_upload(check->plan));
    for (size_t i = 0; i < check->graph->node_count; i++)
        TRY(check_node(check, i));
    return save_lasting(check, LATEST);
}

/* From the state before, with the inputs that were written. */
static enum status run_whole(struct check *check, int which) {
    TRY(restore_lasting(check));
    TRY(plan_submit(check->plan));
    TRY(plan_collect(check->plan));
    return save_lasting(check, which);
}

/*
 * The step in one piece follows the same step node by node, then one with other inputs, then itself: memory that a
 * kernel reads without having been written holds something else each time.
 */
static enum status run_all(struct check *check) {
    TRY(save_inputs(check));
    TRY(save_lasting(check, BEFORE));
    TRY(run_stepwise(check));
    TRY(run_whole(check, WHOLE));
    report_bits(check, "whole step", "the step in one piece and the same step node by node", false);
    write_inputs(check, true);
    TRY(run_whole(check, LATEST));
    bool same = find_change(check) == NULL;
    write_inputs(check, false);
    TRY(run_whole(check, LATEST));
    report_bits(check, "after others", "a step and the same step after one with other inputs", same);
    return restore_lasting(check);
}

static enum status prepare(struct check *check) {
    size_t tensors = check->graph->tensor_count;
    TRY(memory_zeroed(tensors, sizeof *check->produced, &check->produced));
    TRY(memory_zeroed(tensors, sizeof *check->last_use, &check->last_use));
    for (uint32_t i = 0; i < check->graph->node_count; i++)
        for (int j = 0; j < OP_INPUTS; j++)
            if (check->graph->nodes[i].in[j] != TENSOR_NONE)
                check->last_use[check->graph->nodes[i].in[j]] = i;
    for (int i = 0; i < SAVED; i++)
        TRY(memory_zeroed(tensors, sizeof(void *), &check->saved[i]));
    return STATUS_OK;
}

enum status verify_graph(struct plan *plan, const struct graph *graph, const struct verify_options *options,
                         struct verify_summary *summary) {
    uint64_t start = clock_ns();
    struct check check = {.plan = plan, .graph = graph, .options = options, .summary = summary};
    *summary = (struct verify_summary){0};
    enum status status = prepare(&check);
    if (status == STATUS_OK)
        status = run_all(&check);
    for (int i = 0; i < SAVED; i++)
        free_all(&check, check.saved[i]);
    if (check.produced)
        free_all(&check, check.produced);
    free(check.last_use);
    summary->seconds = (double)(clock_ns() - start) / 1e9;
    if (status == STATUS_OK && summary->failed)
        status = fail(STATUS_MISMATCH, "%u of %u nodes disagree with the reference", summary->failed,
                      summary->passed + summary->failed);
    return status;
}

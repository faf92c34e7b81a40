/*
 * verify_graph: a whole graph on the device, node by node against the reference, then in one piece against itself.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "exec/verify_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
    struct plan *plan;
    const struct graph *graph;
    const struct verify_options *options;
    struct verify_summary *summary;
    void **produced; /* of each tensor: its stored bytes when its node had run; NULL: not yet, or not needed any more */
    uint32_t *last_use;
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

static enum status save_lasting(const struct check *check, void **saved) {
    for (size_t t = 0; t < check->graph->tensor_count; t++)
        if (lasting(&check->graph->tensors[t]))
            TRY(read_tensor(check, (tensor_id)t, &saved[t]));
    return STATUS_OK;
}

static enum status restore_lasting(const struct check *check, void *const *saved) {
    for (size_t t = 0; t < check->graph->tensor_count; t++)
        if (lasting(&check->graph->tensors[t]))
            TRY(plan_write(check->plan, (tensor_id)t, saved[t]));
    return STATUS_OK;
}

static void free_all(const struct check *check, void **values) {
    for (size_t t = 0; values && t < check->graph->tensor_count; t++)
        free(values[t]);
    free(values);
}

static void compare_lasting(const struct check *check, void *const *stepwise, void *const *whole) {
    struct verify_result result = {.op = "replay", .form = "whole step", .shape = "", .kind = DATA_EXACT};
    for (size_t t = 0; t < check->graph->tensor_count; t++) {
        const struct tensor *tensor = &check->graph->tensors[t];
        if (!lasting(tensor))
            continue;
        result.values += shape_count(tensor->shape);
        if (memcmp(stepwise[t], whole[t], (size_t)tensor_bytes(tensor)) != 0 && !*result.failure)
            snprintf(result.failure, sizeof result.failure,
                     "%s differs between the step in one piece and the same step node by node", tensor->name);
    }
    verify_report(check->options, &result, check->summary);
}

static enum status run_stepwise(struct check *check) {
    TRY(plan_upload(check->plan));
    for (size_t i = 0; i < check->graph->node_count; i++)
        TRY(check_node(check, i));
    return STATUS_OK;
}

static enum status run_whole(struct check *check) {
    TRY(plan_submit(check->plan));
    return plan_collect(check->plan);
}

static enum status run_both(struct check *check, void **before, void **stepwise, void **whole) {
    TRY(save_lasting(check, before));
    TRY(run_stepwise(check));
    TRY(save_lasting(check, stepwise));
    TRY(restore_lasting(check, before));
    TRY(run_whole(check));
    TRY(save_lasting(check, whole));
    compare_lasting(check, stepwise, whole);
    return restore_lasting(check, before);
}

static enum status prepare(struct check *check, void **values[3]) {
    size_t tensors = check->graph->tensor_count;
    TRY(memory_zeroed(tensors, sizeof *check->produced, &check->produced));
    TRY(memory_zeroed(tensors, sizeof *check->last_use, &check->last_use));
    for (uint32_t i = 0; i < check->graph->node_count; i++)
        for (int j = 0; j < OP_INPUTS; j++)
            if (check->graph->nodes[i].in[j] != TENSOR_NONE)
                check->last_use[check->graph->nodes[i].in[j]] = i;
    for (int v = 0; v < 3; v++)
        TRY(memory_zeroed(tensors, sizeof(void *), &values[v]));
    return STATUS_OK;
}

enum status verify_graph(struct plan *plan, const struct graph *graph, const struct verify_options *options,
                         struct verify_summary *summary) {
    uint64_t start = clock_ns();
    struct check check = {.plan = plan, .graph = graph, .options = options, .summary = summary};
    void **values[3] = {NULL, NULL, NULL};
    *summary = (struct verify_summary){0};
    enum status status = prepare(&check, values);
    if (status == STATUS_OK)
        status = run_both(&check, values[0], values[1], values[2]);
    for (int v = 0; v < 3; v++)
        free_all(&check, values[v]);
    if (check.produced)
        free_all(&check, check.produced);
    free(check.last_use);
    summary->seconds = (double)(clock_ns() - start) / 1e9;
    if (status == STATUS_OK && summary->failed)
        status = fail(STATUS_MISMATCH, "%u of %u nodes disagree with the reference", summary->failed,
                      summary->passed + summary->failed);
    return status;
}

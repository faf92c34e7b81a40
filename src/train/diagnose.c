#include "train/diagnose.h"

#include "base/memory.h"
#include "train/parameters.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Index of the first value that is not finite, or `count`. */
static uint64_t first_bad(const double *values, uint64_t count) {
    uint64_t i = 0;
    while (i < count && isfinite(values[i]))
        i++;
    return i;
}

/* Statistics are left out: a training step does not read them, and the failed step has already spoilt them. */
static enum status check_parameters(const struct model *model, struct store *store, char *text, size_t size) {
    for (size_t p = 0; p < model->count && !*text; p++) {
        const struct parameter *parameter = &model->parameters[p];
        uint64_t count = shape_count(parameter->shape);
        double *values;
        if (parameter->class == PARAMETER_STATISTIC)
            continue;
        TRY(memory_zeroed(count, sizeof *values, &values));
        enum status status = parameters_read(model, store, "parameters", p, values);
        uint64_t bad = status == STATUS_OK ? first_bad(values, count) : count;
        if (bad < count)
            snprintf(text, size, "%s was %g before the step (value %" PRIu64 " of %" PRIu64 ")", parameter->name,
                     values[bad], bad, count);
        free(values);
        TRY(status);
    }
    return STATUS_OK;
}

/* Looks at one output of a node that was just run (not at what it updates in place, for the reason above). */
static enum status check_output(const struct graph *graph, const struct node *node, int k, struct plan *plan,
                                char *text, size_t size) {
    const struct tensor *tensor = &graph->tensors[node->out[k]];
    uint64_t count = shape_count(tensor->shape);
    void *stored;
    double *dense = NULL;
    TRY(memory_zeroed(1, tensor_bytes(tensor), &stored));
    enum status status = memory_zeroed(count, sizeof *dense, &dense);
    if (status == STATUS_OK)
        status = plan_read(plan, node->out[k], stored);
    if (status == STATUS_OK) {
        tensor_load(tensor, stored, dense);
        uint64_t bad = first_bad(dense, count);
        if (bad < count)
            snprintf(text, size, "the first is %s of %s in %s: %g (value %" PRIu64 " of %" PRIu64 ")",
                     node->op->outputs[k], node->op->name, *node->scope ? node->scope : "the model", dense[bad], bad,
                     count);
    }
    free(dense);
    free(stored);
    return status;
}

enum status diagnose_step(const struct model *model, const struct step *step, struct store *store, struct plan *plan,
                          char *text, size_t size) {
    *text = 0;
    TRY(check_parameters(model, store, text, size));
    if (*text)
        return STATUS_OK;
    TRY(plan_upload(plan));
    for (size_t i = 0; i < step->graph.node_count && !*text; i++) {
        const struct node *node = &step->graph.nodes[i];
        TRY(plan_run_nodes(plan, i, i + 1));
        for (int k = 0; k < op_output_count(node->op) && !*text; k++)
            if (!node->op->updates[k] && step->graph.tensors[node->out[k]].dtype == DTYPE_F32)
                TRY(check_output(&step->graph, node, k, plan, text, size));
    }
    return STATUS_OK;
}

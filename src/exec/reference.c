#include "exec/reference.h"

#include "base/memory.h"
#include "exec/plan_internal.h"

#include <stdlib.h>
#include <string.h>

enum status expectation_create(const struct call *call, const double *const in[], struct expectation *out) {
    *out = (struct expectation){0};
    for (int k = 0; call->op->outputs[k]; k++) {
        size_t count = (size_t)shape_count(call->out[k]->shape);
        TRY(memory_zeroed(count, sizeof(double), &out->value[k]));
        TRY(memory_zeroed(count, sizeof(double), &out->bound[k]));
        if (call->op->updates[k])
            memcpy(out->value[k], in[call->op->updates[k] - 1], count * sizeof(double));
    }
    call->op->reference(call, in, out->value, out->bound);
    return STATUS_OK;
}

void expectation_destroy(struct expectation *expectation) {
    for (int k = 0; k < OP_OUTPUTS; k++) {
        free(expectation->value[k]);
        free(expectation->bound[k]);
    }
}

static void *stored(const struct plan *plan, tensor_id tensor) {
    const struct vk_range *range = &plan->locations[tensor];
    return (char *)vk_buffer_map(range->buffer) + range->offset;
}

static enum status load_inputs(const struct plan *plan, const struct node *node, double *in[]) {
    for (int j = 0; j < OP_INPUTS; j++) {
        if (node->in[j] == TENSOR_NONE)
            continue;
        const struct tensor *tensor = &plan->graph->tensors[node->in[j]];
        TRY(memory_zeroed((size_t)shape_count(tensor->shape), sizeof(double), &in[j]));
        tensor_load(tensor, stored(plan, node->in[j]), in[j]);
    }
    return STATUS_OK;
}

static enum status run_node(struct plan *plan, size_t index) {
    const struct node *node = &plan->graph->nodes[index];
    double *in[OP_INPUTS] = {NULL};
    struct expectation expected = {0};
    struct call call;
    graph_call(plan->graph, index, &call);
    enum status status = load_inputs(plan, node, in);
    if (status == STATUS_OK)
        status = expectation_create(&call, (const double *const *)in, &expected);
    for (int k = 0; status == STATUS_OK && call.op->outputs[k]; k++)
        tensor_store(call.out[k], expected.value[k], stored(plan, node->out[k]));
    expectation_destroy(&expected);
    for (int j = 0; j < OP_INPUTS; j++)
        free(in[j]);
    return status;
}

enum status reference_run(struct plan *plan, size_t first, size_t last) {
    for (size_t i = first; i < last; i++)
        TRY(run_node(plan, i));
    return STATUS_OK;
}

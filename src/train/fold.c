#include "train/fold.h"

#include "exec/plan.h"
#include "train/step.h"

#include <string.h>

/* Leaves only the nodes that fold, whose results go to where weight and beta are. Returns their number. */
static size_t keep_folds(struct graph *graph, tensor_id parameters) {
    enum { WEIGHT, GAMMA, BETA };
    size_t count = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct node node = graph->nodes[i];
        uint64_t weight, beta;
        if (strcmp(node.op->name, "batch_norm_fold") != 0)
            continue;
        graph_root(graph, node.in[WEIGHT], &weight);
        graph_root(graph, node.in[BETA], &beta);
        graph_place(graph, node.out[0], parameters, weight);
        graph_place(graph, node.out[1], parameters, beta);
        graph->nodes[count++] = node;
    }
    graph->node_count = count;
    graph->opening = 0;
    for (size_t t = 0; t < graph->tensor_count; t++)
        if (graph->tensors[t].role != TENSOR_PERSISTENT)
            graph->tensors[t].role = TENSOR_TEMPORARY;
    return count;
}

static enum status run(struct store *store, const struct graph *graph) {
    struct plan *plan;
    enum status status = plan_create(store, graph, &(struct plan_options){.slots = 1}, &plan);
    if (status == STATUS_OK)
        status = plan_submit(plan);
    if (status == STATUS_OK)
        status = plan_collect(plan);
    plan_destroy(plan);
    return status;
}

enum status fold_parameters(const struct model *model, struct store *store, bool *folded) {
    struct step_options options;
    struct step step;
    *folded = false;
    if (model->l2 > 0)
        return STATUS_OK;
    step_options_default(&options);
    options.kind = STEP_PREDICT;
    options.batch = 1;
    TRY(step_create(model, &options, &step));
    *folded = keep_folds(&step.graph, step.network.parameters) > 0;
    enum status status = *folded ? run(store, &step.graph) : graph_status(&step.graph);
    *folded = *folded && status == STATUS_OK;
    step_destroy(&step);
    return status;
}

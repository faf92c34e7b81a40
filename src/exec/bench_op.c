/*
 * bench_op: a graph that holds one op several times, each on the same inputs.
 */
#include "exec/bench.h"

#include "base/memory.h"
#include "exec/verify_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A step should take so long, and hold the op at most so often. */
#define STEP_MS 10.0
enum { MOST_REPEATS = 256 };

/* The outputs of one repetition are dead at the next, which takes their place: memory does not grow. */
static enum status build(const struct verify_case *parsed, uint32_t repeats, struct graph *graph) {
    size_t first;
    graph_create(graph);
    TRY(verify_case_build(parsed, graph, &first));
    tensor_id inputs[OP_INPUTS + 1];
    int count = op_input_count(parsed->op);
    for (int j = 0; j < count; j++)
        inputs[j] = parsed->present[j] ? graph->nodes[first].in[j] : TENSOR_ABSENT;
    inputs[count] = TENSOR_NONE;
    for (uint32_t i = 1; i < repeats; i++)
        graph_apply(graph, parsed->op->name, inputs, parsed->attributes);
    return graph_status(graph);
}

static enum status write_input(struct bench_op *bench, int input) {
    struct call call;
    graph_call(&bench->graph, 0, &call);
    const struct tensor *tensor = call.in[input];
    double *dense;
    void *stored = NULL;
    enum status status = memory_zeroed((size_t)shape_count(tensor->shape), sizeof *dense, &dense);
    if (status == STATUS_OK)
        status = memory_zeroed((size_t)tensor_bytes(tensor), 1, &stored);
    if (status == STATUS_OK) {
        verify_case_data(&call, DATA_RANDOM, input, 1, dense);
        tensor_store(tensor, dense, stored);
        status = plan_write(bench->plan, bench->graph.nodes[0].in[input], stored);
    }
    free(stored);
    free(dense);
    return status;
}

static enum status check_form(const struct bench_op *bench, struct store *store, const struct op *op,
                              const char *form) {
    bool known = false;
    for (const struct form *f = op->forms; form && f->name; f++)
        known |= strcmp(f->name, form) == 0;
    if (form && !known)
        return fail(STATUS_USAGE, "%s has no form called %s", op->name, form);
    if (form && strcmp(plan_form(bench->plan, 0), form) != 0)
        return fail(STATUS_USAGE, "%s: the form %s does not run this shape on %s", op->name, form,
                    vk_facts(store_device(store))->name);
    return STATUS_OK;
}

static enum status create(struct bench_op *bench, struct store *store, const struct verify_case *parsed,
                          const char *form) {
    TRY(build(parsed, bench->repeats, &bench->graph));
    TRY(plan_create(store, &bench->graph, &(struct plan_options){.slots = 1, .form = form}, &bench->plan));
    TRY(check_form(bench, store, parsed->op, form));
    for (int j = 0; parsed->op->inputs[j]; j++)
        if (parsed->present[j])
            TRY(write_input(bench, j));
    return STATUS_OK;
}

/* Often enough that a step takes STEP_MS. */
static enum status find_repeats(struct bench_op *bench) {
    struct bench_times times;
    TRY(bench_plan(bench->plan, &(struct bench_options){.samples = 3}, &times));
    bench->repeats = (uint32_t)fmin(fmax(ceil(STEP_MS / fmax(times.median, 1e-3)), 1), MOST_REPEATS);
    return STATUS_OK;
}

enum status bench_op_create(struct store *store, const char *op, const char *shape, const char *form,
                            struct bench_op *out) {
    struct verify_case parsed;
    *out = (struct bench_op){.repeats = 1};
    if (!op_find(op))
        return fail(STATUS_USAGE, "there is no op called %s", op);
    TRY(verify_case_parse(op_find(op), shape, &parsed));
    TRY(create(out, store, &parsed, form));
    TRY(find_repeats(out));
    if (out->repeats == 1)
        return STATUS_OK;
    uint32_t repeats = out->repeats;
    bench_op_destroy(out);
    *out = (struct bench_op){.repeats = repeats};
    return create(out, store, &parsed, form);
}

void bench_op_destroy(struct bench_op *bench) {
    plan_destroy(bench->plan);
    graph_destroy(&bench->graph);
}

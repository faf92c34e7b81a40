/*
 * verify: runs the cases of the op records on a device. Whole graphs are in verify_graph.c.
 */
#include "exec/verify.h"

#include "base/clock.h"
#include "base/memory.h"
#include "exec/verify_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The case, a case of another shape, and the case again. */
enum { FIRST, OTHER, AGAIN, INSTANCES };

/* One running case: the graph of its instances and the inputs of each. */
struct run {
    struct graph graph;
    struct plan *plan;
    size_t nodes[INSTANCES];
    bool present[INSTANCES];
    double *dense[INSTANCES][OP_INPUTS];
    void *outputs[3][OP_OUTPUTS]; /* stored: first, again, first of the second run */
};

static enum status make_inputs(struct run *run, int instance, enum data_kind kind, uint32_t seed) {
    struct call call;
    graph_call(&run->graph, run->nodes[instance], &call);
    for (int j = 0; call.op->inputs[j]; j++)
        if (call.in[j]) {
            TRY(memory_zeroed((size_t)shape_count(call.in[j]->shape), sizeof(double), &run->dense[instance][j]));
            verify_case_data(&call, kind, j, seed, run->dense[instance][j]);
        }
    return STATUS_OK;
}

static enum status write_inputs(struct run *run, int instance) {
    const struct node *node = &run->graph.nodes[run->nodes[instance]];
    for (int j = 0; j < OP_INPUTS; j++) {
        if (node->in[j] == TENSOR_NONE)
            continue;
        const struct tensor *tensor = &run->graph.tensors[node->in[j]];
        void *stored;
        TRY(memory_zeroed((size_t)tensor_bytes(tensor), 1, &stored));
        tensor_store(tensor, run->dense[instance][j], stored);
        enum status status = plan_write(run->plan, node->in[j], stored);
        free(stored);
        TRY(status);
    }
    return STATUS_OK;
}

static enum status read_outputs(struct run *run, int instance, void *outputs[OP_OUTPUTS]) {
    const struct node *node = &run->graph.nodes[run->nodes[instance]];
    for (int k = 0; node->op->outputs[k]; k++) {
        TRY(memory_zeroed((size_t)tensor_bytes(&run->graph.tensors[node->out[k]]), 1, &outputs[k]));
        TRY(plan_read(run->plan, node->out[k], outputs[k]));
    }
    return STATUS_OK;
}

static enum status run_once(struct run *run) {
    TRY(plan_guard_fill(run->plan));
    for (int i = 0; i < INSTANCES; i++)
        if (run->present[i])
            TRY(write_inputs(run, i));
    TRY(plan_run_nodes(run->plan, 0, run->graph.node_count));
    return STATUS_OK;
}

static void destroy(struct run *run) {
    plan_destroy(run->plan);
    graph_destroy(&run->graph);
    for (int i = 0; i < INSTANCES; i++)
        for (int j = 0; j < OP_INPUTS; j++)
            free(run->dense[i][j]);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < OP_OUTPUTS; k++)
            free(run->outputs[i][k]);
}

static void compare_bits(const struct run *run, int which, const char *what, struct verify_result *result) {
    const struct node *node = &run->graph.nodes[run->nodes[FIRST]];
    for (int k = 0; node->op->outputs[k] && !*result->failure; k++)
        if (memcmp(run->outputs[0][k], run->outputs[which][k],
                   (size_t)tensor_bytes(&run->graph.tensors[node->out[k]])) != 0)
            snprintf(result->failure, sizeof result->failure, "%s: other bits %s", node->op->outputs[k], what);
}

static enum status judge(struct run *run, struct verify_result *result) {
    struct call call;
    struct expectation expected;
    uint64_t nonzero = 0;
    graph_call(&run->graph, run->nodes[FIRST], &call);
    enum status status = expectation_create(&call, (const double *const *)run->dense[FIRST], &expected);
    for (int k = 0; status == STATUS_OK && call.op->outputs[k]; k++)
        verify_compare(&call, k, run->outputs[0][k], &expected, result->kind, result, &nonzero);
    expectation_destroy(&expected);
    if (nonzero * 20 < result->values)
        result->outcome = VERIFY_MISTRUSTED;
    return status;
}

static enum status prepare(struct run *run, struct store *store, const struct verify_case *parsed,
                           const struct verify_case *other, const struct verify_result *result) {
    const struct verify_case *cases[INSTANCES] = {parsed, other, parsed};
    for (int i = 0; i < INSTANCES; i++) {
        run->present[i] = cases[i] != NULL;
        if (run->present[i])
            TRY(verify_case_build(cases[i], &run->graph, &run->nodes[i]));
    }
    for (int i = 0; i < INSTANCES; i++)
        if (run->present[i])
            TRY(make_inputs(run, i, i == OTHER ? DATA_RANDOM : result->kind, result->seed));
    struct plan_options options = {.guarded = true, .form = result->form, .variant = result->variant};
    return plan_create(store, &run->graph, &options, &run->plan);
}

static enum status execute(struct run *run, struct store *store, const struct verify_case *parsed,
                           const struct verify_case *other, struct verify_result *result) {
    TRY(prepare(run, store, parsed, other, result));
    TRY(run_once(run));
    TRY(read_outputs(run, FIRST, run->outputs[0]));
    TRY(read_outputs(run, AGAIN, run->outputs[1]));
    if (plan_guard_check(run->plan) == STATUS_MISMATCH)
        snprintf(result->failure, sizeof result->failure, "%s", status_message());
    TRY(run_once(run));
    TRY(read_outputs(run, FIRST, run->outputs[2]));
    TRY(judge(run, result));
    compare_bits(run, 1, "after a case of another shape ran", result);
    compare_bits(run, 2, "in a second run", result);
    return STATUS_OK;
}

static enum status run_case(struct store *store, const struct verify_options *options, const struct verify_case *parsed,
                            const struct verify_case *other, struct verify_result *result,
                            struct verify_summary *summary) {
    struct run run = {0};
    if (options->brief && summary->failed)
        return STATUS_OK;
    verify_describe(result);
    enum status status = execute(&run, store, parsed, other, result);
    destroy(&run);
    if (status != STATUS_OK)
        return fail_prefix(status, "%s", result->repeat);
    verify_report(options, result, summary);
    return STATUS_OK;
}

static bool has_kind(const struct op *op, const char *form, int kind, bool exact) {
    return !(kind != DATA_RANDOM && op_rounds_more(op, form)) && !(kind == DATA_EXACT && (op->no_exact || !exact)) &&
           !(kind == DATA_HOSTILE && op->no_hostile);
}

/* All kinds of data for one case and one form; but for exact data once signed (odd seed) and once positive (even seed).
 */
static enum status run_kinds(struct store *store, const struct verify_options *options,
                             const struct verify_case *parsed, const struct verify_case *other, const char *line,
                             const char *form, bool exact, struct verify_summary *summary) {
    uint32_t seed = options->seed ? options->seed : 1;
    for (int kind = DATA_EXACT; kind <= DATA_HOSTILE; kind++) {
        if (!has_kind(parsed->op, form, kind, exact) || (options->kind >= 0 && options->kind != kind))
            continue;
        bool both = kind != DATA_EXACT && !options->seed;
        for (uint32_t s = seed; s <= seed + both; s++) {
            struct verify_result result = {.op = parsed->op->name,
                                           .form = form,
                                           .variant = options->variant,
                                           .shape = line,
                                           .kind = (enum data_kind)kind,
                                           .seed = s};
            TRY(run_case(store, options, parsed, other, &result, summary));
        }
    }
    return STATUS_OK;
}

/* Does this form run this case on this device, and does the case have exact data? */
static enum status applies(const struct store *store, const struct verify_case *parsed, const struct form *form,
                           uint32_t variant, bool *answer, bool *exact) {
    struct graph graph;
    size_t node;
    graph_create(&graph);
    enum status status = verify_case_build(parsed, &graph, &node);
    if (status == STATUS_OK) {
        struct call call;
        struct lowering *lowering;
        graph_call(&graph, node, &call);
        status = memory_zeroed(1, sizeof *lowering, &lowering);
        *answer = status == STATUS_OK && form_lower(form, variant, &call, vk_facts(store_device(store)), lowering);
        *exact = !call.op->has_exact || call.op->has_exact(&call);
        free(lowering);
    }
    graph_destroy(&graph);
    return status;
}

/* A case that no form runs is no success: names the limit that is in the way. */
static enum status refuse(const struct store *store, const struct verify_case *parsed, const char *line) {
    struct graph graph;
    size_t node;
    graph_create(&graph);
    enum status status = verify_case_build(parsed, &graph, &node);
    if (status == STATUS_OK) {
        struct call call;
        graph_call(&graph, node, &call);
        status = op_refuse(&call, vk_facts(store_device(store)));
        status = fail_prefix(status, "%s %s", parsed->op->name, line + (*line == '+'));
    }
    graph_destroy(&graph);
    return status;
}

static enum status run_forms(struct store *store, const struct verify_options *options, const struct op *op,
                             const char *line, const char *other_line, struct verify_summary *summary) {
    struct verify_case parsed, other;
    TRY(verify_case_parse(op, line, &parsed));
    if (other_line)
        TRY(verify_case_parse(op, other_line, &other));
    bool any = options->form || options->variant; /* asked for: that it may not apply is known */
    for (const struct form *form = op->forms; form->name; form++) {
        bool answer = false, exact = false;
        if (options->form && strcmp(options->form, form->name) != 0)
            continue;
        TRY(applies(store, &parsed, form, options->variant, &answer, &exact));
        if (answer)
            TRY(run_kinds(store, options, &parsed, other_line ? &other : NULL, line, form->name, exact, summary));
        any |= answer;
    }
    return any ? STATUS_OK : refuse(store, &parsed, line);
}

static bool wanted(const struct verify_options *options, const char *line) {
    return options->all || *line != '+';
}

static enum status run_adjoint(struct store *store, const struct verify_options *options, const struct op *op,
                               const char *line, struct verify_summary *summary) {
    struct verify_case parsed;
    TRY(verify_case_parse(op, line, &parsed));
    return verify_adjoint(store, options, &parsed, line, summary);
}

static enum status run_shape(struct store *store, const struct verify_options *options, const struct op *op,
                             struct verify_summary *summary) {
    if (options->kind == DATA_ADJOINT)
        return run_adjoint(store, options, op, options->shape, summary);
    return run_forms(store, options, op, options->shape, NULL, summary);
}

static enum status run_op(struct store *store, const struct verify_options *options, const struct op *op,
                          struct verify_summary *summary) {
    if (options->shape)
        return run_shape(store, options, op, summary);
    for (size_t i = 0; op->cases && op->cases[i]; i++) {
        if (!wanted(options, op->cases[i]))
            continue;
        const char *other = op->cases[i == 0 ? 1 : 0]; /* a short one, of another shape */
        TRY(run_forms(store, options, op, op->cases[i], other && wanted(options, other) ? other : NULL, summary));
    }
    for (size_t i = 0; op->adjoint && op->adjoint[i]; i++)
        if (wanted(options, op->adjoint[i]) && (options->kind < 0 || options->kind == DATA_ADJOINT))
            TRY(run_adjoint(store, options, op, op->adjoint[i], summary));
    return STATUS_OK;
}

enum status verify_ops(struct store *store, const struct verify_options *options, struct verify_summary *summary) {
    uint64_t start = clock_ns();
    *summary = (struct verify_summary){0};
    if (options->op && !op_find(options->op))
        return fail(STATUS_USAGE, "there is no op called %s", options->op);
    if (options->shape && !options->op)
        return fail(STATUS_USAGE, "a shape needs an op to go with");
    for (const struct op *const *op = op_table; *op; op++)
        if (!options->op || strcmp(options->op, (*op)->name) == 0)
            TRY(run_op(store, options, *op, summary));
    summary->seconds = (double)(clock_ns() - start) / 1e9;
    if (summary->failed)
        return fail(STATUS_MISMATCH, "%u of %u cases disagree with the reference", summary->failed,
                    summary->passed + summary->failed + summary->mistrusted);
    if (!summary->passed && !summary->mistrusted)
        return fail(STATUS_USAGE, "no case matches what was asked for");
    return STATUS_OK;
}

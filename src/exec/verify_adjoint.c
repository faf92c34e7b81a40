/*
 * verify_adjoint: an op and the kernels of its gradient held to each other, without a reference: <y, g> = sum of
 * <input, its gradient> (op.homogeneous). A wrong stride, padding or layout, an edge of a large image left out, would
 * have to be wrong in the same way in both.
 *
 * Whole numbers of at most 4 go in. Their products sum exactly in float32 up to a million of them, and the scalar
 * products of the results exactly in float64: the two sides must be equal.
 */
#include "exec/verify_internal.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The case in one form. Values are as stored, with padding. */
struct trial {
    struct graph graph;
    struct plan *plan;
    size_t node;
    tensor_id g, gradient[OP_INPUTS];
    float *in[OP_INPUTS], *din[OP_INPUTS], *y, *dy;
};

static uint32_t all_sets(const struct op *op) {
    uint32_t inputs = 0;
    for (int s = 0; s < OP_SETS; s++)
        inputs |= op->homogeneous[s];
    return inputs;
}

/* ---- the graph ---- */

static enum status build(const struct verify_case *parsed, struct trial *trial) {
    struct graph *graph = &trial->graph;
    tensor_id wanted[OP_INPUTS], gradient[OP_INPUTS];
    size_t count = 0;
    TRY(verify_case_build(parsed, graph, &trial->node));
    struct node node = graph->nodes[trial->node];
    for (int j = 0; j < OP_INPUTS; j++)
        if (node.in[j] != TENSOR_NONE && (all_sets(parsed->op) >> j & 1))
            wanted[count++] = node.in[j];
    trial->g = graph_tensor(graph, "g", DTYPE_F32, graph_shape(graph, node.out[0]), TENSOR_TEMPORARY);
    graph_gradient(graph, node.out[0], trial->g, wanted, count, gradient);
    for (size_t i = 0; i < count; i++) /* g itself may be one, and needs a node that touches it to have a place */
        if (gradient[i] == trial->g)
            gradient[i] = graph_apply(graph, "copy", OPERANDS(trial->g), NULL);
    for (size_t i = 0, j = 0; j < OP_INPUTS; j++)
        trial->gradient[j] = i < count && node.in[j] == wanted[i] ? gradient[i++] : TENSOR_NONE;
    return graph_status(graph);
}

static void destroy(struct trial *trial) {
    plan_destroy(trial->plan);
    graph_destroy(&trial->graph);
    for (int j = 0; j < OP_INPUTS; j++) {
        free(trial->in[j]);
        free(trial->din[j]);
    }
    free(trial->y);
    free(trial->dy);
}

/* Does a node have this form, in this variant? */
static enum status applies(const struct store *store, const struct graph *graph, const char *name, uint32_t variant,
                           bool *answer) {
    struct lowering *lowering;
    TRY(memory_zeroed(1, sizeof *lowering, &lowering));
    *answer = false;
    for (size_t i = 0; i < graph->node_count && !*answer; i++) {
        struct call call;
        graph_call(graph, i, &call);
        for (const struct form *form = call.op->forms; form->name && !*answer; form++)
            *answer = strcmp(form->name, name) == 0 &&
                      form_lower(form, variant, &call, vk_facts(store_device(store)), lowering);
    }
    free(lowering);
    return STATUS_OK;
}

/* ---- its values ---- */

/* Makes whole numbers for a tensor and sends them. */
static enum status write_tensor(struct trial *trial, tensor_id tensor, int input, uint32_t seed, float **stored) {
    const struct tensor *of = &trial->graph.tensors[tensor];
    struct call call;
    double *dense;
    graph_call(&trial->graph, trial->node, &call);
    TRY(memory_zeroed((size_t)tensor_bytes(of), 1, stored));
    TRY(memory_zeroed((size_t)shape_count(of->shape), sizeof *dense, &dense));
    if (input < OP_INPUTS)
        verify_case_data(&call, DATA_EXACT, input, seed, dense);
    for (uint64_t i = 0; input == OP_INPUTS && i < shape_count(of->shape); i++)
        dense[i] = verify_case_value(DATA_EXACT, input, i, seed);
    tensor_store(of, dense, *stored);
    free(dense);
    return plan_write(trial->plan, tensor, *stored);
}

static enum status read_tensor(struct trial *trial, tensor_id tensor, float **stored) {
    TRY(memory_zeroed((size_t)tensor_bytes(&trial->graph.tensors[tensor]), 1, stored));
    return plan_read(trial->plan, tensor, *stored);
}

static enum status execute(struct trial *trial, uint32_t seed) {
    const struct node *node = &trial->graph.nodes[trial->node];
    TRY(plan_guard_fill(trial->plan));
    for (int j = 0; j < OP_INPUTS; j++)
        if (node->in[j] != TENSOR_NONE)
            TRY(write_tensor(trial, node->in[j], j, seed, &trial->in[j]));
    TRY(write_tensor(trial, trial->g, OP_INPUTS, seed, &trial->dy));
    TRY(plan_run_nodes(trial->plan, 0, trial->graph.node_count));
    TRY(read_tensor(trial, node->out[0], &trial->y));
    for (int j = 0; j < OP_INPUTS; j++)
        if (trial->gradient[j] != TENSOR_NONE)
            TRY(read_tensor(trial, trial->gradient[j], &trial->din[j]));
    return STATUS_OK;
}

/* ---- the identity ---- */

static double product(const struct tensor *tensor, const float *a, const float *b) {
    double sum = 0;
    for (uint64_t i = 0; i < tensor_elements(tensor); i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static double norms(const struct tensor *tensor, const float *a, const float *b) {
    return sqrt(product(tensor, a, a) * product(tensor, b, b));
}

/* How far apart the two sides may be, as a share of the norms: 0, but for forms that round more. */
static double relative_bound(const struct trial *trial) {
    double bound = 0;
    for (size_t i = 0; i < trial->graph.node_count; i++) {
        const struct op *op = trial->graph.nodes[i].op;
        if (op_rounds_more(op, plan_form(trial->plan, i)))
            bound = fmax(bound, op->rounds_more.l2_bound);
    }
    return bound;
}

static void compare_set(const struct trial *trial, uint32_t set, struct verify_result *result) {
    struct call call;
    char names[128] = "";
    size_t length = 0;
    graph_call(&trial->graph, trial->node, &call);
    double expected = product(call.out[0], trial->y, trial->dy), got = 0;
    double scale = norms(call.out[0], trial->y, trial->dy);
    for (int j = 0; j < OP_INPUTS; j++) {
        if (!trial->din[j] || !(set >> j & 1))
            continue;
        int name = (int)strcspn(call.op->inputs[j], "?");
        got += product(call.in[j], trial->in[j], trial->din[j]);
        scale += norms(call.in[j], trial->in[j], trial->din[j]);
        length += (size_t)snprintf(names + length, sizeof names - length, "%s<%.*s, d%.*s>", length ? " + " : "", name,
                                   call.op->inputs[j], name, call.op->inputs[j]);
    }
    double error = fabs(got - expected), bound = relative_bound(trial) * scale;
    double share = error == 0 ? 0 : error <= bound ? error / bound : INFINITY;
    result->worst = fmax(result->worst, share);
    if (share > 1 && !*result->failure)
        snprintf(result->failure, sizeof result->failure, "<%s, g> is %.17g, but %s is %.17g", call.op->outputs[0],
                 expected, names, got);
}

static void judge(const struct trial *trial, struct verify_result *result) {
    struct call call;
    uint64_t nonzero = 0;
    graph_call(&trial->graph, trial->node, &call);
    for (int s = 0; s < OP_SETS && call.op->homogeneous[s]; s++)
        compare_set(trial, call.op->homogeneous[s], result);
    for (uint64_t i = 0; i < tensor_elements(call.out[0]); i++)
        nonzero += trial->y[i] != 0;
    result->values = shape_count(call.out[0]->shape);
    for (int j = 0; j < OP_INPUTS; j++)
        result->values += trial->din[j] ? shape_count(call.in[j]->shape) : 0;
    if (nonzero * 20 < shape_count(call.out[0]->shape))
        result->outcome = VERIFY_MISTRUSTED;
}

/* ---- one form ---- */

/* An input of the identity to which the op passes no gradient; NULL: there is none. */
static const char *find_missing(const struct trial *trial) {
    const struct node *node = &trial->graph.nodes[trial->node];
    for (int j = 0; j < OP_INPUTS; j++)
        if (node->in[j] != TENSOR_NONE && (all_sets(node->op) >> j & 1) && trial->gradient[j] == TENSOR_NONE)
            return node->op->inputs[j];
    return NULL;
}

static enum status run(struct trial *trial, struct store *store, struct verify_result *result) {
    const char *missing = find_missing(trial);
    if (missing) {
        snprintf(result->failure, sizeof result->failure, "the op passes no gradient to %s", missing);
        return STATUS_OK;
    }
    struct plan_options options = {.guarded = true, .form = result->form, .variant = result->variant};
    TRY(plan_create(store, &trial->graph, &options, &trial->plan));
    TRY(execute(trial, result->seed));
    judge(trial, result);
    if (plan_guard_check(trial->plan) == STATUS_MISMATCH)
        snprintf(result->failure, sizeof result->failure, "%s", status_message());
    return STATUS_OK;
}

static enum status run_form(struct store *store, const struct verify_options *options, const struct verify_case *parsed,
                            const char *line, const char *form, struct verify_summary *summary) {
    if (options->brief && summary->failed)
        return STATUS_OK;
    struct trial trial = {.node = 0};
    struct verify_result result = {.op = parsed->op->name,
                                   .form = form,
                                   .variant = options->variant,
                                   .shape = line,
                                   .kind = DATA_ADJOINT,
                                   .seed = options->seed ? options->seed : 1};
    verify_describe(&result);
    enum status status = build(parsed, &trial);
    if (status == STATUS_OK)
        status = run(&trial, store, &result);
    destroy(&trial);
    if (status != STATUS_OK)
        return fail_prefix(status, "%s", result.repeat);
    verify_report(options, &result, summary);
    return STATUS_OK;
}

/* Names of forms, each once. */
struct names {
    const char *names[32];
    size_t count;
};

static void add_name(struct names *names, const char *name) {
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->names[i], name) == 0)
            return;
    if (names->count < COUNT(names->names))
        names->names[names->count++] = name;
}

/* Those of the op and of its gradient's that apply to at least one of the nodes. */
static enum status find_forms(const struct store *store, const struct verify_options *options,
                              const struct graph *graph, struct names *found) {
    for (size_t i = 0; i < graph->node_count; i++)
        for (const struct form *form = graph->nodes[i].op->forms; form->name; form++) {
            bool answer = !options->form || strcmp(options->form, form->name) == 0;
            if (answer)
                TRY(applies(store, graph, form->name, options->variant, &answer));
            if (answer)
                add_name(found, form->name);
        }
    return STATUS_OK;
}

static bool has_exact(const struct trial *trial) {
    struct call call;
    graph_call(&trial->graph, trial->node, &call);
    return call.op->homogeneous[0] && !call.op->no_exact && (!call.op->has_exact || call.op->has_exact(&call));
}

enum status verify_adjoint(struct store *store, const struct verify_options *options, const struct verify_case *parsed,
                           const char *line, struct verify_summary *summary) {
    struct trial trial = {.node = 0};
    struct names forms = {.count = 0};
    enum status status = build(parsed, &trial);
    if (status == STATUS_OK && has_exact(&trial))
        status = find_forms(store, options, &trial.graph, &forms);
    destroy(&trial);
    for (size_t i = 0; status == STATUS_OK && i < forms.count; i++)
        status = run_form(store, options, parsed, line, forms.names[i], summary);
    return status;
}

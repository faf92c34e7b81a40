#include "exec/tune.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "exec/verify_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CANDIDATES = 32, ROUNDS = 5, REPEATS_MOST = 16 };
#define TIE 1.03      /* slower than the fastest by less than this is as fast */
#define HOPELESS 1.5  /* slower than this after one run: not measured any further */
#define REPEAT_NS 2e6 /* a sample should take so long that the submission does not matter */
/* A guess of a software device's speed, for the order of the cases and the number of repeats. */
#define FLOPS_PER_NS 50.0
#define BYTES_PER_NS 10.0

struct candidate {
    const char *form;
    uint32_t variant;
    struct plan *plan; /* NULL: not in the race (any more) */
    double samples_ms[ROUNDS], ms;
};

struct item {
    char key[TUNING_KEY];
    struct verify_case parsed;
    struct tune_case result;
    double guess_ns; /* of one evaluation */
    bool known;      /* an earlier tuning has measured it */
    struct candidate candidates[CANDIDATES];
};

struct tuner {
    struct vk_device *device;
    const struct tune_options *options;
    struct tune_summary *summary;
    struct tuning known; /* what the file held at the start */
    struct item *items;
    size_t count, capacity;
};

/* ---- what there is to measure ---- */

/* Fills the item's list with what lowers the call, the rule's choice first. */
static enum status list_candidates(const struct tuner *tuner, const struct call *call, struct item *item) {
    struct lowering *lowering;
    TRY(memory_zeroed(1, sizeof *lowering, &lowering));
    uint32_t count = 0;
    for (const struct form *form = call->op->forms; form->name; form++)
        for (uint32_t variant = 0, last = 0; variant <= last && count < CANDIDATES; variant++) {
            if (!form_lower(form, variant, call, vk_facts(tuner->device), lowering))
                continue;
            last = lowering->variants;
            for (uint32_t d = 0; count == 0 && d < lowering->count; d++)
                item->guess_ns +=
                    lowering->dispatches[d].flops / FLOPS_PER_NS + lowering->dispatches[d].bytes / BYTES_PER_NS;
            item->candidates[count++] = (struct candidate){.form = form->name, .variant = variant};
        }
    item->result.candidates = count;
    free(lowering);
    return STATUS_OK;
}

static struct item *find_item(const struct tuner *tuner, const char *key) {
    for (size_t i = 0; i < tuner->count; i++)
        if (strcmp(tuner->items[i].key, key) == 0)
            return &tuner->items[i];
    return NULL;
}

static enum status add_node(struct tuner *tuner, const struct graph *graph, size_t index) {
    struct call call;
    struct item item = {0}, *known;
    graph_call(graph, index, &call);
    if (!tuning_key(&call, item.key))
        return STATUS_OK;
    known = find_item(tuner, item.key);
    if (known) {
        known->result.uses++;
        return STATUS_OK;
    }
    TRY(list_candidates(tuner, &call, &item));
    if (item.result.candidates < 2)
        return STATUS_OK;
    TRY(verify_case_parse(call.op, strchr(item.key, ' ') + 1, &item.parsed));
    item.known = tuning_has(&tuner->known, item.key);
    item.result.uses = 1;
    item.result.rule = item.result.form = item.candidates[0].form;
    TRY(memory_grow(&tuner->items, &tuner->capacity, tuner->count + 1, sizeof *tuner->items));
    tuner->items[tuner->count++] = item;
    return STATUS_OK;
}

/* New ones first, so that a second tuning goes on where the time of the first one was over; then by work. */
static int by_urgency(const void *a, const void *b) {
    const struct item *x = a, *y = b;
    if (x->known != y->known)
        return x->known ? 1 : -1;
    double left = x->guess_ns * x->result.uses, right = y->guess_ns * y->result.uses;
    return left < right ? 1 : left > right ? -1 : strcmp(x->key, y->key);
}

static enum status collect(struct tuner *tuner, const struct graph *graph) {
    if (tuner->options->path)
        tuning_read(tuner->options->path, vk_describe(tuner->device), &tuner->known);
    for (size_t i = 0; i < graph->node_count; i++)
        TRY(add_node(tuner, graph, i));
    uint32_t candidates = 0;
    if (tuner->count)
        qsort(tuner->items, tuner->count, sizeof *tuner->items, by_urgency);
    for (size_t i = 0; i < tuner->count; i++) {
        tuner->items[i].result.key = tuner->items[i].key;
        candidates += tuner->items[i].result.candidates;
    }
    tuner->summary->cases = (uint32_t)tuner->count;
    if (tuner->options->on_start)
        tuner->options->on_start(tuner->options->user, tuner->summary->cases, candidates);
    return STATUS_OK;
}

/* ---- measuring ---- */

/* The call as often as a sample needs, on inputs that all plans share. */
static enum status build(const struct item *item, struct graph *graph) {
    double repeats = fmin(ceil(REPEAT_NS / fmax(item->guess_ns, 1)), REPEATS_MOST);
    TRY(verify_case_repeat(&item->parsed, (uint32_t)repeats, graph));
    for (int j = 0; j < OP_INPUTS; j++)
        if (graph->nodes[0].in[j] != TENSOR_NONE)
            graph->tensors[graph->nodes[0].in[j]].role = TENSOR_PERSISTENT;
    return STATUS_OK;
}

static enum status run(struct candidate *candidate, const struct graph *graph, double *ms) {
    uint64_t start = clock_ns();
    TRY(plan_submit(candidate->plan));
    TRY(plan_collect(candidate->plan));
    *ms = (double)(clock_ns() - start) / 1e6 / (double)graph->node_count;
    return STATUS_OK;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double samples[ROUNDS]) {
    qsort(samples, ROUNDS, sizeof *samples, ascending);
    return samples[ROUNDS / 2];
}

static void leave_out(struct candidate *candidate) {
    plan_destroy(candidate->plan);
    candidate->plan = NULL;
}

/*
 * Compiles and runs a candidate once, and again for a first time. One whose pipeline the device refuses is left out:
 * *fastest_ms, the least of these times, stays.
 */
static enum status enter(struct store *store, const struct graph *graph, struct candidate *entered,
                         double *fastest_ms) {
    const struct plan_options options = {.slots = 1, .form = entered->form, .variant = entered->variant};
    double ms;
    enum status status = plan_create(store, graph, &options, &entered->plan);
    if (status == STATUS_DEVICE || status == STATUS_MEMORY) {
        log_info("%s, variant %u, is left out: %s", entered->form, entered->variant, status_message());
        return STATUS_OK;
    }
    TRY(status);
    if (!isfinite(*fastest_ms))
        TRY(verify_case_write(entered->plan, graph));
    TRY(run(entered, graph, &ms));
    TRY(run(entered, graph, &ms));
    if (ms > HOPELESS * *fastest_ms)
        leave_out(entered);
    *fastest_ms = fmin(*fastest_ms, ms);
    return STATUS_OK;
}

static enum status race(struct tuner *tuner, uint32_t index, struct store *store, const struct graph *graph) {
    struct item *item = &tuner->items[index];
    const struct tune_options *options = tuner->options;
    double fastest_ms = INFINITY;
    uint32_t count = item->result.candidates;
    for (uint32_t c = 0; c < count; c++) {
        struct candidate *candidate = &item->candidates[c];
        if (options->on_candidate)
            options->on_candidate(options->user, index, &item->result, candidate->form, candidate->variant);
        TRY(enter(store, graph, candidate, &fastest_ms));
    }
    for (uint32_t round = 0; round < ROUNDS; round++)
        for (uint32_t c = 0; c < count; c++)
            if (item->candidates[c].plan)
                TRY(run(&item->candidates[c], graph, &item->candidates[c].samples_ms[round]));
    for (uint32_t c = 0; c < count; c++)
        if (item->candidates[c].plan)
            item->candidates[c].ms = median(item->candidates[c].samples_ms);
    return STATUS_OK;
}

/* ---- choosing ---- */

/* The first in the list that is about as fast as the fastest; NULL when nothing is in the race. */
static struct candidate *choose(struct item *item) {
    double fastest_ms = INFINITY;
    for (uint32_t c = 0; c < item->result.candidates; c++)
        if (item->candidates[c].plan)
            fastest_ms = fmin(fastest_ms, item->candidates[c].ms);
    for (uint32_t c = 0; c < item->result.candidates; c++)
        if (item->candidates[c].plan && item->candidates[c].ms <= TIE * fastest_ms)
            return &item->candidates[c];
    return NULL;
}

static enum status verify_choice(const struct item *item, struct store *store, const struct candidate *candidate,
                                 bool *right) {
    static const enum data_kind kinds[] = {DATA_EXACT, DATA_RANDOM};
    struct verify_options options = {.op = item->parsed.op->name,
                                     .form = candidate->form,
                                     .variant = candidate->variant,
                                     .shape = strchr(item->key, ' ') + 1,
                                     .seed = 1};
    struct verify_summary summary;
    uint32_t passed = 0;
    for (size_t k = 0; k < COUNT(kinds); k++) {
        options.kind = (int)kinds[k];
        enum status status = verify_ops(store, &options, &summary);
        if (status != STATUS_OK && status != STATUS_MISMATCH && status != STATUS_USAGE) /* usage: no such data */
            return status;
        passed += summary.passed;
        *right = summary.failed == 0 && passed > 0;
        if (summary.failed)
            break;
    }
    return STATUS_OK;
}

static enum status keep(const struct tuner *tuner, struct item *item, const struct candidate *chosen) {
    struct tuning_choice choice = {.key = item->key, .ms = item->result.ms, .rule_ms = item->result.rule_ms};
    if (chosen != &item->candidates[0]) {
        snprintf(choice.form, sizeof choice.form, "%s", chosen->form);
        choice.variant = chosen->variant;
    }
    return tuner->options->path ? tuning_keep(tuner->options->path, vk_describe(tuner->device), &choice) : STATUS_OK;
}

/* The rule's choice stands unless something that is faster is right as well. */
static enum status decide(struct tuner *tuner, struct item *item, struct store *store) {
    struct candidate *rule = &item->candidates[0], *chosen;
    item->result.rule_ms = rule->ms;
    while ((chosen = choose(item)) != NULL && chosen != rule) {
        bool right = false;
        TRY(verify_choice(item, store, chosen, &right));
        if (right)
            break;
        log_warn("%s: form %s, variant %u, is fast but wrong here, and is not used", item->key, chosen->form,
                 chosen->variant);
        item->result.refused++;
        leave_out(chosen);
    }
    chosen = chosen ? chosen : rule;
    item->result.form = chosen->form;
    item->result.variant = chosen->variant;
    item->result.ms = chosen->ms;
    return keep(tuner, item, chosen);
}

static enum status measure(struct tuner *tuner, uint32_t index) {
    struct item *item = &tuner->items[index];
    struct store *store;
    struct graph graph;
    TRY(store_create(tuner->device, &store));
    graph_create(&graph);
    enum status status = build(item, &graph);
    if (status == STATUS_OK)
        status = race(tuner, index, store, &graph);
    if (status == STATUS_OK)
        status = decide(tuner, item, store);
    for (uint32_t c = 0; c < item->result.candidates; c++)
        leave_out(&item->candidates[c]);
    graph_destroy(&graph);
    store_destroy(store);
    item->result.measured = status == STATUS_OK;
    return status == STATUS_OK ? status : fail_prefix(status, "%s", item->key);
}

static void sum_up(struct tune_summary *summary, const struct item *item) {
    const struct tune_case *result = &item->result;
    if (!result->measured)
        return;
    summary->measured++;
    summary->chosen += result->variant != 0 || strcmp(result->form, result->rule) != 0;
    summary->refused += result->refused;
    summary->rule_ms += result->rule_ms * result->uses;
    summary->ms += result->ms * result->uses;
}

enum status tune_graph(struct vk_device *device, const struct graph *graph, const struct tune_options *options,
                       struct tune_summary *summary) {
    uint64_t start = clock_ns();
    struct tuner tuner = {.device = device, .options = options, .summary = summary};
    uint64_t end = start + (uint64_t)(options->budget * 1e9), last_ns = 0; /* of the last case */
    *summary = (struct tune_summary){0};
    enum status status = collect(&tuner, graph);
    for (uint32_t i = 0; i < tuner.count && status == STATUS_OK; i++) {
        uint64_t begun = clock_ns();
        if (i == 0 || begun + last_ns < end) { /* one case however short the budget is */
            status = measure(&tuner, i);
            last_ns = clock_ns() - begun;
        }
        sum_up(summary, &tuner.items[i]);
        if (status == STATUS_OK && options->on_case)
            options->on_case(options->user, i, &tuner.items[i].result);
    }
    free(tuner.items);
    tuning_destroy(&tuner.known);
    summary->seconds = (double)(clock_ns() - start) / 1e9;
    return status;
}

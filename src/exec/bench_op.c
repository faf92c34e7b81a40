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

/* The plan took another form, or the usual variant, where the form and variant that were asked for do not apply. */
static enum status check_form(const struct bench_op *bench, struct store *store, const struct op *op,
                              const struct plan_options *options) {
    const char *form = options->form;
    bool known = false;
    for (const struct form *f = op->forms; form && f->name; f++)
        known |= strcmp(f->name, form) == 0;
    if (form && !known)
        return fail(STATUS_USAGE, "%s has no form called %s", op->name, form);
    if (form && (strcmp(plan_form(bench->plan, 0), form) != 0 || plan_variant(bench->plan, 0) != options->variant))
        return fail(STATUS_USAGE, "%s: the form %s, variant %u, does not run this shape on %s", op->name, form,
                    options->variant, vk_facts(store_device(store))->name);
    return STATUS_OK;
}

static enum status create(struct bench_op *bench, struct store *store, const struct verify_case *parsed,
                          const struct plan_options *options) {
    graph_create(&bench->graph);
    TRY(verify_case_repeat(parsed, bench->repeats, &bench->graph));
    TRY(plan_create(store, &bench->graph, options, &bench->plan));
    TRY(check_form(bench, store, parsed->op, options));
    return verify_case_write(bench->plan, &bench->graph);
}

/* Often enough that a step takes STEP_MS. */
static enum status find_repeats(struct bench_op *bench) {
    struct bench_times times;
    TRY(bench_plan(bench->plan, &(struct bench_options){.samples = 3}, &times));
    bench->repeats = (uint32_t)fmin(fmax(ceil(STEP_MS / fmax(times.median, 1e-3)), 1), MOST_REPEATS);
    return STATUS_OK;
}

enum status bench_op_create(struct store *store, const char *op, const char *shape, const struct plan_options *choice,
                            struct bench_op *out) {
    struct verify_case parsed;
    struct plan_options options = *choice;
    options.slots = 1;
    *out = (struct bench_op){.repeats = 1};
    if (!op_find(op))
        return fail(STATUS_USAGE, "there is no op called %s", op);
    TRY(verify_case_parse(op_find(op), shape, &parsed));
    TRY(create(out, store, &parsed, &options));
    TRY(find_repeats(out));
    if (out->repeats == 1)
        return STATUS_OK;
    uint32_t repeats = out->repeats;
    bench_op_destroy(out);
    *out = (struct bench_op){.repeats = repeats};
    return create(out, store, &parsed, &options);
}

void bench_op_destroy(struct bench_op *bench) {
    plan_destroy(bench->plan);
    graph_destroy(&bench->graph);
}

/*
 * plan: a graph turned into recorded command buffers, replayed for every step.
 *
 * plan_create lowers every node, packs temporaries into an arena by their lifetimes, finds the barriers, creates the
 * pipelines and records. After that a step is: write the inputs, submit, and (up to `slots` steps later) read the
 * outputs. Nothing is allocated, created or recorded by a step. One thread at a time, as the device.
 *
 * On a device without kernels (DEVICE_REFERENCE) nothing is lowered: plan_submit computes the step by the references of
 * the ops before it returns.
 */
#ifndef RVK_EXEC_PLAN_H
#define RVK_EXEC_PLAN_H

#include "exec/store.h"
#include "exec/tuning.h"
#include "ir/graph.h"

#include <stdio.h>

struct plan;
struct selftest;

/* 100 ms: operating systems reset a device after two seconds. */
#define PLAN_BUDGET_NS UINT64_C(100000000)

struct plan_options {
    uint32_t slots;        /* steps in flight; 0: 2 */
    uint64_t budget_ns;    /* longest submission aimed at; 0: PLAN_BUDGET_NS */
    bool timestamps;       /* record a timestamp around every dispatch */
    bool guarded;          /* no reuse of memory; canaries around every temporary (verify) */
    bool without_barriers; /* leave all barriers out: a planted mistake for the tests */
    const char *form;      /* the form of every op that has one of this name (verify); NULL: the first that applies */
    uint32_t variant;      /* of that form */
    const struct tuning *tuning; /* what was measured to be the fastest; NULL: none. Must outlive plan_create only */
    struct selftest *selftest;   /* checks the forms first, and leaves wrong ones out (exec/selftest.h); NULL: none */
};

/* The graph must outlive the plan. */
CHECKED enum status plan_create(struct store *store, const struct graph *graph, const struct plan_options *options,
                                struct plan **out);
void plan_destroy(struct plan *plan);

struct plan_request {
    const struct graph *graph;
    const struct plan_options *options; /* may be NULL */
};
/*
 * Bytes on the device that plan_create would allocate for all requests together, with the persistent values that the
 * store does not have yet. Nothing is allocated there. Failures are those of plan_create that depend on shapes:
 * STATUS_MEMORY for a tensor larger than an allocation may be, STATUS_DEVICE for one that no form of its op can take.
 */
CHECKED enum status plan_measure(struct store *store, const struct plan_request *requests, size_t count,
                                 uint64_t *bytes);

/*
 * Where to write a TENSOR_INPUT for the next step, in stored layout (ir/tensor.h). Needs plan_pending < plan_slots. The
 * whole input must be written for every step.
 */
void *plan_input(struct plan *plan, tensor_id tensor);

/* Submits the next step without waiting (the first two steps wait: they measure how to cut the submissions). */
CHECKED enum status plan_submit(struct plan *plan);

/* Waits for the oldest submitted step that was not collected yet; STATUS_USAGE when there is none. */
CHECKED enum status plan_collect(struct plan *plan);
/* Steps submitted and not collected. plan_submit needs plan_pending < slots: collect first. */
uint32_t plan_pending(const struct plan *plan);
uint32_t plan_slots(const struct plan *plan);
/* Whether the device has nothing of this plan left to do, without waiting. */
bool plan_idle(const struct plan *plan);

/* A TENSOR_OUTPUT of the step collected last, in stored layout; valid until that slot's next plan_input / plan_submit.
 */
const void *plan_output(const struct plan *plan, tensor_id tensor);

/* ---- one node at a time (verify, and naming the op that made a NaN). Needs plan_pending == 0 ---- */

/* Copies the inputs of the next slot to the device without running anything. */
CHECKED enum status plan_upload(struct plan *plan);
/* Runs nodes [first, last) and waits. */
CHECKED enum status plan_run_nodes(struct plan *plan, size_t first, size_t last);
/* Reads / writes any tensor's storage as it is now, in stored layout. */
CHECKED enum status plan_read(struct plan *plan, tensor_id tensor, void *stored);
CHECKED enum status plan_write(struct plan *plan, tensor_id tensor, const void *stored);
/* With `guarded`: fills the arena with NaN and canaries; then tells whether all canaries still stand (names the
 * neighbours). */
CHECKED enum status plan_guard_fill(struct plan *plan);
CHECKED enum status plan_guard_check(struct plan *plan);

/* ---- what it is ---- */

struct plan_numbers {
    uint32_t nodes, dispatches, barriers, pieces, submissions_per_step;
    uint64_t arena_bytes;    /* temporaries as packed */
    uint64_t lower_bound;    /* largest sum of temporaries alive at once: no packing can need less */
    uint64_t unshared_bytes; /* what they would take without reuse */
    uint64_t persistent_bytes;
    double flops; /* 2 x multiply-adds of convolutions and dense layers in one step */
    double bytes; /* nominal traffic of all dispatches */
};
struct plan_numbers plan_numbers(const struct plan *plan);

/* The form that node `index` was lowered to, and its variant. */
const char *plan_form(const struct plan *plan, size_t index);
uint32_t plan_variant(const struct plan *plan, size_t index);

/* Time of every dispatch in the step collected last (needs options.timestamps). Arrays live as long as the plan. */
struct plan_timing {
    const char *op, *scope, *kernel, *form;
    uint64_t start_ns, end_ns; /* since the step's first dispatch */
    double flops, bytes;
};
CHECKED enum status plan_timings(struct plan *plan, const struct plan_timing **timings, uint32_t *count);

/* Node, form, dispatches, offsets and lifetimes as text: one line a node, one more for each of its kernels
 * (--print-plan). */
void plan_print(const struct plan *plan, FILE *file);

#endif

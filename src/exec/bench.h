/*
 * bench: times a plan's steps as they follow each other in training, or one op for itself.
 */
#ifndef RVK_EXEC_BENCH_H
#define RVK_EXEC_BENCH_H

#include "exec/plan.h"

enum { BENCH_SAMPLES = 200 };
#define BENCH_SPREAD 0.05 /* a spread below this is small */

struct bench_options {
    uint32_t warmup;                             /* steps before the first sample; more while they are short */
    uint32_t samples;                            /* exactly so many; 0: until the spread is small, at least 10 */
    double seconds;                              /* samples 0: no more than 5 samples after so long */
    void (*feed)(void *user, struct plan *plan); /* writes all inputs of the next step; NULL: there are none */
    void *user;
};

struct bench_times {
    double ms[BENCH_SAMPLES]; /* in the order they were taken */
    uint32_t count;
    uint32_t repeats; /* a sample is the mean of so many steps: more than one where a step is very short */
    double median, min, max;
    double spread; /* distance of the quartiles as a share of the median */
};

/* Computes the last four fields from `ms`; count >= 1. */
void bench_summarize(struct bench_times *times);

/*
 * Runs steps with all slots in flight; a sample is the time from one completion to the next (or a later one).
 * STATUS_USAGE for more than BENCH_SAMPLES samples; fails as plan_submit and plan_collect do.
 */
CHECKED enum status bench_plan(struct plan *plan, const struct bench_options *options, struct bench_times *times);

/* One op on random data, as often in a step as it takes to make the submission's own cost small. */
struct bench_op {
    struct graph graph;
    struct plan *plan;
    uint32_t repeats;
};

/*
 * `shape` is a case of verify: "x=2x9x9x5 weight=3x3x5x7 stride_h=2"; `choice` says form and variant, or NULL and the
 * tuning. STATUS_USAGE for an unknown op or form, a wrong shape, or a form or variant that does not apply. Needs
 * bench_op_destroy also after a failure.
 */
CHECKED enum status bench_op_create(struct store *store, const char *op, const char *shape,
                                    const struct plan_options *choice, struct bench_op *out);
void bench_op_destroy(struct bench_op *bench);

#endif

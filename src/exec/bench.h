/*
 * bench: times a plan's steps as they follow each other in training.
 */
#ifndef RVK_EXEC_BENCH_H
#define RVK_EXEC_BENCH_H

#include "exec/plan.h"

struct bench_options {
    uint32_t warmup;                             /* steps before the first sample; at least 3 are run */
    uint32_t steps;                              /* samples */
    void (*feed)(void *user, struct plan *plan); /* writes all inputs of the next step */
    void *user;
};

struct bench_summary {
    double median_ms, min_ms, max_ms;
};

/*
 * Runs steps with all slots in flight; samples_ms[i] is the time from one step's completion to the next. Fails as
 * plan_submit and plan_collect do.
 */
CHECKED enum status bench_plan(struct plan *plan, const struct bench_options *options, double *samples_ms);

/* Median, least and largest of `count` >= 1 samples. */
struct bench_summary bench_summarize(const double *samples_ms, uint32_t count);

#endif

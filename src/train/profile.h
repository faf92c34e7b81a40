/*
 * profile: time per op, summed over the steps of a plan with timestamps, and one step as a trace.
 */
#ifndef RVK_TRAIN_PROFILE_H
#define RVK_TRAIN_PROFILE_H

#include "exec/plan.h"

struct profile_row {
    const char *op;
    uint32_t dispatches; /* a step */
    double ms;           /* a step */
    double share;        /* of the sum of all rows */
    double gflops;
    double flops; /* a step */
};

enum { PROFILE_ROWS = 64 };

struct profile {
    struct profile_row rows[PROFILE_ROWS]; /* while steps are added: sums */
    uint32_t count, steps;
};

/* Adds the step that was collected last. */
CHECKED enum status profile_add(struct profile *profile, struct plan *plan);

/* Turns sums into means and sorts, longest first. Call once, at the end. */
void profile_finish(struct profile *profile);

/* Writes the step collected last in the format of chrome://tracing and ui.perfetto.dev. */
CHECKED enum status profile_write_trace(struct plan *plan, const char *path);

#endif

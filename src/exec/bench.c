#include "exec/bench.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_WARMUP = 3 }; /* a plan measures its pieces in its first two steps */

static enum status fill_slots(struct plan *plan, const struct bench_options *options) {
    while (plan_pending(plan) < plan_slots(plan)) {
        options->feed(options->user, plan);
        TRY(plan_submit(plan));
    }
    return STATUS_OK;
}

enum status bench_plan(struct plan *plan, const struct bench_options *options, double *samples_ms) {
    uint32_t warmup = MAX(options->warmup, (uint32_t)LEAST_WARMUP);
    uint64_t last = clock_ns();
    for (uint32_t step = 0; step < warmup + options->steps; step++) {
        TRY(fill_slots(plan, options));
        TRY(plan_collect(plan));
        uint64_t now = clock_ns();
        if (step >= warmup)
            samples_ms[step - warmup] = (double)(now - last) / 1e6;
        last = now;
    }
    while (plan_pending(plan))
        TRY(plan_collect(plan));
    return STATUS_OK;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct bench_summary bench_summarize(const double *samples_ms, uint32_t count) {
    struct bench_summary summary = {0};
    double *sorted = malloc(count * sizeof *sorted);
    if (!sorted)
        return summary;
    memcpy(sorted, samples_ms, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, ascending);
    summary = (struct bench_summary){
        .median_ms = (sorted[count / 2] + sorted[(count - 1) / 2]) / 2,
        .min_ms = sorted[0],
        .max_ms = sorted[count - 1],
    };
    free(sorted);
    return summary;
}

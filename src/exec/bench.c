#include "exec/bench.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    LEAST_WARMUP = 3, /* a plan measures its pieces in its first two steps */
    LEAST_SAMPLES = 10,
    LATE_SAMPLES = 5, /* the least when the time is over */
};

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear between the two samples around `share`. */
static double quantile(const double *sorted, uint32_t count, double share) {
    double place = share * (count - 1);
    uint32_t below = (uint32_t)place, above = MIN(below + 1, count - 1);
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

void bench_summarize(struct bench_times *times) {
    double sorted[BENCH_SAMPLES];
    memcpy(sorted, times->ms, times->count * sizeof *sorted);
    qsort(sorted, times->count, sizeof *sorted, ascending);
    times->median = quantile(sorted, times->count, 0.5);
    times->min = sorted[0];
    times->max = sorted[times->count - 1];
    double distance = quantile(sorted, times->count, 0.75) - quantile(sorted, times->count, 0.25);
    times->spread = times->median > 0 ? distance / times->median : 0;
}

static enum status fill_slots(struct plan *plan, const struct bench_options *options) {
    while (plan_pending(plan) < plan_slots(plan)) {
        if (options->feed)
            options->feed(options->user, plan);
        TRY(plan_submit(plan));
    }
    return STATUS_OK;
}

static enum status run_step(struct plan *plan, const struct bench_options *options) {
    TRY(fill_slots(plan, options));
    return plan_collect(plan);
}

static bool enough(const struct bench_options *options, const struct bench_times *times, double seconds) {
    if (options->samples)
        return times->count == options->samples;
    if (times->count == BENCH_SAMPLES || (seconds >= options->seconds && times->count >= LATE_SAMPLES))
        return true;
    return times->count >= LEAST_SAMPLES && times->spread < BENCH_SPREAD;
}

enum status bench_plan(struct plan *plan, const struct bench_options *options, struct bench_times *times) {
    if (options->samples > BENCH_SAMPLES)
        return fail(STATUS_USAGE, "at most %d samples can be taken, not %u", BENCH_SAMPLES, options->samples);
    for (uint32_t i = 0; i < MAX(options->warmup, (uint32_t)LEAST_WARMUP); i++)
        TRY(run_step(plan, options));
    uint64_t start = clock_ns(), last = start;
    times->count = 0;
    do {
        TRY(run_step(plan, options));
        uint64_t now = clock_ns();
        times->ms[times->count++] = (double)(now - last) / 1e6;
        bench_summarize(times);
        last = now;
    } while (!enough(options, times, (double)(last - start) / 1e9));
    while (plan_pending(plan))
        TRY(plan_collect(plan));
    return STATUS_OK;
}

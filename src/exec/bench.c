#include "exec/bench.h"

#include "base/clock.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_STEPS = 3, /* a plan measures its pieces in the first two */
    LEAST_SAMPLES = 10,
    LATE_SAMPLES = 5, /* the least when the time is over */
};

/* Clocks need so long to rise. */
#define WARMUP_MS 200.0
/* Below this, what the host does meanwhile would show in a sample. */
#define SAMPLE_MS 10.0

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

/* *ms: the mean of a step. */
static enum status run_steps(struct plan *plan, const struct bench_options *options, uint32_t count, double *ms) {
    uint64_t start = clock_ns();
    for (uint32_t i = 0; i < count; i++) {
        TRY(fill_slots(plan, options));
        TRY(plan_collect(plan));
    }
    *ms = (double)(clock_ns() - start) / 1e6 / count;
    return STATUS_OK;
}

/* Finds how many steps make a sample. */
static enum status warm_up(struct plan *plan, const struct bench_options *options, uint32_t *repeats) {
    double ms, sum = 0;
    uint32_t steps = 0;
    TRY(run_steps(plan, options, FIRST_STEPS, &ms));
    while (steps == 0 || steps + FIRST_STEPS < options->warmup || sum < WARMUP_MS) {
        TRY(run_steps(plan, options, 1, &ms));
        sum += ms;
        steps++;
    }
    *repeats = (uint32_t)fmax(ceil(SAMPLE_MS / (sum / steps)), 1);
    return STATUS_OK;
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
    TRY(warm_up(plan, options, &times->repeats));
    uint64_t start = clock_ns();
    times->count = 0;
    do {
        TRY(run_steps(plan, options, times->repeats, &times->ms[times->count++]));
        bench_summarize(times);
    } while (!enough(options, times, (double)(clock_ns() - start) / 1e9));
    while (plan_pending(plan))
        TRY(plan_collect(plan));
    return STATUS_OK;
}

/* schedule: learning rates as formulas of the share of the training that is done; Fisher-Yates for the order. */
#include "train/schedule.h"

#include "base/memory.h"
#include "base/random.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

enum status schedule_find(const char *name, enum schedule_kind *out) {
    static const char *const names[] = {"constant", "step", "cosine", "onecycle", "plateau"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum schedule_kind)i;
            return STATUS_OK;
        }
    return fail(STATUS_USAGE, "no schedule is called '%s'; there are constant, step, cosine, onecycle, plateau", name);
}

/* From 1 at share 0 down to 0 at share 1. */
static double cosine(double share) {
    return 0.5 * (1 + cos(pi * share));
}

static double onecycle(double share) {
    const double rise = 0.3;
    return share < rise ? share / rise : cosine((share - rise) / (1 - rise));
}

static double drop(const struct schedule *schedule, double share) {
    double scale = 1;
    for (uint32_t i = 0; i < schedule->drop_count; i++)
        if (share >= schedule->drops[i])
            scale *= schedule->factor;
    return scale;
}

double schedule_rate(const struct schedule *schedule, const struct plateau *plateau, uint64_t step) {
    double share = (double)step / (double)MAX(schedule->steps, 1);
    if (schedule->kind == SCHEDULE_ONECYCLE)
        return schedule->rate * onecycle(share);
    if (step < schedule->warmup)
        return schedule->rate * (double)(step + 1) / (double)schedule->warmup;
    if (schedule->kind == SCHEDULE_STEP)
        return schedule->rate * drop(schedule, share);
    if (schedule->kind == SCHEDULE_COSINE)
        return schedule->rate *
               cosine((double)(step - schedule->warmup) / (double)MAX(schedule->steps - schedule->warmup, 1));
    if (schedule->kind == SCHEDULE_PLATEAU)
        return schedule->rate * pow(schedule->factor, plateau->reductions);
    return schedule->rate;
}

void plateau_epoch(struct plateau *plateau, uint32_t patience, double loss) {
    if (plateau->epochs++ == 0 || loss < plateau->best) {
        plateau->best = loss;
        plateau->stale = 0;
    } else if (++plateau->stale >= patience) {
        plateau->reductions++;
        plateau->stale = 0;
    }
}

void order_shuffle(uint32_t *order, uint32_t count, uint32_t seed, uint32_t epoch) {
    enum { STREAM_ORDER = 0x6f726472 };
    uint32_t key = random_bits(seed, STREAM_ORDER, epoch);
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t j = random_below(key, STREAM_ORDER, i, i), other = order[j];
        order[j] = order[i - 1];
        order[i - 1] = other;
    }
}

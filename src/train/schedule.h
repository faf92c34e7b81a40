/*
 * schedule: the learning rate of every step, and the order of the images in every epoch.
 *
 * Both are pure functions of the options, the seed and the position (plateau also of its few saved numbers), so that a
 * resumed run goes on exactly as the run that was never interrupted.
 */
#ifndef RVK_TRAIN_SCHEDULE_H
#define RVK_TRAIN_SCHEDULE_H

#include "base/status.h"

#include <stdint.h>

enum schedule_kind {
    SCHEDULE_CONSTANT,
    SCHEDULE_STEP,     /* times `factor` after each of `drops` */
    SCHEDULE_COSINE,   /* half a cosine from the rate down to 0 */
    SCHEDULE_ONECYCLE, /* linearly from 0 up to the rate in 30 % of the steps, then half a cosine down to 0 */
    SCHEDULE_PLATEAU,  /* times `factor` whenever the loss was not better for `patience` epochs */
};

enum { SCHEDULE_DROPS = 16 };

struct schedule {
    enum schedule_kind kind;
    double rate;     /* the highest */
    uint64_t steps;  /* of the whole training */
    uint64_t warmup; /* the first steps, in which the rate grows linearly to its height; not for onecycle */
    double factor;   /* step and plateau */
    double drops[SCHEDULE_DROPS]; /* step: shares of the training, 0 to 1 */
    uint32_t drop_count;
    uint32_t patience; /* plateau */
};

/* What plateau remembers between epochs; zero at first. */
struct plateau {
    double best;         /* lowest loss so far; means nothing while `epochs` is 0 */
    uint32_t epochs;     /* seen */
    uint32_t stale;      /* since the best, or since the last reduction */
    uint32_t reductions; /* so far */
};

/* STATUS_USAGE for a name that is no schedule. */
CHECKED enum status schedule_find(const char *name, enum schedule_kind *out);

/* Learning rate of step `step` (0 for the first of the training). */
double schedule_rate(const struct schedule *schedule, const struct plateau *plateau, uint64_t step);

/* Takes the loss of a finished epoch. */
void plateau_epoch(struct plateau *plateau, uint32_t patience, double loss);

/* Fills `order` with a permutation of 0 .. count - 1 that depends on seed and epoch only. */
void order_shuffle(uint32_t *order, uint32_t count, uint32_t seed, uint32_t epoch);

#endif

/*
 * compare: several networks trained alike: what became of each run, and means over the seeds of a network.
 *
 * A comparison in a folder has a run in DIR/NAME (with more seeds, DIR/NAME.seedN for all but the first), each as
 * `train --out` leaves it, and DIR/compare.json with the options that they share. What is finished is read from the
 * runs' logs.
 */
#ifndef RVK_CLI_COMPARE_H
#define RVK_CLI_COMPARE_H

#include "cli/cli.h"

enum { COMPARE_SEEDS = 100 };

struct compare_epoch {
    bool known, validated;
    double train_error, train_loss, validation_error, validation_loss; /* errors are shares */
    double seconds;
};

struct compare_run {
    const char *model;
    uint32_t seed;
    char folder[512];       /* "": nothing is kept */
    enum rvk_status status; /* RVK_OK also while it has not begun */
    char message[512];      /* why it failed */
    uint64_t trainable;
    struct compare_epoch *epochs; /* by number from 0 */
    uint32_t count;
    bool tested;
    double test_error, test_loss;
};

/* A mean over the runs of a network that know the number, and the standard deviation. */
struct compare_mean {
    uint32_t count;
    double mean, deviation; /* NAN: of no run; of fewer than two */
};

struct compare_network {
    const char *model;
    uint64_t trainable;
    uint32_t tested;                                   /* runs that were finished */
    double seconds;                                    /* of their steps, all runs together */
    struct compare_mean train, validation, best, test; /* errors: in the last epoch twice, the best validation, test */
};

struct comparison {
    struct compare_run *runs; /* network by network, seed by seed */
    size_t network_count;
    uint32_t seeds, epochs;
    const char *data;
};

/* Run `seed` (from 0) of network `network`. */
struct compare_run *compare_at(const struct comparison *comparison, size_t network, uint32_t seed);

/* RVK_MEMORY. */
enum rvk_status compare_add_epoch(struct compare_run *run, uint32_t number, const struct compare_epoch *epoch);

/* Takes what the log in the run's folder says; without one nothing. A line that is no JSON, as the last after a crash,
 * is passed over. RVK_MEMORY. */
enum rvk_status compare_read_log(struct compare_run *run);

void compare_sum_up(const struct comparison *comparison, size_t network, struct compare_network *out);

/* Mean over the seeds in one epoch; NAN: unknown. */
struct compare_epoch compare_mean_epoch(const struct comparison *comparison, size_t network, uint32_t epoch);

/* ---- compare_report.c ---- */

void compare_print(const struct comparison *comparison);
/* "networks" and "runs" of the record. */
void compare_pack(const struct comparison *comparison, json_t *record);
/* Learning curves and the table as a page. RVK_IO, RVK_MEMORY. */
enum rvk_status compare_write_page(const struct cli *cli, const struct comparison *comparison, const char *path);

#endif

/*
 * run_log: what happened, as JSON Lines (log.jsonl), as a table of epochs (log.csv) and as a picture (curve.svg) in the
 * folder of a run.
 */
#ifndef RVK_TRAIN_RUN_LOG_H
#define RVK_TRAIN_RUN_LOG_H

#include "train/trainer.h"

struct run_log {
    FILE *lines, *table; /* NULL: nothing is written */
    char folder[512];
};

/*
 * Makes the folder and opens the files; `fresh` empties them. A NULL folder gives a log that writes nothing.
 * STATUS_IO with the path.
 */
CHECKED enum status run_log_open(struct run_log *log, const char *folder, bool fresh);
void run_log_close(struct run_log *log); /* accepts a zeroed one */

/* Where the run comes from: version, time, device, options. `record` is a JSON object. */
CHECKED enum status run_log_start(struct run_log *log, const struct vk_device *device, const struct trainer_run *run,
                                  const char *record);
/* Training since the part before: `epochs` are done, 1.25 is a quarter of the second. */
CHECKED enum status run_log_part(struct run_log *log, double epochs, uint64_t step, double loss, double accuracy);
CHECKED enum status run_log_epoch(struct run_log *log, const struct trainer_epoch *epoch);
/* The device was lost; run_log_start follows when it could be opened again. */
CHECKED enum status run_log_lost(struct run_log *log, const char *message);
/* Training was stopped before its end, after `step` steps in all. */
CHECKED enum status run_log_stop(struct run_log *log, uint64_t step, uint64_t weights_hash);
CHECKED enum status run_log_test(struct run_log *log, double loss, double accuracy);

#endif

/*
 * train: what other commands that train share with the command of that name.
 */
#ifndef RVK_CLI_TRAIN_H
#define RVK_CLI_TRAIN_H

#include "cli/cli.h"

struct train_values {
    struct rvk_train_options train;
    bool no_augment, print_plan;
};

/* What a checkpoint remembers, for values of that struct. The first option is the model. */
extern const struct option train_run_options[];

/* In the library's options zero means default; on the command line a zero that was given means zero. */
void train_adapt(const struct cli *cli, struct train_values *values);

#endif

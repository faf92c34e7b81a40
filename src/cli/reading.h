/*
 * reading: how commands that do not train read pictures: options for values of struct rvk_data_options.
 */
#ifndef RVK_CLI_READING_H
#define RVK_CLI_READING_H

#include "cli/cli.h"

extern const struct option reading_options[];

/* In the library's options zero means default; on the command line a zero that was given means zero. */
void reading_adapt(const struct cli *cli, struct rvk_data_options *reading);

#endif

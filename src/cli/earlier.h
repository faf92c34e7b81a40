/*
 * earlier: the samples of an earlier `bench --json`.
 */
#ifndef RVK_CLI_EARLIER_H
#define RVK_CLI_EARLIER_H

#include "cli/cli.h"

struct earlier {
    struct rvk_samples ms;
    char device[256];
};

/*
 * Reads the file, which must have measured what the object `what` says: its members are in the file's record with the
 * same values. RVK_DATA with a sentence for anything else.
 */
enum rvk_status earlier_read(const char *path, json_t *what, struct earlier *earlier);

/* Median now / median then. */
double earlier_ratio(const struct rvk_samples *now, const struct earlier *earlier);

#endif

/*
 * report: what a verification found, one row an op and form, and the report on a device that is made of it: a file that
 * a user can paste into a bug report.
 */
#ifndef RVK_CLI_REPORT_H
#define RVK_CLI_REPORT_H

#include "cli/cli.h"

struct report_row {
    char op[64], form[64];
    uint32_t passed, failed, mistrusted;
    double worst; /* largest error as a share of its bound */
    uint64_t values;
};

enum { REPORT_ROWS = 256, REPORT_FAILURES = 20 /* that are shown as text; JSON has all */ };

/* Zero it, set `failures` to an array, and release that in the end. */
struct report {
    struct report_row rows[REPORT_ROWS];
    uint32_t count;
    json_t *failures; /* of report_case */
    struct rvk_verify_summary summary;
};

/* Counts a case into its row; keeps it when it failed. */
void report_add(struct report *report, const struct rvk_verify_case *result);

/* A case with all that is known about it. */
json_t *report_case(const struct rvk_verify_case *result);
json_t *report_summary(const struct rvk_verify_summary *summary);

/*
 * Writes program, device, limits and features, rows and failures to `path`: as JSON when its name ends with ".json", as
 * Markdown otherwise. `trouble`: why the verification did not come to its end, or NULL. RVK_IO; the old file is then as
 * it was.
 */
enum rvk_status report_write(const struct cli *cli, const struct report *report, const char *trouble, const char *path);

#endif

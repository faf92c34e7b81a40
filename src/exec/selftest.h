/*
 * selftest: at their first use on a device with a driver, the forms of ops that a plan would use are held to the
 * reference. One that is wrong there is left out of this plan and of all later ones.
 *
 * A form and variant is checked with a short case of the op's record, the one that is most like the call in the plan;
 * what came out is kept in a file for each device, driver and set of kernels, so that later plans cost nothing. Several
 * processes may share the file: it is replaced as a whole, and results are added to what it holds at that moment.
 */
#ifndef RVK_EXEC_SELFTEST_H
#define RVK_EXEC_SELFTEST_H

#include "exec/plan.h"

struct selftest_result {
    char op[48], form[24];
    uint32_t variant;
    char *line; /* the case */
    bool right;
    char *repeat; /* the command that repeats a failure; "" */
};

struct selftest {
    char *path; /* of the file; NULL: results are kept in memory only */
    struct selftest_result *results;
    size_t count, capacity;
};

/*
 * Takes over `path` (from malloc, or NULL) and reads what holds for this device, driver and set of kernels; what failed
 * there is named in the log. A file that is damaged, or of others, is ignored with a note.
 */
void selftest_open(struct selftest *selftest, const struct vk_description *device, char *path);
void selftest_destroy(struct selftest *selftest); /* accepts a zeroed one */

/* The device's file in the user's cache folder; free with free(). NULL: there is no such folder. */
char *selftest_path(const struct vk_description *device);

/* Did this form of the op, in this variant, fail? */
bool selftest_refuses(const struct selftest *selftest, const struct op *op, const char *form, uint32_t variant);

/*
 * Checks what a plan of this graph with these options (options->selftest is this one) would use and what was not
 * checked before. A failure is named in the log, and the next form is checked in its place. STATUS_MISMATCH when an op
 * has no form left. That results cannot be kept is only noted.
 */
CHECKED enum status selftest_run(struct selftest *selftest, struct vk_device *device, const struct graph *graph,
                                 const struct plan_options *options);

#endif

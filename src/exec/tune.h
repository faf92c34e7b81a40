/*
 * tune: measures the forms and variants of a graph's ops on a device and keeps the fastest ones (exec/tuning.h).
 *
 * Each different call (op, shapes, attributes) is measured once, the most work first, until the time is over. All of
 * its candidates run in turn on random data, so that what disturbs one disturbs all. What wins must then pass verify
 * with exact and random data; if it does not, the next one is tried. A candidate that is less than 3 % faster than a
 * plainer one (earlier in the list of forms, or with a smaller number of its variant) does not count as faster.
 */
#ifndef RVK_EXEC_TUNE_H
#define RVK_EXEC_TUNE_H

#include "exec/plan.h"

struct tune_case {
    const char *key;     /* tuning_key */
    uint32_t uses;       /* nodes of the graph */
    uint32_t candidates; /* forms and variants, the rule's choice included */
    const char *rule, *form;
    uint32_t variant;   /* of `form` */
    double rule_ms, ms; /* one evaluation by the rule's choice and by `form` */
    uint32_t refused;   /* candidates that were faster, but wrong */
    bool measured;      /* false: the time was over */
};

struct tune_summary {
    uint32_t cases, measured, chosen; /* chosen: something else than the rule's choice */
    uint32_t refused;
    double rule_ms, ms; /* the measured cases, each as often as the graph has it */
    double seconds;
};

struct tune_options {
    double budget;    /* seconds; a case is begun if one like the last would still fit, and then finished */
    const char *path; /* of the file that keeps the choices (tuning_path); NULL: they are not kept */

    /* each may be NULL */
    void (*on_start)(void *user, uint32_t cases, uint32_t candidates);
    void (*on_candidate)(void *user, uint32_t index, const struct tune_case *item, const char *form, uint32_t variant);
    void (*on_case)(void *user, uint32_t index, const struct tune_case *item); /* index: 0 .. cases - 1 */
    void *user;
};

/* Cases that have one candidate only are left out. Fails as plan_create and plan_submit do, and with STATUS_IO. */
CHECKED enum status tune_graph(struct vk_device *device, const struct graph *graph, const struct tune_options *options,
                               struct tune_summary *summary);

#endif

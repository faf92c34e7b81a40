/*
 * confusion: what a model takes for what: a matrix of counts, and what is read from it.
 */
#ifndef RVK_CLI_CONFUSION_H
#define RVK_CLI_CONFUSION_H

#include "cli/cli.h"

struct confusion {
    uint32_t classes, images;
    uint32_t *matrix;   /* [classes, classes]: images of class `row` that were taken for class `column` */
    uint32_t *truly;    /* [classes]: sums of rows */
    uint32_t *answered; /* [classes]: sums of columns */
};

/* Counts answers; one whose label or answer is no class is passed over. RVK_MEMORY. */
enum rvk_status confusion_create(const struct rvk_answer *answers, uint32_t count, uint32_t classes,
                                 struct confusion *out);
void confusion_destroy(struct confusion *confusion); /* accepts a zeroed one */

uint32_t confusion_at(const struct confusion *confusion, uint32_t truly, uint32_t answered);

/* Share of the images of a class that were recognized, and of the images taken for it that are of it; NaN without any.
 */
double confusion_recall(const struct confusion *confusion, uint32_t class_index);
double confusion_precision(const struct confusion *confusion, uint32_t class_index);

/* Images of `truly` that were taken for `answered`, another class. */
struct confused {
    uint32_t truly, answered, count;
};

/* The most frequent ones, at most `most`, into `pairs`; of equals those of smaller classes first. Returns how many. */
uint32_t confusion_worst(const struct confusion *confusion, struct confused *pairs, uint32_t most);

#endif

/*
 * tuning: which form and variant was measured to be the fastest for an op with certain shapes and attributes, on one
 * device with one driver; or that nothing is faster than the rule's choice, the first form that applies.
 *
 * Kept in a file for each device. Several processes may share it: it is replaced as a whole, and a choice that is kept
 * is added to what the file holds at that moment.
 */
#ifndef RVK_EXEC_TUNING_H
#define RVK_EXEC_TUNING_H

#include "ir/op.h"
#include "vk/vk.h"

struct tuning_choice {
    char *key;     /* see tuning_key */
    char form[24]; /* "": the rule's choice stands */
    uint32_t variant;
    double ms, rule_ms; /* of this choice, and of the rule's when they were measured together */
};

struct tuning {
    struct tuning_choice *choices;
    size_t count, capacity;
};

enum { TUNING_KEY = 576 };

/* "conv2d x=8x32x32x16 weight=3x3x16x16 pad_top=1": the op's name and the call's line as verify reads it. False when it
 * is too long. */
bool tuning_key(const struct call *call, char key[TUNING_KEY]);

/* Was this key measured? */
bool tuning_has(const struct tuning *tuning, const char *key);

/* The choice for this call; NULL: the rule's. */
const struct tuning_choice *tuning_find(const struct tuning *tuning, const struct call *call);

/* Adds a copy of the choice, or replaces the one with its key. */
CHECKED enum status tuning_set(struct tuning *tuning, const struct tuning_choice *choice);
void tuning_destroy(struct tuning *tuning); /* accepts a zeroed one */

/* The device's file in the user's cache folder; free with free(). NULL: there is no such folder. */
char *tuning_path(const struct vk_description *device);

/* Reads what holds for this device, driver and set of kernels. A file that is damaged, or of others, is ignored with a
 * note in the log; a file that is not there is empty. */
void tuning_read(const char *path, const struct vk_description *device, struct tuning *out);

/* Puts the choice into the file, besides what it holds now. STATUS_IO, STATUS_MEMORY. */
CHECKED enum status tuning_keep(const char *path, const struct vk_description *device,
                                const struct tuning_choice *choice);

#endif

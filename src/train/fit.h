/*
 * fit: whether there is memory for a step before any of it is taken, and the largest batch for which there is.
 */
#ifndef RVK_TRAIN_FIT_H
#define RVK_TRAIN_FIT_H

#include "exec/plan.h"
#include "train/step.h"

/* A step that shall run. */
struct fit {
    struct store *store; /* what it holds already is not needed again */
    const struct model *model;
    struct step_options step;
    bool own_images; /* image_count follows the batch, as in evaluation */
    struct plan_options plan;
    const struct fit *beside; /* another one whose plan is there at the same time, its batch as it stands; or NULL */
};

/*
 * STATUS_MEMORY unless the plan for fit->step, and that beside it, can be made in what is left of the device's memory.
 * The sentence gives what is needed and left, the device, and the largest batch that fits.
 */
CHECKED enum status fit_check(const struct fit *fit);

/* *batch: the largest number of images up to `most` (>= 1) that passes, by bisection; 0 when not even one does. */
CHECKED enum status fit_largest(const struct fit *fit, uint32_t most, uint32_t *batch);

#endif

/*
 * diagnose: which op made the first NaN or infinity.
 */
#ifndef RVK_TRAIN_DIAGNOSE_H
#define RVK_TRAIN_DIAGNOSE_H

#include "exec/plan.h"
#include "train/step.h"

/*
 * Runs the step whose inputs are written (nothing may be pending) node by node until an output is not finite. Writes
 * one phrase: the parameter that is not finite already, or the op and its place in the model. `text` gets "" when
 * everything is finite.
 */
CHECKED enum status diagnose_step(const struct model *model, const struct step *step, struct store *store,
                                  struct plan *plan, char *text, size_t size);

#endif

/*
 * reference: the true values of a node, by its op's float64 reference; and a plan that is run by them alone, on a
 * device that has no kernels.
 */
#ifndef RVK_EXEC_REFERENCE_H
#define RVK_EXEC_REFERENCE_H

#include "exec/plan.h"

/* True values and bounds of all outputs of a call. */
struct expectation {
    double *value[OP_OUTPUTS], *bound[OP_OUTPUTS];
};

/* in[j]: dense inputs. Free with expectation_destroy (also after a failure). */
CHECKED enum status expectation_create(const struct call *call, const double *const in[], struct expectation *out);
void expectation_destroy(struct expectation *expectation);

/*
 * Computes nodes [first, last) from the stored values of their inputs, each result rounded once to what its tensor
 * stores. All of the plan's memory must be mapped.
 */
CHECKED enum status reference_run(struct plan *plan, size_t first, size_t last);

#endif

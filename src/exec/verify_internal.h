/*
 * verify_internal: what the parts of verify share: a case, its data, and the comparison of one output.
 */
#ifndef RVK_EXEC_VERIFY_INTERNAL_H
#define RVK_EXEC_VERIFY_INTERNAL_H

#include "exec/reference.h"
#include "exec/verify.h"

/* A case's line, taken apart. */
struct verify_case {
    const struct op *op;
    struct shape shapes[OP_INPUTS];
    bool present[OP_INPUTS];
    struct attribute attributes[OP_ATTRIBUTES + 1];
};

CHECKED enum status verify_case_parse(const struct op *op, const char *line, struct verify_case *out);

/* Appends inputs (temporaries that the harness writes) and the node. */
CHECKED enum status verify_case_build(const struct verify_case *parsed, struct graph *graph, size_t *node);

/* The value of element `index` of input `input`, as the kind has it for any op. */
double verify_case_value(enum data_kind kind, int input, uint64_t index, uint32_t seed);

/* Fills dense values of input `input` of the node's call, rounded to what its dtype stores. */
void verify_case_data(const struct call *call, enum data_kind kind, int input, uint32_t seed, double *dense);

/*
 * Appends the case's node `repeats` times on the same inputs. The outputs of one are dead at the next, which takes
 * their place: memory does not grow.
 */
CHECKED enum status verify_case_repeat(const struct verify_case *parsed, uint32_t repeats, struct graph *graph);

/* Writes random values into the inputs of the graph's first node. */
CHECKED enum status verify_case_write(struct plan *plan, const struct graph *graph);

/*
 * Holds `stored`, output k as it came from the device, to the expectation: every element, the zero padding, the L2
 * gate. Adds to result->worst, ->values and *nonzero; fills result->failure at the first disagreement.
 */
void verify_compare(const struct call *call, int k, const void *stored, const struct expectation *expected,
                    enum data_kind kind, struct verify_result *result, uint64_t *nonzero);

/*
 * Runs the op of the case and its gradient on whole numbers, in each form that applies, and demands what
 * op->homogeneous promises. `line`: the case's, for the report. Does nothing for ops and calls without exact data.
 */
CHECKED enum status verify_adjoint(struct store *store, const struct verify_options *options,
                                   const struct verify_case *parsed, const char *line, struct verify_summary *summary);

/* Fills result->repeat. */
void verify_describe(struct verify_result *result);

/* Counts the result and hands it to the report callback. */
void verify_report(const struct verify_options *options, struct verify_result *result, struct verify_summary *summary);

#endif

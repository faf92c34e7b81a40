/*
 * verify: proves the kernels on a device against the float64 reference of each op.
 *
 * Every case runs with guards around every tensor and NaN in every output, every element must be within its bound, the
 * same input must give the same bits again, also after a case of another shape ran in between. Where the reference
 * would take too long, op and gradient are held to each other (verify_adjoint.c).
 */
#ifndef RVK_EXEC_VERIFY_H
#define RVK_EXEC_VERIFY_H

#include "exec/plan.h"

enum verify_outcome {
    VERIFY_PASSED,
    VERIFY_FAILED,
    VERIFY_MISTRUSTED, /* nearly all true values are zero: agreement proves nothing; not counted as passed */
};

struct verify_result {
    const char *op, *form;
    uint32_t variant;
    const char *shape; /* the case's line */
    enum data_kind kind;
    uint32_t seed;
    enum verify_outcome outcome;
    double worst;      /* largest error as a share of its bound (exact gates: 0, or infinity) */
    uint64_t values;   /* compared */
    char failure[640]; /* one sentence: output, index, got, expected, bound; "" when passed */
    char repeat[512];  /* the command line that repeats the case */
};

struct verify_summary {
    uint32_t passed, failed, mistrusted;
    uint64_t values;
    double seconds;
};

struct verify_options {
    const char *op;    /* only this op; NULL: all */
    const char *form;  /* only this form; NULL: every form that applies */
    uint32_t variant;  /* of the forms; those that do not have it are left out */
    const char *shape; /* one case of the user's own (needs op); NULL: the record's cases */
    int kind;          /* otherwise enum data_kind; -1: all kinds that the op has (for `shape`: but DATA_ADJOINT) */
    uint32_t seed;     /* 0: 1, and for random and hostile data once more with 2 */
    bool all;          /* also the long cases */
    bool brief;        /* the first failure ends it */
    void (*report)(void *user, const struct verify_result *result); /* after each case; may be NULL */
    void *user;
};

/* Runs the cases on the store's device. STATUS_MISMATCH when one failed; summary is filled in any case. */
CHECKED enum status verify_ops(struct store *store, const struct verify_options *options,
                               struct verify_summary *summary);

/*
 * The case of a call, in one way only: present inputs, then the attributes that differ from their defaults, both in the
 * record's order. False when it does not fit.
 */
enum { VERIFY_LINE = 512 };
bool verify_case_print(const struct call *call, char line[VERIFY_LINE]);

const char *data_kind_name(enum data_kind kind);
/* -1 when there is no such kind. */
int data_kind_find(const char *name);

/*
 * Runs a whole graph node by node on the device and holds every output of every node to the reference's answer for the
 * inputs that the node really had; then runs it in one piece and demands the same bits in every persistent and output
 * tensor, so that a wrong lifetime or a missing barrier shows; then with other inputs, and with its own once more,
 * which must again give the same bits, so that what is left over from a step shows. Inputs of the next slot
 * (plan_input) must have been written; persistent values are restored afterwards. One verify_result a node (shape =
 * scope), two for the replays. STATUS_MISMATCH when something disagrees.
 */
CHECKED enum status verify_graph(struct plan *plan, const struct graph *graph, const struct verify_options *options,
                                 struct verify_summary *summary);

#endif

/*
 * op: one constant record per operation, in its own file under src/ops/.
 *
 * A record says everything that the rest of the program needs: how shapes follow, what the true values are, how far
 * from them a correct float32 kernel may be, which dispatches compute it on a device, which nodes compute its gradient,
 * and which shapes `verify` runs. Nothing else in the program switches on an op's type. The build finds the records by
 * their definitions (`const struct op op_NAME = {`) and lists them in op_table.
 */
#ifndef RVK_IR_OP_H
#define RVK_IR_OP_H

#include "base/status.h"
#include "ir/dispatch.h"
#include "ir/tensor.h"

enum { OP_INPUTS = 8, OP_OUTPUTS = 4, OP_ATTRIBUTES = 20, OP_SETS = 3 };

struct op;
struct graph;
struct node;

/* What an op's functions see of one node. */
struct call {
    const struct op *op;
    const struct tensor *in[OP_INPUTS];   /* NULL: an optional operand that is absent */
    const struct tensor *out[OP_OUTPUTS]; /* in infer: NULL */
    double attribute[OP_ATTRIBUTES];      /* in the order of the record */
    uint32_t batch;                       /* images in all when these are some of them (ir/slice.h); otherwise 0 */
};

/* An input: "x", "bias?" (may be absent). An attribute: its name and its default. */
struct attribute {
    const char *name;
    double value;
};

/*
 * The data that verify feeds an op: exact small integers, random values, hostile values (NaN, infinities, denormals).
 * DATA_ADJOINT: exact ones again, but the op is held to its gradient and not to the reference (op.homogeneous).
 */
enum data_kind { DATA_EXACT, DATA_RANDOM, DATA_HOSTILE, DATA_ADJOINT };

#define SAMPLE_NAN 0x1p1023

/* One way to compute the op on a device. */
struct form {
    const char *name; /* "plain", "subgroup", ... */
    /*
     * Fills the lowering (zeroed but for `variant`) and returns true, or returns false when this form does not apply,
     * or not in that variant. Forms without variants need not look at it.
     */
    bool (*lower)(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
};

/*
 * Another op's node that an op can do on the way: one that reads this op's output 0 as operand `own` of two and is its
 * only reader. The other operand then becomes this op's optional operand `operand`. Listed, and done, in the order of
 * the operands.
 */
struct absorption {
    const char *op;
    uint8_t own, operand;
};

struct op {
    const char *name;
    const char *inputs[OP_INPUTS + 1];   /* NULL-terminated */
    const char *outputs[OP_OUTPUTS + 1]; /* NULL-terminated */
    enum dtype input_dtypes[OP_INPUTS];  /* 0 is DTYPE_F32 */
    /*
     * updates[k] = j + 1: output k is input j written in place (same storage, same shape); 0: output k is new storage.
     * An in-place kernel binds both or either; storage, not values, is what hazards look at.
     */
    uint8_t updates[OP_OUTPUTS];
    struct attribute attributes[OP_ATTRIBUTES + 1]; /* ends with a NULL name */

    /* Fills dtype and shape of each output, or fails with STATUS_USAGE and a sentence naming operands and numbers. */
    enum status (*infer)(const struct call *call, struct tensor out[]);

    /*
     * True values of dense operands (float64 accumulation, plain loops; the order is that of the stored tensor without
     * padding). For each output element, bound[k][i] receives the largest error that a correct float32 kernel may
     * make on inputs that are themselves exact float32 values (see bound.h; 0: bit equality). An in-place output starts
     * as a copy of its input. in[j] is NULL for an absent operand; out and bound are never NULL.
     */
    void (*reference)(const struct call *call, const double *const in[], double *const out[], double *const bound[]);

    /* Gate on the L2-relative error of output k, in addition to the element-wise bound; 0: none. Optional. */
    double l2_bound[OP_OUTPUTS];

    /*
     * The forms of this name round more than the sum that the reference speaks of: they may be wrong by so many times
     * its bound, and the L2-relative error of output 0 has a gate. Nothing exact or hostile is asked of them. NULL:
     * none.
     */
    struct {
        const char *form;
        double factor, l2_bound;
    } rounds_more;

    /*
     * Input j is among these bits when image i of every output follows from image i of that input, and from the inputs
     * that are not among them as a whole: large tensors are then lowered slice by slice. 0: the op is not of this kind.
     */
    uint32_t by_image;

    /* From best to plainest; the first that applies is taken. Ends with a NULL name. */
    struct form forms[10];

    /*
     * Appends the nodes that compute the gradients of the inputs (`node` is a copy that stays valid). dout[k] is the
     * gradient of output k (TENSOR_NONE: zero); need[j] says whether input j's gradient is wanted; din[j] arrives as
     * TENSOR_NONE and is set where it is. NULL: the op passes no gradient.
     */
    void (*gradient)(struct graph *graph, const struct node *node, const tensor_id dout[], const bool need[],
                     tensor_id din[]);

    struct absorption absorbs[4]; /* ends with a NULL op; see ir/absorb.h */

    /* Optional: multiply-adds of one evaluation, for GFLOP/s (convolutions and dense layers have it, nothing else). */
    double (*multiply_adds)(const struct call *call);

    /*
     * Optional: the value of element `index` of input `input` that verify feeds, for operands that must be special
     * (labels, variances, ...). NULL, or NAN returned from it: the default for the kind; SAMPLE_NAN: a NaN.
     */
    double (*sample)(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed);

    bool no_exact;                              /* the op has no exact data (softmax, normalization, ...) */
    bool no_hostile;                            /* the op defines no answer for NaN, infinities, ... */
    bool (*has_exact)(const struct call *call); /* optional: false for calls that have no exact data, unlike others */

    /*
     * Shapes that verify runs, one a line: "x=2x9x9x5 weight=3x3x5x7 stride_h=2 ...". Operands by name with four
     * dimensions, attributes by name. A line that starts with '+' runs only with --all. Ends with NULL.
     */
    const char *const *cases;

    /*
     * Sets of inputs in which output 0 is homogeneous, as bits: with all inputs of the set k times as large (k > 0;
     * absent ones aside) it is k times as large. By Euler's theorem <y, g> is then the sum over the set of <input, its
     * gradient>, where g is the gradient of y and may be anything. In whole numbers that is exact, and needs no
     * reference: verify demands it of the shapes in `adjoint` (as in `cases`; the reference may take too long for
     * them). A linear op with two factors has two sets. Ends with 0.
     */
    uint32_t homogeneous[OP_SETS];
    const char *const *adjoint; /* NULL: none */
};

/* All records, ending with NULL; written by the build from src/ops/. */
extern const struct op *const op_table[];

/* The record called `name`, or NULL. */
const struct op *op_find(const char *name);

int op_input_count(const struct op *op);
int op_output_count(const struct op *op);
int op_attribute_count(const struct op *op);

/* Whether the forms called `form` are those of op->rounds_more. */
bool op_rounds_more(const struct op *op, const char *form);

/* Lowers a call by this form in this variant; false when the form does not apply or has no such variant. */
bool form_lower(const struct form *form, uint32_t variant, const struct call *call, const struct device_facts *facts,
                struct lowering *lowering);

/* Fails for a call that no form lowers, with the limit that is in the way, what is needed of it and what there is. */
CHECKED enum status op_refuse(const struct call *call, const struct device_facts *facts);

/* Index of the input or attribute called `name`, or -1. An optional input is found without its '?'. */
int op_input_index(const struct op *op, const char *name);
int op_attribute_index(const struct op *op, const char *name);

/* True when the input's name ends with '?'. */
bool op_input_optional(const struct op *op, int input);

/* The node's value of an attribute, which must exist. attr_u rounds to a whole number. */
double attr(const struct call *call, const char *name);
uint32_t attr_u(const struct call *call, const char *name);
double node_attr(const struct node *node, const char *name);

#endif

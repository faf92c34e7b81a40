/*
 * gradients: what every op's `gradient` appends, against central differences of the float64 references. Walks op_table:
 * a new op takes part by being there, and one without a gradient must say here why nobody needs it.
 */
#include "support.h"

#define STEP 1e-6

/* Ops that pass no gradient, are not part of another op's gradient, and yet have values with a derivative. */
static const struct {
    const char *op, *why;
} without[] = {
    {"batch_metrics", "its sums are reported, not minimized"},
    {"batch_norm_fold", "only predictions use folded weights"},
    {"batch_norm_statistics", "batch_norm's gradient is the one through the statistics as well"},
    {"gather_batch", "what leads to a batch are bytes and numbers of the data set, which nobody trains"},
    {"l2_penalty", "it acts through the optimizer's weight decay"},
    {"mix", "its images come from gather_batch"},
    {"softmax", "only predictions use it: the loss has a softmax of its own"},
};

/* The same for single inputs of an op that has a gradient. */
static const struct {
    const char *op, *input, *why;
} constant[] = {
    {"batch_norm", "mean", "the gradient of x contains it, or it is a constant of the training"},
    {"batch_norm", "variance", "as the mean"},
};

static bool is_constant(const struct op *op, int input) {
    bool listed = false;
    for (size_t i = 0; i < COUNT(constant); i++)
        listed |= strcmp(constant[i].op, op->name) == 0 && op_input_index(op, constant[i].input) == input;
    return listed || op->input_dtypes[input] != DTYPE_F32;
}

/* ---- differences ---- */

/* One op on random values, and the nodes of its gradient. */
struct subject {
    struct graph graph;
    struct evaluation evaluation;
    size_t forward; /* nodes before those of the gradient */
    size_t node;
    tensor_id seed;
    tensor_id gradient[OP_INPUTS]; /* of the node's inputs, and of those that stand behind them */
};

/* <output 0, seed> by the first nodes. */
static double evaluate(struct subject *subject) {
    evaluation_run(&subject->evaluation, subject->forward);
    return evaluation_product(&subject->evaluation, subject->graph.nodes[subject->node].out[0], subject->seed);
}

static double central_difference(struct subject *subject, tensor_id tensor, uint64_t index) {
    double *dense = evaluation_values(&subject->evaluation, tensor), kept = dense[index], side[2];
    for (int i = 0; i < 2; i++) {
        dense[index] = kept + (i ? STEP : -STEP);
        evaluation_set(&subject->evaluation, tensor, dense);
        side[i] = evaluate(subject);
    }
    dense[index] = kept;
    evaluation_set(&subject->evaluation, tensor, dense);
    free(dense);
    return (side[1] - side[0]) / (2 * STEP);
}

/* About 20 elements of the gradient (all of a small one), to 1e-3 of the value or 1e-5 of the tensor's largest. */
static bool agrees(struct subject *subject, int input) {
    tensor_id tensor = subject->graph.nodes[subject->node].in[input];
    double *gradient = evaluation_values(&subject->evaluation, subject->gradient[input]), largest = 0;
    uint64_t count = shape_count(graph_shape(&subject->graph, tensor)), stride = count <= 20 ? 1 : count / 20 | 1;
    bool all = true;
    for (uint64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(gradient[i]));
    for (uint64_t i = 0; i < count; i += stride) {
        double expected = central_difference(subject, tensor, i);
        if (fabs(gradient[i] - expected) <= 1e-3 * fabs(expected) + 1e-5 * largest + 1e-7)
            continue;
        print_error("gradient of %s at %llu: %.9g, by differences %.9g\n", subject->graph.tensors[tensor].name,
                    (unsigned long long)i, gradient[i], expected);
        all = false;
    }
    free(gradient);
    return all;
}

/* ---- an op's case ---- */

/* In training the statistics are those of x: the difference must see them move with it. */
static void connect_statistics(struct graph *graph, struct verify_case *parsed, size_t *node) {
    static const char *const names[] = {"mean", "variance"};
    struct node *target = &graph->nodes[*node];
    if (strcmp(parsed->op->name, "batch_norm") != 0 || node_attr(target, "training") == 0)
        return;
    struct node normalization = *target;
    graph->node_count = *node; /* its place is behind the statistics */
    graph_apply(graph, "batch_norm_statistics", OPERANDS(normalization.in[0]), NULL);
    for (int k = 0; k < 2; k++)
        normalization.in[op_input_index(parsed->op, names[k])] = graph_output(graph, k);
    graph_apply(graph, "copy", OPERANDS(normalization.in[0]), NULL); /* room for one more node */
    *node = graph->node_count - 1;
    graph->nodes[*node] = normalization;
}

static void subject_create(struct subject *subject, const struct op *op, const char *line) {
    struct verify_case parsed;
    tensor_id wanted[OP_INPUTS], gradient[OP_INPUTS];
    size_t count = 0;
    graph_create(&subject->graph);
    if (verify_case_parse(op, line, &parsed) != STATUS_OK ||
        verify_case_build(&parsed, &subject->graph, &subject->node) != STATUS_OK)
        fail_msg("%s", status_message());
    connect_statistics(&subject->graph, &parsed, &subject->node);
    struct node node = subject->graph.nodes[subject->node];
    subject->forward = subject->graph.node_count;
    subject->seed =
        graph_tensor(&subject->graph, "seed", DTYPE_F32, graph_shape(&subject->graph, node.out[0]), TENSOR_INPUT);
    for (int j = 0; j < OP_INPUTS; j++)
        if (node.in[j] != TENSOR_NONE && !is_constant(op, j))
            wanted[count++] = node.in[j];
    graph_gradient(&subject->graph, node.out[0], subject->seed, wanted, count, gradient);
    if (graph_status(&subject->graph) != STATUS_OK)
        fail_msg("%s %s: %s", op->name, line, status_message());
    for (size_t i = 0, j = 0; j < OP_INPUTS; j++)
        subject->gradient[j] = i < count && node.in[j] == wanted[i] ? gradient[i++] : TENSOR_NONE;
    evaluation_create(&subject->evaluation, &subject->graph);
    evaluation_randomize_all(&subject->evaluation, 11); /* kinks are passed by with such values */
    evaluation_run(&subject->evaluation, subject->graph.node_count);
}

static void subject_destroy(struct subject *subject) {
    evaluation_destroy(&subject->evaluation);
    graph_destroy(&subject->graph);
}

static bool is_zero(const struct subject *subject, tensor_id tensor) {
    double *dense = evaluation_values(&subject->evaluation, tensor), sum = 0;
    for (uint64_t i = 0; i < shape_count(graph_shape(&subject->graph, tensor)); i++)
        sum += fabs(dense[i]);
    free(dense);
    return sum == 0;
}

/* Adds the inputs whose gradient was not all zeros to *moved; returns the number of gradients that are wrong. */
static int check_case(const struct op *op, const char *line, uint32_t *moved) {
    struct subject subject;
    int wrong = 0;
    subject_create(&subject, op, line);
    const struct node *node = &subject.graph.nodes[subject.node];
    for (int j = 0; j < OP_INPUTS; j++) {
        if (node->in[j] == TENSOR_NONE || is_constant(op, j))
            continue;
        if (subject.gradient[j] == TENSOR_NONE)
            fail_msg("%s: %s has no gradient; if it needs none, this test must say why", op->name, op->inputs[j]);
        assert_true(
            shape_equal(graph_shape(&subject.graph, subject.gradient[j]), graph_shape(&subject.graph, node->in[j])));
        *moved |= is_zero(&subject, subject.gradient[j]) ? 0 : 1u << j;
        wrong += !agrees(&subject, j);
    }
    if (wrong)
        print_error("  in %s %s\n", op->name, line);
    subject_destroy(&subject);
    return wrong;
}

static void gradients_agree_with_differences(void **state) {
    (void)state;
    int wrong = 0, ops = 0;
    for (const struct op *const *entry = op_table; *entry; entry++) {
        const struct op *op = *entry;
        uint32_t moved = 0;
        if (!op->gradient)
            continue;
        ops++;
        for (const char *const *line = op->cases; *line; line++)
            if (**line != '+')
                wrong += check_case(op, *line, &moved);
        for (int j = 0; op->inputs[j]; j++)
            if (!is_constant(op, j) && !(moved >> j & 1))
                fail_msg("%s: no case gives %s a gradient other than zero", op->name, op->inputs[j]);
    }
    assert_int_equal(wrong, 0);
    assert_true(ops >= 10);
}

/* ---- ops without a gradient ---- */

/* Whether a gradient is made of this op. Nobody asks for the gradient of a gradient. */
static bool serves_a_gradient(const struct op *op) {
    bool found = false;
    for (const struct op *const *entry = op_table; *entry && !found; entry++) {
        if (!(*entry)->gradient)
            continue;
        for (const char *const *line = (*entry)->cases; *line && !found; line++) {
            struct subject subject;
            if (**line == '+')
                continue;
            subject_create(&subject, *entry, *line);
            for (size_t i = subject.forward; i < subject.graph.node_count; i++)
                found |= subject.graph.nodes[i].op == op;
            subject_destroy(&subject);
        }
    }
    return found;
}

static bool is_listed(const struct op *op) {
    for (size_t i = 0; i < COUNT(without); i++)
        if (strcmp(without[i].op, op->name) == 0)
            return true;
    return false;
}

static void an_op_without_a_gradient_has_a_reason(void **state) {
    (void)state;
    for (const struct op *const *entry = op_table; *entry; entry++) {
        const struct op *op = *entry;
        bool obvious = op->updates[0] || !op->inputs[0] || op->gradient; /* what is updated in place is the end */
        if (is_listed(op)) {
            assert_false(obvious);
            continue;
        }
        if (!obvious && !serves_a_gradient(op))
            fail_msg("%s has no gradient; if it needs none, this test must say why", op->name);
    }
    for (size_t i = 0; i < COUNT(without); i++)
        assert_non_null(op_find(without[i].op));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_agree_with_differences),
        cmocka_unit_test(an_op_without_a_gradient_has_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

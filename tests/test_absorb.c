/* absorb: which nodes are left to others, and that the values stay what they were. */
#include "ir/absorb.h"

#include "support.h"

#define SHAPE shape4(2, 5, 4, 3)

/* What every test builds on: conv2d_backward_input of given operands, and two more values of dx's shape. */
struct fixture {
    struct graph graph;
    tensor_id dy, weight, one, two, dx;
};

static tensor_id backward_input(struct fixture *f) {
    return graph_apply(
        &f->graph, "conv2d_backward_input", OPERANDS(f->dy, f->weight),
        ATTRIBUTES({"h", 5}, {"w", 4}, {"pad_top", 1}, {"pad_bottom", 1}, {"pad_left", 1}, {"pad_right", 1}));
}

static void begin(struct fixture *f) {
    graph_create(&f->graph);
    f->dy = graph_tensor(&f->graph, "dy", DTYPE_F32, shape4(2, 5, 4, 7), TENSOR_INPUT);
    f->weight = graph_tensor(&f->graph, "weight", DTYPE_F32, shape4(3, 3, 3, 7), TENSOR_INPUT);
    f->one = graph_tensor(&f->graph, "one", DTYPE_F32, SHAPE, TENSOR_INPUT);
    f->two = graph_tensor(&f->graph, "two", DTYPE_F32, SHAPE, TENSOR_INPUT);
    f->dx = backward_input(f);
}

static void values_of(const struct graph *graph, tensor_id tensor, double values[]) {
    struct evaluation evaluation;
    evaluation_create(&evaluation, graph);
    evaluation_randomize_all(&evaluation, 7);
    evaluation_run(&evaluation, graph->node_count);
    evaluation_get(&evaluation, tensor, values);
    evaluation_destroy(&evaluation);
}

/* Absorbs, expects so many nodes, and the same values in `tensor`. */
static void finish(struct fixture *f, tensor_id tensor, size_t nodes) {
    double before[2 * 5 * 4 * 3], after[COUNT(before)];
    assert_int_equal(graph_status(&f->graph), STATUS_OK);
    values_of(&f->graph, tensor, before);
    absorb_nodes(&f->graph);
    assert_int_equal(f->graph.node_count, nodes);
    values_of(&f->graph, tensor, after);
    assert_memory_equal(before, after, sizeof before);
    graph_destroy(&f->graph);
}

static void a_sum_and_its_mask_are_absorbed(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    tensor_id sum = graph_apply(&f.graph, "add", OPERANDS(f.one, f.dx), NULL);
    tensor_id masked = graph_apply(&f.graph, "relu_backward", OPERANDS(f.two, sum), NULL);
    finish(&f, graph_apply(&f.graph, "copy", OPERANDS(masked), NULL), 2);
    begin(&f);
    finish(&f, graph_apply(&f.graph, "add", OPERANDS(f.dx, f.one), NULL), 1);
}

static void what_comes_after_the_mask_stays(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    tensor_id masked = graph_apply(&f.graph, "relu_backward", OPERANDS(f.two, f.dx), NULL);
    finish(&f, graph_apply(&f.graph, "add", OPERANDS(f.one, masked), NULL), 2);
}

static void a_second_sum_stays(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    tensor_id sum = graph_apply(&f.graph, "add", OPERANDS(f.one, f.dx), NULL);
    finish(&f, graph_apply(&f.graph, "add", OPERANDS(f.two, sum), NULL), 2);
}

static void a_mask_by_the_gradient_itself_stays(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    finish(&f, graph_apply(&f.graph, "relu_backward", OPERANDS(f.dx, f.one), NULL), 2);
}

static void values_that_others_need_stay(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    tensor_id sum = graph_apply(&f.graph, "add", OPERANDS(f.one, f.dx), NULL);
    finish(&f, graph_apply(&f.graph, "add", OPERANDS(sum, f.dx), NULL), 3);
    begin(&f);
    f.graph.tensors[f.dx].role = TENSOR_OUTPUT;
    graph_apply(&f.graph, "add", OPERANDS(f.one, f.dx), NULL);
    finish(&f, f.dx, 2);
}

/* The other operand does not exist yet where the gradient is computed: the later of the two takes the sum. */
static void the_later_one_adds(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    tensor_id later = backward_input(&f);
    tensor_id sum = graph_apply(&f.graph, "add", OPERANDS(f.dx, later), NULL);
    absorb_nodes(&f.graph);
    assert_int_equal(f.graph.node_count, 2);
    assert_int_equal(f.graph.nodes[0].out[0], f.dx);
    assert_int_equal(f.graph.nodes[1].out[0], sum);
    assert_int_equal(f.graph.nodes[1].in[2], f.dx);
    graph_destroy(&f.graph);
    begin(&f);
    later = graph_apply(&f.graph, "copy", OPERANDS(f.one), NULL);
    finish(&f, graph_apply(&f.graph, "add", OPERANDS(f.dx, later), NULL), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sum_and_its_mask_are_absorbed),
        cmocka_unit_test(what_comes_after_the_mask_stays),
        cmocka_unit_test(a_second_sum_stays),
        cmocka_unit_test(a_mask_by_the_gradient_itself_stays),
        cmocka_unit_test(values_that_others_need_stay),
        cmocka_unit_test(the_later_one_adds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

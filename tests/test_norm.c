/* norm: references, gradients and lowerings of relu, add, fill and batch normalization. */
#include "support.h"

static void relu_has_its_values(void **state) {
    (void)state;
    struct graph graph;
    struct evaluation evaluation;
    const double x[] = {-1.5, 0, 2, -0x1p-140, NAN, -INFINITY, INFINITY}, dy[] = {1, 2, 3, 4, 5, 6, 7};
    double y[7], dx[7];
    graph_create(&graph);
    tensor_id in = graph_tensor(&graph, "x", DTYPE_F32, shape_vector(7), TENSOR_INPUT);
    tensor_id out = graph_apply(&graph, "relu", OPERANDS(in), NULL);
    tensor_id dout = graph_tensor(&graph, "dy", DTYPE_F32, shape_vector(7), TENSOR_INPUT);
    tensor_id din = graph_apply(&graph, "relu_backward", OPERANDS(out, dout), NULL);
    evaluation_create(&evaluation, &graph);
    evaluation_set(&evaluation, in, x);
    evaluation_set(&evaluation, dout, dy);
    evaluation_run(&evaluation, graph.node_count);
    evaluation_get(&evaluation, out, y);
    evaluation_get(&evaluation, din, dx);
    const double expected_y[] = {0, 0, 2, 0, NAN, 0, INFINITY}, expected_dx[] = {0, 0, 3, 0, 0, 0, 7};
    for (int i = 0; i < 7; i++) {
        assert_true(y[i] == expected_y[i] || (isnan(y[i]) && isnan(expected_y[i])));
        assert_true(dx[i] == expected_dx[i]);
    }
    evaluation_destroy(&evaluation);
    graph_destroy(&graph);
}

static void maps_have_gradients(void **state) {
    (void)state;
    assert_case_gradients("relu", NULL);
    assert_case_gradients("add", NULL);
}

static void maps_refuse_other_shapes(void **state) {
    (void)state;
    assert_refused("add", "a=1x2x3x4 b=1x2x3x5", "a is 1x2x3x4, but b is 1x2x3x5");
    assert_refused("relu_backward", "y=1x2x3x4 dy=2x2x3x4", "y is 1x2x3x4, but dy is 2x2x3x4");
    assert_refused("fill", "d2=0", "d2 is 0");
    assert_refused("fill", "d0=65536 d1=65536", "2^31");
}

static void lowerings_fit_the_weakest_device(void **state) {
    (void)state;
    static const char *const ops[] = {"relu", "relu_backward", "add", "fill"};
    for (size_t i = 0; i < COUNT(ops); i++)
        assert_case_lowerings(ops[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relu_has_its_values),
        cmocka_unit_test(maps_have_gradients),
        cmocka_unit_test(maps_refuse_other_shapes),
        cmocka_unit_test(lowerings_fit_the_weakest_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

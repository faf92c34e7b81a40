/* pool: window geometry, references and lowerings of the pooling ops and of the zero-padded shortcut. */
#include "support.h"

static void assert_output(const char *op, const char *line, const double *x, const double *expected,
                          struct shape shape) {
    struct graph graph;
    struct evaluation evaluation;
    tensor_id in[OP_INPUTS];
    graph_create(&graph);
    tensor_id y = apply_case(&graph, op, line, in);
    assert_int_equal(graph_status(&graph), STATUS_OK);
    assert_true(shape_equal(graph_shape(&graph, y), shape));
    evaluation_create(&evaluation, &graph);
    evaluation_set(&evaluation, in[0], x);
    evaluation_run(&evaluation, graph.node_count);
    double *values = evaluation_values(&evaluation, y);
    for (uint64_t i = 0; i < shape_count(shape); i++)
        if (!(values[i] == expected[i] || (isnan(values[i]) && isnan(expected[i]))))
            fail_msg("%s %s: element %d is %g, not %g", op, line, (int)i, values[i], expected[i]);
    free(values);
    evaluation_destroy(&evaluation);
    graph_destroy(&graph);
}

static void windows_follow_the_rules(void **state) {
    (void)state;
    const double x[] = {1, 2, 3, 4, 5, 6, 7};
    /* Floor and ceiling; a last window that would start in the right padding is left out. */
    assert_output("max_pool", "x=1x1x7x1 kernel_w=2 stride_w=2", x, (const double[]){2, 4, 6}, shape4(1, 1, 3, 1));
    assert_output("max_pool", "x=1x1x7x1 kernel_w=2 stride_w=2 ceil_mode=1", x, (const double[]){2, 4, 6, 7},
                  shape4(1, 1, 4, 1));
    assert_output("max_pool", "x=1x1x7x1 kernel_w=3 stride_w=4 pad_right=2 ceil_mode=1", x, (const double[]){3, 7},
                  shape4(1, 1, 2, 1));
    assert_output("max_pool", "x=1x1x4x1 kernel_w=3 stride_w=4 pad_right=2 ceil_mode=1", x, (const double[]){3},
                  shape4(1, 1, 1, 1));
    /* PyTorch's example: windows overlap where the sizes do not divide, and repeat pixels where there are more of them.
     */
    assert_output("adaptive_average_pool", "x=1x1x7x1 w=3", x, (const double[]){2, 4, 6}, shape4(1, 1, 3, 1));
    assert_output("adaptive_average_pool", "x=1x1x7x1 w=5", x, (const double[]){1.5, 2.5, 4, 5.5, 6.5},
                  shape4(1, 1, 5, 1));
    assert_output("adaptive_average_pool", "x=1x2x1x1 h=7", x, (const double[]){1, 1, 1, 1.5, 2, 2, 2},
                  shape4(1, 7, 1, 1));
    assert_output("global_average_pool", "x=1x1x7x1", x, (const double[]){4}, shape4(1, 1, 1, 1));
}

static void a_maximum_keeps_nan(void **state) {
    (void)state;
    const double x[] = {1, NAN, 3, -INFINITY, -INFINITY, -INFINITY};
    assert_output("max_pool", "x=1x1x6x1 kernel_w=3 stride_w=3", x, (const double[]){NAN, -INFINITY},
                  shape4(1, 1, 2, 1));
}

/* Windows {5 5 5}, {5 1 -inf}, {-inf -inf nan}, {nan 9 nan}. */
static void the_first_largest_gets_the_gradient(void **state) {
    (void)state;
    struct graph graph;
    struct evaluation evaluation;
    tensor_id in[OP_INPUTS];
    const double x[] = {5, 5, 5, 1, -INFINITY, -INFINITY, NAN, 9, NAN}, dy[] = {1, 2, 4, 8};
    const double expected[] = {1, 0, 2, 0, 0, 0, 4, 0, 8};
    double dx[9];
    graph_create(&graph);
    tensor_id out = apply_case(&graph, "max_pool_backward", "x=1x1x9x1 dy=1x1x4x1 kernel_w=3 stride_w=2", in);
    assert_int_equal(graph_status(&graph), STATUS_OK);
    evaluation_create(&evaluation, &graph);
    evaluation_set(&evaluation, in[0], x);
    evaluation_set(&evaluation, in[1], dy);
    evaluation_run(&evaluation, graph.node_count);
    evaluation_get(&evaluation, out, dx);
    for (int i = 0; i < 9; i++)
        assert_true(dx[i] == expected[i]);
    evaluation_destroy(&evaluation);
    graph_destroy(&graph);
}

static void shortcut_takes_every_second_pixel(void **state) {
    (void)state;
    const double x[] = {1, 2, 3, 4, 5, 6};
    assert_output("shortcut_pad", "x=1x1x3x2 before=1 after=2", x, (const double[]){0, 1, 2, 0, 0, 0, 5, 6, 0, 0},
                  shape4(1, 1, 2, 5));
    assert_output("shortcut_pad", "x=1x3x2x1", x, (const double[]){1, 5}, shape4(1, 2, 1, 1));
}

static void bad_geometry_is_refused(void **state) {
    (void)state;
    assert_refused("max_pool", "x=1x4x4x1 kernel_h=2 pad_top=2", "pad_top is 2; it must be a whole number from 0 to 1");
    assert_refused("max_pool", "x=1x4x4x1 stride_w=0", "stride_w is 0");
    assert_refused("max_pool", "x=1x4x4x1 kernel_h=1.5", "kernel_h is 1.5");
    assert_refused("max_pool", "x=1x4x4x1 kernel_h=7 pad_top=1", "kernel_h is 7, but the input with its padding has 5");
    assert_refused("max_pool_backward", "x=1x4x5x1 dy=1x2x2x1 kernel_h=2 kernel_w=2 stride_h=2",
                   "dy is 1x2x2x1, but pooling gives 1x2x4x1");
    assert_refused("adaptive_average_pool", "x=1x4x5x1 h=0", "h is 0; beside 4 it must be a whole number");
    assert_refused("adaptive_average_pool", "x=1x4x32767x1 w=65536", "w is 65536; beside 32767");
    assert_refused("global_average_pool_backward", "dy=1x2x1x1 h=4 w=5", "dy is 1x2x1x1");
    assert_refused("shortcut_pad", "x=1x4x4x4 before=-1", "before is -1");
    assert_refused("shortcut_pad_backward", "dy=1x2x2x4 h=4 w=4 before=2 after=2",
                   "dy has 4 channels, 4 of them padding");
    assert_refused("shortcut_pad_backward", "dy=1x2x2x4 h=5 w=4", "dy is 1x2x2x4, but the padded shortcut is 1x3x2x4");
}

static void lowerings_fit_the_weakest_device(void **state) {
    (void)state;
    static const char *const ops[] = {"max_pool",
                                      "max_pool_backward",
                                      "adaptive_average_pool",
                                      "adaptive_average_pool_backward",
                                      "global_average_pool",
                                      "global_average_pool_backward",
                                      "shortcut_pad",
                                      "shortcut_pad_backward"};
    for (size_t i = 0; i < COUNT(ops); i++)
        assert_case_lowerings(ops[i]);
}

/* A loop that a device would leave early is not started. */
static void loops_too_long_are_not_offered(void **state) {
    (void)state;
    static const char *const lines[][2] = {{"max_pool", "x=1x300x300x1 kernel_h=300 kernel_w=300"},
                                           {"adaptive_average_pool", "x=1x300x300x1"},
                                           {"global_average_pool", "x=1x1024x1024x1"}};
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct graph graph;
        struct call call;
        struct device_facts facts;
        struct lowering lowering = {0};
        tensor_id in[OP_INPUTS];
        facts_minimum(&facts);
        graph_create(&graph);
        apply_case(&graph, lines[i][0], lines[i][1], in);
        graph_call(&graph, 0, &call);
        assert_false(call.op->forms[0].lower(&call, &facts, &lowering));
        graph_destroy(&graph);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_follow_the_rules),
        cmocka_unit_test(a_maximum_keeps_nan),
        cmocka_unit_test(the_first_largest_gets_the_gradient),
        cmocka_unit_test(shortcut_takes_every_second_pixel),
        cmocka_unit_test(bad_geometry_is_refused),
        cmocka_unit_test(lowerings_fit_the_weakest_device),
        cmocka_unit_test(loops_too_long_are_not_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

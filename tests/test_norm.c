/* norm: references and lowerings of relu, add, fill and batch normalization. */
#include "ir/channel_reduce.h"

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

static void maps_refuse_other_shapes(void **state) {
    (void)state;
    assert_refused("add", "a=1x2x3x4 b=1x2x3x5", "a is 1x2x3x4, but b is 1x2x3x5");
    assert_refused("relu_backward", "y=1x2x3x4 dy=2x2x3x4", "y is 1x2x3x4, but dy is 2x2x3x4");
    assert_refused("fill", "d2=0", "d2 is 0");
    assert_refused("fill", "d0=65536 d1=65536", "2^31");
}

static void one_pixel_gives_beta(void **state) {
    (void)state;
    struct graph graph;
    struct evaluation evaluation;
    double gamma[] = {2, 3}, beta[] = {0.5, -4}, value[2];
    graph_create(&graph);
    tensor_id x = graph_tensor(&graph, "x", DTYPE_F32, shape_vector(2), TENSOR_INPUT);
    tensor_id scale = graph_tensor(&graph, "gamma", DTYPE_F32, shape_vector(2), TENSOR_INPUT);
    tensor_id shift = graph_tensor(&graph, "beta", DTYPE_F32, shape_vector(2), TENSOR_INPUT);
    tensor_id mean = graph_apply(&graph, "batch_norm_statistics", OPERANDS(x), NULL);
    tensor_id y = graph_apply(&graph, "batch_norm", OPERANDS(x, mean, graph_output(&graph, 1), scale, shift), NULL);
    evaluation_create(&evaluation, &graph);
    evaluation_randomize_all(&evaluation, 3);
    evaluation_set(&evaluation, scale, gamma);
    evaluation_set(&evaluation, shift, beta);
    evaluation_run(&evaluation, graph.node_count);
    evaluation_get(&evaluation, y, value);
    assert_true(value[0] == 0.5 && value[1] == -4);
    evaluation_destroy(&evaluation);
    graph_destroy(&graph);
}

static void running_statistics_follow_the_batch(void **state) {
    (void)state;
    struct graph graph;
    struct evaluation evaluation;
    const double in[4][2] = {{1, 2}, {4, 8}, {3, 10}, {12, 16}}; /* running mean, running variance, mean, variance */
    double mean[2], variance[2];
    tensor_id vectors[4];
    graph_create(&graph);
    for (int i = 0; i < 4; i++)
        vectors[i] = graph_tensor(&graph, "vector", DTYPE_F32, shape_vector(2), TENSOR_PERSISTENT);
    graph_apply(&graph, "batch_norm_update", OPERANDS(vectors[0], vectors[1], vectors[2], vectors[3]),
                ATTRIBUTES({"momentum", 0.25}, {"correction", 2}));
    evaluation_create(&evaluation, &graph);
    for (int i = 0; i < 4; i++)
        evaluation_set(&evaluation, vectors[i], in[i]);
    evaluation_run(&evaluation, graph.node_count);
    evaluation_get(&evaluation, vectors[0], mean);
    evaluation_get(&evaluation, vectors[1], variance);
    assert_true(mean[0] == 0.75 * 1 + 0.25 * 3 && mean[1] == 0.75 * 2 + 0.25 * 10);
    assert_true(variance[0] == 0.75 * 4 + 0.25 * 2 * 12 && variance[1] == 0.75 * 8 + 0.25 * 2 * 16);
    evaluation_destroy(&evaluation);
    graph_destroy(&graph);
}

/* A folded convolution gives what convolution and batch normalization give one after the other. */
static void check_fold(bool bias) {
    struct graph graph;
    struct evaluation evaluation;
    static const char *const names[] = {"gamma", "beta", "mean", "variance", "bias"};
    tensor_id v[5];
    graph_create(&graph);
    tensor_id x = graph_tensor(&graph, "x", DTYPE_F32, shape4(2, 3, 4, 5), TENSOR_INPUT);
    tensor_id weight = graph_tensor(&graph, "weight", DTYPE_F32, shape4(1, 2, 5, 7), TENSOR_INPUT);
    for (int i = 0; i < 5; i++)
        v[i] = graph_tensor(&graph, names[i], DTYPE_F32, shape_vector(7), TENSOR_INPUT);
    tensor_id given = bias ? v[4] : TENSOR_ABSENT;
    tensor_id folded = graph_apply(&graph, "batch_norm_fold", OPERANDS(weight, v[0], v[1], v[2], v[3], given), NULL);
    tensor_id y = graph_apply(&graph, "conv2d", OPERANDS(x, folded, graph_output(&graph, 1)), NULL);
    tensor_id plain = graph_apply(&graph, "conv2d", OPERANDS(x, weight, given), NULL);
    tensor_id expected = graph_apply(&graph, "batch_norm", OPERANDS(plain, v[2], v[3], v[0], v[1]), NULL);
    assert_int_equal(graph_status(&graph), STATUS_OK);
    evaluation_create(&evaluation, &graph);
    evaluation_randomize_all(&evaluation, 5);
    evaluation_run(&evaluation, graph.node_count);
    double *a = evaluation_values(&evaluation, y), *b = evaluation_values(&evaluation, expected);
    for (uint64_t i = 0; i < shape_count(graph_shape(&graph, y)); i++)
        assert_true(fabs(a[i] - b[i]) <= 1e-12 * (1 + fabs(b[i])));
    free(a);
    free(b);
    evaluation_destroy(&evaluation);
    graph_destroy(&graph);
}

static void a_folded_convolution_does_both(void **state) {
    (void)state;
    check_fold(false);
    check_fold(true);
}

static void batch_norm_refuses_what_does_not_fit(void **state) {
    (void)state;
    assert_refused("batch_norm", "x=1x2x3x4 mean=1x1x1x4 variance=1x1x1x4 gamma=1x1x1x5 beta=1x1x1x4",
                   "gamma is 1x1x1x5; 4 channels need 1x1x1x4");
    assert_refused("batch_norm", "x=1x2x3x4 mean=1x1x1x4 variance=1x1x1x4 gamma=1x1x1x4 beta=1x1x1x4 residual=1x2x4x4",
                   "x is 1x2x3x4, but residual is 1x2x4x4");
    assert_refused("batch_norm", "x=1x2x3x4 mean=1x1x1x4 variance=1x1x1x4 gamma=1x1x1x4 beta=1x1x1x4 epsilon=0",
                   "epsilon is 0");
    assert_refused("batch_norm_update", "running_mean=1x1x1x4 running_variance=1x1x1x4 mean=1x1x1x4 variance=1x1x4x1",
                   "variance is 1x1x4x1");
    assert_refused("batch_norm_fold", "weight=3x3x4x8 gamma=1x1x1x4 beta=1x1x1x8 mean=1x1x1x8 variance=1x1x1x8",
                   "8 channels need 1x1x1x8");
}

/* What shaders/divide.glsl does with the three words. */
static void divisors_give_quotients(void **state) {
    (void)state;
    for (uint32_t n = 0; n < 20000; n++) {
        uint32_t d = n < 4096 ? n + 1 : 1 + random_below(1, 0, n, UINT32_C(1) << (1 + n % 31));
        struct dispatch dispatch = {0};
        dispatch_push_divisor(&dispatch, d);
        uint32_t values[] = {0, 1, d - 1, d, d + 1, random_bits(1, 1, n) >> 1, UINT32_MAX / 2, UINT32_MAX / 2 / d * d};
        for (size_t i = 0; i < COUNT(values); i++) {
            uint32_t value = MIN(values[i], UINT32_MAX / 2);
            uint64_t high = ((uint64_t)(value << 1) * dispatch.push[1]) >> 32;
            assert_int_equal(high >> dispatch.push[2], value / d);
        }
        assert_int_equal(dispatch.push[0], d);
    }
}

static void chunks_cover_all_pixels(void **state) {
    (void)state;
    static const struct shape shapes[] = {{{1, 1, 1, 1}},       {{128, 32, 32, 16}}, {{3, 7, 9, 17}},
                                          {{8, 1024, 1024, 3}}, {{1, 1, 1, 65536}},  {{2, 1, 1, 4096}},
                                          {{1, 999, 1, 5}}};
    struct device_facts facts;
    facts_minimum(&facts);
    for (size_t i = 0; i < COUNT(shapes) * 2; i++)
        for (int narrow = 0; narrow < 2; narrow++) {
            struct tensor x = {.shape = shapes[i / 2]};
            facts.max_storage_range = UINT64_C(1) << (i % 2 ? 20 : 27);
            struct channel_reduce cut = channel_reduce_cut(&x, &facts, narrow);
            uint64_t range = MIN((uint64_t)cut.slice * cut.chunk, cut.pixels) * cut.quads * 16;
            assert_true(range <= facts.max_storage_range || cut.slice == cut.chunks);
            assert_true(cut.slice == cut.chunks || cut.slice % 16 == 0);
            assert_true((uint64_t)cut.chunk * cut.chunks >= cut.pixels);
            assert_true((uint64_t)cut.chunk * (cut.chunks - 1) < cut.pixels);
            assert_true(cut.lanes <= 16 && (cut.lanes & (cut.lanes - 1)) == 0);
            assert_true(cut.lanes <= cut.first_size && cut.chunk / (cut.first_size / cut.lanes) <= 512);
            assert_true(cut.chunks <= 65535);
        }
}

static void lowerings_fit_the_weakest_device(void **state) {
    (void)state;
    static const char *const ops[] = {"relu",
                                      "relu_backward",
                                      "add",
                                      "fill",
                                      "channel_sum",
                                      "batch_norm_statistics",
                                      "batch_norm_update",
                                      "batch_norm",
                                      "batch_norm_backward_reduce",
                                      "batch_norm_backward_input",
                                      "batch_norm_fold"};
    for (size_t i = 0; i < COUNT(ops); i++)
        assert_case_lowerings(ops[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relu_has_its_values),
        cmocka_unit_test(maps_refuse_other_shapes),
        cmocka_unit_test(one_pixel_gives_beta),
        cmocka_unit_test(running_statistics_follow_the_batch),
        cmocka_unit_test(a_folded_convolution_does_both),
        cmocka_unit_test(batch_norm_refuses_what_does_not_fit),
        cmocka_unit_test(divisors_give_quotients),
        cmocka_unit_test(chunks_cover_all_pixels),
        cmocka_unit_test(lowerings_fit_the_weakest_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The end of a network: dense, softmax, cross-entropy, metrics. */
#include "op_values.h"

static void softmax_of_known_values(void **state) {
    (void)state;
    struct op_values values;
    op_values_create(&values, "softmax", "x=2x1x1x3");
    op_values_set(&values, 0, (const double[]){0, log(2), log(4), 1000 + log(4), 1000, 1000 + log(2)});
    op_values_run(&values);
    op_values_expect(&values, 0, (const double[]){1 / 7.0, 2 / 7.0, 4 / 7.0, 4 / 7.0, 1 / 7.0, 2 / 7.0}, 1e-13);
    op_values_destroy(&values);
}

static void softmax_sums_to_one_on_the_device(void **state) {
    (void)state;
    static const char *const forms[] = {"lane", "plain"};
    struct test_device device;
    struct op_values values;
    test_device_open(&device, NULL);
    op_values_create(&values, "softmax", "x=9x1x1x37");
    evaluation_randomize_all(&values.evaluation, 5);
    for (size_t f = 0; f < COUNT(forms); f++) {
        double *out[OP_OUTPUTS];
        op_values_on_device(&values, &device, forms[f], out);
        for (size_t n = 0; n < 9; n++) {
            double sum = 0;
            for (size_t k = 0; k < 37; k++)
                sum += out[0][n * 37 + k];
            assert_true(fabs(sum - 1) <= 8 * 0x1p-24);
        }
        free(out[0]);
    }
    op_values_destroy(&values);
    test_device_close(&device);
}

/* Values and gradients that PyTorch 1.13 gives in float64: cross_entropy(x, [1, 1], label_smoothing), dloss = (2,
 * -0.5). */
static const double logits[] = {1, -2, 0.5, 3, 2, 2, -1, 0};

static void cross_entropy_agrees_with_pytorch(void **state) {
    (void)state;
    static const struct {
        const char *line;
        double loss[2], dlogits[8];
    } known[] = {
        {"logits=2x1x1x4 target=1x1x1x2",
         {5.202253447679352, 0.7816718231374825},
         {0.22110750072347846, -1.9889917057448327, 0.13410847828122296, 1.6337757267401314, -0.22882013889650774,
          0.27117986110349224, -0.011392283899184555, -0.03096743830779993}},
        {"logits=2x1x1x4 target=1x1x1x2 smoothing=0.2",
         {4.677253447679353, 1.0316718231374824},
         {0.1211075007234785, -1.688991705744833, 0.03410847828122299, 1.5337757267401317, -0.2038201388965078,
          0.19617986110349225, 0.013607716100815445, -0.005967438307799937}},
    };
    for (size_t i = 0; i < COUNT(known); i++) {
        struct op_values values;
        char line[128];
        op_values_create(&values, "softmax_cross_entropy", known[i].line);
        op_values_set(&values, 0, logits);
        op_values_set(&values, 1, (const double[]){1, 1});
        op_values_run(&values);
        op_values_expect(&values, 0, known[i].loss, 1e-14);
        op_values_expect(&values, 1, (const double[]){0, 0}, 0); /* 1 is not the first largest of the second image */
        op_values_destroy(&values);
        snprintf(line, sizeof line, "%s dloss=1x1x1x2", known[i].line);
        op_values_create(&values, "softmax_cross_entropy_backward", line);
        op_values_set(&values, 0, logits);
        op_values_set(&values, 1, (const double[]){1, 1});
        op_values_set(&values, 2, (const double[]){2, -0.5});
        op_values_run(&values);
        op_values_expect(&values, 0, known[i].dlogits, 1e-14);
        op_values_destroy(&values);
    }
}

static void images_without_a_target_are_left_out(void **state) {
    (void)state;
    struct op_values values;
    op_values_create(&values, "softmax_cross_entropy", "logits=2x1x1x4 target=1x1x1x2");
    op_values_set(&values, 0, logits);
    for (int i = 0; i < 2; i++) {
        op_values_set(&values, 1, (const double[]){i ? 4 : UINT32_MAX, 0});
        op_values_run(&values);
        op_values_expect(&values, 0, (const double[]){0, 0.7816718231374825}, 1e-14);
        op_values_expect(&values, 1, (const double[]){0, 1}, 0);
    }
    op_values_destroy(&values);
    op_values_create(&values, "softmax_cross_entropy_backward", "logits=2x1x1x4 target=1x1x1x2 dloss=1x1x1x2");
    op_values_set(&values, 0, logits);
    op_values_set(&values, 1, (const double[]){1, 4});
    op_values_set(&values, 2, (const double[]){0, 1});
    op_values_run(&values);
    op_values_expect(&values, 0, (const double[8]){0}, 0);
    op_values_destroy(&values);
}

/* Training stops on a loss that is not finite: the kernels must not lose it, whatever the device makes of max(NaN, x).
 */
static void broken_logits_make_a_broken_loss(void **state) {
    (void)state;
    static const char *const forms[] = {"lane", "plain"};
    static const double broken[] = {NAN, INFINITY};
    struct test_device device;
    test_device_open(&device, NULL);
    for (size_t f = 0; f < COUNT(forms); f++)
        for (size_t b = 0; b < COUNT(broken); b++)
            for (size_t at = 0; at < 5; at++) {
                struct op_values values;
                double x[15] = {0}, *out[OP_OUTPUTS];
                op_values_create(&values, "softmax_cross_entropy", "logits=3x1x1x5 target=1x1x1x3");
                x[5 + at] = broken[b];
                op_values_set(&values, 0, x);
                op_values_set(&values, 1, (const double[]){0, 2, 4});
                op_values_on_device(&values, &device, forms[f], out);
                assert_true(fabs(out[0][0] - log(5)) < 1e-6 && fabs(out[0][2] - log(5)) < 1e-6);
                assert_true(!isfinite(out[0][1]));
                free(out[0]);
                free(out[1]);
                op_values_destroy(&values);
            }
    test_device_close(&device);
}

static void metrics_of_known_values(void **state) {
    (void)state;
    struct op_values values;
    op_values_create(&values, "batch_metrics", "loss=1x1x1x3 correct=1x1x1x3 penalty=1x1x1x1");
    op_values_set(&values, 0, (const double[]){0.5, 2, 4});
    op_values_set(&values, 1, (const double[]){1, 0, 1});
    op_values_set(&values, 2, (const double[]){0.125});
    op_values_run(&values);
    op_values_expect(&values, 0, (const double[]){6.5, 2, 0.125, 0}, 0);
    op_values_destroy(&values);
    op_values_create(&values, "l2_penalty", "x=1x1x2x2 scale=0.5");
    op_values_set(&values, 0, (const double[]){1, -2, 3, 0.5});
    op_values_run(&values);
    op_values_expect(&values, 0, (const double[]){7.125}, 0);
    op_values_destroy(&values);
}

static const char *const ops[] = {
    "dense",
    "dense_backward_input",
    "dense_backward_weight",
    "softmax",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "batch_metrics",
    "l2_penalty",
};

static void lowering_stays_within_the_minimum(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(ops); i++)
        assert_case_lowerings(ops[i]);
}

/* Lanes of the first form that applies to rows of `classes`. */
static uint32_t lanes_for(enum device_kind kind, const char *line) {
    struct op_values values;
    struct call call;
    struct lowering lowering = {0};
    struct device_facts facts;
    facts_minimum(&facts);
    facts.kind = kind;
    op_values_create(&values, "softmax", line);
    graph_call(&values.graph, 0, &call);
    const struct form *form = call.op->forms;
    while (!form->lower(&call, &facts, &lowering))
        form++;
    uint32_t lanes = lowering.dispatches[0].constants[0];
    op_values_destroy(&values);
    return lanes;
}

static void long_rows_are_shared_on_large_devices(void **state) {
    (void)state;
    assert_int_equal(lanes_for(DEVICE_DISCRETE, "x=8x1x1x10"), 1);
    assert_int_equal(lanes_for(DEVICE_DISCRETE, "x=8x1x1x1000"), 32);
    assert_int_equal(lanes_for(DEVICE_CPU, "x=8x1x1x1000"), 1);
    assert_int_equal(lanes_for(DEVICE_CPU, "x=1x1x1x100000"), 32); /* more steps than a loop may have there */
}

static void loops_are_no_longer_than_the_device_runs(void **state) {
    (void)state;
    static const struct {
        const char *op, *fits, *too_long;
    } known[] = {
        {"dense", "x=1x1x1x262140 weight=1x1x262140x1", "x=1x1x1x262141 weight=1x1x262141x1"},
        {"dense_backward_input", "dy=1x1x1x262140 weight=1x1x1x262140", "dy=1x1x1x262141 weight=1x1x1x262141"},
        {"dense_backward_weight", "x=65535x1x1x1 dy=65535x1x1x1", "x=65536x1x1x1 dy=65536x1x1x1"},
        {"softmax", "x=1x1x1x2000000", "x=1x1x1x2100000"},
        {"batch_metrics", "loss=1x1x1x16000000 correct=1x1x1x16000000", "loss=1x1x1x17000000 correct=1x1x1x17000000"},
    };
    struct device_facts facts;
    facts_minimum(&facts);
    for (size_t i = 0; i < COUNT(known); i++)
        for (int fits = 0; fits < 2; fits++) {
            struct graph graph;
            struct call call;
            struct lowering lowering = {0};
            tensor_id in[OP_INPUTS];
            graph_create(&graph);
            apply_case(&graph, known[i].op, fits ? known[i].fits : known[i].too_long, in);
            assert_int_equal(graph_status(&graph), STATUS_OK);
            graph_call(&graph, 0, &call);
            const struct form *plain = call.op->forms;
            while (strcmp(plain->name, "plain") != 0)
                plain++;
            if (plain->lower(&call, &facts, &lowering) != fits)
                fail_msg("%s: a loop of this length should be %s", known[i].op, fits ? "taken" : "refused");
            graph_destroy(&graph);
        }
}

static void the_penalty_is_summed_in_parts(void **state) {
    (void)state;
    assert_verified_in_parts("l2_penalty", "x=1x1x1x10001", 8192);
}

static void mistakes_are_named(void **state) {
    (void)state;
    assert_refused("dense", "x=2x1x1x7 weight=1x1x8x3", "they are 2x1x1x7 and 1x1x8x3");
    assert_refused("dense", "x=2x2x1x8 weight=1x1x8x3", "x should be [n,1,1,f]");
    assert_refused("dense", "x=2x1x1x8 weight=1x1x8x3 bias=1x1x1x4", "bias should be 1x1x1x3, it is 1x1x1x4");
    assert_refused("dense_backward_input", "dy=2x1x1x4 weight=1x1x8x3", "they are 2x1x1x4 and 1x1x8x3");
    assert_refused("dense_backward_weight", "x=2x1x1x4 dy=3x1x1x4", "they are 2x1x1x4 and 3x1x1x4");
    assert_refused("softmax", "x=2x1x2x4", "it is 2x1x2x4");
    assert_refused("softmax_cross_entropy", "logits=2x1x1x4 target=1x1x1x3", "they are 2x1x1x4 and 1x1x1x3");
    assert_refused("softmax_cross_entropy", "logits=2x1x1x4 target=1x1x1x2 smoothing=1", "below 1, it is 1");
    assert_refused("softmax_cross_entropy_backward", "logits=2x1x1x4 target=1x1x1x2 dloss=1x1x1x3",
                   "logits are 2x1x1x4, but dloss is 1x1x1x3");
    assert_refused("batch_metrics", "loss=1x1x1x4 correct=1x1x1x3", "they are 1x1x1x4 and 1x1x1x3");
    assert_refused("batch_metrics", "loss=1x1x1x4 correct=1x1x1x4 penalty=1x1x1x2", "it is 1x1x1x2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(softmax_of_known_values),
        cmocka_unit_test(softmax_sums_to_one_on_the_device),
        cmocka_unit_test(cross_entropy_agrees_with_pytorch),
        cmocka_unit_test(images_without_a_target_are_left_out),
        cmocka_unit_test(broken_logits_make_a_broken_loss),
        cmocka_unit_test(metrics_of_known_values),
        cmocka_unit_test(lowering_stays_within_the_minimum),
        cmocka_unit_test(long_rows_are_shared_on_large_devices),
        cmocka_unit_test(loops_are_no_longer_than_the_device_runs),
        cmocka_unit_test(the_penalty_is_summed_in_parts),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

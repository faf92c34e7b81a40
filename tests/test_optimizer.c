/* sgd and adam: PyTorch's numbers, the gate, parts, limits. */
#include "op_values.h"

enum { PARAMETERS = 3, STEPS = 3 };
static const double initial[PARAMETERS] = {1, -2, 0.5};
static const double gradients[STEPS][PARAMETERS] = {{0.5, -0.25, 1}, {-1, 0.75, 0.125}, {0.25, 0, -0.5}};

/* Parameters after three steps, in float64, from torch.optim of PyTorch 1.13; lr 0.1. */
static const struct {
    const char *op, *attributes;
    double beta1, beta2, after[PARAMETERS];
} known[] = {
    {"sgd", "momentum=0.9", 0, 0, {1.0294999999999999, -2.0747500000000003, 0.25525000000000003}},
    {"sgd", "momentum=0 weight_decay=0.1", 0, 0, {0.995294, -1.9903455, 0.42476449999999993}},
    {"sgd",
     "momentum=0.9 weight_decay=0.1 nesterov=1",
     0,
     0,
     {0.9739486460000001, -1.9589127345000001, 0.18835263049999998}},
    {"adam", "epsilon=1e-8", 0.9, 0.999, {0.9502794203389762, -1.9876200029543536, 0.3002675706638891}},
    {"adam",
     "weight_decay=0.1 beta1=0.8 beta2=0.95",
     0.8,
     0.95,
     {0.9308962978292478, -1.9187165729213609, 0.3038676985860727}},
    {"adam", "weight_decay=0.1 decoupled=1", 0.9, 0.999, {0.9222023167767704, -1.929713813050295, 0.2881642937819047}},
};

/* The constants of the reference are float32, as on a device; PyTorch's are float64: 1e-7. */
static void steps_agree_with_pytorch(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        bool adam = strcmp(known[i].op, "adam") == 0;
        struct op_values values;
        char line[256];
        snprintf(line, sizeof line, "parameters=1x1x1x3 gradients=1x1x1x3 %s hyper=1x1x1x4 %s",
                 adam ? "m=1x1x1x3 v=1x1x1x3" : "velocity=1x1x1x3", known[i].attributes);
        op_values_create(&values, known[i].op, line);
        op_values_set(&values, 0, initial);
        for (int step = 0; step < STEPS; step++) {
            double c1 = 1 / (1 - pow(known[i].beta1, step + 1)), c2 = 1 / (1 - pow(known[i].beta2, step + 1));
            op_values_set(&values, 1, gradients[step]);
            op_values_set(&values, adam ? 4 : 3, (const double[]){0.1, c1, c2, 0});
            op_values_run(&values);
        }
        op_values_expect(&values, 0, known[i].after, 3e-7);
        op_values_destroy(&values);
    }
}

/* By hand: w = 1, g = 0.5, v = 0.25; momentum 0.5, weight decay 0.5, lr 0.25. */
static void velocity_of_one_step(void **state) {
    (void)state;
    static const struct {
        const char *attributes;
        double w, v;
    } steps[] = {
        {"momentum=0.5 weight_decay=0.5", 0.71875, 1.125},             /* g = 1, v = 1.125 */
        {"momentum=0.5 weight_decay=0.5 nesterov=1", 0.609375, 1.125}, /* step = 1 + 0.5625 */
        {"momentum=0", 0.875, 0.5},
    };
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct op_values values;
        char line[256];
        snprintf(line, sizeof line, "parameters=1x1x1x1 gradients=1x1x1x1 velocity=1x1x1x1 hyper=1x1x1x4 %s",
                 steps[i].attributes);
        op_values_create(&values, "sgd", line);
        op_values_set(&values, 0, (const double[]){1});
        op_values_set(&values, 1, (const double[]){0.5});
        op_values_set(&values, 2, (const double[]){0.25});
        op_values_set(&values, 3, (const double[]){0.25, 0, 0, 0});
        op_values_run(&values);
        op_values_expect(&values, 0, &steps[i].w, 0);
        op_values_expect(&values, 1, &steps[i].v, 0);
        op_values_destroy(&values);
    }
}

/* A step whose loss is not finite leaves parameters and state as they were, on the device too. */
static void a_closed_gate_changes_nothing(void **state) {
    (void)state;
    static const struct {
        const char *op, *state;
        int hyper;
    } both[] = {{"sgd", "velocity=1x1x1x6", 3}, {"adam", "m=1x1x1x6 v=1x1x1x6", 4}};
    static const double kept[] = {1, 2, 3, 4, 5, 6}, gates[] = {NAN, INFINITY, -INFINITY, 1e38};
    struct test_device device;
    test_device_open(&device, NULL);
    for (size_t i = 0; i < 2 * COUNT(gates); i++) {
        struct op_values values;
        char line[256];
        double gate[4] = {gates[i / 2], 1, 1, 1}, *out[OP_OUTPUTS];
        snprintf(line, sizeof line, "parameters=1x1x1x6 gradients=1x1x1x6 %s hyper=1x1x1x4 gate=1x1x1x4",
                 both[i % 2].state);
        op_values_create(&values, both[i % 2].op, line);
        for (int j = 0; j < both[i % 2].hyper; j++)
            op_values_set(&values, j, j == 1 ? (const double[]){-7, -7, -7, -7, -7, -7} : kept);
        op_values_set(&values, both[i % 2].hyper, (const double[]){0.5, 1, 1, 0});
        op_values_set(&values, both[i % 2].hyper + 1, gate);
        op_values_on_device(&values, &device, NULL, out);
        for (int k = 0; values.graph.nodes[0].op->outputs[k]; k++) {
            for (int e = 0; e < 6; e++)
                assert_int_equal(out[k][e] == e + 1, !isfinite(gate[0]));
            free(out[k]);
        }
        op_values_run(&values);
        if (!isfinite(gate[0]))
            op_values_expect(&values, 0, kept, 0);
        op_values_destroy(&values);
    }
    test_device_close(&device);
}

static void flat_values_are_updated_in_parts(void **state) {
    (void)state;
    assert_verified_in_parts(
        "sgd",
        "parameters=1x1x1x4097 gradients=1x1x1x4097 velocity=1x1x1x4097 hyper=1x1x1x4 momentum=0.5 gate=1x1x1x4000",
        4100);
    assert_verified_in_parts("accumulate", "sum=1x1x1x4097 value=1x1x1x4097 hyper=1x1x1x4", 4100);
    assert_verified_in_parts(
        "adam", "parameters=1x1x1x2500 gradients=1x1x1x2500 m=1x1x1x2500 v=1x1x1x2500 hyper=1x1x1x4", 1024);
}

static bool applies(const char *op, int form, const char *line, const struct device_facts *facts) {
    struct op_values values;
    struct call call;
    struct lowering lowering = {0};
    op_values_create(&values, op, line);
    graph_call(&values.graph, 0, &call);
    bool answer = call.op->forms[form].lower(&call, facts, &lowering);
    op_values_destroy(&values);
    return answer;
}

static void lowering_stays_within_the_minimum(void **state) {
    (void)state;
    const char *adam = "parameters=1x1x1x9 gradients=1x1x1x9 m=1x1x1x9 v=1x1x1x9 hyper=1x1x1x4";
    struct device_facts facts;
    facts_minimum(&facts);
    assert_case_lowerings("sgd");
    assert_case_lowerings("adam");
    assert_false(applies("adam", 0, adam, &facts)); /* five storage buffers where there are four */
    assert_true(applies("adam", 1, adam, &facts));
    facts.max_storage_buffers = 5;
    assert_true(applies("adam", 0, adam, &facts));
    facts.max_storage_range = 256; /* 16 parts, with the gate 17 */
    assert_false(
        applies("sgd", 0, "parameters=1x1x1x1024 gradients=1x1x1x1024 velocity=1x1x1x1024 hyper=1x1x1x4", &facts));
    assert_true(applies("sgd", 0, "parameters=1x1x1x960 gradients=1x1x1x960 velocity=1x1x1x960 hyper=1x1x1x4", &facts));
}

static void mistakes_are_named(void **state) {
    (void)state;
    assert_refused("sgd", "parameters=1x1x1x3 gradients=1x1x1x4 velocity=1x1x1x3 hyper=1x1x1x4",
                   "parameters are 1x1x1x3, but gradients is 1x1x1x4");
    assert_refused("sgd", "parameters=1x1x1x3 gradients=1x1x1x3 velocity=1x1x1x3 hyper=1x1x1x3", "it is 1x1x1x3");
    assert_refused("adam", "parameters=1x1x1x3 gradients=1x1x1x3 m=1x1x1x3 v=1x1x3x1 hyper=1x1x1x4",
                   "but v is 1x1x3x1");
    assert_refused("adam", "parameters=1x1x1x3 gradients=1x1x1x3 m=1x1x1x3 v=1x1x1x3 hyper=1x1x1x4 epsilon=0",
                   "epsilon should be positive");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_agree_with_pytorch),          cmocka_unit_test(velocity_of_one_step),
        cmocka_unit_test(a_closed_gate_changes_nothing),     cmocka_unit_test(flat_values_are_updated_in_parts),
        cmocka_unit_test(lowering_stays_within_the_minimum), cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

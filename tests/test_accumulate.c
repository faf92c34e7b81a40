/*
 * Accumulated gradients: four batches of 8 images make the update that one batch of 32 makes.
 *
 * Batch normalization takes its statistics from each batch, so that the two differ by design; here it uses the running
 * ones, which stay as they are, and the two must agree: in float64 to its rounding, on the device to that of float32.
 */
#include "base/random.h"
#include "exec/plan.h"
#include "train/step.h"

#include "device.h"
#include "networks.h"

enum { IMAGES = 32, PARTS = 4, UPDATES = 3, CLASSES = 5 };
static const double rate = 0x1p-7; /* exact, as every constant here: references round them as kernels get them */

/* A training step of `batch` images that reads running means and variances where it would read those of the batch. */
struct network_step {
    struct model model;
    struct step step;
};

static void set_attribute(struct node *node, const char *name, double value) {
    int index = op_attribute_index(node->op, name);
    if (index >= 0)
        node->attribute[index] = value;
}

static void read_instead(struct graph *graph, tensor_id from, tensor_id to) {
    for (size_t i = 0; i < graph->node_count; i++)
        for (int j = 0; j < OP_INPUTS; j++)
            if (graph->nodes[i].in[j] == from)
                graph->nodes[i].in[j] = to;
}

static void freeze_normalization(struct graph *graph) {
    for (size_t i = 0; i < graph->node_count; i++) {
        struct node *node = &graph->nodes[i];
        bool update = strcmp(node->op->name, "batch_norm_update") == 0;
        set_attribute(node, "training", 0);
        if (!update)
            continue;
        const struct node copy = *node;
        read_instead(graph, copy.in[2], copy.in[0]);
        read_instead(graph, copy.in[3], copy.in[1]);
        memcpy(node->in, copy.in, sizeof copy.in);
        set_attribute(node, "momentum", 0);
    }
}

static struct network_step make(enum optimizer optimizer, uint32_t accumulate) {
    struct network_step n = {.model =
                                 MODEL(.name = "resnet8", .filters = 4, .height = 8, .width = 8, .classes = CLASSES)};
    struct step_options options = small_options(STEP_TRAIN);
    options.optimizer = optimizer;
    options.batch = IMAGES / accumulate;
    options.accumulate = accumulate;
    options.weight_decay = 0x1p-6;
    options.momentum = 0.875;
    n.step = make_step(&n.model, &options);
    freeze_normalization(&n.step.graph);
    return n;
}

static void discard(struct network_step *n) {
    step_destroy(&n->step);
    model_destroy(&n->model);
}

/* The images of update `update` as dense numbers; every number belongs to an image, whatever the batch. */
static double pixel(uint32_t update, uint64_t index) {
    return random_normal(3, update, (uint32_t)index);
}

static uint32_t label(uint32_t update, uint32_t image) {
    return random_below(9, update, image, CLASSES);
}

/* ---- in float64 ---- */

static void set_parameters(struct evaluation *evaluation, const struct network_step *n) {
    for (size_t i = 0; i < n->model.count; i++) {
        const struct parameter *p = &n->model.parameters[i];
        double *values = malloc(shape_count(p->shape) * sizeof *values);
        assert_non_null(values);
        model_initial(&n->model, i, 5, values);
        for (uint64_t k = 0; k < shape_count(p->shape); k++)
            values[k] += 0.1 * fabs(random_normal(6, (uint32_t)i, (uint32_t)k));
        evaluation_set(evaluation, n->step.network.values[i], values);
        free(values);
    }
}

static void run_batch(struct evaluation *evaluation, const struct network_step *n, uint32_t update, uint32_t part) {
    uint32_t batch = n->step.options.batch, accumulate = n->step.options.accumulate;
    uint64_t count = shape_count(graph_shape(&n->step.graph, n->step.x));
    double *dense = malloc(count * sizeof *dense);
    float hyper[4];
    assert_non_null(dense);
    for (uint64_t i = 0; i < count; i++)
        dense[i] = pixel(update, part * count + i);
    evaluation_set(evaluation, n->step.x, dense);
    free(dense);
    for (uint32_t i = 0; i < batch; i++)
        evaluation_at(evaluation, n->step.target)[i] = label(update, part * batch + i);
    step_hyper(&n->step.options, rate, (uint64_t)update * accumulate + part, hyper);
    for (int i = 0; i < 4; i++)
        evaluation_at(evaluation, n->step.hyper)[i] = (double)hyper[i];
    evaluation_run(evaluation, n->step.graph.node_count);
    assert_true(isfinite(evaluation_at(evaluation, n->step.metrics)[0])); /* otherwise there are no further updates */
}

/* Relative distance of two values in L2. */
static double apart(const double *a, const double *b, uint64_t count) {
    double difference = 0, norm = 0;
    for (uint64_t i = 0; i < count; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        norm += a[i] * a[i];
    }
    return sqrt(difference / norm);
}

static void expect_same(const struct evaluation *whole, const struct evaluation *parts, const struct network_step *n,
                        tensor_id value, tensor_id other, const char *name) {
    double *a = evaluation_values(whole, value), *b = evaluation_values(parts, other);
    double distance = apart(a, b, shape_count(graph_shape(&n->step.graph, value)));
    if (!(distance < 1e-12))
        fail_msg("%s: accumulated, it differs by %g", name, distance);
    free(a);
    free(b);
}

static void agree_in_float64(enum optimizer optimizer) {
    struct network_step whole = make(optimizer, 1), parts = make(optimizer, PARTS);
    struct evaluation one, many;
    evaluation_create(&one, &whole.step.graph);
    evaluation_create(&many, &parts.step.graph);
    set_parameters(&one, &whole);
    set_parameters(&many, &parts);
    double *before = evaluation_values(&one, whole.step.network.parameters);
    for (uint32_t update = 0; update < UPDATES; update++) {
        run_batch(&one, &whole, update, 0);
        for (uint32_t part = 0; part < PARTS; part++)
            run_batch(&many, &parts, update, part);
        for (size_t i = 0; i < whole.model.count; i++)
            expect_same(&one, &many, &whole, whole.step.network.values[i], parts.step.network.values[i],
                        whole.model.parameters[i].name);
    }
    double *after = evaluation_values(&one, whole.step.network.parameters);
    uint64_t count = shape_count(graph_shape(&whole.step.graph, whole.step.network.parameters));
    assert_true(apart(before, after, count) > 0.01);
    free(before);
    free(after);
    evaluation_destroy(&one);
    evaluation_destroy(&many);
    discard(&whole);
    discard(&parts);
}

static void sgd_agrees_in_float64(void **state) {
    (void)state;
    agree_in_float64(OPTIMIZER_SGD);
}

static void adam_agrees_in_float64(void **state) {
    (void)state;
    agree_in_float64(OPTIMIZER_ADAM);
}

/* ---- on the device ---- */

static void submit(struct plan *plan, const struct network_step *n, uint32_t update, uint32_t part) {
    const struct tensor *x = &n->step.graph.tensors[n->step.x];
    uint32_t batch = n->step.options.batch, *target = plan_input(plan, n->step.target);
    uint64_t count = shape_count(x->shape);
    double *dense = malloc(count * sizeof *dense);
    assert_non_null(dense);
    for (uint64_t i = 0; i < count; i++)
        dense[i] = pixel(update, part * count + i);
    tensor_store(x, dense, plan_input(plan, n->step.x));
    free(dense);
    for (uint32_t i = 0; i < batch; i++)
        target[i] = label(update, part * batch + i);
    step_hyper(&n->step.options, rate, (uint64_t)update * n->step.options.accumulate + part,
               plan_input(plan, n->step.hyper));
    assert_int_equal(plan_submit(plan), STATUS_OK);
    assert_int_equal(plan_collect(plan), STATUS_OK);
    assert_true(isfinite(*(const float *)plan_output(plan, n->step.metrics)));
}

/* Parameters after the updates, as they are stored. */
static void train(const struct network_step *n, uint32_t updates, float *parameters) {
    struct test_device d;
    struct plan *plan;
    struct evaluation initial;
    test_device_open(&d, NULL);
    if (plan_create(d.store, &n->step.graph, NULL, &plan) != STATUS_OK)
        fail_msg("%s", status_message());
    evaluation_create(&initial, &n->step.graph);
    set_parameters(&initial, n);
    const tensor_id roots[] = {n->step.network.parameters, n->step.network.statistics};
    for (size_t r = 0; r < COUNT(roots); r++) {
        const struct tensor *root = &n->step.graph.tensors[roots[r]];
        float *stored = calloc(1, tensor_bytes(root));
        assert_non_null(stored);
        for (uint64_t i = 0; i < tensor_elements(root); i++)
            stored[i] = (float)initial.storage[roots[r]][i];
        assert_int_equal(plan_write(plan, roots[r], stored), STATUS_OK);
        free(stored);
    }
    for (uint32_t update = 0; update < updates; update++)
        for (uint32_t part = 0; part < n->step.options.accumulate; part++)
            submit(plan, n, update, part);
    assert_int_equal(plan_read(plan, n->step.network.parameters, parameters), STATUS_OK);
    evaluation_destroy(&initial);
    plan_destroy(plan);
    test_device_close(&d);
}

/*
 * A gradient is a sum over 32 images of up to 64 products each: in L2 two orders of summation are some u sqrt(K) apart,
 * about 1e-6 of the gradient, and a tenth of that of the parameters. 1e-6 leaves room; a mistake is larger than 1e-3.
 */
static void the_device_agrees(void **state) {
    (void)state;
    struct network_step whole = make(OPTIMIZER_SGD, 1), parts = make(OPTIMIZER_SGD, PARTS);
    uint64_t count = whole.model.parameter_bytes / 4;
    float *one = calloc(2 * count, sizeof *one), *many = one + count;
    assert_non_null(one);
    train(&whole, UPDATES, one);
    train(&parts, UPDATES, many);
    double difference = 0, norm = 0;
    for (uint64_t i = 0; i < count; i++) {
        difference += pow((double)one[i] - (double)many[i], 2);
        norm += pow((double)one[i], 2);
    }
    double distance = sqrt(difference / norm);
    print_message("accumulated, the parameters differ by %.2g on the device\n", distance);
    assert_true(norm > 0 && distance < 1e-6);
    free(one);
    discard(&whole);
    discard(&parts);
}

/* Steps in between change nothing but the sum and the running statistics; nothing is added when a batch is a step. */
static void an_update_waits_for_its_last_batch(void **state) {
    (void)state;
    struct network_step whole = make(OPTIMIZER_ADAM, 1), parts = make(OPTIMIZER_ADAM, PARTS);
    float hyper[4];
    size_t sums = 0;
    for (size_t i = 0; i < whole.step.graph.node_count; i++)
        sums += strcmp(whole.step.graph.nodes[i].op->name, "accumulate") == 0;
    assert_int_equal(sums, 0);
    for (uint64_t batch = 0; batch < 3 * PARTS; batch++) {
        step_hyper(&parts.step.options, 0.5, batch, hyper);
        assert_true(hyper[3] == (float)(PARTS - 1 - batch % PARTS));
        assert_true(fabs((double)hyper[1] - 1 / (1 - pow(0.9, (double)(batch / PARTS + 1)))) < 1e-6);
    }
    step_hyper(&whole.step.options, 0.5, 7, hyper);
    assert_true(hyper[3] == 0);
    struct evaluation many;
    evaluation_create(&many, &parts.step.graph);
    set_parameters(&many, &parts);
    double *before = evaluation_values(&many, parts.step.network.parameters);
    uint64_t count = shape_count(graph_shape(&parts.step.graph, parts.step.network.parameters));
    for (uint32_t part = 0; part < PARTS; part++) {
        run_batch(&many, &parts, 0, part);
        double *after = evaluation_values(&many, parts.step.network.parameters);
        assert_int_equal(memcmp(before, after, count * sizeof *before) == 0, part + 1 < PARTS);
        free(after);
    }
    free(before);
    evaluation_destroy(&many);
    discard(&whole);
    discard(&parts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_waits_for_its_last_batch),
        cmocka_unit_test(sgd_agrees_in_float64),
        cmocka_unit_test(adam_agrees_in_float64),
        cmocka_unit_test(the_device_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

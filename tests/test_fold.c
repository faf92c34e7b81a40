/* Folded weights: predictions are the same bit by bit, and nothing is kept beside them. */
#include "train/fold.h"

#include "base/random.h"
#include "exec/plan.h"
#include "train/parameters.h"

#include "device.h"
#include "networks.h"

enum { BATCH = 3, LOGITS = BATCH * 12 };

struct answer {
    float logits[LOGITS];
    struct plan_numbers numbers;
    size_t opening;
};

static struct answer predict(const struct model *model, struct store *store, bool folded) {
    struct step_options options = small_options(STEP_PREDICT);
    struct answer answer;
    struct plan *plan;
    options.keep_logits = true;
    options.folded = folded;
    struct step step = make_step(model, &options);
    if (plan_create(store, &step.graph, NULL, &plan) != STATUS_OK)
        fail_msg("%s", status_message());
    float *images = plan_input(plan, step.x);
    for (uint32_t i = 0; i < tensor_elements(&step.graph.tensors[step.x]); i++)
        images[i] = i % 4 == 3 ? 0 : (float)random_normal(7, 0, i);
    assert_int_equal(plan_submit(plan), STATUS_OK);
    assert_int_equal(plan_collect(plan), STATUS_OK);
    memcpy(answer.logits, plan_output(plan, step.logits), sizeof answer.logits);
    answer.numbers = plan_numbers(plan);
    answer.opening = step.graph.opening;
    plan_destroy(plan);
    step_destroy(&step);
    return answer;
}

/* Weights as after some training: no gamma is 1, no mean 0. */
static void disturb(const struct model *model, struct store *store) {
    assert_int_equal(parameters_initialize(model, 1, store), STATUS_OK);
    for (size_t p = 0; p < model->count; p++) {
        uint64_t count = shape_count(model->parameters[p].shape);
        double *values = malloc(count * sizeof *values);
        assert_non_null(values);
        assert_int_equal(parameters_read(model, store, "parameters", p, values), STATUS_OK);
        for (uint64_t i = 0; i < count; i++)
            values[i] += 0.1 * fabs(random_normal(5, (uint32_t)p, (uint32_t)i));
        assert_int_equal(parameters_write(model, store, "parameters", p, values), STATUS_OK);
        free(values);
    }
}

static void predictions_stay(void **state) {
    (void)state;
    static const char *const names[] = {"resnet8", "resnet8b", "resnet11v2", "seresnet18", "vgg16c_bn"};
    for (size_t n = 0; n < COUNT(names); n++) {
        struct test_device d;
        bool folded;
        struct model model = MODEL(.name = names[n], .filters = 8, .height = 32, .width = 32, .classes = 10);
        test_device_open(&d, NULL);
        disturb(&model, d.store);
        struct answer before = predict(&model, d.store, false);
        if (fold_parameters(&model, d.store, &folded) != STATUS_OK)
            fail_msg("%s: %s", names[n], status_message());
        assert_true(folded);
        struct answer after = predict(&model, d.store, true);
        assert_memory_equal(before.logits, after.logits, sizeof before.logits);
        assert_true(before.logits[0] != before.logits[1]);
        assert_true(before.opening > 0 && after.opening == 0);
        assert_true(after.numbers.arena_bytes + model.convolution_bytes / 2 < before.numbers.arena_bytes);
        model_destroy(&model);
        test_device_close(&d);
    }
}

/* A penalty needs the kernels as they were trained; without normalization there is nothing to fold. */
static void some_models_are_left_alone(void **state) {
    (void)state;
    struct test_device d;
    bool folded;
    struct model keras = MODEL(.name = "resnet8", .style = STYLE_KERAS), plain = MODEL(.name = "vgg16c", .filters = 4);
    const struct model *models[] = {&keras, &plain};
    for (size_t m = 0; m < COUNT(models); m++) {
        test_device_open(&d, NULL);
        assert_int_equal(parameters_initialize(models[m], 1, d.store), STATUS_OK);
        struct answer before = predict(models[m], d.store, false);
        assert_int_equal(fold_parameters(models[m], d.store, &folded), STATUS_OK);
        assert_false(folded);
        struct answer after = predict(models[m], d.store, false);
        assert_memory_equal(before.logits, after.logits, sizeof before.logits);
        test_device_close(&d);
    }
    model_destroy(&keras);
    model_destroy(&plain);
}

static void folded_weights_are_not_trained(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet8");
    struct step_options options = small_options(STEP_TRAIN);
    struct step step;
    options.folded = true;
    assert_int_equal(step_create(&model, &options, &step), STATUS_USAGE);
    model_destroy(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predictions_stay),
        cmocka_unit_test(some_models_are_left_alone),
        cmocka_unit_test(folded_weights_are_not_trained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Learning on real images (Debian's dataset-fashion-mnist): what no test of single parts can promise. */
#include "test.h"

#include "resnet_vk.h"

#include <stdbool.h>
#include <stdio.h>

static struct rvk_context *context;

static int open_context(void **state) {
    (void)state;
    if (rvk_open(NULL, &context) != RVK_OK)
        fail_msg("%s", rvk_message());
    return 0;
}

static int close_context(void **state) {
    (void)state;
    rvk_close(context);
    return 0;
}

static struct rvk_train_result train(const struct rvk_train_options *options) {
    struct rvk_train_result result;
    struct rvk_data *data;
    if (rvk_open_data("fashion-mnist", false, &data) != RVK_OK)
        skip();
    rvk_close_data(data);
    if (rvk_train(context, options, &result) != RVK_OK)
        fail_msg("%s", rvk_message());
    return result;
}

/* A small net that cannot learn 256 images by heart has a wrong gradient somewhere. */
static void test_overfit(void **state) {
    (void)state;
    struct rvk_train_options options = {
        .model = "resnet8",
        .train_limit = 256,
        .test_limit = 1,
        .augment = "none",
        .batch = 32,
        .epochs = 24,
        .optimizer = "adam",
        .learning_rate = 0.005,
        .schedule = "onecycle",
    };
    struct rvk_train_result result = train(&options);
    print_message("train loss %.4f, accuracy %.4f\n", result.last.train_loss, result.last.train_accuracy);
    assert_true(result.last.train_accuracy >= 0.99);
}

/* ResNet-20 sees 1280 images three times. Guessing gives 0.10; this recipe gives about 0.68. */
static void test_generalize(void **state) {
    (void)state;
    struct rvk_train_options options = {
        .model = "resnet20",
        .train_limit = 1280,
        .test_limit = 1000,
        .batch = 32,
        .epochs = 3,
        .schedule = "onecycle",
        .seed = 1,
    };
    struct rvk_train_result result = train(&options);
    print_message("test loss %.4f, accuracy %.4f\n", result.test_loss, result.test_accuracy);
    assert_true(result.test_accuracy >= 0.58);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overfit),
        cmocka_unit_test(test_generalize),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}

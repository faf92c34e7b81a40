/* adjoint: an op held to its own gradient finds mistakes in either, without a reference. */
#include "device.h"
#include "mutant.h"

#include "exec/verify.h"

#include <string.h>

static void keep_failure(void *user, const struct verify_result *result) {
    if (result->outcome == VERIFY_FAILED)
        *(struct verify_result *)user = *result;
}

static enum status verify_line(struct test_device *device, const char *op, const char *form, const char *line,
                               struct verify_result *result, struct verify_summary *summary) {
    struct verify_options options = {
        .op = op, .form = form, .shape = line, .kind = DATA_ADJOINT, .report = keep_failure, .user = result};
    return verify_ops(device->store, &options, summary);
}

/* A layer of an ImageNet network, in the plain form. */
static void a_large_layer_agrees_with_its_gradient(void **state) {
    (void)state;
    struct test_device device;
    struct verify_result result = {0};
    struct verify_summary summary;
    test_device_open(&device, NULL);
    enum status status = verify_line(&device, "conv2d", "plain",
                                     "x=1x28x28x128 weight=1x1x128x256 stride_h=2 stride_w=2", &result, &summary);
    if (status != STATUS_OK)
        fail_msg("%s: %s", status_message(), result.failure);
    assert_int_equal(summary.passed, 1);
    assert_int_equal(summary.values, 14 * 14 * 256 + 28 * 28 * 128 + 128 * 256);
    test_device_close(&device);
}

/* Ops without a gradient, and shapes whose quotients are not exact, have no such data. */
static void where_nothing_is_promised_nothing_runs(void **state) {
    (void)state;
    static const char *const none[][2] = {
        {"softmax", "x=2x1x1x10"},
        {"relu_backward", "y=1x2x2x4 dy=1x2x2x4"},
        {"global_average_pool", "x=1x7x7x4"},
    };
    struct test_device device;
    test_device_open(&device, NULL);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct verify_result result = {0};
        struct verify_summary summary;
        assert_int_equal(verify_line(&device, none[i][0], NULL, none[i][1], &result, &summary), STATUS_USAGE);
        assert_string_equal(status_message(), "no case matches what was asked for");
    }
    test_device_close(&device);
}

/* One mistake a kernel, wherever it stands: forward, in the gradient of an image, of a weight. */
static const struct mutant mutants[] = {
    {"conv2d", "conv2d", "conv2d.glsl", "- padding;", "- padding.yx;"},
    {"conv2d", "conv2d", NULL, "first + p < pixels;", "first + p + 1u < pixels;"},
    {"conv2d", "conv2d_backward_input", "conv2d.glsl", "any(between) || ", ""},
    {"conv2d", "conv2d_backward_weight", NULL, "inside ? value", "true ? value"},
    {"conv2d", "channel_sum", "channel_reduce.glsl", "pixel < s.end", "pixel + s.stride < s.end"},
    {"dense", "dense", NULL, "q < feature_quads", "q + 1u < feature_quads"},
    {"dense", "dense_backward_input", NULL, "dot(value, w2)", "dot(value, w1)"},
    {"dense", "dense_backward_weight", NULL, "n < images", "n + 1u < images"},
    {"max_pool", "max_pool", NULL, "uintBitsToFloat(0xff800000)", "0.0"},
    {"max_pool", "max_pool_backward", NULL, "greaterThan(", "lessThan("},
    {"adaptive_average_pool", "adaptive_average_pool_backward", NULL, "row < r.y", "row + 1u < r.y"},
    {"global_average_pool", "global_average_pool", NULL, "float(pixels)", "float(pixels + 1u)"},
    {"relu", "relu_backward", NULL, "greaterThan(", "lessThan("},
    {"shortcut_pad", "shortcut_pad_backward", NULL, "taken ? channels", "true ? channels"},
};

/* The short lines of the op's own list. */
static enum status verify_mutant(const struct mutant *mutant, struct verify_result *result) {
    struct test_device device;
    struct verify_summary summary;
    test_device_open(&device, &(struct vk_options){.kernel_path = mutant_folder});
    enum status status =
        verify_ops(device.store,
                   &(struct verify_options){
                       .op = mutant->op, .form = "plain", .kind = DATA_ADJOINT, .report = keep_failure, .user = result},
                   &summary);
    test_device_close(&device);
    return status;
}

static void planted_mistakes_are_caught(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof mutants / sizeof *mutants; i++) {
        struct verify_result result = {0};
        mutant_plant(&mutants[i]);
        if (verify_mutant(&mutants[i], &result) != STATUS_MISMATCH)
            fail_msg("not caught in %s: \"%s\" instead of \"%s\"", mutants[i].kernel, mutants[i].mistake,
                     mutants[i].text);
        mutant_clean();
    }
}

/* Both sides of the identity stand in the sentence; the other sentence repeats the case. */
static void a_failure_names_both_sides(void **state) {
    (void)state;
    const struct mutant wrong_divisor = {"global_average_pool", "global_average_pool", NULL, "float(pixels)",
                                         "float(pixels + 1u)"};
    struct verify_result result = {0};
    mutant_plant(&wrong_divisor);
    assert_int_equal(verify_mutant(&wrong_divisor, &result), STATUS_MISMATCH);
    assert_non_null(strstr(result.failure, "<y, g> is "));
    assert_non_null(strstr(result.failure, ", but <x, dx> is "));
    assert_string_equal(result.repeat, "resnet-vk verify --op global_average_pool --form plain "
                                       "--shape \"x=3x8x16x17\" --data adjoint --seed 1");
    mutant_clean();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_layer_agrees_with_its_gradient),
        cmocka_unit_test(where_nothing_is_promised_nothing_runs),
        cmocka_unit_test(planted_mistakes_are_caught),
        cmocka_unit_test(a_failure_names_both_sides),
    };
    return cmocka_run_group_tests(tests, mutant_setup, mutant_teardown);
}

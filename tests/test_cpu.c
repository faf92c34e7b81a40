/*
 * The CPU reference as a device: it computes what the references say and nothing else, agrees with a Vulkan device as
 * far as float32 allows, and runs of one go on on the other.
 */
#include "data/safetensors.h"
#include "train/check.h"

#include "folder.h"
#include "test.h"

#include "resnet_vk.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rvk_context *reference, *vulkan;

static struct rvk_context *open_device(const char *name) {
    struct rvk_context *context;
    if (rvk_open(&(struct rvk_open_options){.device = name, .no_cache = true}, &context) != RVK_OK)
        fail_msg("%s", rvk_message());
    return context;
}

static int prepare(void **state) {
    (void)state;
    reference = open_device("cpu");
    vulkan = open_device(NULL);
    return make_folder(state);
}

static int clean(void **state) {
    (void)state;
    rvk_close(reference);
    rvk_close(vulkan);
    return remove_folder(state);
}

/* ---- the plan ---- */

static void on_result(void *user, const struct verify_result *result) {
    (void)user;
    if (result->worst != 0 || result->outcome == VERIFY_FAILED)
        fail_msg("%s %s: %g of its bound. %s", result->op, result->shape, result->worst, result->failure);
}

/*
 * Every node gives the bits of its op's reference for the inputs that are stored, each read from where it was packed,
 * and the step as a whole gives the bits of its nodes.
 */
static void every_node_is_its_reference(void **state) {
    (void)state;
    static const struct {
        const char *name;
        enum model_style style;
    } models[] = {{"resnet8", STYLE_TORCH}, {"resnet8", STYLE_KERAS}, {"resnet11v2", STYLE_TORCH}};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct vk_device *device;
        struct store *store;
        struct model_options options = {
            .name = models[i].name, .style = models[i].style, .height = 12, .width = 12, .filters = 8};
        struct verify_options verify = {.report = on_result};
        struct verify_summary summary;
        assert_int_equal(vk_open(&(struct vk_options){.device = "cpu"}, &device), STATUS_OK);
        assert_int_equal(store_create(device, &store), STATUS_OK);
        if (check_model(store, &options, 2, 1, &verify, &summary) != STATUS_OK)
            fail_msg("%s", status_message());
        assert_true(summary.passed > 40 && summary.values > 10000);
        store_destroy(store);
        assert_int_equal(vk_counters(device).device_bytes, 0);
        vk_close(device);
    }
}

/* ---- training ---- */

static struct rvk_train_options small(void) {
    return (struct rvk_train_options){
        .model = "resnet8",
        .data = "generated:count=80,classes=4,size=8",
        .batch = 16,
        .eval_batch = 32,
        .epochs = 2,
        .validation_split = 0.2,
    };
}

static struct rvk_train_result train(struct rvk_context *context, const struct rvk_train_options *options) {
    struct rvk_train_result result;
    if (rvk_train(context, options, &result) != RVK_OK)
        fail_msg("%s", rvk_message());
    return result;
}

/* L2 norm of the difference of two files' tensors as a share of the second's norm: the largest of all tensors. */
static double largest_difference(const char *a, const char *b) {
    struct safetensors files[2];
    double largest = 0;
    assert_int_equal(safetensors_read(a, &files[0]), STATUS_OK);
    assert_int_equal(safetensors_read(b, &files[1]), STATUS_OK);
    assert_int_equal(files[0].count, files[1].count);
    assert_true(files[0].count > 20);
    for (size_t t = 0; t < files[1].count; t++) {
        const struct safetensors_tensor *tensor = &files[1].tensors[t];
        const struct safetensors_tensor *other = safetensors_find(&files[0], tensor->name);
        size_t count = safetensors_count(tensor);
        double *x = calloc(count, sizeof *x), *y = calloc(count, sizeof *y), norm = 0, difference = 0;
        assert_true(x && y && other && safetensors_count(other) == count);
        safetensors_values(other, x);
        safetensors_values(tensor, y);
        for (size_t i = 0; i < count; i++)
            difference += (x[i] - y[i]) * (x[i] - y[i]), norm += y[i] * y[i];
        largest = fmax(largest, norm > 0 ? sqrt(difference / norm) : difference > 0 ? INFINITY : 0);
        free(x);
        free(y);
    }
    safetensors_destroy(&files[0]);
    safetensors_destroy(&files[1]);
    return largest;
}

static void agrees_with_vulkan(void **state) {
    (void)state;
    struct rvk_train_options options = small();
    options.steps = 3;
    options.learning_rate = 0.01;
    options.out = in_folder("steps-cpu");
    train(reference, &options);
    options.out = in_folder("steps-vulkan");
    train(vulkan, &options);
    double difference =
        largest_difference(in_folder("steps-cpu/last.safetensors"), in_folder("steps-vulkan/last.safetensors"));
    if (!(difference < 1e-4)) /* some 1e-6, unless a ReLU's input has another sign; a wrong factor is 1e-2 and more */
        fail_msg("weights, statistics or velocity differ by %g of their norm", difference);
}

/* Three steps on one device and the rest on the other end where all of them on one end, but for rounding. */
static void goes_on_elsewhere(void **state) {
    (void)state;
    struct rvk_context *const contexts[] = {reference, vulkan};
    struct rvk_train_options options = small();
    options.learning_rate = 0.01;
    options.out = in_folder("whole");
    struct rvk_train_result whole = train(vulkan, &options), result;
    for (int first = 0; first < 2; first++) {
        char out[64], path[128];
        snprintf(out, sizeof out, "moved-%d", first);
        snprintf(path, sizeof path, "%s/%s/last.safetensors", folder, out);
        options.out = in_folder(out);
        options.steps = 3;
        train(contexts[first], &options);
        result = train(contexts[!first], &(struct rvk_train_options){.resume = path});
        assert_int_equal(result.steps, whole.steps);
        assert_true(result.tested && fabs(result.test_loss - whole.test_loss) < 1e-3);
        double difference = largest_difference(path, in_folder("whole/last.safetensors"));
        if (!(difference < 1e-3))
            fail_msg("the run that was moved from %s ends %g away", first ? "Vulkan" : "the reference", difference);
    }
}

static void evaluate(struct rvk_context *context, const struct rvk_data *data, struct rvk_evaluation *evaluation,
                     float *probabilities) {
    struct rvk_model *model;
    if (rvk_load_model(context, in_folder("run/last.safetensors"), &(struct rvk_load_options){.batch = 32}, &model) !=
            RVK_OK ||
        rvk_evaluate(model, data, 0, 0, evaluation, NULL) != RVK_OK ||
        rvk_predict(model, data, 3, 5, probabilities) != RVK_OK)
        fail_msg("%s", rvk_message());
    rvk_free_model(model);
}

/* What is computed once from the weights (folded kernels) follows them: the same loss after loading as after training.
 */
static void evaluates(void **state) {
    (void)state;
    enum { CLASSES = 4, IMAGES = 5 };
    float probabilities[2][IMAGES * CLASSES];
    struct rvk_evaluation evaluation[2];
    struct rvk_data *data;
    struct rvk_train_options options = small();
    options.out = in_folder("run");
    struct rvk_train_result result = train(reference, &options);
    assert_int_equal(rvk_open_data(options.data, false, &data), RVK_OK);
    evaluate(reference, data, &evaluation[0], probabilities[0]);
    evaluate(vulkan, data, &evaluation[1], probabilities[1]);
    assert_true(evaluation[0].loss == result.test_loss && evaluation[0].accuracy == result.test_accuracy);
    assert_true(fabs(evaluation[1].loss - evaluation[0].loss) < 1e-5);
    for (int i = 0; i < IMAGES * CLASSES; i++)
        assert_true(fabsf(probabilities[1][i] - probabilities[0][i]) < 1e-5F);
    rvk_close_data(data);
}

/* ---- what it does not do ---- */

static void refuses_kernels(void **state) {
    (void)state;
    struct rvk_verify_summary summary;
    struct rvk_tune_result tuned;
    struct rvk_peak peak;
    assert_int_equal(rvk_verify(reference, NULL, &summary), RVK_DEVICE);
    assert_non_null(strstr(rvk_message(), "choose a Vulkan device"));
    assert_int_equal(rvk_tune(reference, NULL, &tuned), RVK_DEVICE);
    assert_int_equal(rvk_measure_peak(reference, &peak), RVK_DEVICE);
    struct rvk_train_options options = small();
    struct rvk_train_result result;
    options.profile = true;
    assert_int_equal(rvk_train(reference, &options, &result), RVK_DEVICE);
    assert_non_null(strstr(rvk_message(), "timestamps"));
}

static void measures_a_step(void **state) {
    (void)state;
    struct rvk_bench_options options = {.model = "resnet8", .batch = 2, .size = 8, .samples = 5};
    struct rvk_bench_result result;
    if (rvk_bench(reference, &options, &result) != RVK_OK)
        fail_msg("%s", rvk_message());
    assert_true(result.ms.count == 5 && result.ms.median > 0 && result.flops > 0 && result.dispatches == 0);
    options = (struct rvk_bench_options){.op = "relu", .shape = "x=1x2x2x4", .samples = 5};
    assert_int_equal(rvk_bench(reference, &options, &result), RVK_OK);
    assert_string_equal(result.form, "reference");
    options.form = "plain";
    assert_int_equal(rvk_bench(reference, &options, &result), RVK_USAGE);
    assert_non_null(strstr(rvk_message(), "does not run this shape on CPU reference"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_is_its_reference),
        cmocka_unit_test(agrees_with_vulkan),
        cmocka_unit_test(goes_on_elsewhere),
        cmocka_unit_test(evaluates),
        cmocka_unit_test(refuses_kernels),
        cmocka_unit_test(measures_a_step),
    };
    return cmocka_run_group_tests(tests, prepare, clean);
}

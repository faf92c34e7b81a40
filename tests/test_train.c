/* Training through the public header: callbacks, refusals, and a stopped run that goes on with the same bits. */
#include "folder.h"
#include "test.h"

#include "resnet_vk.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct rvk_context *context;

static int open_context(void **state) {
    (void)state;
    struct rvk_open_options options = {
        .device = getenv("TEST_DEVICE"), .no_cache = true, .validation = getenv("TEST_VALIDATION") != NULL};
    if (rvk_open(&options, &context) != RVK_OK)
        fail_msg("%s", rvk_message());
    return make_folder(state);
}

static int close_context(void **state) {
    (void)state;
    assert_int_equal(rvk_get_counters(context).validation_messages, 0);
    rvk_close(context);
    return remove_folder(state);
}

/* A net of eight layers on small images: a step takes some milliseconds on a software device. */
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

static struct rvk_train_result train(const struct rvk_train_options *options, enum rvk_status expected) {
    struct rvk_train_result result;
    enum rvk_status status = rvk_train(context, options, &result);
    if (status != expected)
        fail_msg("status %d, not %d: %s", status, expected, rvk_message());
    return result;
}

static void assert_same_files(const char *a, const char *b) {
    static char bytes[2][1 << 21];
    const char *const paths[2] = {a, b};
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen(paths[i], "rb");
        assert_non_null(file);
        sizes[i] = fread(bytes[i], 1, sizeof bytes[i], file);
        assert_true(sizes[i] > 0 && sizes[i] < sizeof bytes[i]);
        fclose(file);
    }
    assert_int_equal(sizes[0], sizes[1]);
    if (memcmp(bytes[0], bytes[1], sizes[0]) != 0)
        fail_msg("%s and %s differ", a, b);
}

/* 8 steps in one go; 3 steps, then the rest; and a step at a time. The checkpoints hold the same bytes. */
static void resume_equality(const char *name, struct rvk_train_options options) {
    char whole[64], parts[64], path[160];
    snprintf(whole, sizeof whole, "%s-whole", name);
    snprintf(parts, sizeof parts, "%s-parts", name);
    options.out = in_folder(whole);
    train(&options, RVK_OK);
    options.out = in_folder(parts);
    options.steps = 3;
    struct rvk_train_result result = train(&options, RVK_OK);
    assert_int_equal(result.steps, 3);
    assert_false(result.tested);
    snprintf(path, sizeof path, "%s/%s/last.safetensors", folder, parts);
    struct rvk_train_options resume = {.resume = path, .steps = 1};
    assert_int_equal(train(&resume, RVK_OK).steps, 4);
    resume.steps = 0;
    result = train(&resume, RVK_OK);
    assert_int_equal(result.steps, 8);
    assert_true(result.tested);
    for (int i = 0; i < 2; i++) {
        char other[160];
        const char *file = i ? "best" : "last";
        snprintf(path, sizeof path, "%s/%s/%s.safetensors", folder, whole, file);
        snprintf(other, sizeof other, "%s/%s/%s.safetensors", folder, parts, file);
        assert_same_files(path, other);
    }
}

static void test_resume_sgd(void **state) {
    (void)state;
    resume_equality("sgd", small());
}

static void test_resume_adam(void **state) {
    (void)state;
    struct rvk_train_options options = small();
    options.optimizer = "adamw";
    options.schedule = "plateau";
    options.style = "keras";
    options.normalize = "pixel";
    options.label_smoothing = 0.1;
    resume_equality("adam", options);
}

/* Two batches make a step: there are as many steps as with batches twice as large. */
static void test_resume_accumulated(void **state) {
    (void)state;
    struct rvk_train_options options = small();
    options.optimizer = "adam";
    options.batch = 8;
    options.accumulate = 2;
    resume_equality("accumulated", options);
}

static void test_resume_finetuned(void **state) {
    (void)state;
    struct rvk_train_options options = small();
    options.freeze_until = "layer2";
    options.freeze_norm = true;
    options.layer_decay = 0.5;
    options.head_rate = 2;
    resume_equality("finetuned", options);
}

static void test_resume_mixed(void **state) {
    (void)state;
    struct rvk_train_options options = small();
    options.mixup = 0.4;
    options.cutmix = 1;
    resume_equality("mixed", options);
}

/* Each way of mixing leads to weights of its own. */
static void test_mixing(void **state) {
    (void)state;
    enum { WAYS = 4 };
    static const double alphas[WAYS][2] = {{0, 0}, {1, 0}, {0, 1}, {1, 1}};
    uint64_t hashes[WAYS];
    for (int i = 0; i < WAYS; i++) {
        struct rvk_train_options options = small();
        options.mixup = alphas[i][0];
        options.cutmix = alphas[i][1];
        hashes[i] = train(&options, RVK_OK).weights_hash;
        for (int k = 0; k < i; k++)
            assert_true(hashes[k] != hashes[i]);
    }
}

/* ---- callbacks ---- */

struct seen {
    uint32_t steps, epochs, starts, stop_after;
    uint32_t evaluated[2]; /* images of validation and of the test, in this epoch */
    double rate;
    struct rvk_epoch epoch;
};

static void on_start(void *user, const struct rvk_run *run) {
    struct seen *seen = user;
    seen->starts++;
    assert_int_equal(run->train_images, 64);
    assert_int_equal(run->validation_images, 16);
    assert_int_equal(run->steps, 4);
    assert_true(run->options->learning_rate == 0.1);
    assert_string_equal(run->options->augment, "auto");
}

static void on_step(void *user, const struct rvk_progress *progress) {
    struct seen *seen = user;
    seen->steps++;
    seen->rate = progress->learning_rate;
    assert_true(progress->step >= 1 && progress->step <= progress->steps);
    if (progress->steps == 4)
        assert_int_equal(progress->step, (seen->steps - 1) % 4 + 1);
    assert_true(progress->images_per_second > 0);
}

static void on_evaluating(void *user, const struct rvk_evaluating *progress) {
    struct seen *seen = user;
    uint32_t *evaluated = &seen->evaluated[progress->test], rest = progress->count - *evaluated;
    assert_int_equal(progress->done - *evaluated, rest < 32 ? rest : 32);
    assert_true(progress->seconds > 0);
    *evaluated = progress->done;
}

/* What was validated was heard before. */
static void on_epoch(void *user, const struct rvk_epoch *epoch) {
    struct seen *seen = user;
    assert_int_equal(seen->evaluated[false], epoch->validated ? 16 : 0);
    assert_int_equal(seen->evaluated[true], 0);
    seen->evaluated[false] = 0;
    seen->epochs++;
    seen->epoch = *epoch;
}

static enum rvk_status should_stop(void *user) {
    const struct seen *seen = user;
    return seen->stop_after && seen->steps >= seen->stop_after ? RVK_INTERRUPTED : RVK_OK;
}

static struct rvk_train_options watched(struct seen *seen) {
    struct rvk_train_options options = small();
    *seen = (struct seen){0};
    options.on_start = on_start;
    options.on_step = on_step;
    options.on_evaluating = on_evaluating;
    options.on_epoch = on_epoch;
    options.should_stop = should_stop;
    options.user = seen;
    return options;
}

static void test_callbacks(void **state) {
    (void)state;
    struct seen seen;
    struct rvk_train_options options = watched(&seen);
    options.schedule = "constant";
    struct rvk_train_result result = train(&options, RVK_OK);
    assert_int_equal(seen.starts, 1);
    assert_int_equal(seen.steps, 8);
    assert_int_equal(seen.epochs, 2);
    assert_true(seen.rate == 0.1);
    assert_true(seen.epoch.validated);
    assert_int_equal(seen.evaluated[false], 0);
    assert_int_equal(seen.evaluated[true], 80);
    assert_int_equal(result.last.epoch, 2);
    assert_true(result.last.train_loss == seen.epoch.train_loss);
    assert_true(result.tested && isfinite(result.test_loss));
}

/* Steps, not batches, are counted and reported, and every image is in the means. */
static void test_accumulate(void **state) {
    (void)state;
    struct seen seen;
    struct rvk_train_options options = watched(&seen);
    options.learning_rate = 1e-30;
    options.weight_decay = -1;
    options.augment = "none";
    options.normalize = "pixel";
    options.on_start = NULL;
    options.on_evaluating = NULL;
    options.validation_split = 0;
    options.batch = 40;
    options.epochs = 1;
    options.data = "generated:count=80,classes=4,size=8";
    struct rvk_train_result whole = train(&options, RVK_OK);
    options.accumulate = 2;
    struct rvk_train_result parts = train(&options, RVK_OK);
    assert_int_equal(whole.steps, 2);
    assert_int_equal(parts.steps, 1);
    assert_int_equal(seen.steps, 3);
    assert_true(seen.epoch.step == 1 && seen.epoch.train_accuracy == whole.last.train_accuracy);
    assert_true(fabs(seen.epoch.train_loss - whole.last.train_loss) < 1e-6);
    options.accumulate = 3;
    train(&options, RVK_USAGE);
    assert_non_null(strstr(rvk_message(), "one step of 3 batches of 40"));
}

static void test_interrupt(void **state) {
    (void)state;
    struct seen seen;
    struct rvk_train_options options = watched(&seen);
    options.out = in_folder("interrupted");
    seen.stop_after = 2;
    struct rvk_train_result result = train(&options, RVK_INTERRUPTED);
    assert_true(result.steps >= 2 && result.steps < 4);
    struct rvk_train_options resume = {.resume = in_folder("interrupted/last.safetensors")};
    assert_int_equal(train(&resume, RVK_OK).steps, 8);
}

static void test_early_stop(void **state) {
    (void)state;
    struct seen seen;
    struct rvk_train_options options = watched(&seen);
    options.on_start = NULL;
    options.learning_rate = 1e-30;
    options.schedule = "constant";
    options.weight_decay = -1;
    options.validation_split = 0;
    options.augment = "none";
    options.data = "generated:count=64,classes=4,size=8";
    options.batch = 64;
    options.on_step = NULL;
    options.epochs = 50;
    options.early_stop = 2;
    /* The weights do not move: after the first epochs the loss changes by rounding of another order only. */
    struct rvk_train_result result = train(&options, RVK_OK);
    assert_true(result.last.epoch < 50);
    assert_int_equal(result.last.epoch, result.best.epoch + 2);
}

/* In the fourth of the epoch's four steps the checkpoint of the third is there; renamed, it survives the next one. */
static void keep_last(void *user, const struct rvk_progress *progress) {
    (void)user;
    if (progress->epoch == 1 && progress->step == 4)
        assert_int_equal(rename(in_folder("saving/last.safetensors"), in_folder("saving/kept.safetensors")), 0);
}

static void on_resume(void *user, const struct rvk_run *run) {
    *(uint32_t *)user = run->resumed_step;
}

static void test_save_steps(void **state) {
    (void)state;
    struct rvk_train_options options = small();
    options.out = in_folder("saving");
    options.save_steps = 3;
    options.on_step = keep_last;
    struct rvk_train_result result = train(&options, RVK_OK);
    assert_int_equal(result.growth.allocations, 0);
    uint32_t resumed_step = 0;
    struct rvk_train_options resume = {.resume = in_folder("saving/kept.safetensors"),
                                       .out = in_folder("going on"),
                                       .on_start = on_resume,
                                       .user = &resumed_step};
    assert_int_equal(train(&resume, RVK_OK).steps, 8);
    assert_int_equal(resumed_step, 3);
    assert_same_files(in_folder("saving/last.safetensors"), in_folder("going on/last.safetensors"));
}

/* A folder in the place of the best checkpoint: it cannot be written. */
static void block_best(void *user, const struct rvk_progress *progress) {
    (void)user;
    if (progress->step == 1)
        assert_int_equal(mkdir(in_folder("order/best.safetensors"), 0700), 0);
}

/* The last checkpoint does not get ahead of the best one, which a run that goes on from it would not write again. */
static void test_best_comes_first(void **state) {
    (void)state;
    struct rvk_train_options options = small();
    options.out = in_folder("order");
    options.on_step = block_best;
    train(&options, RVK_IO);
    assert_non_null(strstr(rvk_message(), "order/best.safetensors: "));
    assert_int_equal(rmdir(in_folder("order/best.safetensors")), 0);
    struct rvk_train_options resume = {.resume = in_folder("order/last.safetensors"), .steps = 1};
    assert_int_equal(train(&resume, RVK_OK).steps, 1);
}

/* Nothing is allocated, created or recorded between the second step and the end of an epoch. */
static void test_counters(void **state) {
    (void)state;
    struct rvk_train_options options = small();
    struct rvk_train_result result = train(&options, RVK_OK);
    assert_true(result.growth_known);
    assert_int_equal(result.growth.allocations, 0);
    assert_int_equal(result.growth.pipelines, 0);
    assert_int_equal(result.growth.recordings, 0);
    assert_int_equal(result.growth.device_bytes, 0);
    struct rvk_device device;
    rvk_get_device(context, &device);
    assert_true(result.growth.submissions >= 1 || strcmp(device.kind, "reference") == 0);
}

static void test_refusals(void **state) {
    (void)state;
    struct rvk_train_options options = small();
    options.optimizer = "rmsprop";
    train(&options, RVK_USAGE);
    assert_string_equal(rvk_message(), "the optimizer must be one of sgd, adam, adamw, not 'rmsprop'");
    options = small();
    options.batch = 100;
    train(&options, RVK_USAGE);
    assert_non_null(strstr(rvk_message(), "64 training images"));
    options = small();
    options.schedule = "onecycle";
    options.warmup = 1;
    train(&options, RVK_USAGE);
    options = small();
    options.drops = "3,x";
    train(&options, RVK_USAGE);
    options = small();
    options.out = "/proc/nowhere";
    train(&options, RVK_IO);
    options = (struct rvk_train_options){.resume = "/nonexistent/last.safetensors"};
    train(&options, RVK_DATA);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume_sgd),         cmocka_unit_test(test_resume_adam),
        cmocka_unit_test(test_resume_accumulated), cmocka_unit_test(test_resume_finetuned),
        cmocka_unit_test(test_resume_mixed),       cmocka_unit_test(test_mixing),
        cmocka_unit_test(test_accumulate),         cmocka_unit_test(test_callbacks),
        cmocka_unit_test(test_interrupt),          cmocka_unit_test(test_early_stop),
        cmocka_unit_test(test_counters),           cmocka_unit_test(test_save_steps),
        cmocka_unit_test(test_best_comes_first),   cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}

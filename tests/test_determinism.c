/*
 * The same bits, told by the hash of the weights: two runs, a run that was stopped at any step and resumed, here or by
 * another process, and a run that was stopped many times. With augmentation; by SGD, by Adam, and with gradients
 * accumulated over two batches. TEST_ROUNDS: runs that are stopped (5; with 20 after every step, in both ways),
 * TEST_SEED: of the steps where.
 */
#include "resnet_vk.h"
#include "train/schedule.h"

#include "program.h"

#include <stdlib.h>

enum { EPOCHS = 3, EPOCH_STEPS = 4, STEPS = EPOCHS * EPOCH_STEPS };

static struct rvk_context *context;
static char path[64];

static int open_context(void **state) {
    struct rvk_open_options options = {.no_cache = true};
    if (rvk_open(&options, &context) != RVK_OK)
        fail_msg("%s", rvk_message());
    if (make_folder(state) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/last.safetensors", folder);
    return 0;
}

static int close_context(void **state) {
    rvk_close(context);
    return remove_folder(state);
}

static uint32_t setting(const char *name, uint32_t otherwise) {
    const char *text = getenv(name);
    return text ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

/* 64 of 80 images to train: 16 a step. */
static struct rvk_train_options small(const char *optimizer, uint32_t accumulate) {
    return (struct rvk_train_options){.model = "resnet8",
                                      .data = "generated:count=80,classes=4,size=8",
                                      .validation_split = 0.2,
                                      .batch = 16 / accumulate,
                                      .accumulate = accumulate,
                                      .eval_batch = 32,
                                      .epochs = EPOCHS,
                                      .optimizer = optimizer,
                                      .augment = "both",
                                      .shift = 2,
                                      .seed = 7,
                                      .out = folder,
                                      .overwrite = true};
}

static struct rvk_train_result train(const struct rvk_train_options *options, enum rvk_status expected) {
    struct rvk_train_result result;
    if (rvk_train(context, options, &result) != expected)
        fail_msg("%s", rvk_message());
    return result;
}

static uint64_t train_whole(struct rvk_train_options options) {
    struct rvk_train_result result = train(&options, RVK_OK);
    assert_true(result.tested && result.steps == STEPS && result.weights_hash != 0);
    assert_true(result.last.weights_hash == result.weights_hash);
    return result.weights_hash;
}

/* ---- stopping ---- */

/* As Ctrl-C does: steps that are on their way are finished. */
struct stop {
    uint32_t left;
};

static void on_step(void *user, const struct rvk_progress *progress) {
    struct stop *stop = user;
    (void)progress;
    stop->left -= stop->left > 0;
}

static enum rvk_status should_stop(void *user) {
    const struct stop *stop = user;
    return stop->left ? RVK_OK : RVK_INTERRUPTED;
}

static void interrupt_after(struct rvk_train_options options, uint32_t steps) {
    struct stop stop = {steps};
    options.on_step = on_step;
    options.should_stop = should_stop;
    options.user = &stop;
    struct rvk_train_result result = train(&options, RVK_INTERRUPTED);
    assert_true(result.steps >= steps && result.steps <= steps + 1 && !result.tested);
}

static void stop_after(struct rvk_train_options options, uint32_t steps) {
    options.steps = steps;
    assert_true(train(&options, RVK_OK).steps == steps);
}

static uint64_t resume(uint32_t steps) {
    struct rvk_train_options options = {.resume = path, .steps = steps};
    return train(&options, RVK_OK).weights_hash;
}

/* By the program, which prints the hash and writes it into the log. */
static uint64_t resume_elsewhere(void) {
    assert_int_equal(run("train --resume %s --json 2>/dev/null", path), 0);
    char *last = strstr(output, "\"event\":\"result\"");
    assert_non_null(last);
    const char *key = "\"weights_hash\":\"", *place = strstr(last, key);
    assert_non_null(place);
    char line[128];
    snprintf(line, sizeof line, "grep -q 'epoch.*%.16s' %s/log.jsonl", place + strlen(key), folder);
    assert_int_equal(system(line), 0);
    return strtoull(place + strlen(key), NULL, 16);
}

static void expect_hash(uint64_t hash, uint64_t expected, const char *how, uint32_t step) {
    if (hash != expected)
        fail_msg("%s after step %u: the weights are %016llx, in one go %016llx", how, step, (unsigned long long)hash,
                 (unsigned long long)expected);
}

/* ---- tests ---- */

static void same_bits(const char *optimizer, uint32_t accumulate) {
    struct rvk_train_options options = small(optimizer, accumulate), other = options;
    uint32_t seed = setting("TEST_SEED", 1), rounds = setting("TEST_ROUNDS", 5);
    uint64_t whole = train_whole(options);
    expect_hash(train_whole(options), whole, "again", 0);
    other.seed = 8;
    assert_true(train_whole(other) != whole);
    print_message("%s, %u batches a step: %016llx; seed %u, stopped after", optimizer, accumulate,
                  (unsigned long long)whole, seed);
    uint32_t order[STEPS - 2];
    static uint32_t times;
    order_shuffle(order, STEPS - 2, seed, times++);
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t step = 1 + order[round % (STEPS - 2)];
        print_message(" %u", step);
        if ((round + round / (STEPS - 2)) % 2)
            interrupt_after(options, step);
        else
            stop_after(options, step);
        if (round % 5 == 2)
            expect_hash(resume_elsewhere(), whole, "resumed by another process", step);
        else
            expect_hash(resume(0), whole, "resumed", step);
    }
    print_message("\n");
}

static void sgd_gives_the_same_bits(void **state) {
    (void)state;
    same_bits("sgd", 1);
}

static void adam_gives_the_same_bits(void **state) {
    (void)state;
    same_bits("adam", 1);
}

static void accumulated_gradients_give_the_same_bits(void **state) {
    (void)state;
    same_bits("adam", 2);
}

/* Three, one, five and two steps, and the rest. */
static void many_stops_in_one_run(void **state) {
    (void)state;
    static const uint32_t parts[] = {1, 5, 2};
    struct rvk_train_options options = small("sgd", 2);
    uint64_t whole = train_whole(options);
    stop_after(options, 3);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        resume(parts[i]);
    expect_hash(resume(0), whole, "stopped four times", 11);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_gives_the_same_bits),
        cmocka_unit_test(adam_gives_the_same_bits),
        cmocka_unit_test(accumulated_gradients_give_the_same_bits),
        cmocka_unit_test(many_stops_in_one_run),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}

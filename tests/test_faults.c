/* What happens when the driver fails: every fault is planted below src/vk, by a double of some of its functions. */
#include "faults.h"

#include "resnet_vk.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static char folder[] = "/tmp/test_faults_XXXXXX";
static char logged[8192];

static void record(void *user, bool warning, const char *message) {
    (void)user;
    size_t used = strlen(logged);
    if (warning)
        snprintf(logged + used, sizeof logged - used, "%s\n", message);
}

static int set_up(void **state) {
    (void)state;
    rvk_set_log(record, NULL);
    if (faults_install() != STATUS_OK)
        fail_msg("%s", status_message());
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char line[64];
    rvk_set_log(NULL, NULL);
    snprintf(line, sizeof line, "rm -r %s", folder);
    return system(line);
}

static struct rvk_context *open_context(void) {
    struct rvk_context *context;
    faults_clear();
    if (rvk_open(&(struct rvk_open_options){.no_cache = true, .no_self_test = true}, &context) != RVK_OK)
        fail_msg("%s", rvk_message());
    return context;
}

/* Two epochs of four steps, with validation and augmentation; a checkpoint within each. */
static struct rvk_train_options small(const char *out) {
    return (struct rvk_train_options){
        .model = "resnet8",
        .data = "generated:count=80,classes=4,size=8",
        .batch = 16,
        .eval_batch = 32,
        .epochs = 2,
        .validation_split = 0.2,
        .save_steps = 3,
        .out = out,
        .overwrite = true,
    };
}

/* The bytes of the checkpoint that a run left. */
static size_t read_last(const char *out, char *bytes, size_t room) {
    char path[128];
    snprintf(path, sizeof path, "%s/last.safetensors", out);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, room, file);
    assert_true(size > 0 && size < room);
    fclose(file);
    return size;
}

static char expected[1 << 21], found[1 << 21];
static size_t expected_size;
static uint64_t submissions, waits, allocations, pipelines;

/* The run without a fault; how often it makes each call. */
static void test_reference(void **state) {
    (void)state;
    char out[64];
    struct rvk_train_result result;
    snprintf(out, sizeof out, "%s/reference", folder);
    struct rvk_train_options options = small(out);
    struct rvk_context *context = open_context();
    assert_int_equal(rvk_train(context, &options, &result), RVK_OK);
    submissions = faults.seen[FAULT_SUBMIT];
    waits = faults.seen[FAULT_WAIT];
    allocations = faults.seen[FAULT_ALLOCATE];
    pipelines = faults.seen[FAULT_PIPELINE];
    rvk_close(context);
    expected_size = read_last(out, expected, sizeof expected);
    assert_true(submissions > 50 && waits > 50 && allocations > 10 && pipelines > 10);
}

static enum rvk_status train_with(enum fault_call call, uint64_t first, uint64_t last, VkResult result,
                                  struct rvk_train_options *options) {
    struct rvk_train_result ignored;
    struct rvk_context *context = open_context();
    logged[0] = 0;
    faults_set(call, first, last, result);
    enum rvk_status status = rvk_train(context, options, &ignored);
    faults_clear();
    rvk_close(context);
    return status;
}

/* One loss: a warning that says where, and the bits of the run without it. */
static bool survives(enum fault_call call, uint64_t number, VkResult result) {
    char out[64];
    snprintf(out, sizeof out, "%s/survivor", folder);
    struct rvk_train_options options = small(out);
    enum rvk_status status = train_with(call, number, number, result, &options);
    if (status != RVK_OK)
        print_error("call %llu: %s\n", (unsigned long long)number, rvk_message());
    else if (!strstr(logged, "the device is opened again"))
        print_error("call %llu: the log says \"%s\"\n", (unsigned long long)number, logged);
    else if (read_last(out, found, sizeof found) != expected_size || memcmp(found, expected, expected_size) != 0)
        print_error("call %llu: other weights than without the fault\n", (unsigned long long)number);
    else
        return true;
    return false;
}

/* The same in a process of its own. */
static bool survives_apart(enum fault_call call, uint64_t number, VkResult result) {
    int status = 1;
    pid_t child = fork();
    if (child == 0)
        _exit(!survives(call, number, result));
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* TEST_ROUNDS: how many of the calls; a few by default. */
static uint64_t rounds(uint64_t calls) {
    const char *text = getenv("TEST_ROUNDS");
    return MIN(text ? strtoull(text, NULL, 10) : 3, calls);
}

static void survive_each(enum fault_call call, uint64_t calls, VkResult result,
                         bool (*survives_one)(enum fault_call call, uint64_t number, VkResult result)) {
    uint64_t count = rounds(calls);
    for (uint64_t i = 0; i < count; i++)
        assert_true(survives_one(call, 1 + i * (calls - 1) / (count > 1 ? count - 1 : 1), result));
    print_message("%llu losses survived\n", (unsigned long long)count);
}

static void test_lost_at_submit(void **state) {
    (void)state;
    survive_each(FAULT_SUBMIT, submissions, VK_ERROR_DEVICE_LOST, survives);
}

static void test_lost_at_wait(void **state) {
    (void)state;
    survive_each(FAULT_WAIT, waits, VK_ERROR_DEVICE_LOST, survives);
}

/* Work that does not end keeps its objects, on purpose: 40 MB for each loss, which end with a process. */
static void test_timeout(void **state) {
    (void)state;
    survive_each(FAULT_WAIT, waits, VK_TIMEOUT, survives_apart);
}

static void lose_after_six(void *user, const struct rvk_progress *progress) {
    (void)user;
    if (progress->epoch == 2 && progress->step == 2 && !faults.first)
        faults_set(FAULT_WAIT, 1, 1, VK_ERROR_DEVICE_LOST);
}

/* The sentence names device, time, op and shape; in this small net the optimizer has the most to do. */
static void test_loss_is_named(void **state) {
    (void)state;
    struct rvk_device device;
    struct rvk_train_options options = small(NULL);
    struct rvk_train_result result;
    struct rvk_context *context = open_context();
    rvk_get_device(context, &device);
    const char *const parts[] = {
        "the device was lost",           device.name,   device.driver, "; for ", " s it was at a submission of ",
        "sgd (plain) parameters=1x1x1x", "opened again"};
    options.on_step = lose_after_six;
    logged[0] = 0;
    assert_int_equal(rvk_train(context, &options, &result), RVK_OK);
    for (size_t i = 0; i < COUNT(parts); i++)
        if (!strstr(logged, parts[i]))
            fail_msg("\"%s\" is not in: %s", parts[i], logged);
    print_message("%s", logged);
    faults_clear();
    rvk_close(context);
}

/* Two losses: exit code 6, and a checkpoint that goes on to the same bits. */
static void test_second_loss(void **state) {
    (void)state;
    char out[64], path[128];
    snprintf(out, sizeof out, "%s/twice", folder);
    struct rvk_train_options options = small(out);
    assert_int_equal(train_with(FAULT_SUBMIT, submissions * 3 / 4, UINT64_MAX, VK_ERROR_DEVICE_LOST, &options),
                     RVK_LOST);
    if (!strstr(rvk_message(), "second time"))
        fail_msg("%s", rvk_message());
    snprintf(path, sizeof path, "%s/last.safetensors", out);
    struct rvk_train_options resume = {.resume = path};
    struct rvk_train_result result;
    struct rvk_context *context = open_context();
    assert_int_equal(rvk_train(context, &resume, &result), RVK_OK);
    rvk_close(context);
    assert_int_equal(read_last(out, found, sizeof found), expected_size);
    assert_memory_equal(found, expected, expected_size);
}

/* What was believed of the device before its loss is believed after it, and stands in the log again. */
static void test_limits_stay(void **state) {
    (void)state;
    char out[64], path[96], line[8192];
    struct rvk_context *context;
    struct rvk_train_result result;
    int starts = 0, lowered = 0;
    snprintf(out, sizeof out, "%s/lowered", folder);
    snprintf(path, sizeof path, "%s/log.jsonl", out);
    struct rvk_train_options options = small(out);
    faults_clear();
    const struct rvk_open_options lower = {
        .no_cache = true, .no_self_test = true, .limits = "maxComputeSharedMemorySize=16KiB"};
    assert_int_equal(rvk_open(&lower, &context), RVK_OK);
    options.on_step = lose_after_six;
    assert_int_equal(rvk_train(context, &options, &result), RVK_OK);
    faults_clear();
    rvk_close(context);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        bool start = strstr(line, "\"event\":\"start\"") || strstr(line, "\"event\":\"resume\"");
        starts += start;
        lowered += start && strstr(line, "\"lowered_limits\":\"maxComputeSharedMemorySize");
    }
    fclose(file);
    assert_int_equal(starts, 2);
    assert_int_equal(lowered, 2);
}

/* Submissions of the whole run up to each step, before the loss and after it. */
enum { STEPS = 7, LOSS = 5 };
static uint64_t submitted[2][STEPS + 1];

static void note_submissions(void *user, const struct rvk_progress *progress) {
    (void)user;
    bool after = submitted[0][LOSS] > 0;
    assert_true(progress->step <= STEPS);
    submitted[after][progress->step] = faults.seen[FAULT_SUBMIT];
    if (!after && progress->step == LOSS) {
        faults_set(FAULT_WAIT, 1, 1, VK_ERROR_DEVICE_LOST);
        faults.slow_ms = 30;
    }
}

/*
 * After a loss a submission has half of its time. Where a wait takes 30 ms a piece of 20 ms by its work, two or more of
 * which went into 100 ms, has become two of 10 ms, none of which shares 50 ms with another. Steps 3 and later are
 * submitted so; up to two of them are on their way when a step is reported.
 */
static void test_submissions_get_shorter(void **state) {
    (void)state;
    struct rvk_train_options options = small(NULL);
    struct rvk_train_result result;
    struct rvk_context *context = open_context();
    memset(submitted, 0, sizeof submitted);
    options.data = "generated:count=224,classes=4,size=32";
    options.batch = 32;
    options.validation_split = 0;
    options.epochs = 1;
    options.on_step = note_submissions;
    faults.slow_ms = 30;
    assert_int_equal(rvk_train(context, &options, &result), RVK_OK);
    faults_clear();
    rvk_close(context);
    uint64_t before = submitted[0][LOSS] - submitted[0][LOSS - 1];
    uint64_t after = submitted[1][LOSS] - submitted[1][LOSS - 1];
    print_message("submissions of a step: %llu before the loss, %llu after it\n", (unsigned long long)before,
                  (unsigned long long)after);
    assert_true(before > 1 && 10 * after >= 16 * before);
}

/* A device that cannot be opened again. */
static void test_gone(void **state) {
    (void)state;
    struct rvk_train_options options = small(NULL);
    struct rvk_train_result result;
    struct rvk_context *context = open_context();
    faults_set(FAULT_OPEN, 1, UINT64_MAX, VK_ERROR_INITIALIZATION_FAILED);
    faults.lost = true;
    assert_int_equal(rvk_train(context, &options, &result), RVK_LOST);
    if (!strstr(rvk_message(), "cannot be opened again"))
        fail_msg("%s", rvk_message());
    faults_clear();
    rvk_close(context);
}

/* Steps of two batches: a step that was lost between them begins anew, with nothing of its first in the sum. */
static void test_lost_within_a_step(void **state) {
    (void)state;
    uint64_t hash = 0, count = 0;
    for (uint64_t part = 0; part < 4; part++) {
        struct rvk_train_options options = small(NULL);
        struct rvk_train_result result;
        struct rvk_context *context = open_context();
        options.batch = 8;
        options.accumulate = 2;
        logged[0] = 0;
        if (part > 0)
            faults_set(FAULT_SUBMIT, count / 2 + part, count / 2 + part, VK_ERROR_DEVICE_LOST);
        if (rvk_train(context, &options, &result) != RVK_OK)
            fail_msg("%s", rvk_message());
        count = part > 0 ? count : faults.seen[FAULT_SUBMIT];
        hash = part > 0 ? hash : result.weights_hash;
        assert_true(result.weights_hash == hash && result.steps == 8);
        assert_true((strstr(logged, "opened again") != NULL) == (part > 0));
        faults_clear();
        rvk_close(context);
    }
    assert_true(hash != 0);
}

/* Memory that runs out at any allocation: exit code 5 with the bytes and what they were for, nothing is left behind. */
static void test_out_of_memory(void **state) {
    (void)state;
    uint64_t count = rounds(allocations);
    for (uint64_t i = 0; i < count; i++) {
        VkResult result = i % 2 ? VK_ERROR_OUT_OF_HOST_MEMORY : VK_ERROR_OUT_OF_DEVICE_MEMORY;
        uint64_t number = 1 + i * (allocations - 1) / (count > 1 ? count - 1 : 1);
        struct rvk_train_options options = small(NULL);
        struct rvk_train_result ignored;
        struct rvk_context *context = open_context();
        faults_set(FAULT_ALLOCATE, number, number, result);
        assert_int_equal(rvk_train(context, &options, &ignored), RVK_MEMORY);
        const char *bytes = strstr(rvk_message(), " bytes could not be allocated"),
                   *purpose = strchr(rvk_message(), ':');
        if (!bytes || !purpose || purpose > bytes)
            fail_msg("%s", rvk_message());
        assert_int_equal(rvk_get_counters(context).device_bytes, 0);
        faults_clear();
        assert_int_equal(rvk_train(context, &options, &ignored), RVK_OK);
        rvk_close(context);
    }
}

/* A pipeline that cannot be made: the op and the kernel are named. */
static void test_pipeline(void **state) {
    (void)state;
    uint64_t count = rounds(pipelines);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = 1 + i * (pipelines - 1) / (count > 1 ? count - 1 : 1);
        struct rvk_train_options options = small(NULL);
        enum rvk_status status = train_with(FAULT_PIPELINE, number, UINT64_MAX, VK_ERROR_INVALID_SHADER_NV, &options);
        assert_int_equal(status, RVK_DEVICE);
        if (!strstr(rvk_message(), "kernel ") || !strstr(rvk_message(), "VK_ERROR_INVALID_SHADER_NV"))
            fail_msg("%s", rvk_message());
    }
}

/* Mapped memory is used without flushes, so only coherent types may be taken. */
static void test_incoherent_memory(void **state) {
    (void)state;
    struct rvk_context *context;
    struct rvk_train_result result;
    struct rvk_train_options options = small(NULL);
    faults_clear();
    VkPhysicalDeviceMemoryProperties memory = {
        .memoryTypeCount = 1,
        .memoryTypes[0] = {VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                               VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
                           0},
        .memoryHeapCount = 1,
        .memoryHeaps[0] = {UINT64_C(1) << 31, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT},
    };
    faults.memory = memory;
    assert_int_equal(rvk_open(&(struct rvk_open_options){.no_cache = true, .no_self_test = true}, &context), RVK_OK);
    assert_int_equal(rvk_train(context, &options, &result), RVK_DEVICE);
    if (!strstr(rvk_message(), "no memory of the kind needed"))
        fail_msg("%s", rvk_message());
    rvk_close(context);
}

static void check_rows(void *user, const struct rvk_profile_row *rows, uint32_t count) {
    assert_true(count > 0);
    for (uint32_t i = 0; i < count; i++)
        assert_true(isfinite(rows[i].ms) && isfinite(rows[i].share) && isfinite(rows[i].gflops));
    *(bool *)user = true;
}

/* A clock that stands still gives no figures, but finite ones. */
static void test_frozen_timestamps(void **state) {
    (void)state;
    bool seen = false;
    struct rvk_train_options options = small(NULL);
    struct rvk_train_result result;
    struct rvk_context *context = open_context();
    options.profile = true;
    options.on_profile = check_rows;
    options.user = &seen;
    faults.frozen = true;
    if (rvk_train(context, &options, &result) != RVK_OK)
        fail_msg("%s", rvk_message());
    assert_true(seen);
    faults_clear();
    rvk_close(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_lost_at_submit),
        cmocka_unit_test(test_lost_at_wait),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_loss_is_named),
        cmocka_unit_test(test_second_loss),
        cmocka_unit_test(test_limits_stay),
        cmocka_unit_test(test_submissions_get_shorter),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_lost_within_a_step),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_incoherent_memory),
        cmocka_unit_test(test_frozen_timestamps),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

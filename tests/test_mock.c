/*
 * mock: under a new validation layer and its mock driver nothing is flagged. That driver has the limits that the
 * specification promises of every device, and executes nothing: whole steps run dry. What the layer is for is planted
 * and seen flagged first. Skipped unless TEST_MOCK says that both are in place (tests/CMakeLists.txt).
 */
#include "base/log.h"
#include "base/memory.h"
#include "ir/limits.h"

#include "device.h"
#include "networks.h"

static char logged[1 << 16];

static void record(void *user, enum log_level level, const char *message) {
    (void)user, (void)level;
    size_t used = strlen(logged);
    snprintf(logged + used, sizeof logged - used, "%s\n", message);
}

static void open_mock(struct test_device *d, const char *limits) {
    if (!getenv("TEST_MOCK"))
        skip();
    logged[0] = '\0';
    test_device_open(d, &(struct vk_options){.kernel_path = TEST_KERNELS, .validation = true, .limits = limits});
}

static uint64_t messages(const struct test_device *d) {
    return vk_counters(d->device).validation_messages;
}

static void close_silent(struct test_device *d, const char *what) {
    if (messages(d))
        fail_msg("%s: %s", what, logged);
    test_device_close(d);
}

/* The layer said `part`. */
static void close_flagged(struct test_device *d, const char *part) {
    if (!messages(d) || !strstr(logged, part))
        fail_msg("%s was not flagged, but: %s", part, logged);
    store_destroy(d->store);
    vk_close(d->device);
}

/* Makes the program believe more than is true, so that its own checks let a mistake pass. */
static struct device_facts *beliefs(const struct test_device *d) {
    return (struct device_facts *)vk_facts(d->device);
}

static void limits_are_the_minimums(void **state) {
    (void)state;
    struct test_device d;
    struct device_facts minimum;
    open_mock(&d, NULL);
    facts_minimum(&minimum);
    for (int i = 0; i < LIMIT_COUNT; i++)
        if (limit_table[i].type != LIMIT_FEATURE && limit_table[i].type != LIMIT_HEAP)
            assert_int_equal(limit_get(&limit_table[i], vk_facts(d.device)), limit_get(&limit_table[i], &minimum));
    close_silent(&d, "opening");
}

/* ---- what is right ---- */

static void run_dry(struct store *store, const struct graph *graph, const struct plan_options *options,
                    const char *what) {
    struct plan *plan;
    if (plan_create(store, graph, options, &plan) != STATUS_OK)
        fail_msg("%s: %s", what, status_message());
    for (int step = 0; step < 4; step++) {
        if (plan_pending(plan) == plan_slots(plan))
            assert_int_equal(plan_collect(plan), STATUS_OK);
        assert_int_equal(plan_submit(plan), STATUS_OK);
    }
    while (plan_pending(plan))
        assert_int_equal(plan_collect(plan), STATUS_OK);
    plan_destroy(plan);
}

static void whole_steps_are_silent(void **state) {
    (void)state;
    static const struct {
        const char *name;
        enum step_kind kind;
        enum optimizer optimizer;
        uint32_t images, accumulate;
    } steps[] = {
        {"resnet20", STEP_TRAIN, OPTIMIZER_SGD, 50000, 1},  {"resnet20", STEP_TRAIN, OPTIMIZER_ADAM, 640, 2},
        {"resnet20", STEP_EVALUATE, OPTIMIZER_SGD, 640, 1}, {"resnet20", STEP_PREDICT, OPTIMIZER_SGD, 0, 1},
        {"resnet29v2", STEP_TRAIN, OPTIMIZER_SGD, 640, 1},  {"resnet8a", STEP_TRAIN, OPTIMIZER_ADAMW, 640, 1},
        {"resnet18", STEP_TRAIN, OPTIMIZER_SGD, 0, 1},
    };
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct test_device d;
        open_mock(&d, NULL);
        struct model model = MODEL(.name = steps[i].name);
        struct step_options options = small_options(steps[i].kind);
        options.batch = 16;
        options.optimizer = steps[i].optimizer;
        options.image_count = steps[i].images;
        options.accumulate = steps[i].accumulate;
        options.shift = steps[i].images && steps[i].kind == STEP_TRAIN ? 4 : 0;
        struct step step = make_step(&model, &options);
        run_dry(d.store, &step.graph, &(struct plan_options){.timestamps = i == 0}, steps[i].name);
        step_destroy(&step);
        model_destroy(&model);
        close_silent(&d, steps[i].name);
    }
}

/* Every short case of every op, in each form that the device can run. */
static void every_op_is_silent(void **state) {
    (void)state;
    for (const struct op *const *op = op_table; *op; op++) {
        struct test_device d;
        open_mock(&d, NULL);
        for (const char *const *line = (*op)->cases; *line; line++)
            for (const struct form *form = (*op)->forms; form->name && **line != '+'; form++) {
                struct graph graph;
                tensor_id in[OP_INPUTS];
                graph_create(&graph);
                apply_case(&graph, (*op)->name, *line, in);
                run_dry(d.store, &graph, &(struct plan_options){.guarded = true, .form = form->name}, *line);
                graph_destroy(&graph);
            }
        close_silent(&d, (*op)->name);
    }
}

/* ---- what is planted ---- */

static void missing_barriers_are_flagged(void **state) {
    (void)state;
    struct test_device d;
    open_mock(&d, NULL);
    struct model model = MODEL(.name = "resnet8");
    struct step_options options = small_options(STEP_TRAIN);
    struct step step = make_step(&model, &options);
    run_dry(d.store, &step.graph, &(struct plan_options){.without_barriers = true}, "resnet8");
    step_destroy(&step);
    model_destroy(&model);
    close_flagged(&d, "READ_AFTER_WRITE");
}

/* Records one dispatch of `kernel` for each buffer of the list. */
static void dispatch_all(const struct test_device *d, const char *name, const uint32_t *constants, uint32_t count,
                         struct vk_buffer *const *buffers, uint32_t dispatches) {
    struct vk_kernel *kernel;
    struct vk_commands *commands;
    uint64_t ticket;
    if (vk_kernel_get(d->device, name, constants, count, 0, &kernel) != STATUS_OK)
        fail_msg("%s", status_message());
    const struct vk_interface *interface = vk_kernel_interface(kernel);
    struct vk_range ranges[VK_BINDINGS];
    const uint32_t push[32] = {0}, groups[3] = {1, 1, 1};
    assert_int_equal(vk_commands_create(d->device, &commands), STATUS_OK);
    assert_int_equal(vk_begin(commands), STATUS_OK);
    for (uint32_t i = 0; i < dispatches; i++) {
        for (uint32_t b = 0; b < interface->binding_count; b++)
            ranges[b] = (struct vk_range){buffers[b], 0, vk_buffer_bytes(buffers[b])};
        if (vk_record_dispatch(commands, kernel, ranges, interface->binding_count, push, interface->push_bytes / 4,
                               groups) != STATUS_OK)
            fail_msg("%s", status_message());
    }
    assert_int_equal(vk_end(commands), STATUS_OK);
    assert_int_equal(vk_submit(d->device, &commands, 1, &ticket), STATUS_OK);
    assert_int_equal(vk_wait(d->device, ticket), STATUS_OK);
    vk_commands_destroy(commands);
}

/* Runs a kernel on buffers of its own. */
static void dispatch_kernel(const struct test_device *d, const char *name, const uint32_t *constants, uint32_t count,
                            uint64_t bytes, uint32_t dispatches) {
    struct vk_buffer *buffers[VK_BINDINGS];
    for (uint32_t b = 0; b < VK_BINDINGS; b++)
        assert_int_equal(vk_buffer_create(d->device, VK_MEMORY_DEVICE, bytes, &buffers[b]), STATUS_OK);
    dispatch_all(d, name, constants, count, buffers, dispatches);
    for (uint32_t b = 0; b < VK_BINDINGS; b++)
        vk_buffer_destroy(buffers[b]);
}

/* Two dispatches that write the same values: older layers do not see it. */
static void writes_after_writes_are_flagged(void **state) {
    (void)state;
    struct test_device d;
    open_mock(&d, NULL);
    dispatch_kernel(&d, "fill", NULL, 0, 1024, 2);
    close_flagged(&d, "WRITE_AFTER_WRITE");
}

static void groups_over_the_limit_are_flagged(void **state) {
    (void)state;
    struct test_device d;
    const uint32_t wide[] = {129, 1, 1, 0}, shared[] = {1, 1, 1025, 0};
    open_mock(&d, NULL);
    beliefs(&d)->max_group_size[0] = beliefs(&d)->max_invocations = 1024;
    dispatch_kernel(&d, "specialized", wide, 4, 1024, 1);
    close_flagged(&d, "maxComputeWorkGroup");
    open_mock(&d, NULL);
    beliefs(&d)->max_shared_bytes = 1 << 20;
    dispatch_kernel(&d, "specialized", shared, 4, 1024, 1);
    close_flagged(&d, "maxComputeSharedMemorySize");
}

static void buffers_over_the_limit_are_flagged(void **state) {
    (void)state;
    struct test_device d;
    open_mock(&d, NULL);
    beliefs(&d)->max_storage_buffers = 8;
    dispatch_kernel(&d, "adam", NULL, 0, 1024, 1);
    close_flagged(&d, "maxPerStageDescriptorStorageBuffers");
    open_mock(&d, NULL);
    beliefs(&d)->max_storage_range = UINT64_C(1) << 30;
    dispatch_kernel(&d, "relu", NULL, 0, (UINT64_C(1) << 27) + 256, 1);
    close_flagged(&d, "maxStorageBufferRange");
}

/* The kernel passes where the feature is enabled. */
static void features_not_enabled_are_flagged(void **state) {
    (void)state;
    struct test_device d;
    open_mock(&d, NULL);
    dispatch_kernel(&d, "wide_integers", NULL, 0, 1024, 1);
    close_silent(&d, "64-bit integers");
    open_mock(&d, "shaderInt64=off");
    beliefs(&d)->int64 = true;
    dispatch_kernel(&d, "wide_integers", NULL, 0, 1024, 1);
    close_flagged(&d, "Int64");
}

int main(void) {
    log_set(record, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_the_minimums),
        cmocka_unit_test(whole_steps_are_silent),
        cmocka_unit_test(every_op_is_silent),
        cmocka_unit_test(missing_barriers_are_flagged),
        cmocka_unit_test(writes_after_writes_are_flagged),
        cmocka_unit_test(groups_over_the_limit_are_flagged),
        cmocka_unit_test(buffers_over_the_limit_are_flagged),
        cmocka_unit_test(features_not_enabled_are_flagged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

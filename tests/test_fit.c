/*
 * Memory before it is taken: what a plan will allocate is what it then allocates, what is left follows the driver's
 * budget or the heap, and a batch that does not fit is refused with the largest that does.
 */
#include "train/evaluate.h"
#include "train/feed.h"
#include "train/parameters.h"
#include "vk/functions.h"

#include "base/memory.h"
#include "resnet_vk.h"

#include "device.h"

#include <stdio.h>
#include <string.h>

#define OK(expression)                                                                                                 \
    do {                                                                                                               \
        if ((expression) != STATUS_OK)                                                                                 \
            fail_msg("%s: %s", #expression, status_message());                                                         \
    } while (0)

/* ---- a driver that says what it is told ---- */

static struct {
    struct vk_functions real;
    uint64_t budget, usage; /* budget 0: VK_EXT_memory_budget is not there */
    bool staged;            /* no memory is both fast for the device and visible to the host */
} driver;

static VKAPI_ATTR VkResult VKAPI_CALL list_extensions(VkPhysicalDevice physical, const char *layer, uint32_t *count,
                                                      VkExtensionProperties *list) {
    uint32_t room = *count;
    VkResult result = driver.real.EnumerateDeviceExtensionProperties(physical, layer, count, list);
    for (uint32_t i = 0; list && i < *count; i++)
        if (strcmp(list[i].extensionName, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME) == 0)
            list[i].extensionName[0] = '-';
    if (!driver.budget || result != VK_SUCCESS)
        return result;
    ++*count;
    if (list && *count <= room)
        list[*count - 1] = (VkExtensionProperties){.extensionName = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME};
    return result;
}

static VKAPI_ATTR void VKAPI_CALL tell_budget(VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties2 *memory) {
    (void)physical;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget = memory->pNext;
    assert_int_equal(budget->sType, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT);
    budget->heapBudget[0] = driver.budget;
    budget->heapUsage[0] = driver.usage;
}

static VKAPI_ATTR void VKAPI_CALL tell_memory(VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties *memory) {
    driver.real.GetPhysicalDeviceMemoryProperties(physical, memory);
    for (uint32_t i = 0; driver.staged && i < memory->memoryTypeCount; i++)
        memory->memoryTypes[i].propertyFlags &= ~(VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
}

static int install(void **state) {
    (void)state;
    OK(vk_functions_load());
    driver.real = vk_call;
    vk_call.EnumerateDeviceExtensionProperties = list_extensions;
    vk_call.GetPhysicalDeviceMemoryProperties2 = tell_budget;
    vk_call.GetPhysicalDeviceMemoryProperties = tell_memory;
    return 0;
}

static void open_limited(struct test_device *d, const char *limits) {
    test_device_open(d, &(struct vk_options){.limits = limits});
}

/* ---- what is left ---- */

static void the_heap_leaves_four_fifths(void **state) {
    (void)state;
    struct test_device d;
    struct vk_buffer *buffer;
    open_limited(&d, "memoryHeapSize=100MiB");
    assert_int_equal(vk_memory_left(d.device), 80 << 20);
    OK(vk_buffer_create(d.device, VK_MEMORY_DEVICE, 30 << 20, &buffer));
    assert_int_equal(vk_memory_left(d.device), 50 << 20);
    vk_buffer_destroy(buffer);
    assert_int_equal(vk_memory_left(d.device), 80 << 20);
    OK(vk_buffer_create(d.device, VK_MEMORY_DEVICE, 90 << 20, &buffer));
    assert_int_equal(vk_memory_left(d.device), 0);
    vk_buffer_destroy(buffer);
    test_device_close(&d);
}

static void the_budget_counts_where_there_is_one(void **state) {
    (void)state;
    struct test_device d;
    driver.budget = 70 << 20;
    driver.usage = 30 << 20;
    open_limited(&d, NULL);
    assert_int_equal(vk_memory_left(d.device), 40 << 20);
    driver.usage = 71 << 20;
    assert_int_equal(vk_memory_left(d.device), 0);
    test_device_close(&d);
    open_limited(&d, "memoryHeapSize=20MiB");
    driver.usage = 0;
    assert_int_equal(vk_memory_left(d.device), 20 << 20);
    test_device_close(&d);
    driver.budget = 0;
}

/* Copies to memory that is not mapped take 16 MiB each way, once. */
static void staging_memory_is_set_aside(void **state) {
    (void)state;
    struct test_device d;
    struct vk_buffer *buffer;
    char byte = 1;
    driver.staged = true;
    open_limited(&d, "memoryHeapSize=100MiB");
    assert_int_equal(vk_memory_left(d.device), 48 << 20);
    OK(vk_buffer_create(d.device, VK_MEMORY_DEVICE, 1 << 20, &buffer));
    OK(vk_write(buffer, 0, &byte, 1));
    assert_int_equal(vk_memory_left(d.device), 47 << 20);
    OK(vk_read(buffer, 0, &byte, 1));
    assert_int_equal(vk_memory_left(d.device), 47 << 20);
    vk_buffer_destroy(buffer);
    test_device_close(&d);
    driver.staged = false;
}

/* ---- what is needed ---- */

/* A training step beside an evaluation, as in a run. */
struct run {
    struct test_device d;
    struct model model;
    struct fit evaluation, training;
};

static void prepare(struct run *run, const char *limits, struct model_options model, struct step_options step) {
    open_limited(&run->d, limits);
    model.height = model.width = 16;
    OK(model_create(&model, &run->model));
    run->evaluation =
        evaluator_fit(&run->model, run->d.store, STEP_EVALUATE, 24, false, &(struct plan_options){.slots = 0});
    step.kind = STEP_TRAIN;
    step.image_count = 100;
    run->training = (struct fit){.store = run->d.store, .model = &run->model, .step = step, .beside = &run->evaluation};
}

static void finish(struct run *run) {
    model_destroy(&run->model);
    test_device_close(&run->d);
}

static struct step_options options_of(uint32_t batch) {
    struct step_options options;
    step_options_default(&options);
    options.batch = batch;
    return options;
}

/* Makes everything and returns the bytes that it took. */
static uint64_t allocate(struct run *run) {
    struct evaluator evaluator;
    struct step step;
    struct plan *plan;
    uint64_t before = vk_counters(run->d.device).device_bytes;
    OK(evaluator_create(&run->evaluation, &evaluator));
    OK(step_create(&run->model, &run->training.step, &step));
    OK(plan_create(run->d.store, &step.graph, &run->training.plan, &plan));
    uint64_t taken = vk_counters(run->d.device).device_bytes - before;
    plan_destroy(plan);
    step_destroy(&step);
    evaluator_destroy(&evaluator);
    return taken;
}

static uint64_t measure(struct run *run) {
    struct step steps[2];
    uint64_t bytes, before = vk_counters(run->d.device).device_bytes;
    OK(step_create(&run->model, &run->evaluation.step, &steps[0]));
    OK(step_create(&run->model, &run->training.step, &steps[1]));
    const struct plan_request requests[] = {{&steps[0].graph, &run->evaluation.plan},
                                            {&steps[1].graph, &run->training.plan}};
    OK(plan_measure(run->d.store, requests, COUNT(requests), &bytes));
    assert_int_equal(vk_counters(run->d.device).device_bytes, before);
    step_destroy(&steps[0]);
    step_destroy(&steps[1]);
    return bytes;
}

static void expect_measured(struct model_options model, struct step_options step) {
    struct run run;
    prepare(&run, NULL, model, step);
    uint64_t bytes = measure(&run);
    assert_true(bytes > 4 * run.model.parameter_bytes);
    assert_int_equal(allocate(&run), bytes);
    uint64_t again = measure(&run); /* what the store has is not needed again */
    assert_true(again <= bytes - store_bytes(run.d.store));
    assert_int_equal(allocate(&run), again);
    finish(&run);
}

/* To the byte, on a driver that gives as much as it is asked for. */
static void what_is_measured_is_allocated(void **state) {
    (void)state;
    struct step_options step = options_of(20);
    expect_measured((struct model_options){.name = "resnet8"}, step);
    step.accumulate = 3;
    step.optimizer = OPTIMIZER_ADAM;
    step.mean_per_pixel = false;
    expect_measured((struct model_options){.name = "resnet8b", .style = STYLE_KERAS}, step);
    expect_measured((struct model_options){.name = "resnet11v2"}, step);
}

/* ---- what fits ---- */

static void a_batch_that_does_not_fit_is_refused(void **state) {
    (void)state;
    struct run run;
    uint32_t largest;
    char sentence[96], needed[32];
    prepare(&run, "memoryHeapSize=16MiB", (struct model_options){.name = "resnet8"}, options_of(1000));
    OK(fit_check(&run.evaluation));
    OK(fit_largest(&run.training, 1000, &largest));
    assert_in_range(largest, 8, 400);
    snprintf(needed, sizeof needed, "needs %.1f MB", 1e-6 * (double)measure(&run));
    snprintf(sentence, sizeof sentence, "the largest batch that fits is %u", largest);
    assert_int_equal(fit_check(&run.training), STATUS_MEMORY);
    const char *const parts[] = {"training resnet8 with a batch of 1000, and 24 to evaluate,", needed,
                                 "13.4 MB are left on", vk_facts(run.d.device)->name, sentence};
    for (size_t i = 0; i < COUNT(parts); i++)
        if (!strstr(status_message(), parts[i]))
            fail_msg("\"%s\" does not say \"%s\"", status_message(), parts[i]);
    run.training.step.batch = largest + 1;
    assert_int_equal(fit_check(&run.training), STATUS_MEMORY);
    run.training.step.batch = largest;
    OK(fit_check(&run.training));
    uint64_t left = vk_memory_left(run.d.device);
    assert_true(allocate(&run) <= left);
    OK(fit_largest(&run.training, 5, &largest));
    assert_int_equal(largest, 5);
    finish(&run);
}

static void nothing_fits_into_a_tiny_heap(void **state) {
    (void)state;
    struct run run;
    uint32_t largest;
    prepare(&run, "memoryHeapSize=256KiB", (struct model_options){.name = "resnet8"}, options_of(64));
    OK(fit_largest(&run.training, 64, &largest));
    assert_int_equal(largest, 0);
    assert_int_equal(fit_check(&run.training), STATUS_MEMORY);
    assert_non_null(strstr(status_message(), "not even a batch of 1 fits"));
    run.training.step.batch = 1;
    assert_int_equal(fit_check(&run.training), STATUS_MEMORY);
    struct evaluator evaluator;
    assert_int_equal(evaluator_create(&run.evaluation, &evaluator), STATUS_MEMORY);
    assert_int_equal(vk_counters(run.d.device).device_bytes, 0);
    evaluator_destroy(&evaluator);
    finish(&run);
}

/* A tensor over the largest allocation: there is memory enough, but not in one piece. */
static void a_tensor_too_large_for_an_allocation_does_not_fit(void **state) {
    (void)state;
    struct run run;
    uint32_t largest;
    prepare(&run, "maxMemoryAllocationSize=1MiB", (struct model_options){.name = "resnet8"}, options_of(500));
    OK(fit_largest(&run.training, 500, &largest));
    assert_int_equal(largest, (1 << 20) / (16 * 16 * 16 * 4));
    assert_int_equal(fit_check(&run.training), STATUS_MEMORY);
    assert_non_null(strstr(status_message(), "the largest batch that fits is 64"));
    finish(&run);
}

/* ---- runs ---- */

static uint32_t seen_batch;

static void on_start(void *user, const struct rvk_run *run) {
    (void)user;
    seen_batch = run->options->batch;
}

static struct rvk_context *open_context(const char *limits) {
    struct rvk_context *context;
    struct rvk_open_options options = {.no_cache = true, .limits = limits};
    if (rvk_open(&options, &context) != RVK_OK)
        fail_msg("%s", rvk_message());
    return context;
}

static void train(const char *limits, struct rvk_train_options options, enum rvk_status expected) {
    struct rvk_context *context = open_context(limits);
    struct rvk_train_result result;
    options.on_start = on_start;
    seen_batch = 0;
    enum rvk_status status = rvk_train(context, &options, &result);
    if (status != expected)
        fail_msg("status %d, not %d: %s", status, expected, rvk_message());
    assert_int_equal(rvk_get_counters(context).device_bytes, 0);
    rvk_close(context);
}

/* The number found goes into the checkpoint: the run goes on with it where there is more memory. */
static void a_run_keeps_the_batch_that_was_found(void **state) {
    (void)state;
    char folder[] = "/tmp/test_fit_XXXXXX", path[64], line[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/last.safetensors", folder);
    struct rvk_train_options options = {.model = "resnet8",
                                        .data = "generated:count=640,classes=4,size=16",
                                        .test_limit = 16,
                                        .batch = RVK_BATCH_AUTO,
                                        .accumulate = 2,
                                        .eval_batch = 16,
                                        .out = folder,
                                        .steps = 1};
    train("memoryHeapSize=16MiB", options, RVK_OK);
    uint32_t found = seen_batch;
    assert_true(found % 16 == 0 && found >= 16 && found < 320);
    train(NULL, (struct rvk_train_options){.resume = path, .steps = 1}, RVK_OK);
    assert_int_equal(seen_batch, found);
    options.overwrite = true;
    train(NULL, options, RVK_OK);
    assert_int_equal(seen_batch, 320); /* two such batches are all images */
    options.batch = 300;
    train("memoryHeapSize=16MiB", options, RVK_MEMORY);
    assert_non_null(strstr(rvk_message(), "the largest batch that fits is"));
    options.batch = RVK_BATCH_AUTO;
    train("memoryHeapSize=256KiB", options, RVK_MEMORY);
    snprintf(line, sizeof line, "rm -r %s", folder);
    assert_int_equal(system(line), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_heap_leaves_four_fifths),
        cmocka_unit_test(the_budget_counts_where_there_is_one),
        cmocka_unit_test(staging_memory_is_set_aside),
        cmocka_unit_test(what_is_measured_is_allocated),
        cmocka_unit_test(a_batch_that_does_not_fit_is_refused),
        cmocka_unit_test(nothing_fits_into_a_tiny_heap),
        cmocka_unit_test(a_tensor_too_large_for_an_allocation_does_not_fit),
        cmocka_unit_test(a_run_keeps_the_batch_that_was_found),
    };
    return cmocka_run_group_tests(tests, install, NULL);
}

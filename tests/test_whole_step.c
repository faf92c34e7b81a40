/* Whole steps: every node on the device against the reference, the replay against itself, barriers, memory. */
#include "base/memory.h"
#include "base/random.h"
#include "exec/schedule.h"
#include "exec/verify.h"
#include "train/parameters.h"

#include "device.h"
#include "networks.h"

/* No packing can take less than the bytes alive at one node; training steps must stay near. */
static void memory_stays_near_the_lower_bound(void **state) {
    (void)state;
    static const struct {
        const char *name;
        uint32_t batch;
    } networks[] = {{"resnet20", 128}, {"resnet20b", 128}, {"plain20", 128}, {"resnet29v2", 128},
                    {"resnet18", 8},   {"resnet50", 4},    {"resnet50", 32}};
    for (size_t i = 0; i < COUNT(networks); i++) {
        struct model model = MODEL(.name = networks[i].name);
        struct step_options options = small_options(STEP_TRAIN);
        options.batch = networks[i].batch;
        struct step step = make_step(&model, &options);
        struct block *blocks = calloc(step.graph.tensor_count, sizeof *blocks);
        uint64_t total;
        schedule_lifetimes(&step.graph, blocks);
        assert_int_equal(schedule_pack(blocks, step.graph.tensor_count, UINT64_C(1) << 31, &total), STATUS_OK);
        uint64_t least = schedule_lower_bound(blocks, step.graph.tensor_count);
        assert_true(least > 100 << 20); /* the activations that the backward pass needs */
        if (total > least + least / 10)
            fail_msg("%s: %llu bytes, the lower bound is %llu", model.name, (unsigned long long)total,
                     (unsigned long long)least);
        free(blocks);
        step_destroy(&step);
        model_destroy(&model);
    }
}

/* A training step of a small network, ready to run. */
struct network_step {
    struct model model;
    struct step step;
    struct plan *plan;
};

static void start(struct network_step *n, struct store *store, const char *name, enum model_style style,
                  bool without_barriers) {
    struct step_options options = small_options(STEP_TRAIN);
    struct plan_options plan_options = {.without_barriers = without_barriers};
    bool vgg = strncmp(name, "vgg", 3) == 0; /* leaves 1/32 of the pixels, or takes 7 x 7 of them */
    uint32_t size = !vgg ? 16 : strchr(name, 'c') ? 32 : 224;
    n->model = MODEL(.name = name, .style = style, .height = size, .width = size, .filters = vgg ? 4 : 8);
    n->step = make_step(&n->model, &options);
    if (plan_create(store, &n->step.graph, &plan_options, &n->plan) != STATUS_OK)
        fail_msg("%s: %s", name, status_message());
    assert_int_equal(parameters_initialize(&n->model, 1, store), STATUS_OK);
}

static void write_inputs(struct network_step *n) {
    const struct tensor *x = &n->step.graph.tensors[n->step.x];
    float *images = plan_input(n->plan, n->step.x), *hyper = plan_input(n->plan, n->step.hyper);
    uint32_t *target = plan_input(n->plan, n->step.target);
    for (uint32_t i = 0; i < tensor_elements(x); i++) /* the fourth channel is padding */
        images[i] = i % 4 == 3 ? 0 : (float)random_normal(7, 0, i);
    for (uint32_t i = 0; i < n->step.options.batch; i++)
        target[i] = i % n->model.options.classes;
    step_hyper(&n->step.options, 0.1, 0, hyper);
}

static void stop(struct network_step *n) {
    plan_destroy(n->plan);
    step_destroy(&n->step);
    model_destroy(&n->model);
}

static void print_failure(void *user, const struct verify_result *result) {
    if (result->outcome == VERIFY_FAILED)
        print_error("%s: %s %s: %s\n", (const char *)user, result->shape, result->op, result->failure);
}

static void verify_network(const char *name, enum model_style style) {
    struct test_device d;
    struct network_step n;
    struct verify_summary summary;
    test_device_open(&d, NULL);
    start(&n, d.store, name, style, false);
    write_inputs(&n);
    char title[32];
    snprintf(title, sizeof title, "%s", name);
    struct verify_options options = {.report = print_failure, .user = title};
    if (verify_graph(n.plan, &n.step.graph, &options, &summary) != STATUS_OK)
        fail_msg("%s: %s", name, status_message());
    assert_true(summary.passed == n.step.graph.node_count + 2 && summary.values > 10000);
    stop(&n);
    test_device_close(&d);
}

static void every_node_agrees_with_the_reference(void **state) {
    (void)state;
    static const char *const names[] = {"resnet8", "resnet8a", "resnet8b", "plain8", "resnet11v2"};
    for (size_t i = 0; i < COUNT(names); i++) {
        verify_network(names[i], STYLE_TORCH);
        verify_network(names[i], STYLE_KERAS);
    }
    verify_network("resnet18", STYLE_TORCH);
    verify_network("resnet50", STYLE_TORCH);
    verify_network("resnet50v1", STYLE_TORCH);
    verify_network("seresnet18", STYLE_TORCH);
    verify_network("vgg16c_bn", STYLE_TORCH);
    verify_network("vgg11", STYLE_TORCH);
}

static void run_steps(struct network_step *n, int count, bool first_has_nan) {
    for (int step = 0; step < count; step++) { /* two are measured one by one, then two are in flight */
        if (plan_pending(n->plan) == plan_slots(n->plan))
            assert_int_equal(plan_collect(n->plan), STATUS_OK);
        write_inputs(n);
        if (step == 0 && first_has_nan)
            *(float *)plan_input(n->plan, n->step.x) = NAN;
        assert_int_equal(plan_submit(n->plan), STATUS_OK);
    }
    while (plan_pending(n->plan))
        assert_int_equal(plan_collect(n->plan), STATUS_OK);
}

/* Whether the parameters still are what they were after three steps. */
static bool parameters_stay(bool first_has_nan) {
    struct test_device d;
    struct network_step n;
    test_device_open(&d, NULL);
    start(&n, d.store, "resnet8", STYLE_TORCH, false);
    size_t bytes = (size_t)n.model.parameter_bytes;
    void *before = malloc(bytes), *after = malloc(bytes);
    assert_int_equal(plan_read(n.plan, n.step.network.parameters, before), STATUS_OK);
    run_steps(&n, 3, first_has_nan);
    assert_int_equal(plan_read(n.plan, n.step.network.parameters, after), STATUS_OK);
    bool same = memcmp(before, after, bytes) == 0;
    free(before);
    free(after);
    stop(&n);
    test_device_close(&d);
    return same;
}

static void no_update_follows_a_step_that_failed(void **state) {
    (void)state;
    assert_true(parameters_stay(true));
    assert_false(parameters_stay(false));
}

static uint64_t messages_of_steps(bool without_barriers) {
    struct vk_device *device;
    struct store *store;
    struct network_step n;
    assert_int_equal(vk_open(&(struct vk_options){.validation = true}, &device), STATUS_OK);
    assert_int_equal(store_create(device, &store), STATUS_OK);
    start(&n, store, "resnet8", STYLE_TORCH, without_barriers);
    run_steps(&n, 4, false);
    uint64_t messages = vk_counters(device).validation_messages;
    stop(&n);
    store_destroy(store);
    vk_close(device);
    return messages;
}

static void validation_is_silent_with_barriers_and_not_without(void **state) {
    (void)state;
    assert_int_equal(messages_of_steps(false), 0);
    assert_true(messages_of_steps(true) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_stays_near_the_lower_bound),
        cmocka_unit_test(every_node_agrees_with_the_reference),
        cmocka_unit_test(no_update_follows_a_step_that_failed),
        cmocka_unit_test(validation_is_silent_with_barriers_and_not_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

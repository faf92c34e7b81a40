/* plan: recorded steps on the first device: inputs, outputs, slots, counters, node by node, barriers. */
#include "exec/plan_internal.h"

#include "base/memory.h"
#include "device.h"

#include <stdlib.h>
#include <string.h>

enum { COUNT_OF = 1000 };

/* input -> copy -> copy -> output, and a persistent value that is copied to a second output */
struct fixture {
    struct test_device d;
    struct graph graph;
    tensor_id input, output, persistent, second;
};

static void build(struct fixture *f) {
    graph_create(&f->graph);
    f->input = graph_tensor(&f->graph, "input", DTYPE_F32, shape_vector(COUNT_OF), TENSOR_INPUT);
    f->persistent = graph_tensor(&f->graph, "state", DTYPE_F32, shape_vector(8), TENSOR_PERSISTENT);
    tensor_id middle = graph_apply(&f->graph, "copy", OPERANDS(f->input), NULL);
    f->output = graph_apply(&f->graph, "copy", OPERANDS(middle), NULL);
    f->second = graph_apply(&f->graph, "copy", OPERANDS(f->persistent), NULL);
    f->graph.tensors[f->output].role = TENSOR_OUTPUT;
    f->graph.tensors[f->second].role = TENSOR_OUTPUT;
    assert_int_equal(graph_status(&f->graph), STATUS_OK);
}

static int setup(void **state) {
    struct fixture *f = *state = calloc(1, sizeof *f);
    test_device_open(&f->d, NULL);
    build(f);
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    graph_destroy(&f->graph);
    test_device_close(&f->d);
    free(f);
    return 0;
}

static void fill_input(struct fixture *f, struct plan *plan, int step) {
    float *input = plan_input(plan, f->input);
    for (int i = 0; i < COUNT_OF; i++)
        input[i] = (float)(step * 10000 + i);
}

static void check_output(struct fixture *f, const struct plan *plan, int step) {
    const float *output = plan_output(plan, f->output);
    for (int i = 0; i < COUNT_OF; i++)
        assert_true(output[i] == (float)(step * 10000 + i));
}

static void steps_in_flight_keep_their_own_values(void **state) {
    struct fixture *f = *state;
    struct plan *plan;
    assert_int_equal(plan_create(f->d.store, &f->graph, &(struct plan_options){.slots = 3}, &plan), STATUS_OK);
    int collected = 0;
    for (int step = 0; step < 20; step++) {
        if (plan_pending(plan) == plan_slots(plan)) {
            assert_int_equal(plan_collect(plan), STATUS_OK);
            check_output(f, plan, collected++);
        }
        fill_input(f, plan, step);
        assert_int_equal(plan_submit(plan), STATUS_OK);
    }
    while (plan_pending(plan)) {
        assert_int_equal(plan_collect(plan), STATUS_OK);
        check_output(f, plan, collected++);
    }
    assert_int_equal(collected, 20);
    assert_int_equal(plan_collect(plan), STATUS_USAGE);
    plan_destroy(plan);
}

static void a_step_makes_nothing_new(void **state) {
    struct fixture *f = *state;
    struct plan *plan;
    assert_int_equal(plan_create(f->d.store, &f->graph, NULL, &plan), STATUS_OK);
    struct vk_counters before = {0};
    for (int step = 0; step < 10; step++) {
        fill_input(f, plan, step);
        assert_int_equal(plan_submit(plan), STATUS_OK);
        assert_int_equal(plan_collect(plan), STATUS_OK);
        if (step == 1)
            before = vk_counters(f->d.device);
    }
    struct vk_counters after = vk_counters(f->d.device);
    assert_int_equal(after.allocations, before.allocations);
    assert_int_equal(after.pipelines, before.pipelines);
    assert_int_equal(after.recordings, before.recordings);
    assert_int_equal(after.device_bytes, before.device_bytes);
    assert_int_equal(after.submissions, before.submissions + 8); /* the whole step fits one submission */
    plan_destroy(plan);
}

/* 40 copies, each of 220 us by its bytes: as many command buffers as `budget_ns` gives. */
static struct plan *plan_copies(struct fixture *f, struct graph *graph, uint64_t budget_ns) {
    struct plan *plan;
    graph_create(graph);
    tensor_id value = graph_tensor(graph, "x", DTYPE_F32, shape_vector(110000), TENSOR_INPUT);
    for (int i = 0; i < 40; i++)
        value = graph_apply(graph, "copy", OPERANDS(value), NULL);
    const struct plan_options options = {.slots = 1, .budget_ns = budget_ns};
    assert_int_equal(plan_create(f->d.store, graph, &options, &plan), STATUS_OK);
    return plan;
}

/* A fifth of the budget by a guess for a command buffer, the whole by what was measured for a submission. */
static void a_submission_keeps_to_its_budget(void **state) {
    struct fixture *f = *state;
    struct graph graph;
    const struct {
        uint64_t ns;
        uint32_t submissions;
    } measured[] = {{3100000, 10}, {2400000, 5}, {1200000, 3}, {400000, 1}};
    struct plan *plan = plan_copies(f, &graph, 10000000);
    assert_int_equal(plan_numbers(plan).pieces, 5);
    plan_destroy(plan);
    graph_destroy(&graph);
    plan = plan_copies(f, &graph, 5000000);
    assert_int_equal(plan_numbers(plan).pieces, 10);
    for (int step = -2; step < (int)COUNT(measured); step++) {
        for (uint32_t p = 0; p < plan->piece_count && step >= 0; p++)
            plan->pieces[p].ns = measured[step].ns;
        assert_int_equal(plan_submit(plan), STATUS_OK);
        assert_int_equal(plan_collect(plan), STATUS_OK);
        if (step >= 0)
            assert_int_equal(plan_numbers(plan).submissions_per_step, measured[step].submissions);
    }
    plan_destroy(plan);
    graph_destroy(&graph);
}

/* As if the step had been cut into many more command buffers than one submission may have. */
static void many_command_buffers_take_several_submissions(void **state) {
    enum { PIECES = VK_SUBMISSION_COMMANDS + 40 };
    struct fixture *f = *state;
    struct plan *plan;
    assert_int_equal(plan_create(f->d.store, &f->graph, &(struct plan_options){.slots = 1}, &plan), STATUS_OK);
    assert_int_equal(plan->piece_count, 1);
    struct piece *one = plan->pieces, *pieces = calloc(PIECES, sizeof *pieces);
    struct vk_commands **short_batch = plan->batch, **batch = calloc(PIECES + 2, sizeof(struct vk_commands *));
    assert_true(pieces && batch);
    for (int p = 0; p < PIECES; p++)
        pieces[p] = *one;
    plan->pieces = pieces;
    plan->batch = batch;
    plan->piece_count = PIECES;
    for (int step = 0; step < 4; step++) { /* the first ones submit piece by piece */
        fill_input(f, plan, step);
        assert_int_equal(plan_submit(plan), STATUS_OK);
        assert_int_equal(plan_collect(plan), STATUS_OK);
        check_output(f, plan, step);
    }
    assert_int_equal(plan_numbers(plan).submissions_per_step, 2);
    plan->pieces = one;
    plan->batch = short_batch;
    plan->piece_count = 1;
    plan_destroy(plan);
    free(pieces);
    free(batch);
}

static void persistent_values_are_shared_by_name(void **state) {
    struct fixture *f = *state;
    struct plan *plan, *other;
    const float values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    assert_int_equal(plan_create(f->d.store, &f->graph, NULL, &plan), STATUS_OK);
    assert_int_equal(plan_create(f->d.store, &f->graph, NULL, &other), STATUS_OK);
    assert_int_equal(plan_write(plan, f->persistent, values), STATUS_OK);
    fill_input(f, other, 0);
    assert_int_equal(plan_submit(other), STATUS_OK);
    assert_int_equal(plan_collect(other), STATUS_OK);
    assert_memory_equal(plan_output(other, f->second), values, sizeof values);
    struct vk_buffer *buffer;
    assert_int_equal(store_get(f->d.store, "state", 64, &buffer), STATUS_USAGE);
    plan_destroy(other);
    plan_destroy(plan);
}

/* copy(copy(copy(relu(x) + copy(state)))): the innermost copy is the opening. */
static tensor_id build_opening(struct graph *graph, tensor_id *x) {
    graph_create(graph);
    *x = graph_tensor(graph, "x", DTYPE_F32, shape_vector(8), TENSOR_INPUT);
    tensor_id state = graph_tensor(graph, "state", DTYPE_F32, shape_vector(8), TENSOR_PERSISTENT);
    tensor_id moved = graph_apply(graph, "relu", OPERANDS(*x), NULL);
    tensor_id copied = graph_apply(graph, "copy", OPERANDS(state), NULL);
    tensor_id sum = graph_apply(graph, "add", OPERANDS(moved, copied), NULL);
    for (int i = 0; i < 3; i++) /* values that could stand where relu(x) and the opening's copy are */
        sum = graph_apply(graph, "copy", OPERANDS(sum), NULL);
    graph->tensors[sum].role = TENSOR_OUTPUT;
    graph_hoist(graph);
    assert_int_equal(graph_status(graph), STATUS_OK);
    return sum;
}

/* Four steps, so that those whose submissions are measured one by one and those that are joined are among them. */
static void assert_sum(struct plan *plan, tensor_id x, tensor_id sum, float expected) {
    for (int step = 0; step < 4; step++) {
        float *input = plan_input(plan, x);
        for (int i = 0; i < 8; i++)
            input[i] = (float)step;
        assert_int_equal(plan_submit(plan), STATUS_OK);
        assert_int_equal(plan_collect(plan), STATUS_OK);
        assert_true(*(const float *)plan_output(plan, sum) == (float)step + expected);
    }
}

static void the_opening_runs_when_its_values_changed(void **state) {
    struct fixture *f = *state;
    struct graph graph, writer;
    struct plan *plan, *writing;
    struct vk_buffer *buffer;
    tensor_id x, sum = build_opening(&graph, &x);
    const float three[8] = {3}, five[8] = {5}, seven[8] = {7};
    assert_int_equal(graph.opening, 1);
    assert_string_equal(graph.nodes[0].op->name, "copy");
    assert_int_equal(plan_create(f->d.store, &graph, &(struct plan_options){.slots = 1}, &plan), STATUS_OK);
    assert_int_equal(plan_numbers(plan).dispatches, 5);
    assert_sum(plan, x, sum, 0);
    assert_int_equal(store_write(f->d.store, "state", 0, three, sizeof three), STATUS_OK);
    assert_sum(plan, x, sum, 3);

    /* Behind the store's back: no step notices, for none runs the opening again. */
    assert_int_equal(store_get(f->d.store, "state", sizeof five, &buffer), STATUS_OK);
    assert_int_equal(vk_write(buffer, 0, five, sizeof five), STATUS_OK);
    assert_sum(plan, x, sum, 3);

    /* Another plan's step writes the value. */
    graph_create(&writer);
    tensor_id from = graph_tensor(&writer, "from", DTYPE_F32, shape_vector(8), TENSOR_INPUT);
    tensor_id target = graph_tensor(&writer, "state", DTYPE_F32, shape_vector(8), TENSOR_PERSISTENT);
    graph_place(&writer, graph_apply(&writer, "copy", OPERANDS(from), NULL), target, 0);
    assert_int_equal(plan_create(f->d.store, &writer, NULL, &writing), STATUS_OK);
    memcpy(plan_input(writing, from), seven, sizeof seven);
    assert_int_equal(plan_submit(writing), STATUS_OK);
    assert_sum(plan, x, sum, 7);
    plan_destroy(writing);
    plan_destroy(plan);
    graph_destroy(&writer);
    graph_destroy(&graph);
}

static void nodes_run_one_at_a_time(void **state) {
    struct fixture *f = *state;
    struct plan *plan;
    float middle[COUNT_OF];
    assert_int_equal(plan_create(f->d.store, &f->graph, NULL, &plan), STATUS_OK);
    fill_input(f, plan, 7);
    assert_int_equal(plan_upload(plan), STATUS_OK);
    assert_int_equal(plan_run_nodes(plan, 0, 1), STATUS_OK);
    assert_int_equal(plan_read(plan, f->graph.nodes[0].out[0], middle), STATUS_OK);
    assert_true(middle[0] == 70000.0f && middle[COUNT_OF - 1] == 70999.0f);
    plan_destroy(plan);
}

static void guards_catch_a_stray_write(void **state) {
    struct fixture *f = *state;
    struct plan *plan;
    const float stray = 1;
    f->graph.tensors[f->output].role = TENSOR_TEMPORARY;
    assert_int_equal(plan_create(f->d.store, &f->graph, &(struct plan_options){.guarded = true}, &plan), STATUS_OK);
    assert_int_equal(plan_guard_fill(plan), STATUS_OK);
    assert_int_equal(plan_run_nodes(plan, 0, 3), STATUS_OK);
    assert_int_equal(plan_guard_check(plan), STATUS_OK);
    struct vk_range range = plan->locations[f->output];
    assert_int_equal(vk_write(range.buffer, range.offset + range.bytes, &stray, sizeof stray), STATUS_OK);
    assert_int_equal(plan_guard_check(plan), STATUS_MISMATCH);
    assert_non_null(strstr(status_message(), "byte 0 behind the end of y"));
    plan_destroy(plan);
}

static void timings_cover_every_dispatch(void **state) {
    struct fixture *f = *state;
    struct plan *plan;
    const struct plan_timing *timings;
    uint32_t count;
    if (!vk_timestamps_supported(f->d.device))
        skip();
    assert_int_equal(plan_create(f->d.store, &f->graph, &(struct plan_options){.timestamps = true}, &plan), STATUS_OK);
    fill_input(f, plan, 0);
    assert_int_equal(plan_submit(plan), STATUS_OK);
    assert_int_equal(plan_collect(plan), STATUS_OK);
    assert_int_equal(plan_timings(plan, &timings, &count), STATUS_OK);
    assert_int_equal(count, 3);
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(timings[i].op, "copy");
        assert_true(timings[i].end_ns >= timings[i].start_ns);
    }
    plan_destroy(plan);
}

static uint64_t validated_run(struct fixture *f, struct vk_device *device, struct store *store, bool without_barriers) {
    struct plan *plan;
    uint64_t before = vk_counters(device).validation_messages;
    struct plan_options options = {.without_barriers = without_barriers};
    assert_int_equal(plan_create(store, &f->graph, &options, &plan), STATUS_OK);
    for (int step = 0; step < 4; step++) {
        fill_input(f, plan, step);
        assert_int_equal(plan_submit(plan), STATUS_OK);
        assert_int_equal(plan_collect(plan), STATUS_OK);
    }
    plan_destroy(plan);
    return vk_counters(device).validation_messages - before;
}

static void validation_is_silent_with_barriers_and_not_without(void **state) {
    struct fixture *f = *state;
    struct vk_device *device;
    struct store *store;
    assert_int_equal(vk_open(&(struct vk_options){.validation = true}, &device), STATUS_OK);
    assert_int_equal(store_create(device, &store), STATUS_OK);
    assert_int_equal(validated_run(f, device, store, false), 0);
    assert_true(validated_run(f, device, store, true) > 0);
    store_destroy(store);
    vk_close(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(steps_in_flight_keep_their_own_values, setup, teardown),
        cmocka_unit_test_setup_teardown(a_step_makes_nothing_new, setup, teardown),
        cmocka_unit_test_setup_teardown(a_submission_keeps_to_its_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(many_command_buffers_take_several_submissions, setup, teardown),
        cmocka_unit_test_setup_teardown(persistent_values_are_shared_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(the_opening_runs_when_its_values_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(nodes_run_one_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(guards_catch_a_stray_write, setup, teardown),
        cmocka_unit_test_setup_teardown(timings_cover_every_dispatch, setup, teardown),
        cmocka_unit_test_setup_teardown(validation_is_silent_with_barriers_and_not_without, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

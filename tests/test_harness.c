/*
 * harness: what verify watches besides values is each seen to fail once, for a planted mistake: stray writes, outputs
 * left as they were, bits that change from run to run, leftovers of earlier steps, data that proves nothing.
 */
#include "exec/verify.h"
#include "vk/functions.h"

#include "device.h"
#include "mutant.h"

#include <string.h>

static struct vk_functions real;

static void keep_last(void *user, const struct verify_result *result) {
    if (result->outcome != VERIFY_PASSED)
        *(struct verify_result *)user = *result;
}

/* What verify last found wrong in this case of an op, with kernels from the folder. */
static struct verify_result verify_line(const char *op, const char *line, enum data_kind kind) {
    struct test_device device;
    struct verify_summary summary;
    struct verify_result result = {.outcome = VERIFY_PASSED};
    struct verify_options options = {
        .op = op, .form = "plain", .shape = line, .kind = (int)kind, .report = keep_last, .user = &result};
    test_device_open(&device, &(struct vk_options){.kernel_path = mutant_folder});
    enum status status = verify_ops(device.store, &options, &summary);
    if (status != STATUS_OK && status != STATUS_MISMATCH)
        fail_msg("%s", status_message());
    test_device_close(&device);
    return result;
}

static struct verify_result verify_mutant(const struct mutant *mutant, const char *line, enum data_kind kind) {
    mutant_plant(mutant);
    struct verify_result result = verify_line(mutant->op, line, kind);
    mutant_clean();
    return result;
}

static void assert_failed(const struct verify_result *result, const char *words) {
    if (result->outcome != VERIFY_FAILED || !strstr(result->failure, words))
        fail_msg("outcome %d, \"%s\" instead of \"%s\"", result->outcome, result->failure, words);
}

/* Drivers may drop what is written outside of a binding: bindings are 256 bytes longer than asked for. */
static VKAPI_ATTR void VKAPI_CALL bind_more(VkDevice device, uint32_t count, const VkWriteDescriptorSet *writes,
                                            uint32_t copy_count, const VkCopyDescriptorSet *copies) {
    for (uint32_t i = 0; i < count; i++) {
        VkWriteDescriptorSet write = writes[i];
        VkDescriptorBufferInfo buffer = *write.pBufferInfo;
        buffer.range += 256;
        write.pBufferInfo = &buffer;
        real.UpdateDescriptorSets(device, 1, &write, copy_count, copies);
    }
}

static void a_stray_write_is_found(void **state) {
    (void)state;
    const struct mutant mutant = {"copy", "copy", NULL, "if (i < quads)",
                                  "if (i == 0u) y[quads + 1u] = vec4(1);\nif (i < quads)"};
    vk_call.UpdateDescriptorSets = bind_more;
    struct verify_result result = verify_mutant(&mutant, "x=1x1x1x128", DATA_RANDOM);
    vk_call = real;
    assert_failed(&result, "a kernel wrote outside its tensors: byte 16 behind the end of y, before ");
}

static void an_output_that_is_not_written_is_found(void **state) {
    (void)state;
    const struct mutant mutant = {"copy", "copy", NULL, "i < quads", "i + 1u < quads"};
    struct verify_result result = verify_mutant(&mutant, "x=1x1x1x6", DATA_EXACT);
    assert_failed(&result, "y[0,0,0,4] is nan, expected ");
}

/* Rows are padded to four values with zeros, which other kernels rely on. */
static void padding_that_is_not_zero_is_found(void **state) {
    (void)state;
    const struct mutant mutant = {"copy", "copy", NULL, "LOAD(x, i)", "LOAD(x, i) + vec4(0, 0, 1, 0)"};
    struct verify_result result = verify_mutant(&mutant, "x=1x3x1x2", DATA_EXACT);
    assert_failed(&result, "y: the padding of row 0 is not zero");
}

static uint32_t pushes, changed_push;

/* The scale of the changed_push-th l2_penalty is the next number above what it should be: the sum stays in its bound.
 */
static VKAPI_ATTR void VKAPI_CALL push_changed(VkCommandBuffer commands, VkPipelineLayout layout,
                                               VkShaderStageFlags stages, uint32_t offset, uint32_t size,
                                               const void *values) {
    uint32_t words[2];
    if (size != sizeof words || ++pushes != changed_push) {
        real.CmdPushConstants(commands, layout, stages, offset, size, values);
        return;
    }
    memcpy(words, values, sizeof words);
    words[1]++;
    real.CmdPushConstants(commands, layout, stages, offset, size, words);
}

/* The plan records the case twice, then each of two runs does. */
static void bits_that_change_are_found(void **state) {
    (void)state;
    static const struct {
        uint32_t push;
        const char *words;
    } plants[] = {{4, "penalty: other bits after a case of another shape ran"},
                  {5, "penalty: other bits in a second run"}};
    for (size_t i = 0; i < sizeof plants / sizeof *plants; i++) {
        pushes = 0;
        changed_push = plants[i].push;
        vk_call.CmdPushConstants = push_changed;
        struct verify_result result = verify_line("l2_penalty", "x=3x3x5x7", DATA_RANDOM);
        vk_call = real;
        assert_failed(&result, plants[i].words);
    }
}

/* Hostile data: a NaN must arrive, must not spread, and must not get into the padding. */
static void a_nan_reaches_what_it_must_and_no_more(void **state) {
    (void)state;
    static const struct {
        struct mutant mutant;
        const char *line, *words;
    } plants[] = {
        {{"conv2d_backward_weight", "conv2d_backward_weight", NULL, "inside ? value",
          "inside && !any(isnan(value)) && !any(isinf(value)) ? value"},
         "x=2x18x14x5 dy=2x16x12x8 kh=3 kw=3",
         ", where it must not be finite"},
        {{"conv2d_backward_weight", "conv2d_backward_weight", NULL, "value[j] * slope",
          "(value[j] + 1e-30 * (value[0] + value[1])) * slope"},
         "x=2x18x14x8 dy=2x16x12x8 kh=3 kw=3",
         " over the bound "},
        {{"dense", "dense", NULL, "keep(sum[r] + shift, outputs - 4u * quad)", "sum[r] + shift"},
         "x=17x1x1x9 weight=1x1x9x1003",
         "y: the padding of row "},
    };
    for (size_t i = 0; i < sizeof plants / sizeof *plants; i++) {
        struct verify_result result = verify_mutant(&plants[i].mutant, plants[i].line, DATA_HOSTILE);
        assert_failed(&result, plants[i].words);
    }
}

static void data_that_proves_nothing_is_told(void **state) {
    (void)state;
    struct verify_result result = verify_line("shortcut_pad", "x=1x2x2x1 before=63", DATA_EXACT);
    assert_int_equal(result.outcome, VERIFY_MISTRUSTED);
    assert_string_equal(result.failure, "");
}

/* ---- a graph ---- */

static void keep_failed_forms(void *user, const struct verify_result *result) {
    if (result->outcome == VERIFY_FAILED) {
        strcat(user, result->form);
        strcat(user, ";");
    }
}

/* x -> relu -> + memory that no node has written, whose place a later value takes. */
static tensor_id build(struct graph *graph, tensor_id *x, bool unwritten) {
    struct shape shape = shape4(2, 4, 4, 8);
    graph_create(graph);
    *x = graph_tensor(graph, "x", DTYPE_F32, shape, TENSOR_INPUT);
    tensor_id other = unwritten ? graph_tensor(graph, "other", DTYPE_F32, shape, TENSOR_TEMPORARY) : *x;
    tensor_id value = graph_apply(graph, "relu", OPERANDS(*x), NULL);
    value = graph_apply(graph, "add", OPERANDS(value, other), NULL);
    value = graph_apply(graph, "add", OPERANDS(value, *x), NULL);
    value = graph_apply(graph, "add", OPERANDS(value, *x), NULL);
    graph->tensors[value].role = TENSOR_OUTPUT;
    assert_int_equal(graph_status(graph), STATUS_OK);
    return value;
}

/* The forms of the results that failed. */
static void verify_graph_of(bool unwritten, char failed[256]) {
    struct test_device device;
    struct graph graph;
    struct plan *plan;
    struct verify_summary summary;
    struct verify_options options = {.report = keep_failed_forms, .user = failed};
    tensor_id x;
    *failed = '\0';
    build(&graph, &x, unwritten);
    test_device_open(&device, NULL);
    assert_int_equal(plan_create(device.store, &graph, NULL, &plan), STATUS_OK);
    float *input = plan_input(plan, x);
    for (int i = 0; i < 2 * 4 * 4 * 8; i++)
        input[i] = (float)(i % 7 - 3);
    assert_int_equal(verify_graph(plan, &graph, &options, &summary), unwritten ? STATUS_MISMATCH : STATUS_OK);
    assert_int_equal(summary.passed + summary.failed, 6);
    assert_int_equal(summary.mistrusted, 0);
    plan_destroy(plan);
    graph_destroy(&graph);
    test_device_close(&device);
}

/* Every node agrees with its reference, and yet the step depends on the one before. */
static void leftovers_of_another_step_are_found(void **state) {
    (void)state;
    char failed[256];
    verify_graph_of(false, failed);
    assert_string_equal(failed, "");
    verify_graph_of(true, failed);
    assert_non_null(strstr(failed, "after others;"));
    assert_null(strstr(failed, "plain;"));
}

static int setup(void **state) {
    if (vk_functions_load() != STATUS_OK)
        return -1;
    real = vk_call;
    return mutant_setup(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stray_write_is_found),
        cmocka_unit_test(an_output_that_is_not_written_is_found),
        cmocka_unit_test(padding_that_is_not_zero_is_found),
        cmocka_unit_test(bits_that_change_are_found),
        cmocka_unit_test(a_nan_reaches_what_it_must_and_no_more),
        cmocka_unit_test(data_that_proves_nothing_is_told),
        cmocka_unit_test(leftovers_of_another_step_are_found),
    };
    return cmocka_run_group_tests(tests, setup, mutant_teardown);
}

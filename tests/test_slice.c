/* slice: ops that treat images on their own agree with the reference when a device's buffers are too small for all. */
#include "exec/verify.h"
#include "ir/channel_reduce.h"
#include "ir/slice.h"

#include "device.h"
#include "support.h"

#define WINDOW "kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1"
#define VECTOR "1x1x1x16"

/* Two images of 7,680 bytes fit: slices of 2, 2 and 1. Pooled ones lie at multiples of TENSOR_ALIGNMENT in pairs. */
enum { RANGE = 16000, SLICES = 3 };
static const char *const cases[][2] = {
    {"relu", "x=5x12x10x16"},
    {"relu_backward", "y=5x12x10x16 dy=5x12x10x16"},
    {"add", "a=5x12x10x16 b=5x12x10x16"},
    {"max_pool", "x=5x12x10x16 " WINDOW},
    {"max_pool_backward", "x=5x12x10x16 dy=5x6x5x16 " WINDOW},
    {"adaptive_average_pool", "x=5x12x10x16 h=6 w=4"},
    {"adaptive_average_pool_backward", "dy=5x6x4x16 h=12 w=10"},
    {"shortcut_pad", "x=5x12x10x16 before=8 after=8"},
    {"shortcut_pad_backward", "dy=5x6x5x32 before=8 after=8 h=12 w=10"},
    {"batch_norm",
     "x=5x12x10x16 mean=" VECTOR " variance=" VECTOR " gamma=" VECTOR " beta=" VECTOR " residual=5x12x10x16 relu=1"},
    {"batch_norm_backward_input",
     "x=5x12x10x16 mean=" VECTOR " variance=" VECTOR " gamma=" VECTOR " dy=5x12x10x16 dgamma=" VECTOR " dbeta=" VECTOR},
    {"fill", "d0=5 d1=12 d2=10 d3=14 value=3"},
    {"global_average_pool_backward", "dy=5x1x1x64 h=6 w=5"},
    {"conv2d", "x=5x12x10x16 weight=3x3x16x16 bias=" VECTOR " residual=5x12x10x16 relu=1 pad_top=1 pad_bottom=1 "
               "pad_left=1 pad_right=1"},
    {"conv2d", "x=5x12x10x16 weight=1x1x16x32 stride_h=2 stride_w=2"},
    {"conv2d_backward_input", "dy=5x12x10x16 weight=3x3x16x16 h=12 w=10 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1"},
    /* the slices are three rows of the kernel, which takes 5,120 bytes a row */
    {"conv2d_backward_weight", "x=1x7x6x8 dy=1x7x6x32 kh=7 kw=5 pad_top=3 pad_bottom=3 pad_left=2 pad_right=2"},
    {"channel_scale", "x=5x6x5x64 scale=5x1x1x64 residual=5x6x5x64 relu=1"},
    {"channel_scale_backward_scale", "x=5x6x5x64 dy=5x6x5x64"},
};

/* Reductions of 10,000 pixels of 64 bytes, in whole chunks. */
enum { REDUCE_RANGE = 300000 };
static const char *const reductions[][2] = {
    {"channel_sum", "x=1x100x100x16"},
    {"batch_norm_statistics", "x=1x100x100x16"},
    {"batch_norm_backward_reduce", "x=1x100x100x16 mean=" VECTOR " variance=" VECTOR " dy=1x100x100x16 epsilon=1"},
};

static void print_failure(void *user, const struct verify_result *result) {
    (void)user;
    if (result->outcome != VERIFY_PASSED)
        print_error("%s %s: %s\n", result->op, result->form, result->failure);
}

/* Facts belong to the device: making them smaller makes every layer keep the smaller limit. */
static void shrink(struct vk_device *device, uint64_t range) {
    ((struct device_facts *)vk_facts(device))->max_storage_range = range;
}

static void verify_within(uint64_t range, const char *const line[2]) {
    struct test_device d;
    struct verify_summary summary;
    struct verify_options options = {.op = line[0], .shape = line[1], .kind = -1, .report = print_failure};
    test_device_open(&d, NULL);
    shrink(d.device, range);
    if (verify_ops(d.store, &options, &summary) != STATUS_OK)
        fail_msg("%s %s: %s", line[0], line[1], status_message());
    assert_true(summary.passed > 0);
    test_device_close(&d);
}

static void small_buffers_give_the_same_values(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        verify_within(RANGE, cases[i]);
    for (size_t i = 0; i < COUNT(reductions); i++)
        verify_within(REDUCE_RANGE, reductions[i]);
    /* 16 means of 64 bytes; four images begin at a multiple of TENSOR_ALIGNMENT */
    verify_within(RANGE, (const char *const[]){"global_average_pool", "x=9x6x10x16"});
}

/* Bytes of output 0 that the dispatches write; each range stays within the limits. */
static uint64_t written(const struct lowering *lowering) {
    uint64_t sum = 0;
    for (uint32_t d = 0; d < lowering->count; d++)
        for (uint32_t i = 0; i < lowering->dispatches[d].operand_count; i++) {
            const struct operand *operand = &lowering->dispatches[d].operands[i];
            if (operand->kind == OPERAND_SCRATCH || (operand->kind == OPERAND_INPUT && operand->bytes == 0))
                continue;
            assert_in_range(operand->bytes, 1, RANGE);
            assert_int_equal(operand->offset % TENSOR_ALIGNMENT, 0);
            if (operand->kind != OPERAND_OUTPUT || operand->offset + operand->bytes == sum) /* added to in place */
                continue;
            assert_int_equal(operand->offset, sum);
            sum += operand->bytes;
        }
    return sum;
}

static void slices_cover_the_output_once(void **state) {
    (void)state;
    struct device_facts facts;
    facts_minimum(&facts);
    facts.max_storage_range = RANGE;
    facts.max_storage_buffers = 5;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct graph graph;
        struct call call;
        tensor_id in[OP_INPUTS];
        struct lowering lowering = {0};
        graph_create(&graph);
        apply_case(&graph, cases[i][0], cases[i][1], in);
        assert_int_equal(graph_status(&graph), STATUS_OK);
        graph_call(&graph, 0, &call);
        const struct form *form = call.op->forms;
        while (form->name && strcmp(form->name, "plain") != 0)
            form++;
        assert_true(slice_lower(form, &call, &facts, &lowering));
        assert_int_equal(lowering.count % SLICES, 0);
        assert_int_equal(written(&lowering), tensor_bytes(call.out[0]));
        graph_destroy(&graph);
    }
}

static void reductions_read_each_pixel_once(void **state) {
    (void)state;
    struct device_facts facts;
    facts_minimum(&facts);
    facts.max_storage_range = REDUCE_RANGE;
    for (size_t i = 0; i < COUNT(reductions); i++) {
        struct graph graph;
        struct call call;
        tensor_id in[OP_INPUTS];
        struct lowering lowering = {0};
        uint64_t pixels = 0, partial = 0;
        graph_create(&graph);
        apply_case(&graph, reductions[i][0], reductions[i][1], in);
        graph_call(&graph, 0, &call);
        assert_true(form_lower(&call.op->forms[1], 0, &call, &facts, &lowering));
        assert_int_equal(lowering.count, 4); /* 40 chunks, 16 at once; their sum */
        for (uint32_t d = 0; d < 3; d++) {
            const struct operand *operands = lowering.dispatches[d].operands;
            const struct operand *scratch = &operands[lowering.dispatches[d].operand_count - 1];
            assert_true(operands[0].offset == pixels && operands[0].bytes <= REDUCE_RANGE);
            assert_int_equal(operands[0].bytes, 64 * lowering.dispatches[d].push[CHANNEL_REDUCE_PIXELS]);
            assert_true(scratch->kind == OPERAND_SCRATCH && scratch->offset == partial);
            pixels += operands[0].bytes;
            partial += scratch->bytes;
        }
        assert_int_equal(pixels, tensor_bytes(call.in[0]));
        assert_int_equal(partial, lowering.scratch_bytes[0]);
        graph_destroy(&graph);
    }
}

/* No image fits; one does, but every second image is not at a multiple of TENSOR_ALIGNMENT; all fit. */
static void what_cannot_be_sliced_is_handed_on_whole(void **state) {
    (void)state;
    struct device_facts facts;
    struct graph graph;
    struct call call;
    tensor_id in[OP_INPUTS];
    facts_minimum(&facts);
    graph_create(&graph);
    apply_case(&graph, "relu", "x=5x6x5x16", in);
    graph_call(&graph, 0, &call);
    const uint64_t ranges[] = {1900, 1920, 5 * 1920};
    for (size_t i = 0; i < COUNT(ranges); i++) {
        struct lowering lowering = {0};
        facts.max_storage_range = ranges[i];
        assert_true(slice_lower(call.op->forms, &call, &facts, &lowering));
        assert_int_equal(lowering.count, 1);
        assert_int_equal(lowering.dispatches[0].operands[0].bytes, 0);
    }
    graph_destroy(&graph);
}

static void too_many_slices_are_refused(void **state) {
    (void)state;
    struct device_facts facts;
    struct graph graph;
    struct call call;
    tensor_id in[OP_INPUTS];
    struct lowering lowering = {0};
    facts_minimum(&facts);
    facts.max_storage_range = RANGE;
    graph_create(&graph);
    apply_case(&graph, "relu", "x=33x12x10x16", in);
    graph_call(&graph, 0, &call);
    assert_false(slice_lower(call.op->forms, &call, &facts, &lowering));
    graph_destroy(&graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_buffers_give_the_same_values),
        cmocka_unit_test(slices_cover_the_output_once),
        cmocka_unit_test(reductions_read_each_pixel_once),
        cmocka_unit_test(what_cannot_be_sliced_is_handed_on_whole),
        cmocka_unit_test(too_many_slices_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

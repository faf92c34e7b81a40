/* Convolution: shapes and errors, the float64 reference and its adjoints, and lowering for weak devices. */
#include "base/memory.h"
#include "base/random.h"
#include "ir/graph.h"
#include "vk/kernel_table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One node made from a line such as "x=2x9x9x5 weight=3x3x5x7 stride_h=2". */
struct problem {
    struct graph graph;
    struct call call;
    double *in[OP_INPUTS], *out[OP_OUTPUTS], *bound[OP_OUTPUTS];
};

static double *allocate(struct shape shape) {
    double *values;
    assert_int_equal(memory_zeroed((size_t)shape_count(shape), sizeof *values, &values), STATUS_OK);
    return values;
}

static void fill_random(double *values, struct shape shape, uint32_t stream) {
    for (uint64_t i = 0; i < shape_count(shape); i++)
        values[i] = 2 * random_uniform(7, stream, (uint32_t)i) - 1;
}

/* Appends the node; the graph's status tells whether it was accepted. */
static void parse(struct graph *graph, const char *op_name, const char *line) {
    const struct op *op = op_find(op_name);
    tensor_id in[OP_INPUTS + 1];
    struct attribute attributes[OP_ATTRIBUTES + 1] = {{NULL, 0}};
    char copy[512], names[OP_ATTRIBUTES][32];
    size_t attribute_count = 0;
    assert_non_null(op);
    for (int i = 0; i < OP_INPUTS; i++)
        in[i] = i < op_input_count(op) ? TENSOR_ABSENT : TENSOR_NONE;
    in[OP_INPUTS] = TENSOR_NONE;
    snprintf(copy, sizeof copy, "%s", line + (line[0] == '+'));
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        char name[32];
        struct shape s;
        double value;
        if (sscanf(word, "%31[^=]=%ux%ux%ux%u", name, &s.d[0], &s.d[1], &s.d[2], &s.d[3]) == 5) {
            assert_true(op_input_index(op, name) >= 0);
            in[op_input_index(op, name)] = graph_tensor(graph, name, DTYPE_F32, s, TENSOR_TEMPORARY);
        } else {
            assert_int_equal(sscanf(word, "%31[^=]=%lf", name, &value), 2);
            strcpy(names[attribute_count], name);
            attributes[attribute_count] = (struct attribute){names[attribute_count], value};
            attributes[++attribute_count].name = NULL;
        }
    }
    graph_apply(graph, op_name, in, attributes);
}

static void problem_create(struct problem *problem, const char *op, const char *line) {
    memset(problem, 0, sizeof *problem);
    graph_create(&problem->graph);
    parse(&problem->graph, op, line);
    if (graph_status(&problem->graph) != STATUS_OK)
        fail_msg("%s %s: %s", op, line, status_message());
    graph_call(&problem->graph, 0, &problem->call);
    for (int i = 0; i < OP_INPUTS; i++)
        if (problem->call.in[i]) {
            problem->in[i] = allocate(problem->call.in[i]->shape);
            fill_random(problem->in[i], problem->call.in[i]->shape, (uint32_t)i);
        }
    problem->out[0] = allocate(problem->call.out[0]->shape);
    problem->bound[0] = allocate(problem->call.out[0]->shape);
}

static void problem_destroy(struct problem *problem) {
    for (int i = 0; i < OP_INPUTS; i++)
        free(problem->in[i]);
    free(problem->out[0]);
    free(problem->bound[0]);
    graph_destroy(&problem->graph);
}

static void problem_run(struct problem *problem) {
    problem->call.op->reference(&problem->call, (const double *const *)problem->in, problem->out, problem->bound);
}

/* ---- infer ---- */

static void expect_refused(const char *op, const char *line, const char *words) {
    struct graph graph;
    graph_create(&graph);
    parse(&graph, op, line);
    assert_int_equal(graph_status(&graph), STATUS_USAGE);
    if (!strstr(status_message(), words))
        fail_msg("%s %s says \"%s\", not \"%s\"", op, line, status_message(), words);
    graph_destroy(&graph);
}

static void test_refusals(void **state) {
    (void)state;
    expect_refused("conv2d", "x=1x4x4x3 weight=3x3x4x8", "weight takes 4 input channels, x has 3");
    expect_refused("conv2d", "x=1x2x9x3 weight=3x3x3x8", "2 rows, the kernel with dilation spans 3");
    expect_refused("conv2d", "x=1x9x9x3 weight=3x3x3x8 dilation_w=5", "9 columns, the kernel with dilation spans 11");
    expect_refused("conv2d", "x=1x4x4x6 weight=3x3x2x8 groups=3", "groups=3");
    expect_refused("conv2d", "x=1x4x4x3 weight=1x1x3x8 stride_h=0", "stride_h=0");
    expect_refused("conv2d", "x=1x4x4x3 weight=1x1x3x8 pad_left=-1", "pad_left=-1");
    expect_refused("conv2d", "x=1x4x4x3 weight=1x1x3x8 pad_left=0.5", "pad_left=0.5");
    expect_refused("conv2d", "x=1x4x4x3 weight=1x1x3x8 bias=1x1x1x7", "bias is 1x1x1x7");
    expect_refused("conv2d", "x=1x4x4x3 weight=1x1x3x8 residual=1x4x3x8", "residual is 1x4x3x8");
    expect_refused("conv2d", "x=65536x128x128x1 weight=1x1x1x4 pad_top=16384", "more than 2^31 elements");
    expect_refused("conv2d_backward_input", "dy=1x4x4x8 weight=3x3x3x8 h=4 w=4", "dy is 1x4x4x8");
    expect_refused("conv2d_backward_input", "dy=1x4x4x8 weight=3x3x3x8 w=6", "h=0");
    expect_refused("conv2d_backward_weight", "x=1x4x4x3 dy=1x4x4x8 kh=3 kw=3", "the convolution gives 1x2x2x8");
    expect_refused("conv2d_backward_weight", "x=1x4x4x3 dy=1x4x4x8 kh=3", "kw=0");
    expect_refused("conv2d_backward_weight", "x=1x4x4x3 dy=2x4x4x8 kh=1 kw=1", "dy is 2x4x4x8");
}

/* ---- reference ---- */

static void test_by_hand(void **state) {
    (void)state;
    struct problem p;
    problem_create(&p, "conv2d", "x=1x3x3x1 weight=2x2x1x1 bias=1x1x1x1 relu=1 stride_w=2 pad_right=1");
    static const double x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, weight[] = {1, -1, 2, -3};
    memcpy(p.in[0], x, sizeof x);
    memcpy(p.in[1], weight, sizeof weight);
    p.in[2][0] = 7;
    problem_run(&p);
    /* (1 - 2 + 8 - 15) + 7, (3 + 12) + 7; (4 - 5 + 14 - 24) + 7 is negative, (6 + 18) + 7 */
    static const double expected[] = {0, 22, 0, 31};
    p.in[2][0] = 7;
    assert_true(shape_equal(p.call.out[0]->shape, shape4(1, 2, 2, 1)));
    assert_memory_equal(p.out[0], expected, sizeof expected);
    /* 4 sqrt(5) u (|1| + |2| + |8| + |15| + |7|), plus u |y| of the sum -1 */
    assert_float_equal(p.bound[0][0], (4 * sqrt(5) * 33 + 1) * 0x1p-24, 1e-12);
    problem_destroy(&p);
}

/* A kernel with a single 1 copies a shifted, strided picture. */
static void test_single_tap(void **state) {
    (void)state;
    struct problem p;
    problem_create(&p, "conv2d",
                   "x=2x9x8x6 weight=3x2x3x4 groups=2 stride_h=2 stride_w=3 pad_top=2 pad_left=1 dilation_h=3");
    struct shape xs = p.call.in[0]->shape, ys = p.call.out[0]->shape, ws = p.call.in[1]->shape;
    const uint32_t k = 1, l = 1, i = 2, o = 3, group = 1;
    memset(p.in[1], 0, (size_t)shape_count(ws) * sizeof(double));
    p.in[1][((k * ws.d[1] + l) * ws.d[2] + i) * ws.d[3] + o] = 1;
    problem_run(&p);
    for (uint32_t at = 0; at < shape_count(ys); at++) {
        int channel = (int)(at % ys.d[3]), column = (int)(at / ys.d[3] % ys.d[2]);
        int row = (int)(at / ys.d[3] / ys.d[2] % ys.d[1]), image = (int)(at / ys.d[3] / ys.d[2] / ys.d[1]);
        int from_row = row * 2 + 3 * (int)k - 2, from_column = column * 3 + (int)l - 1;
        bool hit = channel == (int)o && from_row >= 0 && from_row < (int)xs.d[1] && from_column >= 0 &&
                   from_column < (int)xs.d[2];
        int source = ((image * (int)xs.d[1] + from_row) * (int)xs.d[2] + from_column) * (int)xs.d[3] +
                     (int)(group * ws.d[2] + i);
        assert_true(p.out[0][at] == (hit ? p.in[0][source] : 0));
    }
    problem_destroy(&p);
}

static double dot(const double *a, const double *b, struct shape shape) {
    double sum = 0;
    for (uint64_t i = 0; i < shape_count(shape); i++)
        sum += a[i] * b[i];
    return sum;
}

/* Values of a backward op with the attributes of the forward call and two more. */
static void run_backward(const struct call *forward, const char *name, const struct tensor *in[2],
                         const double *const values[2], const struct tensor *shaped_as, double *out) {
    struct call call = {.op = op_find(name), .in = {in[0], in[1]}, .out = {shaped_as}};
    double *bound = allocate(shaped_as->shape);
    for (int i = 0; forward->op->attributes[i].name; i++) {
        int index = op_attribute_index(call.op, forward->op->attributes[i].name);
        if (index >= 0)
            call.attribute[index] = forward->attribute[i];
    }
    call.op->reference(&call, values, (double *const[]){out}, (double *const[]){bound});
    free(bound);
}

/* <conv(x, w), g> = <x, backward_input(g, w)> = <w, backward_weight(x, g)> for every short case. */
static void test_adjoints(void **state) {
    (void)state;
    for (const char *const *line = op_find("conv2d")->cases; *line; line++) {
        struct problem p;
        if (**line == '+' || strstr(*line, "relu") || strstr(*line, "residual"))
            continue;
        problem_create(&p, "conv2d", *line);
        const struct tensor *x = p.call.in[0], *weight = p.call.in[1], *y = p.call.out[0];
        double *g = allocate(y->shape), *dx = allocate(x->shape), *dweight = allocate(weight->shape);
        fill_random(g, y->shape, 9);
        if (p.in[2])
            memset(p.in[2], 0, (size_t)shape_count(p.call.in[2]->shape) * sizeof(double));
        problem_run(&p);
        run_backward(&p.call, "conv2d_backward_input", (const struct tensor *[]){y, weight},
                     (const double *const[]){g, p.in[1]}, x, dx);
        run_backward(&p.call, "conv2d_backward_weight", (const struct tensor *[]){x, y},
                     (const double *const[]){p.in[0], g}, weight, dweight);
        double expected = dot(p.out[0], g, y->shape), scale = 1e-12 * (double)shape_count(y->shape);
        assert_true(fabs(expected) > 1e-6);
        assert_float_equal(dot(p.in[0], dx, x->shape), expected, scale);
        assert_float_equal(dot(p.in[1], dweight, weight->shape), expected, scale);
        free(g);
        free(dx);
        free(dweight);
        problem_destroy(&p);
    }
}

/* ---- lowering ---- */

static bool kernel_exists(const char *name) {
    for (const struct kernel_module *module = kernel_table; module->name; module++)
        if (strcmp(module->name, name) == 0)
            return true;
    return false;
}

static const struct tensor *operand_tensor(const struct call *call, const struct operand *operand) {
    return operand->kind == OPERAND_INPUT ? call->in[operand->index] : call->out[operand->index];
}

static void check_operand(const struct call *call, const struct device_facts *facts, const struct lowering *lowering,
                          const struct operand *operand) {
    uint64_t whole;
    if (operand->kind == OPERAND_SCRATCH) {
        whole = lowering->scratch_bytes[operand->index];
    } else {
        assert_non_null(operand_tensor(call, operand));
        whole = tensor_bytes(operand_tensor(call, operand));
    }
    uint64_t bytes = operand->bytes ? operand->bytes : whole;
    assert_true(bytes > 0 && bytes <= facts->max_storage_range);
    assert_true(operand->offset % TENSOR_ALIGNMENT == 0);
    assert_true(operand->offset + bytes <= whole);
}

static void check_lowering(const struct call *call, const struct device_facts *facts, const struct form *form) {
    struct lowering lowering = {0};
    if (!form->lower(call, facts, &lowering))
        return;
    assert_true(lowering.count > 0);
    for (uint32_t i = 0; i < lowering.count; i++) {
        const struct dispatch *dispatch = &lowering.dispatches[i];
        if (!kernel_exists(dispatch->kernel))
            fail_msg("no kernel %s", dispatch->kernel);
        assert_true(dispatch->push_count * 4 <= facts->max_push_bytes);
        assert_true(dispatch->operand_count <= facts->max_storage_buffers);
        for (int axis = 0; axis < 3; axis++)
            assert_true(dispatch->groups[axis] > 0 && dispatch->groups[axis] <= facts->max_groups[axis]);
        for (uint32_t j = 0; j < dispatch->operand_count; j++)
            check_operand(call, facts, &lowering, &dispatch->operands[j]);
    }
}

static void test_lowering_fits(void **state) {
    (void)state;
    static const char *const ops[] = {"conv2d", "conv2d_backward_input", "conv2d_backward_weight"};
    struct device_facts facts;
    facts_minimum(&facts);
    for (size_t i = 0; i < COUNT(ops); i++)
        for (const char *const *line = op_find(ops[i])->cases; *line; line++) {
            struct problem p;
            problem_create(&p, ops[i], *line);
            for (const struct form *form = p.call.op->forms; form->name; form++)
                check_lowering(&p.call, &facts, form);
            problem_destroy(&p);
        }
}

/* Tensors of more than the storage range: the slices cover all images, once. */
static void check_slices(const char *op, const char *line, int sliced_input) {
    struct graph graph;
    struct device_facts facts;
    struct call call;
    struct lowering lowering = {0};
    uint64_t covered = 0;
    graph_create(&graph);
    facts_minimum(&facts);
    parse(&graph, op, line);
    assert_int_equal(graph_status(&graph), STATUS_OK);
    graph_call(&graph, 0, &call);
    const struct form *plain = call.op->forms;
    while (strcmp(plain->name, "plain") != 0)
        plain++;
    check_lowering(&call, &facts, plain);
    assert_true(plain->lower(&call, &facts, &lowering));
    for (uint32_t i = 0; i < lowering.count; i++)
        for (uint32_t j = 0; j < lowering.dispatches[i].operand_count; j++) {
            const struct operand *operand = &lowering.dispatches[i].operands[j];
            if (operand->kind == OPERAND_INPUT && (int)operand->index == sliced_input) {
                assert_true(operand->offset == covered);
                covered += operand->bytes;
            }
        }
    assert_true(covered == tensor_bytes(call.in[sliced_input]));
    graph_destroy(&graph);
}

static void test_slices(void **state) {
    (void)state;
    check_slices("conv2d", "x=150x56x56x64 weight=1x1x64x256 residual=150x56x56x256", 0);
    check_slices("conv2d", "x=150x56x56x64 weight=1x1x64x256 bias=1x1x1x256 residual=150x56x56x256", 3);
    check_slices("conv2d", "x=1000x113x113x3 weight=1x1x3x4", 0);
    check_slices("conv2d_backward_input", "dy=150x56x56x256 weight=1x1x64x256 h=56 w=56", 0);
    check_slices("conv2d_backward_weight", "x=150x56x56x64 dy=150x56x56x256 kh=1 kw=1", 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_by_hand),       cmocka_unit_test(test_single_tap),
        cmocka_unit_test(test_adjoints), cmocka_unit_test(test_lowering_fits), cmocka_unit_test(test_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* ir: shapes, stored layout, graph building, errors, gradients' bookkeeping. No device. */
#include "ir/graph.h"

#include "test.h"

#include <string.h>

static void shapes_are_checked(void **state) {
    (void)state;
    char text[48];
    assert_true(shape_valid(shape4(1, 1, 1, 1)));
    assert_false(shape_valid(shape4(1, 0, 1, 1)));
    assert_true(shape_valid(shape4(1 << 14, 1 << 15, 1, 2))); /* 2^31 with the padding */
    assert_false(shape_valid(shape4(1 << 14, 1 << 15, 1, 5)));
    assert_false(shape_valid(shape4(UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX)));
    assert_string_equal(shape_print(shape4(2, 9, 9, 5), text), "2x9x9x5");
}

static void rows_are_padded_with_zeros(void **state) {
    (void)state;
    struct tensor tensor = {.dtype = DTYPE_F32, .shape = shape4(1, 2, 1, 5), .base = TENSOR_NONE};
    double dense[10], back[10];
    float stored[16];
    for (int i = 0; i < 10; i++)
        dense[i] = i + 0.5;
    memset(stored, 0xff, sizeof stored);
    assert_int_equal(tensor_bytes(&tensor), sizeof stored);
    tensor_store(&tensor, dense, stored);
    assert_true(stored[4] == 4.5f && stored[5] == 0 && stored[7] == 0 && stored[8] == 5.5f && stored[15] == 0);
    tensor_load(&tensor, stored, back);
    assert_memory_equal(dense, back, sizeof dense);
}

static void bytes_are_dense(void **state) {
    (void)state;
    struct tensor tensor = {.dtype = DTYPE_U8, .shape = shape4(1, 1, 3, 3), .base = TENSOR_NONE};
    assert_int_equal(tensor_bytes(&tensor), 12);
    assert_int_equal(tensor_row(&tensor), 3);
}

static void first_failure_is_kept(void **state) {
    (void)state;
    struct graph graph;
    graph_create(&graph);
    graph_apply(&graph, "no_such_op", OPERANDS(TENSOR_NONE), NULL);
    assert_int_equal(graph_apply(&graph, "copy", OPERANDS(TENSOR_NONE), NULL), TENSOR_NONE);
    assert_int_equal(graph_status(&graph), STATUS_USAGE);
    assert_string_equal(status_message(), "there is no op called no_such_op");
    graph_destroy(&graph);
}

static void missing_operand_is_named(void **state) {
    (void)state;
    struct graph graph;
    graph_create(&graph);
    graph_apply(&graph, "copy", OPERANDS(TENSOR_NONE), NULL);
    assert_int_equal(graph_status(&graph), STATUS_USAGE);
    assert_string_equal(status_message(), "copy: the operand x is missing");
    graph_destroy(&graph);
}

static void views_stay_inside(void **state) {
    (void)state;
    struct graph graph;
    uint64_t offset;
    graph_create(&graph);
    tensor_id flat = graph_tensor(&graph, "flat", DTYPE_F32, shape_vector(256), TENSOR_PERSISTENT);
    tensor_id view = graph_view(&graph, "view", flat, 512, shape_vector(128));
    tensor_id inner = graph_view(&graph, "inner", view, 256, shape_vector(3));
    assert_int_equal(graph_root(&graph, inner, &offset), flat);
    assert_int_equal(offset, 768);
    assert_int_equal(graph.tensors[inner].role, TENSOR_PERSISTENT);
    graph_view(&graph, "late", flat, 768, shape_vector(65));
    assert_int_equal(graph_status(&graph), STATUS_USAGE);
    graph_destroy(&graph);
}

static void placed_values_become_views(void **state) {
    (void)state;
    struct graph graph;
    graph_create(&graph);
    tensor_id x = graph_tensor(&graph, "x", DTYPE_F32, shape_vector(8), TENSOR_INPUT);
    tensor_id flat = graph_tensor(&graph, "flat", DTYPE_F32, shape_vector(128), TENSOR_TEMPORARY);
    tensor_id y = graph_apply(&graph, "copy", OPERANDS(x), NULL);
    assert_int_equal(graph_place(&graph, y, flat, 256), y);
    assert_int_equal(graph.node_count, 1);
    tensor_id z = graph_place(&graph, y, flat, 0); /* already a view: needs a copy */
    assert_int_not_equal(z, y);
    assert_int_equal(graph.node_count, 2);
    assert_int_equal(graph_root(&graph, z, NULL), flat);
    graph_destroy(&graph);
}

/* Hoisted: copy(weights) and what follows from it alone. Not: what reads x, or a value that a node writes in place. */
static void only_settled_nodes_are_hoisted(void **state) {
    (void)state;
    struct graph graph;
    graph_create(&graph);
    tensor_id x = graph_tensor(&graph, "x", DTYPE_F32, shape_vector(8), TENSOR_INPUT);
    tensor_id weights = graph_tensor(&graph, "weights", DTYPE_F32, shape_vector(8), TENSOR_PERSISTENT);
    tensor_id mean = graph_tensor(&graph, "mean", DTYPE_F32, shape_vector(128), TENSOR_PERSISTENT);
    tensor_id variance = graph_tensor(&graph, "variance", DTYPE_F32, shape_vector(8), TENSOR_PERSISTENT);
    tensor_id part = graph_view(&graph, "part", mean, 256, shape_vector(8));
    tensor_id early = graph_apply(&graph, "copy", OPERANDS(part), NULL); /* reads what the update writes later */
    tensor_id sum = graph_apply(&graph, "add", OPERANDS(x, early), NULL);
    tensor_id folded = graph_apply(&graph, "copy", OPERANDS(weights), NULL);
    graph_apply(&graph, "batch_norm_update", OPERANDS(part, variance, weights, weights), NULL);
    tensor_id twice = graph_apply(&graph, "add", OPERANDS(folded, folded), NULL);
    graph_apply(&graph, "add", OPERANDS(sum, twice), NULL);
    graph_hoist(&graph);
    assert_int_equal(graph_status(&graph), STATUS_OK);
    assert_int_equal(graph.node_count, 6);
    assert_int_equal(graph.opening, 2);
    assert_int_equal(graph.nodes[0].out[0], folded);
    assert_int_equal(graph.nodes[1].out[0], twice);
    assert_int_equal(graph.nodes[2].out[0], early);
    assert_int_equal(graph.nodes[3].out[0], sum);
    assert_string_equal(graph.nodes[4].op->name, "batch_norm_update");
    graph_destroy(&graph);
}

static void every_record_is_complete(void **state) {
    (void)state;
    for (const struct op *const *op = op_table; *op; op++) {
        const struct op *record = *op;
        assert_ptr_equal(op_find(record->name), record);
        assert_non_null(record->infer);
        assert_non_null(record->reference);
        assert_non_null(record->forms[0].lower);
        assert_true(record->cases && record->cases[0]);
        int plain = 0;
        while (record->forms[plain].name && strcmp(record->forms[plain].name, "plain") != 0)
            plain++;
        assert_non_null(record->forms[plain].name); /* there is always an answer */
        for (int k = 0; k < OP_OUTPUTS; k++)
            assert_true(record->updates[k] <= op_input_count(record));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_checked),
        cmocka_unit_test(rows_are_padded_with_zeros),
        cmocka_unit_test(bytes_are_dense),
        cmocka_unit_test(first_failure_is_kept),
        cmocka_unit_test(missing_operand_is_named),
        cmocka_unit_test(views_stay_inside),
        cmocka_unit_test(placed_values_become_views),
        cmocka_unit_test(only_settled_nodes_are_hoisted),
        cmocka_unit_test(every_record_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

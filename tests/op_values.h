/*
 * op_values: one op on given numbers, by its reference and on the device.
 */
#ifndef RVK_TEST_OP_VALUES_H
#define RVK_TEST_OP_VALUES_H

#include "device.h"
#include "exec/verify.h"
#include "support.h"

/* One node with its inputs. */
struct op_values {
    struct graph graph;
    tensor_id in[OP_INPUTS];
    struct evaluation evaluation;
};

static inline void op_values_create(struct op_values *values, const char *op, const char *line) {
    graph_create(&values->graph);
    apply_case(&values->graph, op, line, values->in);
    if (graph_status(&values->graph) != STATUS_OK)
        fail_msg("%s %s: %s", op, line, status_message());
    evaluation_create(&values->evaluation, &values->graph);
}

static inline void op_values_destroy(struct op_values *values) {
    evaluation_destroy(&values->evaluation);
    graph_destroy(&values->graph);
}

static inline void op_values_set(struct op_values *values, int input, const double *dense) {
    evaluation_set(&values->evaluation, values->in[input], dense);
}

static inline void op_values_run(struct op_values *values) {
    evaluation_run(&values->evaluation, 1);
}

/* The reference's answer must be `expected` within `tolerance`. */
static inline void op_values_expect(const struct op_values *values, int output, const double *expected,
                                    double tolerance) {
    tensor_id tensor = values->graph.nodes[0].out[output];
    double *dense = evaluation_values(&values->evaluation, tensor);
    for (uint64_t i = 0; i < shape_count(values->graph.tensors[tensor].shape); i++)
        if (!(fabs(dense[i] - expected[i]) <= tolerance))
            fail_msg("%s[%llu] is %.17g, expected %.17g", values->graph.nodes[0].op->outputs[output],
                     (unsigned long long)i, dense[i], expected[i]);
    free(dense);
}

/* Runs the node on the device with the inputs of the evaluation; outputs[k] receives dense values (free with free()).
 */
static inline void op_values_on_device(const struct op_values *values, struct test_device *device, const char *form,
                                       double *outputs[OP_OUTPUTS]) {
    const struct node *node = &values->graph.nodes[0];
    struct plan *plan;
    if (plan_create(device->store, &values->graph, &(struct plan_options){.form = form}, &plan) != STATUS_OK)
        fail_msg("%s", status_message());
    for (int j = 0; j < OP_INPUTS; j++)
        if (values->in[j] != TENSOR_NONE) {
            const struct tensor *tensor = &values->graph.tensors[values->in[j]];
            double *dense = evaluation_values(&values->evaluation, values->in[j]);
            void *stored = malloc(tensor_bytes(tensor));
            assert_non_null(stored);
            tensor_store(tensor, dense, stored);
            assert_int_equal(plan_write(plan, values->in[j], stored), STATUS_OK);
            free(stored);
            free(dense);
        }
    assert_int_equal(plan_run_nodes(plan, 0, 1), STATUS_OK);
    for (int k = 0; node->op->outputs[k]; k++) {
        const struct tensor *tensor = &values->graph.tensors[node->out[k]];
        void *stored = malloc(tensor_bytes(tensor));
        outputs[k] = malloc(shape_count(tensor->shape) * sizeof(double));
        assert_true(stored && outputs[k]);
        assert_int_equal(plan_read(plan, node->out[k], stored), STATUS_OK);
        tensor_load(tensor, stored, outputs[k]);
        free(stored);
    }
    plan_destroy(plan);
}

/* verify passes this case on the device as if its storage range were `range` bytes: the op must work in parts. */
static inline void assert_verified_in_parts(const char *op, const char *line, uint64_t range) {
    struct test_device device;
    struct verify_summary summary;
    test_device_open(&device, NULL);
    struct device_facts *facts = (struct device_facts *)(uintptr_t)vk_facts(device.device);
    facts->max_storage_range = range;
    facts->prefers_texels = false; /* texel buffers have a limit of their own */
    if (verify_ops(device.store, &(struct verify_options){.op = op, .shape = line, .kind = -1}, &summary) != STATUS_OK)
        fail_msg("%s", status_message());
    assert_true(summary.passed > 0);
    assert_int_equal(summary.mistrusted, 0);
    test_device_close(&device);
}

#endif

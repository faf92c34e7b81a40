/*
 * verify_case: a case's line taken apart, its node, and its data.
 */
#include "exec/verify_internal.h"

#include "base/memory.h"
#include "base/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {"exact", "random", "hostile", "adjoint"};

const char *data_kind_name(enum data_kind kind) {
    return kind_names[kind];
}

int data_kind_find(const char *name) {
    for (int i = 0; i < (int)COUNT(kind_names); i++)
        if (strcmp(kind_names[i], name) == 0)
            return i;
    return -1;
}

static bool parse_shape(const char *text, struct shape *shape) {
    for (int i = 0; i < 4; i++) {
        char *end;
        unsigned long extent = strtoul(text, &end, 10);
        if (end == text || extent > UINT32_MAX || *text == '-' || *end != (i < 3 ? 'x' : '\0'))
            return false;
        shape->d[i] = (uint32_t)extent;
        text = end + 1;
    }
    return shape_valid(*shape);
}

static enum status parse_token(struct verify_case *out, int *attribute_count, const char *name, const char *value) {
    int input = op_input_index(out->op, name), attribute = op_attribute_index(out->op, name);
    if (input >= 0) {
        if (!parse_shape(value, &out->shapes[input]))
            return fail(STATUS_USAGE,
                        "%s: the shape of %s must be four numbers such as 2x9x9x5 (at most 2^31 values), not %s",
                        out->op->name, name, value);
        out->present[input] = true;
        return STATUS_OK;
    }
    if (attribute < 0)
        return fail(STATUS_USAGE, "%s has no operand or attribute %s", out->op->name, name);
    char *end;
    double number = strtod(value, &end);
    if (end == value || *end || !isfinite(number))
        return fail(STATUS_USAGE, "%s: %s must be a number, not %s", out->op->name, name, value);
    if (*attribute_count == OP_ATTRIBUTES)
        return fail(STATUS_USAGE, "%s: more than %d attributes", out->op->name, OP_ATTRIBUTES);
    out->attributes[(*attribute_count)++] = (struct attribute){out->op->attributes[attribute].name, number};
    return STATUS_OK;
}

enum status verify_case_parse(const struct op *op, const char *line, struct verify_case *out) {
    char copy[VERIFY_LINE];
    int attribute_count = 0;
    *out = (struct verify_case){.op = op};
    if (strlen(line) >= sizeof copy)
        return fail(STATUS_USAGE, "%s: a case of more than %zu characters", op->name, sizeof copy - 1);
    strcpy(copy, line + (*line == '+'));
    char *rest;
    for (char *token = strtok_r(copy, " ", &rest); token; token = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(token, '=');
        if (!equals)
            return fail(STATUS_USAGE, "%s: expected NAME=VALUE, not %s", op->name, token);
        *equals = '\0';
        TRY(parse_token(out, &attribute_count, token, equals + 1));
    }
    return STATUS_OK;
}

/* The shortest text that reads back as the same number. */
static void print_number(double value, char *text, size_t size) {
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            return;
    }
}

bool verify_case_print(const struct call *call, char line[VERIFY_LINE]) {
    size_t length = 0;
    char value[48];
    *line = '\0';
    for (int j = 0; call->op->inputs[j] && length < VERIFY_LINE; j++) {
        if (!call->in[j])
            continue;
        int name = (int)strcspn(call->op->inputs[j], "?");
        length += (size_t)snprintf(line + length, VERIFY_LINE - length, "%s%.*s=%s", length ? " " : "", name,
                                   call->op->inputs[j], shape_print(call->in[j]->shape, value));
    }
    for (int a = 0; call->op->attributes[a].name && length < VERIFY_LINE; a++) {
        if (call->attribute[a] == call->op->attributes[a].value)
            continue;
        print_number(call->attribute[a], value, sizeof value);
        length += (size_t)snprintf(line + length, VERIFY_LINE - length, "%s%s=%s", length ? " " : "",
                                   call->op->attributes[a].name, value);
    }
    return length < VERIFY_LINE;
}

enum status verify_case_build(const struct verify_case *parsed, struct graph *graph, size_t *node) {
    const struct op *op = parsed->op;
    tensor_id inputs[OP_INPUTS + 1];
    int count = op_input_count(op);
    for (int j = 0; j < count; j++) {
        char name[64];
        snprintf(name, sizeof name, "%.40s", op->inputs[j]);
        inputs[j] = TENSOR_ABSENT;
        if (parsed->present[j])
            inputs[j] = graph_tensor(graph, name, op->input_dtypes[j], parsed->shapes[j], TENSOR_TEMPORARY);
    }
    inputs[count] = TENSOR_NONE;
    *node = graph->node_count;
    graph_apply(graph, op->name, inputs, parsed->attributes);
    return graph_status(graph);
}

/* ---- data ---- */

static double hostile(uint32_t bits) {
    static const double values[] = {INFINITY, -INFINITY, NAN,   0x1p-140, -0x1p-130, 0.0,
                                    -0.0,     1e15,      -1e15, 1e-30,    -1e-30,    0x1p-126};
    return values[bits % COUNT(values)];
}

double verify_case_value(enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    uint32_t i = (uint32_t)index, stream = (uint32_t)input;
    uint32_t bits = random_bits(seed, stream, i);
    double uniform = random_uniform(seed, stream + 100, i);
    if (kind ==
        DATA_EXACT) /* integers in [-4, 4], a quarter of them zero (not the first): a million products sum exactly */
        return index == 0 ? 3.0 : bits % 4 == 0 ? 0.0 : (double)(bits / 4 % 9) - 4.0;
    if (kind == DATA_HOSTILE && bits % 64 == 0)
        return hostile(bits / 64);
    return seed % 2 == 0 ? uniform + 0x1p-10 : 2 * uniform - 1; /* even seeds: all positive */
}

static double stored_value(enum dtype dtype, double value) {
    if (dtype == DTYPE_F32)
        return (double)(float)value;
    return fabs(value);
}

void verify_case_data(const struct call *call, enum data_kind kind, int input, uint32_t seed, double *dense) {
    const struct tensor *tensor = call->in[input];
    for (uint64_t i = 0; i < shape_count(tensor->shape); i++) {
        double value = call->op->sample ? call->op->sample(call, kind, input, i, seed) : NAN;
        if (isnan(value))
            value = verify_case_value(kind, input, i, seed);
        dense[i] = value == SAMPLE_NAN ? NAN : stored_value(tensor->dtype, value);
    }
}

/* ---- one call, many times ---- */

enum status verify_case_repeat(const struct verify_case *parsed, uint32_t repeats, struct graph *graph) {
    size_t first;
    TRY(verify_case_build(parsed, graph, &first));
    tensor_id inputs[OP_INPUTS + 1];
    int count = op_input_count(parsed->op);
    for (int j = 0; j < count; j++)
        inputs[j] = parsed->present[j] ? graph->nodes[first].in[j] : TENSOR_ABSENT;
    inputs[count] = TENSOR_NONE;
    for (uint32_t i = 1; i < repeats; i++)
        graph_apply(graph, parsed->op->name, inputs, parsed->attributes);
    return graph_status(graph);
}

static enum status write_input(struct plan *plan, const struct call *call, int input, tensor_id id) {
    const struct tensor *tensor = call->in[input];
    double *dense;
    void *stored = NULL;
    enum status status = memory_zeroed((size_t)shape_count(tensor->shape), sizeof *dense, &dense);
    if (status == STATUS_OK)
        status = memory_zeroed((size_t)tensor_bytes(tensor), 1, &stored);
    if (status == STATUS_OK) {
        verify_case_data(call, DATA_RANDOM, input, 1, dense);
        tensor_store(tensor, dense, stored);
        status = plan_write(plan, id, stored);
    }
    free(stored);
    free(dense);
    return status;
}

enum status verify_case_write(struct plan *plan, const struct graph *graph) {
    struct call call;
    graph_call(graph, 0, &call);
    for (int j = 0; j < OP_INPUTS; j++)
        if (call.in[j])
            TRY(write_input(plan, &call, j, graph->nodes[0].in[j]));
    return STATUS_OK;
}

/*
 * onnx_runner: reads an ONNX file and computes it in float64, by the definitions of the operators in the ONNX standard
 * and nothing of ours, to hold the exporter to. Only what the exporter writes; anything else fails the test.
 */
#ifndef RVK_TESTS_ONNX_RUNNER_H
#define RVK_TESTS_ONNX_RUNNER_H

#include "support.h"

enum { RUNNER_NODES = 512, RUNNER_VALUES = 1024 };

/* A field of a message: a number (varint or the bits of a float), or bytes. */
struct field {
    uint32_t number;
    uint64_t value;
    const uint8_t *bytes;
    size_t size;
};

struct span {
    const uint8_t *at, *end;
};

static inline uint64_t varint(struct span *message) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        assert_true(message->at < message->end && shift < 64);
        value |= (uint64_t)(*message->at & 127) << shift;
        if (!(*message->at++ & 128))
            return value;
    }
}

static inline bool next_field(struct span *message, struct field *field) {
    if (message->at == message->end)
        return false;
    uint64_t tag = varint(message);
    *field = (struct field){.number = (uint32_t)(tag >> 3)};
    if ((tag & 7) == 0) {
        field->value = varint(message);
        return true;
    }
    assert_true((tag & 7) == 2 || (tag & 7) == 5);
    field->size = (tag & 7) == 5 ? 4 : varint(message);
    field->bytes = message->at;
    assert_true(field->size <= (size_t)(message->end - message->at));
    message->at += field->size;
    return true;
}

static inline struct span span(const struct field *field) {
    return (struct span){field->bytes, field->bytes + field->size};
}

static inline void copy_text(const struct field *field, char *text, size_t capacity) {
    assert_true(field->size < capacity);
    memcpy(text, field->bytes, field->size);
    text[field->size] = '\0';
}

/* A value: up to four dimensions. */
struct array {
    char name[128];
    int rank;
    int64_t d[4];
    double *values;
};

static inline size_t array_count(const struct array *array) {
    size_t count = 1;
    for (int i = 0; i < array->rank; i++)
        count *= (size_t)array->d[i];
    return count;
}

struct runner_node {
    char type[32], in[6][128], out[128];
    int inputs;
    struct span fields; /* for attributes */
};

struct runner {
    struct array values[RUNNER_VALUES];
    int count;
};

static inline struct array *runner_find(struct runner *runner, const char *name) {
    for (int i = 0; i < runner->count; i++)
        if (strcmp(runner->values[i].name, name) == 0)
            return &runner->values[i];
    return NULL;
}

/* A new value; no name may be given twice. */
static inline struct array *runner_add(struct runner *runner, const char *name, int rank, const int64_t d[]) {
    assert_true(runner->count < RUNNER_VALUES && rank <= 4);
    if (runner_find(runner, name))
        fail_msg("two values are called %s", name);
    struct array *array = &runner->values[runner->count++];
    *array = (struct array){.rank = rank};
    snprintf(array->name, sizeof array->name, "%s", name);
    memcpy(array->d, d, (size_t)rank * sizeof *d);
    array->values = calloc(array_count(array), sizeof *array->values);
    assert_non_null(array->values);
    return array;
}

static inline void runner_constant(struct runner *runner, struct span message) {
    struct field field, bytes = {0};
    int64_t d[4] = {0};
    int rank = 0;
    uint64_t type = 0;
    char name[128] = "";
    while (next_field(&message, &field)) {
        if (field.number == 1) {
            assert_true(rank < 4);
            d[rank++] = (int64_t)field.value;
        }
        if (field.number == 2)
            type = field.value;
        if (field.number == 8)
            copy_text(&field, name, sizeof name);
        if (field.number == 9)
            bytes = field;
    }
    struct array *array = runner_add(runner, name, rank, d);
    assert_true(type == 1 || type == 7);
    assert_int_equal(bytes.size, array_count(array) * (type == 1 ? sizeof(float) : sizeof(int64_t)));
    for (size_t i = 0; i < array_count(array); i++) {
        float single = 0;
        int64_t integer = 0;
        if (type == 1)
            memcpy(&single, bytes.bytes + i * sizeof single, sizeof single);
        else
            memcpy(&integer, bytes.bytes + i * sizeof integer, sizeof integer);
        array->values[i] = type == 1 ? (double)single : (double)integer;
    }
}

/* ---- attributes ---- */

static inline bool find_attribute(const struct runner_node *node, const char *name, struct span *out) {
    struct span fields = node->fields, attribute;
    struct field field, inner;
    char text[32];
    while (next_field(&fields, &field)) {
        if (field.number != 5)
            continue;
        attribute = *out = span(&field);
        while (next_field(&attribute, &inner))
            if (inner.number == 1) {
                copy_text(&inner, text, sizeof text);
                if (strcmp(text, name) == 0)
                    return true;
            }
    }
    return false;
}

/* Whole numbers of `name`; absent: `values` stays. */
static inline void get_integers(const struct runner_node *node, const char *name, int64_t values[]) {
    struct span attribute;
    struct field field;
    int count = 0;
    if (find_attribute(node, name, &attribute))
        while (next_field(&attribute, &field))
            if (field.number == 8 || field.number == 3)
                values[count++] = (int64_t)field.value;
}

static inline double get_float(const struct runner_node *node, const char *name) {
    struct span attribute;
    struct field field;
    float value = 0;
    if (find_attribute(node, name, &attribute))
        while (next_field(&attribute, &field))
            if (field.number == 2)
                memcpy(&value, field.bytes, sizeof value);
    return (double)value;
}

/* ---- operators ---- */

struct window2d {
    int64_t kernel[2], strides[2], pads[4], dilations[2];
};

static inline struct window2d get_window(const struct runner_node *node) {
    struct window2d w = {{1, 1}, {1, 1}, {0}, {1, 1}};
    get_integers(node, "kernel_shape", w.kernel);
    get_integers(node, "strides", w.strides);
    get_integers(node, "pads", w.pads);
    get_integers(node, "dilations", w.dilations);
    return w;
}

static inline int64_t window_outputs(const struct window2d *w, int axis, int64_t in) {
    int64_t reach = (w->kernel[axis] - 1) * w->dilations[axis] + 1;
    return (in + w->pads[axis] + w->pads[axis + 2] - reach) / w->strides[axis] + 1;
}

/* The pixel that tap (i, j) of the window at (y, x) sees in plane (n, c), or NULL in the padding. */
static inline const double *tap(const struct array *a, const struct window2d *w, int64_t n, int64_t c, int64_t y,
                                int64_t x, int64_t i, int64_t j) {
    int64_t row = y * w->strides[0] - w->pads[0] + i * w->dilations[0];
    int64_t column = x * w->strides[1] - w->pads[1] + j * w->dilations[1];
    if (row < 0 || column < 0 || row >= a->d[2] || column >= a->d[3])
        return NULL;
    return &a->values[((n * a->d[1] + c) * a->d[2] + row) * a->d[3] + column];
}

#define FOR(i, n) for (int64_t i = 0; i < (n); i++)

static inline void run_conv(struct runner *runner, const struct runner_node *node, struct array *in[]) {
    struct window2d w = get_window(node);
    int64_t group = 1;
    get_integers(node, "group", &group);
    const struct array *x = in[0], *kernel = in[1];
    assert_int_equal(kernel->d[1] * group, x->d[1]);
    int64_t d[4] = {x->d[0], kernel->d[0], window_outputs(&w, 0, x->d[2]), window_outputs(&w, 1, x->d[3])};
    struct array *y = runner_add(runner, node->out, 4, d);
    double *out = y->values;
    FOR(n, d[0]) FOR(o, d[1]) FOR(r, d[2]) FOR(s, d[3]) {
        double sum = in[2] ? in[2]->values[o] : 0;
        FOR(c, kernel->d[1]) FOR(i, w.kernel[0]) FOR(j, w.kernel[1]) {
            const double *pixel = tap(x, &w, n, o / (d[1] / group) * kernel->d[1] + c, r, s, i, j);
            if (pixel)
                sum += *pixel * kernel->values[((o * kernel->d[1] + c) * w.kernel[0] + i) * w.kernel[1] + j];
        }
        *out++ = sum;
    }
}

static inline void run_pool(struct runner *runner, const struct runner_node *node, struct array *in[]) {
    struct window2d w = get_window(node);
    const struct array *x = in[0];
    bool largest = strcmp(node->type, "MaxPool") == 0;
    if (strcmp(node->type, "GlobalAveragePool") == 0)
        memcpy(w.kernel, &x->d[2], sizeof w.kernel);
    int64_t d[4] = {x->d[0], x->d[1], window_outputs(&w, 0, x->d[2]), window_outputs(&w, 1, x->d[3])};
    double *out = runner_add(runner, node->out, 4, d)->values;
    FOR(n, d[0]) FOR(c, d[1]) FOR(r, d[2]) FOR(s, d[3]) {
        double sum = 0, most = -INFINITY;
        FOR(i, w.kernel[0]) FOR(j, w.kernel[1]) {
            const double *pixel = tap(x, &w, n, c, r, s, i, j);
            sum += pixel ? *pixel : 0;
            most = pixel && *pixel > most ? *pixel : most;
        }
        *out++ = largest ? most : sum / (double)(w.kernel[0] * w.kernel[1]);
    }
}

static inline void run_gemm(struct runner *runner, const struct runner_node *node, struct array *in[]) {
    assert_int_equal(in[0]->d[1], in[1]->d[0]);
    int64_t inner = in[1]->d[0], d[2] = {in[0]->d[0], in[1]->d[1]};
    double *out = runner_add(runner, node->out, 2, d)->values;
    FOR(n, d[0]) FOR(o, d[1]) {
        double sum = in[2]->values[o];
        FOR(i, inner) sum += in[0]->values[n * inner + i] * in[1]->values[i * d[1] + o];
        *out++ = sum;
    }
}

/* Matrices [rows,columns] times each plane of the other operand, from whichever side they stand. */
static inline void run_matmul(struct runner *runner, const struct runner_node *node, struct array *in[]) {
    const struct array *a = in[0], *b = in[1], *planes = a->rank == 4 ? a : b;
    int64_t rows = a->d[a->rank - 2], inner = a->d[a->rank - 1], columns = b->d[b->rank - 1];
    assert_int_equal(b->d[b->rank - 2], inner);
    int64_t d[4] = {planes->d[0], planes->d[1], rows, columns};
    double *out = runner_add(runner, node->out, 4, d)->values;
    FOR(p, d[0] * d[1]) FOR(r, rows) FOR(s, columns) {
        const double *left = a->values + (a->rank == 4 ? p * rows * inner : 0) + r * inner;
        const double *right = b->values + (b->rank == 4 ? p * inner * columns : 0) + s;
        double sum = 0;
        FOR(i, inner) sum += left[i] * right[i * columns];
        *out++ = sum;
    }
}

static inline void run_flatten(struct runner *runner, const struct runner_node *node, struct array *in[]) {
    int64_t d[2] = {in[0]->d[0], (int64_t)array_count(in[0]) / in[0]->d[0]};
    struct array *out = runner_add(runner, node->out, 2, d);
    memcpy(out->values, in[0]->values, array_count(in[0]) * sizeof *out->values);
}

/* The second operand of a binary operator may have one value for a plane. */
static inline void run_elements(struct runner *runner, const struct runner_node *node, struct array *in[]) {
    struct array *out = runner_add(runner, node->out, in[0]->rank, in[0]->d);
    size_t count = array_count(out), share = in[1] ? count / array_count(in[1]) : 1;
    for (size_t i = 0; i < count; i++) {
        double a = in[0]->values[i], b = in[1] ? in[1]->values[i / share] : 0;
        switch (node->type[0]) {
        case 'A':
            out->values[i] = a + b;
            break;
        case 'M':
            out->values[i] = a * b;
            break;
        case 'R':
            out->values[i] = a > 0 ? a : 0;
            break;
        default:
            out->values[i] = 1 / (1 + exp(-a));
        }
    }
}

static inline void run_batch_norm(struct runner *runner, const struct runner_node *node, struct array *in[]) {
    struct array *out = runner_add(runner, node->out, 4, in[0]->d);
    int64_t plane = out->d[2] * out->d[3];
    double epsilon = get_float(node, "epsilon");
    FOR(i, (int64_t)array_count(out)) {
        int64_t c = i / plane % out->d[1];
        out->values[i] = (in[0]->values[i] - in[3]->values[c]) / sqrt(in[4]->values[c] + epsilon) * in[1]->values[c] +
                         in[2]->values[c];
    }
}

/* Channels only. */
static inline void run_pad(struct runner *runner, const struct runner_node *node, struct array *in[]) {
    const double *pads = in[1]->values;
    assert_int_equal(in[1]->d[0], 8);
    int64_t d[4] = {in[0]->d[0], in[0]->d[1] + (int64_t)(pads[1] + pads[5]), in[0]->d[2], in[0]->d[3]};
    int64_t image = in[0]->d[1] * d[2] * d[3];
    double *out = runner_add(runner, node->out, 4, d)->values;
    FOR(n, d[0])
    memcpy(out + (n * d[1] + (int64_t)pads[1]) * d[2] * d[3], in[0]->values + n * image, (size_t)image * sizeof *out);
}

static const struct {
    const char *type;
    int least, most; /* operands */
    void (*run)(struct runner *runner, const struct runner_node *node, struct array *in[]);
} runner_operators[] = {
    {"Conv", 2, 3, run_conv},    {"MaxPool", 1, 1, run_pool},     {"MatMul", 2, 2, run_matmul},
    {"Gemm", 3, 3, run_gemm},    {"Flatten", 1, 1, run_flatten},  {"GlobalAveragePool", 1, 1, run_pool},
    {"Add", 2, 2, run_elements}, {"Mul", 2, 2, run_elements},     {"Relu", 1, 1, run_elements},
    {"Pad", 2, 2, run_pad},      {"Sigmoid", 1, 1, run_elements}, {"BatchNormalization", 5, 5, run_batch_norm},
};

static inline void runner_execute(struct runner *runner, struct span message) {
    struct runner_node node = {.fields = message};
    struct array *in[6] = {NULL};
    struct field field;
    while (next_field(&message, &field)) {
        if (field.number == 1) {
            assert_true(node.inputs < 6);
            copy_text(&field, node.in[node.inputs++], sizeof *node.in);
        }
        if (field.number == 2)
            copy_text(&field, node.out, sizeof node.out);
        if (field.number == 4)
            copy_text(&field, node.type, sizeof node.type);
    }
    for (int i = 0; i < node.inputs; i++) {
        in[i] = runner_find(runner, node.in[i]);
        if (!in[i])
            fail_msg("%s reads %s, which is not there yet", node.type, node.in[i]);
    }
    for (size_t i = 0; i < COUNT(runner_operators); i++)
        if (strcmp(runner_operators[i].type, node.type) == 0) {
            assert_in_range(node.inputs, runner_operators[i].least, runner_operators[i].most);
            runner_operators[i].run(runner, &node, in);
            return;
        }
    fail_msg("the operator %s is not known", node.type);
}

/* Computes the graph for the value "x" of `x`; returns the file's value "logits". */
static inline const struct array *runner_run(struct runner *runner, struct span model, const struct array *x) {
    struct field field, graph = {0}, inner;
    while (next_field(&model, &field))
        if (field.number == 7)
            graph = field;
    assert_non_null(graph.bytes);
    struct array *input = runner_add(runner, "x", x->rank, x->d);
    memcpy(input->values, x->values, array_count(x) * sizeof *x->values);
    struct span fields = span(&graph);
    while (next_field(&fields, &inner))
        if (inner.number == 5)
            runner_constant(runner, span(&inner));
    fields = span(&graph);
    while (next_field(&fields, &inner))
        if (inner.number == 1)
            runner_execute(runner, span(&inner));
    return runner_find(runner, "logits");
}

static inline void runner_destroy(struct runner *runner) {
    for (int i = 0; i < runner->count; i++)
        free(runner->values[i].values);
    *runner = (struct runner){0};
}

#endif

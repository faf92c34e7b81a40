/*
 * state: the tensors of a small model under any names, and files of them in a folder of the test's own.
 */
#ifndef RVK_TESTS_STATE_H
#define RVK_TESTS_STATE_H

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "weights/weights.h"

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[] = "/tmp/test_state_XXXXXX";

/* One of a few paths at a time. */
static inline const char *in_folder(const char *name) {
    static char paths[4][160];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline void write_bytes(const char *name, const void *bytes, size_t size) {
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *name, const char *text) {
    write_bytes(name, text, strlen(text));
}

/* ---- a model's tensors under any names ---- */

enum { TENSORS = 288, NAME = 160 };

struct state {
    struct model model;
    struct safetensors_tensor tensors[TENSORS];
    char names[TENSORS][NAME];
    float *values[TENSORS];
    size_t count;
};

static inline void make_state(struct state *state, const char *model) {
    const struct model_options options = {.name = model, .height = 32, .width = 32, .classes = 3, .filters = 4};
    assert_int_equal(model_create(&options, &state->model), STATUS_OK);
    state->count = state->model.count;
    assert_true(state->count + 2 <= TENSORS);
    for (size_t i = 0; i < state->count; i++) {
        const struct parameter *parameter = &state->model.parameters[i];
        struct safetensors_tensor *tensor = &state->tensors[i];
        size_t count = shape_count(parameter->shape);
        snprintf(state->names[i], NAME, "%s", parameter->name);
        state->values[i] = calloc(count, sizeof(float));
        assert_non_null(state->values[i]);
        for (size_t k = 0; k < count; k++)
            state->values[i][k] = (float)random_normal(7, (uint32_t)i, (uint32_t)k);
        *tensor = (struct safetensors_tensor){
            .name = state->names[i], .dtype = SAFETENSORS_F32, .bytes = state->values[i], .size = 4 * count};
        tensor->rank = parameter_file_shape(parameter, tensor->shape);
    }
}

static inline void free_state(struct state *state) {
    for (size_t i = 0; i < state->model.count; i++)
        free(state->values[i]);
    model_destroy(&state->model);
    memset(state, 0, sizeof *state);
}

/* Gives a tensor another name. */
static inline void call(struct state *state, size_t index, const char *format, ...) PRINTF_LIKE(3, 4);

static inline void call(struct state *state, size_t index, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(state->names[index], NAME, format, list);
    va_end(list);
}

static inline void write_state(const struct state *state, const char *name) {
    assert_int_equal(safetensors_write(in_folder(name), state->tensors, state->count, NULL, 0), STATUS_OK);
}

/* The file holds every tensor of the state, with its bits, under the model's names. */
static inline void assert_same(const struct state *state, const char *name) {
    struct weights weights;
    const struct safetensors_tensor *tensors[TENSORS];
    if (weights_open(in_folder(name), &weights) != STATUS_OK ||
        weights_match(&weights, &state->model, NULL, tensors) != STATUS_OK)
        fail_msg("%s: %s", name, status_message());
    for (size_t i = 0; i < state->model.count; i++) {
        assert_int_equal(tensors[i]->size, state->tensors[i].size);
        assert_memory_equal(tensors[i]->bytes, state->values[i], (size_t)tensors[i]->size);
    }
    weights_close(&weights);
}

static inline int make_folder(void **unused) {
    (void)unused;
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **unused) {
    (void)unused;
    char line[64];
    snprintf(line, sizeof line, "rm -r %s", folder);
    return system(line);
}

#endif

/*
 * torch_writer: bytes as torch.save writes them: pickles, and the zip file around them. Failures end the program.
 */
#ifndef RVK_TESTS_TORCH_WRITER_H
#define RVK_TESTS_TORCH_WRITER_H

#include "data/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

enum { PICKLE_ROOM = 1 << 17 };

struct written {
    uint8_t bytes[PICKLE_ROOM];
    size_t size;
};

static inline void written_bytes(struct written *out, const void *bytes, size_t size) {
    if (size > PICKLE_ROOM - out->size)
        abort();
    memcpy(out->bytes + out->size, bytes, size);
    out->size += size;
}

/* Instructions, which may hold zero bytes only as the terminating one. */
static inline void written_code(struct written *out, const char *code) {
    written_bytes(out, code, strlen(code));
}

static inline void written_text(struct written *out, const char *text) {
    uint32_t length = (uint32_t)strlen(text);
    written_code(out, "X");
    written_bytes(out, &length, sizeof length);
    written_bytes(out, text, length);
}

static inline void written_number(struct written *out, int64_t number) {
    int32_t small = (int32_t)number;
    written_code(out, small == number ? "J" : "\x8a\x08");
    written_bytes(out, &number, small == number ? sizeof small : sizeof number);
}

static inline void written_numbers(struct written *out, const int64_t *numbers, size_t count) {
    written_code(out, "(");
    for (size_t i = 0; i < count; i++)
        written_number(out, numbers[i]);
    written_code(out, "t");
}

/* A part of a storage. */
struct written_view {
    const char *class, *key; /* "FloatStorage", "0" */
    int64_t stored, offset;  /* numbers */
    size_t rank;
    int64_t shape[SAFETENSORS_RANK + 1], strides[SAFETENSORS_RANK + 1];
};

static inline void written_tensor(struct written *out, const struct written_view *view) {
    written_code(out, "ctorch._utils\n_rebuild_tensor_v2\n((");
    written_text(out, "storage");
    written_code(out, "ctorch\n");
    written_code(out, view->class);
    written_code(out, "\n");
    written_text(out, view->key);
    written_text(out, "cpu");
    written_number(out, view->stored);
    written_code(out, "tQ");
    written_number(out, view->offset);
    written_numbers(out, view->shape, view->rank);
    written_numbers(out, view->strides, view->rank);
    written_code(out, "\x89"
                      "ccollections\nOrderedDict\n)RtR");
}

static inline const char *written_class(enum safetensors_dtype dtype) {
    return dtype == SAFETENSORS_F16    ? "HalfStorage"
           : dtype == SAFETENSORS_BF16 ? "BFloat16Storage"
           : dtype == SAFETENSORS_F64  ? "DoubleStorage"
           : dtype == SAFETENSORS_I64  ? "LongStorage"
                                       : "FloatStorage";
}

/* An ordered dictionary of tensors; the key of each storage is its number. */
static inline void written_state(struct written *out, const struct safetensors_tensor *tensors, size_t count) {
    written_code(out, "ccollections\nOrderedDict\n)R(");
    for (size_t i = 0; i < count; i++) {
        char key[24];
        struct written_view view = {written_class(tensors[i].dtype), key, 0, 0, tensors[i].rank, {0}, {0}};
        int64_t step = 1;
        for (size_t axis = tensors[i].rank; axis--; step *= view.shape[axis]) {
            view.shape[axis] = (int64_t)tensors[i].shape[axis];
            view.strides[axis] = step;
        }
        view.stored = (int64_t)safetensors_count(&tensors[i]);
        snprintf(key, sizeof key, "%zu", i);
        written_text(out, tensors[i].name);
        written_tensor(out, &view);
    }
    written_code(out, "u");
}

/* ---- zip files ---- */

static inline zip_t *written_zip(const char *path) {
    int code;
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (!zip)
        abort();
    return zip;
}

/* The bytes must stay until zip_close. */
static inline void written_entry(zip_t *zip, const char *name, const void *bytes, size_t size, int method) {
    zip_source_t *source = zip_source_buffer(zip, bytes, size, 0);
    zip_int64_t index = source ? zip_file_add(zip, name, source, 0) : -1;
    if (index < 0 || zip_set_file_compression(zip, (zip_uint64_t)index, method, 0) != 0)
        abort();
}

/* The whole file: the pickle and the tensors' bytes as the storages 0, 1, ... */
static inline void written_file(const char *path, const struct written *pickle,
                                const struct safetensors_tensor *tensors, size_t count) {
    zip_t *zip = written_zip(path);
    char name[48];
    written_entry(zip, "archive/data.pkl", pickle->bytes, pickle->size, ZIP_CM_STORE);
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "archive/data/%zu", i);
        written_entry(zip, name, tensors[i].bytes, (size_t)tensors[i].size, ZIP_CM_STORE);
    }
    written_entry(zip, "archive/version", "3\n", 2, ZIP_CM_STORE);
    if (zip_close(zip) != 0)
        abort();
}

/* ---- the legacy format ---- */

/* Everything but the storages, which follow with a number each. */
static inline void written_legacy(struct written *out, const struct safetensors_tensor *tensors, size_t count) {
    static const uint8_t start[] = {0x80, 2,   0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50,
                                    0x19, '.', 0x80, 2,  'M',  0xe9, 3,    '.',  0x80, 2,    '}',  '('};
    written_bytes(out, start, sizeof start);
    written_text(out, "little_endian");
    written_code(out, "\x88u.\x80\x02");
    written_state(out, tensors, count);
    written_code(out, ".\x80\x02](");
    for (size_t i = 0; i < count; i++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i);
        written_text(out, key);
    }
    written_code(out, "e.");
    for (size_t i = 0; i < count; i++) {
        uint64_t values = safetensors_count(&tensors[i]);
        written_bytes(out, &values, sizeof values);
        written_bytes(out, tensors[i].bytes, (size_t)tensors[i].size);
    }
}

#endif

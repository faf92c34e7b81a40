/*
 * safetensors: a file of named arrays: u64 header length, JSON header, bytes.
 *
 * A reader holds the whole file. Every way in which a file can be wrong is refused with STATUS_DATA and one sentence
 * that names the file and, where there is one, the tensor.
 */
#ifndef RVK_DATA_SAFETENSORS_H
#define RVK_DATA_SAFETENSORS_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { SAFETENSORS_RANK = 8, SAFETENSORS_SHAPE_TEXT = 192 };

/* name, bytes of an element */
#define SAFETENSORS_DTYPES(X)                                                                                          \
    X(F32, 4)                                                                                                          \
    X(F64, 8)                                                                                                          \
    X(F16, 2)                                                                                                          \
    X(BF16, 2)                                                                                                         \
    X(I8, 1)                                                                                                           \
    X(I16, 2)                                                                                                          \
    X(I32, 4)                                                                                                          \
    X(I64, 8)                                                                                                          \
    X(U8, 1)                                                                                                           \
    X(U16, 2)                                                                                                          \
    X(U32, 4)                                                                                                          \
    X(U64, 8)                                                                                                          \
    X(BOOL, 1)

enum safetensors_dtype {
#define X(name, size) SAFETENSORS_##name,
    SAFETENSORS_DTYPES(X)
#undef X
};

struct safetensors_tensor {
    const char *name;
    enum safetensors_dtype dtype;
    uint32_t rank;
    uint64_t shape[SAFETENSORS_RANK];
    const void *bytes; /* little-endian, row by row; not necessarily aligned */
    uint64_t size;     /* bytes */
};

struct safetensors_text {
    const char *key, *value;
};

struct safetensors {
    struct safetensors_tensor *tensors; /* in the order of their bytes */
    size_t count;
    struct safetensors_text *metadata;
    size_t metadata_count;
    char *path;    /* for sentences */
    void *content; /* the file; tensors point into it */
    void *header;  /* the parsed JSON; names and metadata point into it */
};

CHECKED enum status safetensors_read(const char *path, struct safetensors *out);
/* From memory; `bytes` must stay until safetensors_destroy. `path` only names it in sentences. */
CHECKED enum status safetensors_parse(const char *path, const void *bytes, size_t size, struct safetensors *out);
void safetensors_destroy(struct safetensors *file); /* accepts a zeroed one */

/* NULL when there is none. */
const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name);
const char *safetensors_metadata(const struct safetensors *file, const char *key);

/* "F32". */
const char *safetensors_dtype_name(enum safetensors_dtype dtype);
/* Bytes of a value. */
uint64_t safetensors_dtype_size(enum safetensors_dtype dtype);

/* Number of values, and the values as double (64-bit integers beyond 2^53 are rounded). */
uint64_t safetensors_count(const struct safetensors_tensor *tensor);
void safetensors_values(const struct safetensors_tensor *tensor, double *values);

/* Whether its values are F32, F64, F16 or BF16. */
bool safetensors_holds_floats(const struct safetensors_tensor *tensor);

/* The nearest values of one of these four dtypes, ties to even; beyond the largest one infinity, NaN stays NaN. */
void safetensors_store(enum safetensors_dtype dtype, const double *values, uint64_t count, void *bytes);

/* "[64, 32, 3, 3]". `text` holds SAFETENSORS_SHAPE_TEXT characters; returns `text`. */
char *safetensors_print_shape(const struct safetensors_tensor *tensor, char *text);

/*
 * The bytes of a file, free with free(). Tensors are stored in the given order, at multiples of 8 bytes from the start
 * when their sizes are.
 */
CHECKED enum status safetensors_pack(const struct safetensors_tensor *tensors, size_t count,
                                     const struct safetensors_text *metadata, size_t metadata_count, uint8_t **bytes,
                                     size_t *size);
/* The same into a file, atomically: on failure an older file is as it was. */
CHECKED enum status safetensors_write(const char *path, const struct safetensors_tensor *tensors, size_t count,
                                      const struct safetensors_text *metadata, size_t metadata_count);

#endif

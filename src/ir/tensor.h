/*
 * tensor: shapes, stored layout, and the values of a graph.
 *
 * Every tensor has four dimensions and is stored row by row, the last dimension innermost and padded to a multiple
 * of four (the padding holds zeros, always: every kernel writes them and every kernel may rely on them).
 *
 *   activation  [n, h, w, c]     image, row, column, channel
 *   kernel      [kh, kw, i, o]   row, column, input channel (of one group), output channel
 *   vector      [1, 1, 1, c]     bias, gamma, running mean, one number per image, ...
 *   bytes       [n, h, w, c]     DTYPE_U8: dense, no padding but to four bytes at the very end
 *
 * "Dense" host arrays hold the same order without any padding.
 */
#ifndef RVK_IR_TENSOR_H
#define RVK_IR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype { DTYPE_F32, DTYPE_U32, DTYPE_U8 };

/* Indices into shape.d for activations. */
enum { N, H, W, C };
/* Indices into shape.d for convolution kernels. */
enum { KH, KW, KI, KO };

struct shape {
    uint32_t d[4];
};

static inline struct shape shape4(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    return (struct shape){{a, b, c, d}};
}

static inline struct shape shape_vector(uint32_t count) {
    return (struct shape){{1, 1, 1, count}};
}

bool shape_equal(struct shape a, struct shape b);

/* Number of values, without padding. Cannot overflow for shapes that shape_valid accepts. */
uint64_t shape_count(struct shape shape);

/* Every dimension >= 1 and at most 2^31 stored elements. */
bool shape_valid(struct shape shape);

/* "2x32x32x16". `text` holds at least 48 characters; returns `text`. */
char *shape_print(struct shape shape, char *text);

typedef uint32_t tensor_id;
#define TENSOR_NONE UINT32_MAX
#define TENSOR_ABSENT (UINT32_MAX - 1) /* in OPERANDS: this optional operand is left out, others follow */

enum tensor_role {
    TENSOR_TEMPORARY,  /* lives in the arena from its first write to its last use */
    TENSOR_INPUT,      /* written by the host before each step */
    TENSOR_OUTPUT,     /* read by the host after each step */
    TENSOR_PERSISTENT, /* keeps its value between steps and plans; found by name (exec/store.h) */
};

struct tensor {
    char name[64];
    enum dtype dtype;
    struct shape shape;
    enum tensor_role role; /* of a root; views follow their root */
    tensor_id base;        /* TENSOR_NONE: a root. Otherwise this value is a view into that tensor's storage ... */
    uint64_t offset;       /* ... starting this many bytes in (a multiple of TENSOR_ALIGNMENT) */
};

/* Views and roots start at multiples of this many bytes: it satisfies every device's offset alignments (<= 256). */
#define TENSOR_ALIGNMENT 256u

/* Stored length of a row (last dimension with padding), in elements. */
uint32_t tensor_row(const struct tensor *tensor);

/* Stored elements, padding included. */
uint64_t tensor_elements(const struct tensor *tensor);

/* Stored bytes, a multiple of 4. */
uint64_t tensor_bytes(const struct tensor *tensor);

/* Dense values -> stored bytes (rounded to the dtype; padding becomes zero). `stored` holds tensor_bytes(). */
void tensor_store(const struct tensor *tensor, const double *dense, void *stored);

/* Stored bytes -> dense values. */
void tensor_load(const struct tensor *tensor, const void *stored, double *dense);

#endif

/*
 * pickle: what torch.save writes, as a list of nodes. Nothing is executed.
 *
 * Python's pickle is a program for a small machine with a stack and a memo. Of its instructions, those are known that
 * make numbers, texts, tuples, lists and dictionaries, and of what they may call, torch's functions that put tensors
 * together out of storages. Anything else is refused by name. Every instruction makes at most one node, so that memory
 * is bounded by the length of the pickle, and nothing here recurs.
 */
#ifndef RVK_WEIGHTS_PICKLE_H
#define RVK_WEIGHTS_PICKLE_H

#include "data/safetensors.h"

#include <stdbool.h>

enum { PICKLE_LIMIT = 4 << 20 }; /* bytes of one pickle: of the largest networks, with their optimizers, half of it */

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_WHOLE, /* also of True and False */
    PICKLE_REAL,
    PICKLE_TEXT,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_STORAGE_CLASS, /* torch.FloatStorage */
    PICKLE_STORAGE,
    PICKLE_TENSOR,
    PICKLE_CALL, /* one of the functions that may be called */
};

struct pickle_node {
    enum pickle_kind kind;
    enum safetensors_dtype dtype; /* of a storage class, a storage and a tensor */
    union {
        int64_t whole;
        double real;
        char *text;
        struct {
            uint32_t *items; /* nodes; of a dictionary keys and values in turn */
            size_t count, capacity;
        } list;
        struct {
            uint32_t key; /* a text */
            int64_t count;
        } storage;
        struct {
            uint32_t storage, shape, strides; /* the last two: tuples or lists */
            int64_t offset;
        } tensor;
    };
};

struct pickle {
    struct pickle_node *nodes;
    size_t count, capacity;
    uint32_t top; /* the node that the pickle stands for */
    size_t size;  /* bytes up to and with its end */
    /* of the machine */
    const uint8_t *bytes;
    size_t at, end;
    uint32_t *stack, *memo;
    size_t stack_count, stack_capacity, memo_count, memo_capacity;
};

/* Reads the pickle at the beginning of `bytes`. STATUS_DATA with a sentence without the file's name, STATUS_MEMORY;
 * *out is then zeroed. `bytes` are not needed afterwards. */
CHECKED enum status pickle_parse(const uint8_t *bytes, size_t size, struct pickle *out);
void pickle_destroy(struct pickle *pickle); /* accepts a zeroed one */

/* The value of a key that is a text, or NULL. `dict`: any node. */
const struct pickle_node *pickle_find(const struct pickle *pickle, const struct pickle_node *dict, const char *key);

/* The whole number at a place of a tuple or list; false when there is none. */
bool pickle_number(const struct pickle *pickle, const struct pickle_node *list, size_t index, int64_t *out);

#endif

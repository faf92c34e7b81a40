/*
 * memory: allocation that fails with a sentence, growing arrays, and big zeroed blocks.
 */
#ifndef RVK_BASE_MEMORY_H
#define RVK_BASE_MEMORY_H

#include "base/status.h"

#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Sets *out to `count * size` zeroed bytes, or to NULL with STATUS_MEMORY (also on overflow). Free with free(). */
CHECKED enum status memory_zeroed(size_t count, size_t size, void *out);

/*
 * Makes room for at least `need` items of `size` bytes in the array *items (grown by doubling; *capacity follows).
 * On failure the array is as it was.
 */
CHECKED enum status memory_grow(void *items, size_t *capacity, size_t need, size_t size);

/*
 * Asks the system to back [block, block + bytes), which nobody has touched yet, with large pages: the first touch of a
 * big block is then up to fifty times cheaper. A hint, without effect where there is no such thing.
 */
void memory_prefer_large_pages(void *block, size_t bytes);

/* The smallest multiple of `unit` (> 0) that is not below `value`. */
static inline uint64_t round_up(uint64_t value, uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

static inline uint64_t ceil_div(uint64_t value, uint64_t unit) {
    return (value + unit - 1) / unit;
}

#endif

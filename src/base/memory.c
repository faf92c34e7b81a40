#define _DEFAULT_SOURCE /* madvise is not POSIX */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

CHECKED enum status memory_zeroed(size_t count, size_t size, void *out) {
    void *block = calloc(count ? count : 1, size ? size : 1);
    memcpy(out, &block, sizeof block);
    if (!block)
        return fail(STATUS_MEMORY, "out of host memory: %zu items of %zu bytes", count, size);
    return STATUS_OK;
}

CHECKED enum status memory_grow(void *items, size_t *capacity, size_t need, size_t size) {
    if (need <= *capacity)
        return STATUS_OK;
    size_t grown = MAX(MAX(need, *capacity * 2), (size_t)8);
    void *old;
    memcpy(&old, items, sizeof old);
    void *block = grown > SIZE_MAX / size ? NULL : realloc(old, grown * size);
    if (!block)
        return fail(STATUS_MEMORY, "out of host memory: %zu items of %zu bytes", grown, size);
    memcpy(items, &block, sizeof block);
    *capacity = grown;
    return STATUS_OK;
}

void memory_prefer_large_pages(void *block, size_t bytes) {
#ifdef MADV_HUGEPAGE
    enum { PAGE = 4096, LARGE_PAGE = 2 << 20 };
    uintptr_t first = (uintptr_t)round_up((uintptr_t)block, PAGE);
    if (bytes >= 2 * LARGE_PAGE)
        (void)madvise((void *)first, ((uintptr_t)block + bytes - first) / PAGE * PAGE, MADV_HUGEPAGE);
#else
    (void)block, (void)bytes;
#endif
}

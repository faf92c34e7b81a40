/*
 * hazards: which barrier stands before which dispatch. A pure function of byte ranges and declared access.
 */
#ifndef RVK_EXEC_HAZARDS_H
#define RVK_EXEC_HAZARDS_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct access {
    const void *buffer; /* identity of the storage */
    uint64_t begin, end;
    bool write;
};

/* The accesses since the last barrier. Zero-initialize; hazards_destroy frees. */
struct hazards {
    struct access *seen;
    size_t count, capacity;
};

/*
 * Adds the accesses of the next dispatch. *barrier tells whether one must stand before it: it reads or writes what was
 * written, or writes what was read, since the last barrier (which this call then forgets, as the barrier orders
 * everything).
 */
CHECKED enum status hazards_add(struct hazards *hazards, const struct access *accesses, size_t count, bool *barrier);
void hazards_destroy(struct hazards *hazards);

#endif

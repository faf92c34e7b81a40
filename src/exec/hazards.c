#include "exec/hazards.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static bool conflict(const struct access *a, const struct access *b) {
    return a->buffer == b->buffer && a->begin < b->end && b->begin < a->end && (a->write || b->write);
}

enum status hazards_add(struct hazards *hazards, const struct access *accesses, size_t count, bool *barrier) {
    *barrier = false;
    for (size_t i = 0; i < count && !*barrier; i++)
        for (size_t j = 0; j < hazards->count && !*barrier; j++)
            *barrier = conflict(&accesses[i], &hazards->seen[j]);
    if (*barrier)
        hazards->count = 0;
    TRY(memory_grow(&hazards->seen, &hazards->capacity, hazards->count + count, sizeof *accesses));
    memcpy(hazards->seen + hazards->count, accesses, count * sizeof *accesses);
    hazards->count += count;
    return STATUS_OK;
}

void hazards_destroy(struct hazards *hazards) {
    free(hazards->seen);
    *hazards = (struct hazards){0};
}

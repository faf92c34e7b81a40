/*
 * loader: batches of images of a streamed data set, read and decoded ahead by threads.
 *
 * A pass is a list of pictures in the order in which they are wanted. The threads take place after place of it and
 * write into the buffers of the next few batches, which are reused; so what a batch holds does not depend on their
 * number. The threads stay between passes. All functions are for one thread.
 */
#ifndef RVK_DATA_LOADER_H
#define RVK_DATA_LOADER_H

#include "data/dataset.h"
#include "data/view.h"

struct loader;

/*
 * For batches of `batch` images of `size` x `size`; the data set, which must be a streamed one, must outlive it.
 * STATUS_MEMORY.
 */
CHECKED enum status loader_create(const struct dataset *data, uint32_t batch, uint32_t size, struct loader **out);
void loader_destroy(struct loader *loader); /* accepts NULL; ends a pass */

uint32_t loader_threads(const struct loader *loader);

struct loader_pass {
    const uint32_t *order; /* [count] numbers of pictures, must stay until the pass ends; NULL: first, first + 1, ... */
    uint32_t first, count;
    uint32_t stand_ins; /* a broken picture is replaced by the next sound one of 0 .. stand_ins - 1; 0: its place stays
                           empty */
    struct view view;   /* its `augment` must stay as well */
};

/* Begins a pass with batch number `batch` of it, and ends the one before. */
void loader_start(struct loader *loader, const struct loader_pass *pass, uint32_t batch);
/* Waits until the threads are idle; what is not collected is lost. */
void loader_stop(struct loader *loader);

/* The batch that loader_next will return; UINT32_MAX without a pass. */
uint32_t loader_at(const struct loader *loader);

/* Whether that batch is complete (or cannot be had), after waiting for it for at most `ns`. */
bool loader_ready(struct loader *loader, uint64_t ns);

struct loader_batch {
    uint32_t count;    /* images in it: fewer than `batch` at the end of a pass */
    uint8_t *images;   /* [count, size, size, 3] */
    uint32_t *labels;  /* [count]; UINT32_MAX: none */
    uint32_t *indices; /* [count] numbers of the pictures; UINT32_MAX: the place is empty */
};

/*
 * Waits for the next batch, which is the caller's until the next call of any function here. Broken pictures in it are
 * told to the log, each once. STATUS_DATA when they are too many, STATUS_MEMORY, STATUS_USAGE behind the last batch.
 */
CHECKED enum status loader_next(struct loader *loader, struct loader_batch *out);

#endif

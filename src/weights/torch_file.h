/*
 * torch_file: what torch.save wrote: a pickle that says which tensors there are, and storages with their numbers.
 *
 * torch_zip.c reads the format of today, a zip file, and torch_legacy.c the one before PyTorch 1.6.
 */
#ifndef RVK_WEIGHTS_TORCH_FILE_H
#define RVK_WEIGHTS_TORCH_FILE_H

#include "weights/internal.h"
#include "weights/pickle.h"

struct storage {
    const char *key;
    const uint8_t *bytes; /* NULL: not read yet */
    uint64_t size;        /* bytes */
    uint64_t place;       /* for `load` */
};

struct torch_file {
    struct weights *weights;
    const char *path; /* for sentences */
    struct pickle pickle;
    struct storage *storages; /* sorted by key */
    size_t count;
    uint64_t file_bytes; /* limits what is copied */
    uint64_t copied;
    /* Reads a storage, of which only key, size and place are known yet; NULL: all have been. */
    enum status (*load)(struct torch_file *file, struct storage *storage);
    void *user;
};

void torch_sort_storages(struct torch_file *file);
/* NULL when there is none. */
struct storage *torch_find_storage(const struct torch_file *file, const char *key);

/* Appends the tensors of the state dict in the pickle, whose storages are listed and sorted. */
CHECKED enum status torch_append(struct torch_file *file);

CHECKED enum status torch_read_zip(struct weights *weights, const char *path);

/* Whether a file that starts so is of the legacy format. */
enum { TORCH_LEGACY_START = 15 };
bool torch_is_legacy(const uint8_t start[TORCH_LEGACY_START]);
CHECKED enum status torch_read_legacy(struct weights *weights, const char *path);

#endif

/*
 * torch_legacy: five pickles (a magic number, a version, sizes of types, the tensors, the storages' keys), and then,
 * for each key, how many numbers the storage has and the numbers.
 */
#include "weights/torch_file.h"

#include "base/file.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN "%.95s"

/* The first pickle: protocol 2, a number of 10 bytes, the end. */
static const uint8_t magic[TORCH_LEGACY_START] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                                  0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

bool torch_is_legacy(const uint8_t start[TORCH_LEGACY_START]) {
    return memcmp(start, magic, sizeof magic) == 0;
}

/* What follows in the file. */
struct rest {
    const uint8_t *bytes;
    size_t size;
};

static enum status next_pickle(const struct torch_file *file, struct rest *rest, struct pickle *out) {
    enum status status = pickle_parse(rest->bytes, rest->size, out);
    if (status != STATUS_OK)
        return fail_prefix(status, "%s", file->path);
    rest->bytes += out->size;
    rest->size -= out->size;
    return STATUS_OK;
}

/* Lists the storages that tensors name; `place` is the size of their numbers. Keys come once. */
static enum status list_storages(struct torch_file *file) {
    const struct pickle *pickle = &file->pickle;
    size_t kept = 0;
    TRY(memory_zeroed(pickle->count, sizeof *file->storages, &file->storages));
    for (size_t i = 0; i < pickle->count; i++)
        if (pickle->nodes[i].kind == PICKLE_STORAGE)
            file->storages[file->count++] = (struct storage){.key = pickle->nodes[pickle->nodes[i].storage.key].text,
                                                             .place = safetensors_dtype_size(pickle->nodes[i].dtype)};
    torch_sort_storages(file);
    for (size_t i = 0; i < file->count; i++)
        if (i == 0 || strcmp(file->storages[i].key, file->storages[kept - 1].key) != 0)
            file->storages[kept++] = file->storages[i];
    file->count = kept;
    return STATUS_OK;
}

static enum status take_storage(struct torch_file *file, struct rest *rest, const char *key) {
    struct storage *storage = torch_find_storage(file, key);
    int64_t count;
    if (!storage || storage->bytes)
        return fail(STATUS_DATA, "%s: storage " SHOWN " belongs to no tensor", file->path, key);
    if (rest->size < sizeof count)
        return fail(STATUS_DATA, "%s ends before storage " SHOWN, file->path, key);
    memcpy(&count, rest->bytes, sizeof count);
    rest->bytes += sizeof count;
    rest->size -= sizeof count;
    if (count < 0 || (uint64_t)count > rest->size / storage->place)
        return fail(STATUS_DATA, "%s ends within storage " SHOWN " of %lld numbers", file->path, key, (long long)count);
    storage->bytes = rest->bytes;
    storage->size = (uint64_t)count * storage->place;
    rest->bytes += storage->size;
    rest->size -= (size_t)storage->size;
    return STATUS_OK;
}

static enum status take_storages(struct torch_file *file, struct rest *rest, const struct pickle *keys) {
    const struct pickle_node *list = &keys->nodes[keys->top];
    if (list->kind != PICKLE_LIST)
        return fail(STATUS_DATA, "%s has no list of its storages", file->path);
    TRY(list_storages(file));
    for (size_t i = 0; i < list->list.count; i++) {
        const struct pickle_node *key = &keys->nodes[list->list.items[i]];
        if (key->kind != PICKLE_TEXT)
            return fail(STATUS_DATA, "%s: a storage's key is no text", file->path);
        TRY(take_storage(file, rest, key->text));
    }
    return torch_append(file);
}

static enum status check_system(const struct torch_file *file, struct rest *rest) {
    struct pickle system;
    TRY(next_pickle(file, rest, &system));
    const struct pickle_node *little = pickle_find(&system, &system.nodes[system.top], "little_endian");
    bool fits = little && little->kind == PICKLE_WHOLE && little->whole;
    pickle_destroy(&system);
    return fits ? STATUS_OK : fail(STATUS_DATA, "%s does not say that its numbers are little-endian", file->path);
}

static enum status read_parts(struct torch_file *file, struct rest rest) {
    struct pickle pickle;
    rest.bytes += sizeof magic;
    rest.size -= sizeof magic;
    TRY(next_pickle(file, &rest, &pickle)); /* the version, which was never changed */
    pickle_destroy(&pickle);
    TRY(check_system(file, &rest));
    TRY(next_pickle(file, &rest, &file->pickle));
    TRY(next_pickle(file, &rest, &pickle));
    enum status status = take_storages(file, &rest, &pickle);
    pickle_destroy(&pickle);
    return status;
}

enum status torch_read_legacy(struct weights *weights, const char *path) {
    struct torch_file file = {.weights = weights, .path = path};
    struct rest rest;
    uint8_t *bytes;
    TRY(file_read(path, SIZE_MAX / 2, &bytes, &rest.size));
    TRY(weights_keep(weights, bytes));
    rest.bytes = bytes;
    file.file_bytes = rest.size;
    enum status status = read_parts(&file, rest);
    pickle_destroy(&file.pickle);
    free(file.storages);
    return status;
}

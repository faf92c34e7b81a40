#include "exec/store.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char name[64];
    struct vk_buffer *buffer;
    uint64_t bytes;
    uint64_t version;
};

struct store {
    struct vk_device *device;
    struct entry *entries;
    size_t count, capacity;
};

enum status store_create(struct vk_device *device, struct store **out) {
    TRY(memory_zeroed(1, sizeof **out, out));
    (*out)->device = device;
    return STATUS_OK;
}

void store_destroy(struct store *store) {
    if (!store)
        return;
    for (size_t i = 0; i < store->count; i++)
        vk_buffer_destroy(store->entries[i].buffer);
    free(store->entries);
    free(store);
}

struct vk_device *store_device(const struct store *store) {
    return store->device;
}

static struct entry *find(const struct store *store, const char *name) {
    for (size_t i = 0; i < store->count; i++)
        if (strcmp(store->entries[i].name, name) == 0)
            return &store->entries[i];
    return NULL;
}

enum status store_get(struct store *store, const char *name, uint64_t bytes, struct vk_buffer **out) {
    struct entry *entry = find(store, name);
    *out = NULL;
    if (entry && entry->bytes != bytes)
        return fail(STATUS_USAGE, "%s has %llu bytes on the device, not %llu", name, (unsigned long long)entry->bytes,
                    (unsigned long long)bytes);
    if (!entry) {
        TRY(memory_grow(&store->entries, &store->capacity, store->count + 1, sizeof *store->entries));
        entry = &store->entries[store->count];
        *entry = (struct entry){.bytes = bytes, .version = 1};
        snprintf(entry->name, sizeof entry->name, "%s", name);
        enum status status = vk_buffer_create(store->device, VK_MEMORY_DEVICE, bytes, &entry->buffer);
        if (status != STATUS_OK)
            return fail_prefix(status, "%s", name);
        store->count++;
        TRY(vk_fill(entry->buffer, 0, bytes, 0));
    }
    *out = entry->buffer;
    return STATUS_OK;
}

static enum status find_part(struct store *store, const char *name, uint64_t offset, uint64_t bytes,
                             struct entry **out) {
    *out = find(store, name);
    if (!*out)
        return fail(STATUS_USAGE, "there is no value called %s on the device", name);
    if (offset > (*out)->bytes || bytes > (*out)->bytes - offset)
        return fail(STATUS_USAGE, "%s: %llu bytes at byte %llu do not fit into %llu bytes", name,
                    (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)(*out)->bytes);
    return STATUS_OK;
}

enum status store_write(struct store *store, const char *name, uint64_t offset, const void *data, uint64_t bytes) {
    struct entry *entry;
    TRY(find_part(store, name, offset, bytes, &entry));
    entry->version++;
    return vk_write(entry->buffer, offset, data, bytes);
}

enum status store_read(struct store *store, const char *name, uint64_t offset, void *data, uint64_t bytes) {
    struct entry *entry;
    TRY(find_part(store, name, offset, bytes, &entry));
    return vk_read(entry->buffer, offset, data, bytes);
}

uint64_t store_version(const struct store *store, const char *name) {
    const struct entry *entry = find(store, name);
    return entry ? entry->version : 0;
}

void store_changed(struct store *store, const char *name) {
    struct entry *entry = find(store, name);
    if (entry)
        entry->version++;
}

uint64_t store_bytes(const struct store *store) {
    uint64_t sum = 0;
    for (size_t i = 0; i < store->count; i++)
        sum += store->entries[i].bytes;
    return sum;
}

/*
 * store: the values that outlive a step (parameters, statistics, optimizer state, data sets), on one device.
 *
 * Several plans share a store: a persistent root of a graph is found by its name, and made (filled with zeros) when a
 * plan first asks for it. One thread at a time, as the device.
 */
#ifndef RVK_EXEC_STORE_H
#define RVK_EXEC_STORE_H

#include "ir/tensor.h"
#include "vk/vk.h"

struct store;

CHECKED enum status store_create(struct vk_device *device, struct store **out);
void store_destroy(struct store *store);
struct vk_device *store_device(const struct store *store);

/* The buffer of the root `name`, made with `bytes` zeroed bytes if it is new; STATUS_USAGE if its size differs. */
CHECKED enum status store_get(struct store *store, const char *name, uint64_t bytes, struct vk_buffer **out);

/* Synchronous copies of a part of `name`, which must exist. */
CHECKED enum status store_write(struct store *store, const char *name, uint64_t offset, const void *data,
                                uint64_t bytes);
CHECKED enum status store_read(struct store *store, const char *name, uint64_t offset, void *data, uint64_t bytes);

/* How often `name` was written: by store_write, and by whoever said so with store_changed. 0: there is no such value.
 */
uint64_t store_version(const struct store *store, const char *name);
void store_changed(struct store *store, const char *name);

/* Bytes held by all values. */
uint64_t store_bytes(const struct store *store);

#endif

/*
 * hash: FNV-1a with 64 bits, to tell whether bytes are the same. No defence against people.
 */
#ifndef RVK_BASE_HASH_H
#define RVK_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(14695981039346656037)

/* The hash of what `hash` stands for (HASH_START: nothing) and `size` bytes after it. */
uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size);

#endif

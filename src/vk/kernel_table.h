/*
 * kernel_table: the SPIR-V modules that the build embeds.
 */
#ifndef RVK_VK_KERNEL_TABLE_H
#define RVK_VK_KERNEL_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct kernel_module {
    const char *name;
    const uint32_t *words;
    size_t bytes;
};

/* Ends with a NULL name. */
extern const struct kernel_module kernel_table[];

#endif

/*
 * limits: what device_facts say, by the names that Vulkan has for it, so that it can be listed, and lowered to what a
 * weaker device has: a program that keeps to lowered facts is one that runs there.
 */
#ifndef RVK_IR_LIMITS_H
#define RVK_IR_LIMITS_H

#include "base/status.h"
#include "ir/facts.h"

/* Name, type and field. The axes of a workgroup or a dispatch count as one limit: the largest is listed, and each is
 * lowered. Features are 0 or 1. */
#define LIMITS(X)                                                                                                      \
    X(maxStorageBufferRange, LIMIT_64, max_storage_range)                                                              \
    X(maxMemoryAllocationSize, LIMIT_64, max_allocation)                                                               \
    X(memoryHeapSize, LIMIT_HEAP, heap_bytes)                                                                          \
    X(maxComputeSharedMemorySize, LIMIT_32, max_shared_bytes)                                                          \
    X(maxComputeWorkGroupInvocations, LIMIT_32, max_invocations)                                                       \
    X(maxComputeWorkGroupSize, LIMIT_AXES, max_group_size)                                                             \
    X(maxComputeWorkGroupCount, LIMIT_AXES, max_groups)                                                                \
    X(maxPushConstantsSize, LIMIT_32, max_push_bytes)                                                                  \
    X(maxPerStageDescriptorStorageBuffers, LIMIT_32, max_storage_buffers)                                              \
    X(maxPerStageDescriptorStorageImages, LIMIT_32, max_storage_texels)                                                \
    X(maxTexelBufferElements, LIMIT_32, max_texel_elements)                                                            \
    X(subgroupSize, LIMIT_SUBGROUP, subgroup_size)                                                                     \
    X(subgroupSizeControl, LIMIT_FEATURE, size_control)                                                                \
    X(subgroupShuffle, LIMIT_FEATURE, subgroup_shuffle)                                                                \
    X(shaderFloat16, LIMIT_FEATURE, float16)                                                                           \
    X(shaderInt16, LIMIT_FEATURE, int16)                                                                               \
    X(shaderInt64, LIMIT_FEATURE, int64)                                                                               \
    X(storageBuffer16BitAccess, LIMIT_FEATURE, storage16)                                                              \
    X(cooperativeMatrix, LIMIT_FEATURE, matrix_units)

/* LIMIT_HEAP is a LIMIT_64 and LIMIT_SUBGROUP a LIMIT_32 of which the specification promises nothing. */
enum limit_type { LIMIT_64, LIMIT_HEAP, LIMIT_32, LIMIT_AXES, LIMIT_SUBGROUP, LIMIT_FEATURE };

struct limit {
    const char *name;
    enum limit_type type;
    size_t offset; /* of the field in struct device_facts */
};

enum {
#define X(name, type, field) LIMIT_NUMBER_##name,
    LIMITS(X)
#undef X
        LIMIT_COUNT
};

extern const struct limit limit_table[LIMIT_COUNT];

uint64_t limit_get(const struct limit *limit, const struct device_facts *facts);
/* Sets every axis of a limit that has several. */
void limit_set(const struct limit *limit, struct device_facts *facts, uint64_t value);

/* What somebody wants to be lowered. All zero: nothing. */
struct limits {
    bool minimum; /* every limit without a value of its own: to what each device must have */
    bool given[LIMIT_COUNT];
    uint64_t values[LIMIT_COUNT];
};

/*
 * Reads "NAME=VALUE,NAME=VALUE"; NULL and "" lower nothing. A value is a whole number, with KiB, MiB or GiB behind it
 * if need be, or on or off. The word "minimum" alone stands for all limits at what the specification promises of every
 * device. STATUS_USAGE with the names for one that is unknown.
 */
CHECKED enum status limits_read(const char *text, struct limits *out);

/*
 * Lowers the facts. STATUS_USAGE, and the facts as they were, for a value above the device's, with both numbers, and
 * for a subgroup size that the device cannot be made to run.
 */
CHECKED enum status limits_apply(const struct limits *limits, struct device_facts *facts);

/* Writes "NAME 128 (of 1024), ..." of what is lower than what was `offered` into `text`, which starts empty. False:
 * nothing is. */
bool limits_print(const struct device_facts *offered, const struct device_facts *facts, char *text, size_t size);

#endif

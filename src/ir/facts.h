/*
 * facts: what a device can do, as plain data, so that lowering needs no device (and is tested against made-up ones).
 */
#ifndef RVK_IR_FACTS_H
#define RVK_IR_FACTS_H

#include <stdbool.h>
#include <stdint.h>

enum device_kind {
    DEVICE_OTHER,
    DEVICE_INTEGRATED,
    DEVICE_DISCRETE,
    DEVICE_VIRTUAL,
    DEVICE_CPU,       /* a Vulkan driver that computes on the CPU */
    DEVICE_REFERENCE, /* no Vulkan: the float64 references of the ops, on the host */
};

struct device_facts {
    char name[256];
    char driver[256]; /* driver name and version, as the driver spells them */
    enum device_kind kind;
    uint32_t vendor_id;
    uint64_t max_storage_range; /* bytes one storage buffer binding may cover */
    uint64_t max_allocation;    /* bytes of one memory allocation */
    uint64_t heap_bytes;        /* of the memory that values live in; the host's, where a CPU is the device */
    uint32_t max_shared_bytes;  /* shared memory of a workgroup */
    uint32_t max_invocations;   /* of a workgroup */
    uint32_t max_group_size[3]; /* of a workgroup, per axis */
    uint32_t max_groups[3];     /* of a dispatch, per axis */
    uint32_t max_push_bytes;
    uint32_t max_storage_buffers; /* storage buffers one kernel may bind */
    uint32_t max_texel_elements;  /* texels of one buffer view */
    uint32_t max_storage_texels;  /* storage texel buffers one kernel may bind */
    uint32_t max_loop_steps;      /* iterations of all loops of one invocation together: lavapipe leaves its loops
                                     after 65,535 without a word, and the results are wrong */
    uint32_t subgroup_size;
    uint32_t least_subgroup;    /* the smallest size that a kernel in compute may require; 0: none may be required */
    uint32_t most_subgroup;     /* the largest one; 0: none */
    uint32_t max_subgroups;     /* of a workgroup with such a size; 0: any number */
    bool size_control;          /* full subgroups may be required in compute (VK_EXT_subgroup_size_control) */
    bool matrix_units;          /* offers cooperative matrices (AMD: from RDNA3 on) */
    bool subgroup_shuffle;      /* shuffle, and full subgroups of known order, in compute */
    bool float16, int16, int64; /* kernels may compute with these types */
    bool storage16;             /* kernels may read and write 16-bit values in storage buffers */
    bool prefers_texels;        /* reads through RGBA32F texel buffers are faster than storage buffers (lavapipe) */
};

/* Fills `facts` with the minimums that the Vulkan 1.1 specification promises (16 KiB shared, 128 invocations, ...). */
void facts_minimum(struct device_facts *facts);

#endif

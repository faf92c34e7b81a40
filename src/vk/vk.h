/*
 * vk: the only folder that includes vulkan.h. Devices, memory, kernels, recorded commands. No tensors, no ops.
 *
 * One thread at a time per device; different devices (also of the same GPU) may be used from different threads.
 * *_create / *_open set their output to NULL first and *_destroy / *_close accept NULL and half-built objects.
 */
#ifndef RVK_VK_VK_H
#define RVK_VK_VK_H

#include "base/status.h"
#include "ir/facts.h"

#include <stdbool.h>
#include <stdint.h>

struct vk_device;
struct vk_buffer;
struct vk_kernel;
struct vk_commands;

/* ---- devices ---- */

struct vk_options {
    const char *device;      /* a number as vk_list gives, or a part of a name (case ignored); NULL or "": discrete GPUs
                                first, then integrated, virtual, other, software devices last. "cpu": the host itself,
                                without Vulkan */
    const char *kernel_path; /* a folder whose NAME.spv files replace the embedded kernels; NULL: none */
    const char *cache_path;  /* file of the pipeline cache; NULL: none. A corrupt or foreign file is ignored */
    bool compiles_ahead;     /* let another thread compile for a driver that does so at a kernel's first dispatch */
    bool validation;         /* load VK_LAYER_KHRONOS_validation with synchronization checks; messages are counted */
    const char *limits;      /* "NAME=VALUE,..." lowers what is believed of the device (ir/limits.h); NULL: nothing */
};

struct vk_description {
    struct device_facts facts;   /* what is believed of the device, and kept to */
    struct device_facts offered; /* what it says itself: more than that under options.limits */
    char api[32];                /* "1.3.230"; "" for the host itself */
    uint8_t uuid[16];            /* of the device, the same for every driver and program */
    uint32_t driver_version;
    bool usable;
    char why_not[128]; /* what is missing, when not usable */
};

/* Lists the devices into *list (free with free()), the host itself last. STATUS_DEVICE when there is no loader, no
 * driver, or no device; the sentence says which and what to install. */
CHECKED enum status vk_list(struct vk_description **list, uint32_t *count);

/*
 * The host itself (facts.kind is DEVICE_REFERENCE) has memory, all of it mapped, and nothing else: kernels, commands
 * and timestamps are refused with STATUS_DEVICE.
 */
CHECKED enum status vk_open(const struct vk_options *options, struct vk_device **out);
/* Everything made on the device must be destroyed before. Saves the pipeline cache. */
void vk_close(struct vk_device *device);
/*
 * Opens a lost device anew, as the same object: kernels are forgotten, totals go on. Everything else made on it must be
 * destroyed before. What still runs after a timeout keeps its memory. STATUS_LOST when it cannot be opened.
 */
CHECKED enum status vk_recover(struct vk_device *device);

const struct device_facts *vk_facts(const struct vk_device *device);
const struct vk_description *vk_describe(const struct vk_device *device);
/* True when less is believed of the device than it offers: what is measured then says nothing about the device. The
 * pipeline cache holds all the same, as its entries depend on all that the driver is told. */
bool vk_lowered(const struct vk_device *device);

/* Running totals since vk_open: nothing of these may grow during an epoch (tests hold this). */
struct vk_counters {
    uint64_t allocations, pipelines, recordings, submissions, dispatches_recorded, validation_messages;
    uint64_t device_bytes; /* allocated now */
};
struct vk_counters vk_counters(const struct vk_device *device);

/* Writes the pipeline cache file if pipelines were added since (atomically; failures are logged, not fatal). */
void vk_save_cache(struct vk_device *device);

/* ---- memory ---- */

enum vk_memory {
    VK_MEMORY_DEVICE,   /* fastest for the device; not mapped unless the device shares memory with the host */
    VK_MEMORY_UPLOAD,   /* mapped, coherent, written by the host */
    VK_MEMORY_DOWNLOAD, /* mapped, coherent (cached where possible), read by the host */
};

/* Fresh contents are undefined. Fails with STATUS_MEMORY and a sentence with the bytes asked for and the heap's size.
 */
CHECKED enum status vk_buffer_create(struct vk_device *device, enum vk_memory kind, uint64_t bytes,
                                     struct vk_buffer **out);
void vk_buffer_destroy(struct vk_buffer *buffer);
/*
 * Bytes that are left for buffers, as far as can be known: what VK_EXT_memory_budget leaves to this process, without it
 * 80 % of the heap (of the host itself 40 %: what runs there needs as much again), less what the device holds here
 * already and the staging memory that it will need.
 */
uint64_t vk_memory_left(const struct vk_device *device);
void *vk_buffer_map(struct vk_buffer *buffer); /* the mapped memory, NULL for memory that is not mapped */
uint64_t vk_buffer_bytes(const struct vk_buffer *buffer);

/* Synchronous copies between host and any buffer (through staging memory made once and kept by the device). */
CHECKED enum status vk_write(struct vk_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes);
CHECKED enum status vk_read(struct vk_buffer *buffer, uint64_t offset, void *data, uint64_t bytes);
/* Fills [offset, offset + bytes) with a repeated 32-bit word; both multiples of 4. Synchronous. */
CHECKED enum status vk_fill(struct vk_buffer *buffer, uint64_t offset, uint64_t bytes, uint32_t word);

/* ---- kernels ---- */

enum { VK_BINDINGS = 16 };
enum vk_access { VK_READS = 1, VK_WRITES = 2 };

struct vk_interface {
    uint32_t binding_count;
    struct {
        bool texels;     /* a texel buffer (RGBA32F), otherwise a storage buffer */
        uint32_t access; /* enum vk_access bits, from readonly / writeonly */
    } bindings[VK_BINDINGS];
    uint32_t push_bytes;
    uint32_t group_size[3]; /* after specialization */
    uint32_t subgroup_size; /* that the pipeline requires; 0: the driver chooses */
    uint32_t shared_bytes;  /* after specialization; 0 when a size is computed in a way that is not followed */
};

/* Changes when an embedded kernel changes: what was measured with other kernels says nothing about these. */
uint64_t vk_kernels_checksum(void);

/* True when a kernel of this name is embedded or in kernel_path. */
bool vk_kernel_exists(const struct vk_device *device, const char *name);

/*
 * Kernel `name` with specialization constants 0 .. count - 1 and subgroups of `subgroup_size` (0: the usual ones); made
 * at the first call, afterwards the same pointer for the same arguments. Owned by the device. A missing kernel, or one
 * that needs more than the device's limits, fails with a sentence that names kernel, limit and numbers. Its pipeline is
 * compiled by vk_kernels_compile, or when it is recorded first.
 */
CHECKED enum status vk_kernel_get(struct vk_device *device, const char *name, const uint32_t *constants, uint32_t count,
                                  uint32_t subgroup_size, struct vk_kernel **out);
/*
 * Compiles what is not compiled yet on as many threads as there are processors: drivers take long over it. A failure is
 * reported when the kernel is recorded.
 */
void vk_kernels_compile(struct vk_device *device);
const struct vk_interface *vk_kernel_interface(const struct vk_kernel *kernel);

/* ---- recorded commands ---- */

struct vk_range {
    struct vk_buffer *buffer;
    uint64_t offset, bytes; /* offset a multiple of 256; bytes a multiple of 4 (16 for texels) */
};

/* A command buffer that may be submitted any number of times, also while an earlier submission of it still runs. */
CHECKED enum status vk_commands_create(struct vk_device *device, struct vk_commands **out);
void vk_commands_destroy(struct vk_commands *commands);
CHECKED enum status vk_begin(struct vk_commands *commands);
CHECKED enum status vk_end(struct vk_commands *commands);

/* Descriptor sets and buffer views are made here, once. Checks the ranges against the device's limits. */
CHECKED enum status vk_record_dispatch(struct vk_commands *commands, struct vk_kernel *kernel,
                                       const struct vk_range *ranges, uint32_t range_count, const uint32_t *push,
                                       uint32_t push_count, const uint32_t groups[3]);
void vk_record_copy(struct vk_commands *commands, struct vk_range from, struct vk_buffer *to, uint64_t to_offset);
/* Everything recorded or submitted before is finished and visible to everything after (compute, transfer). vk_end adds
 * what makes the results visible to the host. */
void vk_record_barrier(struct vk_commands *commands);
/* Writes timestamp `index` (< vk_timestamps_reserve's count) when all work before it is done. */
void vk_record_timestamp(struct vk_commands *commands, uint32_t index);

/* Makes room for `count` timestamps (may be called again; not while commands that write them are pending). */
CHECKED enum status vk_timestamps_reserve(struct vk_device *device, uint32_t count);
/* Reads timestamps [0, count) in nanoseconds of the device's clock; all must have been written. */
CHECKED enum status vk_timestamps_read(struct vk_device *device, uint32_t count, uint64_t *ns);
bool vk_timestamps_supported(const struct vk_device *device);

/* ---- submission ---- */

enum { VK_SUBMISSION_COMMANDS = 256 }; /* command buffers of one submission, at most */

/* Submits the command buffers in order; *ticket numbers the submission. Never waits, unless 64 submissions are pending.
 */
CHECKED enum status vk_submit(struct vk_device *device, struct vk_commands *const *commands, uint32_t count,
                              uint64_t *ticket);
/* Waits (finitely: 60 s, or RESNET_VK_TIMEOUT seconds) until the submission and all before it are done. STATUS_LOST on
 * device loss or timeout. */
CHECKED enum status vk_wait(struct vk_device *device, uint64_t ticket);
/* Whether one of the last 64 submissions is done, without waiting; also on a lost device. */
bool vk_finished(const struct vk_device *device, uint64_t ticket);
#endif

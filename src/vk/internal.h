/*
 * internal: the structures behind vk.h, shared by the files of this folder.
 */
#ifndef RVK_VK_INTERNAL_H
#define RVK_VK_INTERNAL_H

#include "vk/vk.h"

#include "vk/functions.h"
#include "vk/reflect.h"

enum {
    PENDING_SUBMISSIONS = 64,
    RANGE_ALIGNMENT = 256,        /* no device asks for more than 256, by the specification */
    STAGING_BYTES = 16 * 1048576, /* piece of a copy between host and unmapped memory */
};

/* ---- instance.c ---- */

/* A loaded instance, with the validation layer on request; `device` gets the count of its messages. */
struct instance {
    VkInstance handle;
    VkDebugUtilsMessengerEXT messenger;
};
/* *messages counts what the validation layer says; it must outlive the instance. */
CHECKED enum status instance_create(bool validation, uint64_t *messages, struct instance *out);
void instance_destroy(struct instance *instance);

/* What was found out about a device before it is opened. */
struct physical {
    VkPhysicalDevice handle;
    VkPhysicalDeviceProperties properties;
    struct vk_description description;
    uint32_t family;         /* of the queues used */
    uint32_t timestamp_bits; /* 0: no timestamps */
    bool portability_subset; /* an extension that must be enabled where it exists */
    bool memory_budget;      /* VK_EXT_memory_budget */
};
/* All devices, the one to prefer first, the host itself last; free with free(). STATUS_DEVICE when there is no other.
 */
CHECKED enum status physical_list(VkInstance instance, struct physical **list, uint32_t *count);

/* physical.c: fills everything from `handle`, but for what the description calls offered. */
void physical_describe(VkPhysicalDevice handle, struct physical *physical);

/* ---- device.c ---- */

struct vk_device {
    struct instance instance;
    struct physical physical;
    bool lowered; /* some of its facts are less than it offers */
    VkPhysicalDeviceMemoryProperties memory;
    VkDevice handle;
    VkQueue queue;
    VkCommandPool pool;
    VkPipelineCache cache;
    char *cache_path, *kernel_path;
    uint64_t saved_pipelines; /* counters.pipelines when the cache was last saved */
    uint64_t cache_checksum;  /* of the data read from or written to the cache file last */
    struct vk_kernel **kernels;
    size_t kernel_count, kernel_capacity;
    bool compiles_ahead;
    struct ahead *ahead;                 /* NULL: nothing was compiled in the background yet */
    VkFence fences[PENDING_SUBMISSIONS]; /* of ticket t: fences[t % PENDING_SUBMISSIONS] */
    uint64_t submitted, finished;        /* tickets */
    uint64_t timeout_ns;
    bool lost; /* no further work is accepted */
    bool hung; /* lost by a timeout: the last work may still run */
    char lost_message[768];
    struct vk_commands *transfer; /* for synchronous copies */
    struct vk_buffer *staging[2]; /* upload, download; made when first needed */
    VkQueryPool queries;
    uint32_t query_count;
    struct vk_counters counters;
};

/* The name of a result, as the specification spells it. */
const char *result_name(VkResult result);

/* fail() with the status that fits `result`, a sentence "ACTION failed on DEVICE: RESULT". Marks a lost device. */
enum status device_fail(struct vk_device *device, VkResult result, const char *action);

/* The same device once more, for another thread: a logical device of its own, without a cache file and a limit of time.
 * It must be closed before `device`. */
CHECKED enum status device_open_twin(const struct vk_device *device, struct vk_device **twin);
void device_close_twin(struct vk_device *twin);

static inline bool device_is_host(const struct vk_device *device) {
    return device->physical.description.facts.kind == DEVICE_REFERENCE;
}

/* ---- memory.c ---- */

struct vk_buffer {
    struct vk_device *device;
    VkBuffer handle;
    VkDeviceMemory memory;
    void *mapped;
    uint64_t bytes, allocated;
    bool cached; /* reads through `mapped` are fast */
};

/* ---- missing.c ---- */

/* Both: STATUS_DEVICE with a sentence that says what to install. `result` is what creating an instance by `info` gave.
 */
CHECKED enum status missing_driver(VkResult result, const VkInstanceCreateInfo *info);
CHECKED enum status missing_device(void);

/* ---- host.c ---- */

/* Is this the name of the host itself? */
bool host_wanted(const char *name);
void host_describe(struct physical *physical);
/* Bytes of the computer's memory. */
uint64_t host_memory(void);
CHECKED enum status host_open(const struct vk_options *options, struct vk_device *device);
/* STATUS_DEVICE: the host has no WHAT. */
CHECKED enum status host_refuse(const char *what);
CHECKED enum status host_allocate(struct vk_buffer *buffer);

/* ---- kernel.c ---- */

struct module {
    const uint32_t *words;
    size_t count;
    uint8_t *owned; /* when read from a file */
};

struct vk_kernel {
    char *name;
    uint32_t *constants;
    uint32_t constant_count;
    uint32_t subgroup_size; /* as asked for; 0: the usual one */
    struct module module;   /* until it is compiled */
    struct reflection reflection;
    bool full_subgroups;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    bool tried;          /* to compile it */
    VkPipeline pipeline; /* VK_NULL_HANDLE until that was done */
};
/* Compiles the kernel if that was not done. */
CHECKED enum status kernel_require(struct vk_device *device, struct vk_kernel *kernel);
void kernel_destroy(struct vk_device *device, struct vk_kernel *kernel);
VkDescriptorType kernel_descriptor_type(enum binding_kind kind);

/* ---- ahead.c ---- */

/* Compiles the kernels in the background too, where that helps. */
void ahead_add(struct vk_device *device, struct vk_kernel *const *kernels, size_t count);
/* Ends it, as soon as the kernel at hand is done. */
void ahead_stop(struct vk_device *device);

/* ---- commands.c ---- */

VkCommandBuffer commands_handle(const struct vk_commands *commands);
bool commands_finished(const struct vk_commands *commands);

/* ---- queue.c ---- */

CHECKED enum status queue_create(struct vk_device *device);
void queue_destroy(struct vk_device *device);
/* Waits for all submissions. False when some may still run (after a timeout): what they use must not be destroyed. */
bool queue_idle(struct vk_device *device);

/* ---- cache.c ---- */

/* NULL when the bytes are a file that was saved for this device and driver; otherwise why they are not. */
const char *cache_refusal(const struct vk_device *device, const uint8_t *bytes, size_t size);

/* Starts the pipeline cache, from the file when that is sound. */
CHECKED enum status cache_create(struct vk_device *device);

#endif

/*
 * host: the device "cpu", for machines without Vulkan: memory of the host, and no kernels. What runs on it is up to
 * exec, which takes the references of the ops.
 */
#include "vk/internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

bool host_wanted(const char *name) {
    return name && strcasecmp(name, "cpu") == 0;
}

uint64_t host_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : UINT64_C(1) << 32;
}

void host_describe(struct physical *physical) {
    *physical = (struct physical){.description = {.usable = true}};
    struct vk_description *description = &physical->description;
    struct device_facts *facts = &description->facts;
    facts_minimum(facts);
    facts->kind = DEVICE_REFERENCE;
    facts->max_allocation = facts->heap_bytes = host_memory();
    snprintf(facts->name, sizeof facts->name, "CPU reference");
    snprintf(facts->driver, sizeof facts->driver, "float64 reference " RVK_VERSION);
    description->offered = *facts;
}

enum status host_open(const struct vk_options *options, struct vk_device *device) {
    if (options->kernel_path || options->validation || (options->limits && *options->limits))
        return fail(STATUS_USAGE, "the CPU reference runs no kernels: there is nothing to replace, to validate or to "
                                  "limit");
    host_describe(&device->physical);
    log_warn(
        "the CPU reference computes in float64, for certainty and not for speed: expect ten to twenty times the time "
        "that Mesa's Vulkan driver takes on the same CPU (Debian: mesa-vulkan-drivers)");
    return STATUS_OK;
}

enum status host_refuse(const char *what) {
    return fail(STATUS_DEVICE, "the CPU reference has no %s: this needs a Vulkan device", what);
}

enum status host_allocate(struct vk_buffer *buffer) {
    struct vk_device *device = buffer->device;
    uint64_t heap = vk_facts(device)->heap_bytes, used = device->counters.device_bytes;
    if (used > heap || buffer->bytes > heap - used)
        return fail(STATUS_MEMORY, "%llu bytes could not be allocated: this computer has %llu, %llu are in use here",
                    (unsigned long long)buffer->bytes, (unsigned long long)heap, (unsigned long long)used);
    TRY(memory_zeroed((size_t)buffer->bytes, 1, &buffer->mapped));
    buffer->allocated = buffer->bytes;
    buffer->cached = true;
    device->counters.allocations++;
    device->counters.device_bytes += buffer->allocated;
    return STATUS_OK;
}

/* memory: buffers, each with its own allocation (they are few and large), and synchronous copies. */
#include "vk/internal.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAPPABLE = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
    CACHED = VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
    LOCAL = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
};

/* The first type of `allowed` with all of `with` and nothing of `without`; types stand fastest first. */
static bool find(const struct vk_device *device, uint32_t allowed, VkMemoryPropertyFlags with,
                 VkMemoryPropertyFlags without, uint32_t *type) {
    for (uint32_t i = 0; i < device->memory.memoryTypeCount; i++) {
        VkMemoryPropertyFlags flags = device->memory.memoryTypes[i].propertyFlags;
        if (allowed >> i & 1 && (flags & with) == with && !(flags & without)) {
            *type = i;
            return true;
        }
    }
    return false;
}

static bool choose(const struct vk_device *device, enum vk_memory kind, uint32_t allowed, uint32_t *type) {
    switch (kind) {
    case VK_MEMORY_DEVICE:
        return find(device, allowed, LOCAL, 0, type) || find(device, allowed, 0, 0, type);
    case VK_MEMORY_UPLOAD:
        return find(device, allowed, MAPPABLE, LOCAL, type) || find(device, allowed, MAPPABLE, 0, type);
    case VK_MEMORY_DOWNLOAD:
        return find(device, allowed, MAPPABLE | CACHED, 0, type) || find(device, allowed, MAPPABLE, 0, type);
    }
    return false;
}

/* ---- what is left ---- */

static uint64_t less(uint64_t bytes, uint64_t taken) {
    return bytes > taken ? bytes - taken : 0;
}

/* What the driver leaves to this process in a heap, whoever took the rest. */
static uint64_t budget_left(const struct vk_device *device, uint32_t heap) {
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
                                                .pNext = &budget};
    vk_call.GetPhysicalDeviceMemoryProperties2(device->physical.handle, &memory);
    return less(budget.heapBudget[heap], budget.heapUsage[heap]);
}

static bool is_mapped(enum vk_memory kind, VkMemoryPropertyFlags flags) {
    return kind != VK_MEMORY_DEVICE || (flags & (MAPPABLE | CACHED)) == (MAPPABLE | CACHED);
}

uint64_t vk_memory_left(const struct vk_device *device) {
    uint64_t heap = vk_facts(device)->heap_bytes, used = device->counters.device_bytes;
    uint32_t type;
    if (!choose(device, VK_MEMORY_DEVICE, UINT32_MAX, &type)) /* the host itself */
        return less(heap / 5 * 2, used);
    const VkMemoryType *memory = &device->memory.memoryTypes[type];
    uint64_t left = less(heap / 5 * 4, used);
    if (device->physical.memory_budget)
        left = MIN(less(heap, used), budget_left(device, memory->heapIndex));
    for (int i = 0; i < 2 && !is_mapped(VK_MEMORY_DEVICE, memory->propertyFlags); i++)
        left = less(left, device->staging[i] ? 0 : STAGING_BYTES);
    return left;
}

/* ---- buffers ---- */

static enum status create(struct vk_buffer *buffer) {
    struct vk_device *device = buffer->device;
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                               .size = round_up(buffer->bytes, RANGE_ALIGNMENT),
                               .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT |
                                        VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                        VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                               .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
    VkResult result = vk_call.CreateBuffer(device->handle, &info, NULL, &buffer->handle);
    if (result == VK_SUCCESS)
        return STATUS_OK;
    buffer->handle = VK_NULL_HANDLE;
    char action[64];
    snprintf(action, sizeof action, "creating a buffer of %llu bytes", (unsigned long long)buffer->bytes);
    return device_fail(device, result, action);
}

static enum status allocate(struct vk_buffer *buffer, enum vk_memory kind) {
    struct vk_device *device = buffer->device;
    VkMemoryRequirements need;
    vk_call.GetBufferMemoryRequirements(device->handle, buffer->handle, &need);
    uint32_t type = 0;
    if (!choose(device, kind, need.memoryTypeBits, &type))
        return fail(STATUS_DEVICE, "%s has no memory of the kind needed", vk_facts(device)->name);
    VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = need.size, .memoryTypeIndex = type};
    VkResult result = vk_call.AllocateMemory(device->handle, &info, NULL, &buffer->memory);
    if (result != VK_SUCCESS) {
        buffer->memory = VK_NULL_HANDLE;
        uint32_t heap = device->memory.memoryTypes[type].heapIndex;
        return fail(STATUS_MEMORY,
                    "%llu bytes could not be allocated on %s (%s): its heap has %llu bytes, %llu are in use here",
                    (unsigned long long)need.size, vk_facts(device)->name, result_name(result),
                    (unsigned long long)device->memory.memoryHeaps[heap].size,
                    (unsigned long long)device->counters.device_bytes);
    }
    buffer->allocated = need.size;
    device->counters.allocations++;
    device->counters.device_bytes += need.size;
    result = vk_call.BindBufferMemory(device->handle, buffer->handle, buffer->memory, 0);
    if (result != VK_SUCCESS)
        return device_fail(device, result, "binding memory");
    VkMemoryPropertyFlags flags = device->memory.memoryTypes[type].propertyFlags;
    buffer->cached = flags & CACHED;
    result = is_mapped(kind, flags)
                 ? vk_call.MapMemory(device->handle, buffer->memory, 0, VK_WHOLE_SIZE, 0, &buffer->mapped)
                 : VK_SUCCESS;
    if (result != VK_SUCCESS) {
        buffer->mapped = NULL;
        return device_fail(device, result, "mapping memory");
    }
    if (buffer->mapped && vk_facts(device)->kind == DEVICE_CPU)
        memory_prefer_large_pages(buffer->mapped, (size_t)need.size);
    return STATUS_OK;
}

enum status vk_buffer_create(struct vk_device *device, enum vk_memory kind, uint64_t bytes, struct vk_buffer **out) {
    *out = NULL;
    if (bytes == 0)
        return fail(STATUS_USAGE, "a buffer of 0 bytes was asked for");
    uint64_t limit = vk_facts(device)->max_allocation;
    if (bytes > limit)
        return fail(
            STATUS_MEMORY,
            "a buffer of %llu bytes was asked for: one allocation on %s holds at most %llu (maxMemoryAllocationSize)",
            (unsigned long long)bytes, vk_facts(device)->name, (unsigned long long)limit);
    struct vk_buffer *buffer;
    TRY(memory_zeroed(1, sizeof *buffer, &buffer));
    *buffer = (struct vk_buffer){.device = device, .bytes = bytes};
    enum status status = device_is_host(device) ? host_allocate(buffer) : create(buffer);
    if (status == STATUS_OK && buffer->handle)
        status = allocate(buffer, kind);
    if (status != STATUS_OK) {
        vk_buffer_destroy(buffer);
        return status;
    }
    *out = buffer;
    return STATUS_OK;
}

void vk_buffer_destroy(struct vk_buffer *buffer) {
    if (!buffer)
        return;
    struct vk_device *device = buffer->device;
    if (device_is_host(device)) {
        free(buffer->mapped);
        device->counters.device_bytes -= buffer->allocated;
    } else if (queue_idle(device)) {
        vk_call.DestroyBuffer(device->handle, buffer->handle, NULL);
        vk_call.FreeMemory(device->handle, buffer->memory, NULL);
        device->counters.device_bytes -= buffer->allocated;
    }
    free(buffer);
}

void *vk_buffer_map(struct vk_buffer *buffer) {
    return buffer->mapped;
}

uint64_t vk_buffer_bytes(const struct vk_buffer *buffer) {
    return buffer->bytes;
}

/* ---- synchronous copies ---- */

static enum status check(const struct vk_buffer *buffer, uint64_t offset, uint64_t bytes) {
    if (offset <= buffer->bytes && bytes <= buffer->bytes - offset)
        return STATUS_OK;
    return fail(STATUS_USAGE, "bytes [%llu, %llu) are not within a buffer of %llu bytes", (unsigned long long)offset,
                (unsigned long long)(offset + bytes), (unsigned long long)buffer->bytes);
}

/* Opens the device's own command buffer; whatever ran before is finished for what follows. */
static enum status begin(struct vk_device *device) {
    if (!device->transfer)
        TRY(vk_commands_create(device, &device->transfer));
    TRY(vk_begin(device->transfer));
    vk_record_barrier(device->transfer);
    return STATUS_OK;
}

static enum status finish(struct vk_device *device) {
    uint64_t ticket;
    vk_record_barrier(device->transfer);
    TRY(vk_end(device->transfer));
    TRY(vk_submit(device, &device->transfer, 1, &ticket));
    return vk_wait(device, ticket);
}

/* The barriers make what the device wrote visible to the host. */
static enum status make_visible(struct vk_device *device) {
    if (device_is_host(device))
        return STATUS_OK;
    TRY(begin(device));
    return finish(device);
}

static enum status stage(struct vk_device *device, enum vk_memory kind, struct vk_buffer **staging) {
    struct vk_buffer **kept = &device->staging[kind == VK_MEMORY_DOWNLOAD];
    uint64_t bytes = MIN(STAGING_BYTES, vk_facts(device)->max_allocation);
    enum status status = *kept ? STATUS_OK : vk_buffer_create(device, kind, bytes, kept);
    *staging = *kept;
    return status == STATUS_OK ? status : fail_prefix(status, "staging memory");
}

static void copy(struct vk_device *device, struct vk_buffer *from, uint64_t from_offset, struct vk_buffer *to,
                 uint64_t to_offset, uint64_t bytes) {
    VkBufferCopy region = {.srcOffset = from_offset, .dstOffset = to_offset, .size = bytes};
    vk_call.CmdCopyBuffer(commands_handle(device->transfer), from->handle, to->handle, 1, &region);
}

enum status vk_write(struct vk_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes) {
    struct vk_device *device = buffer->device;
    struct vk_buffer *staging;
    TRY(check(buffer, offset, bytes));
    if (bytes == 0)
        return STATUS_OK;
    if (buffer->mapped) {
        TRY(vk_wait(device, device->submitted));
        memcpy((char *)buffer->mapped + offset, data, bytes);
        return STATUS_OK;
    }
    TRY(stage(device, VK_MEMORY_UPLOAD, &staging));
    for (uint64_t done = 0; done < bytes; done += staging->bytes) {
        uint64_t piece = MIN(bytes - done, staging->bytes);
        memcpy(staging->mapped, (const char *)data + done, piece);
        TRY(begin(device));
        copy(device, staging, 0, buffer, offset + done, piece);
        TRY(finish(device));
    }
    return STATUS_OK;
}

enum status vk_read(struct vk_buffer *buffer, uint64_t offset, void *data, uint64_t bytes) {
    struct vk_device *device = buffer->device;
    struct vk_buffer *staging;
    TRY(check(buffer, offset, bytes));
    if (bytes == 0)
        return STATUS_OK;
    if (buffer->mapped && buffer->cached) {
        TRY(make_visible(device));
        memcpy(data, (const char *)buffer->mapped + offset, bytes);
        return STATUS_OK;
    }
    TRY(stage(device, VK_MEMORY_DOWNLOAD, &staging));
    for (uint64_t done = 0; done < bytes; done += staging->bytes) {
        uint64_t piece = MIN(bytes - done, staging->bytes);
        TRY(begin(device));
        copy(device, buffer, offset + done, staging, 0, piece);
        TRY(finish(device));
        memcpy((char *)data + done, staging->mapped, piece);
    }
    return STATUS_OK;
}

enum status vk_fill(struct vk_buffer *buffer, uint64_t offset, uint64_t bytes, uint32_t value) {
    struct vk_device *device = buffer->device;
    TRY(check(buffer, offset, bytes));
    if (offset % 4 || bytes % 4)
        return fail(STATUS_USAGE, "a fill of %llu bytes at %llu: both must be multiples of 4",
                    (unsigned long long)bytes, (unsigned long long)offset);
    if (bytes == 0)
        return STATUS_OK;
    if (buffer->mapped) {
        TRY(vk_wait(device, device->submitted));
        uint32_t *words = (uint32_t *)((char *)buffer->mapped + offset);
        for (uint64_t i = 0; i < bytes / 4; i++)
            words[i] = value;
        return STATUS_OK;
    }
    TRY(begin(device));
    vk_call.CmdFillBuffer(commands_handle(device->transfer), buffer->handle, offset, bytes, value);
    return finish(device);
}

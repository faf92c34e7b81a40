/* commands: recordings that are made once and submitted many times, with the descriptor sets they use. */
#include "vk/internal.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TYPES = 3, POOL_SETS = 128, POOL_DESCRIPTORS = 1024 };

/* In the order of enum binding_kind without the unused. */
struct pool {
    VkDescriptorPool handle;
    uint32_t sets_left, descriptors_left[TYPES];
};

struct view {
    VkBufferView handle;
    struct vk_range range;
};

struct vk_commands {
    struct vk_device *device;
    VkCommandBuffer handle;
    bool recording, finished;
    enum status status; /* the first failure of a recording function that returns nothing */
    char message[256];
    struct pool *pools;
    size_t pool_count, pool_capacity;
    size_t pool_current;
    struct view *views;
    size_t view_count, view_capacity;
};

/* ---- life ---- */

enum status vk_commands_create(struct vk_device *device, struct vk_commands **out) {
    *out = NULL;
    if (device_is_host(device))
        return host_refuse("commands");
    struct vk_commands *commands;
    TRY(memory_zeroed(1, sizeof *commands, &commands));
    commands->device = device;
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = device->pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = 1};
    VkResult result = vk_call.AllocateCommandBuffers(device->handle, &info, &commands->handle);
    if (result != VK_SUCCESS) {
        free(commands);
        return device_fail(device, result, "allocating a command buffer");
    }
    *out = commands;
    return STATUS_OK;
}

static void destroy_views(struct vk_commands *commands) {
    for (size_t i = 0; i < commands->view_count; i++)
        vk_call.DestroyBufferView(commands->device->handle, commands->views[i].handle, NULL);
    commands->view_count = 0;
}

void vk_commands_destroy(struct vk_commands *commands) {
    if (!commands)
        return;
    struct vk_device *device = commands->device;
    if (queue_idle(device)) {
        destroy_views(commands);
        for (size_t i = 0; i < commands->pool_count; i++)
            vk_call.DestroyDescriptorPool(device->handle, commands->pools[i].handle, NULL);
        vk_call.FreeCommandBuffers(device->handle, device->pool, 1, &commands->handle);
    }
    free(commands->views);
    free(commands->pools);
    free(commands);
}

VkCommandBuffer commands_handle(const struct vk_commands *commands) {
    return commands->handle;
}

bool commands_finished(const struct vk_commands *commands) {
    return commands->finished;
}

static void refill(struct pool *pool) {
    pool->sets_left = POOL_SETS;
    for (uint32_t i = 0; i < TYPES; i++)
        pool->descriptors_left[i] = POOL_DESCRIPTORS;
}

enum status vk_begin(struct vk_commands *commands) {
    struct vk_device *device = commands->device;
    commands->recording = commands->finished = false;
    commands->status = STATUS_OK;
    if (!queue_idle(device))
        return fail(STATUS_LOST, "%s", device->lost_message);
    destroy_views(commands);
    for (size_t i = 0; i < commands->pool_count; i++) {
        VkResult reset = vk_call.ResetDescriptorPool(device->handle, commands->pools[i].handle, 0);
        if (reset != VK_SUCCESS)
            return device_fail(device, reset, "resetting a descriptor pool");
        refill(&commands->pools[i]);
    }
    commands->pool_current = 0;
    /* A recording runs again while its last run is pending: steps overlap. */
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                     .flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT};
    VkResult result = vk_call.BeginCommandBuffer(commands->handle, &info);
    if (result != VK_SUCCESS)
        return device_fail(device, result, "starting a recording");
    commands->recording = true;
    return STATUS_OK;
}

static void barrier(struct vk_commands *commands, VkPipelineStageFlags stages, VkAccessFlags access) {
    VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                              .dstAccessMask = access};
    vk_call.CmdPipelineBarrier(commands->handle, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                               stages, 0, 1, &memory, 0, NULL, 0, NULL);
}

enum status vk_end(struct vk_commands *commands) {
    struct vk_device *device = commands->device;
    if (!commands->recording)
        return fail(STATUS_USAGE, "vk_end without vk_begin");
    barrier(commands, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    commands->recording = false;
    VkResult result = vk_call.EndCommandBuffer(commands->handle);
    if (result != VK_SUCCESS)
        return device_fail(device, result, "finishing a recording");
    if (commands->status != STATUS_OK)
        return fail(commands->status, "%s", commands->message);
    commands->finished = true;
    device->counters.recordings++;
    return STATUS_OK;
}

/* Keeps the first failure for vk_end. */
static void keep(struct vk_commands *commands, enum status status) {
    if (commands->status != STATUS_OK)
        return;
    commands->status = status;
    snprintf(commands->message, sizeof commands->message, "%s", status_message());
}

/* ---- descriptors ---- */

static enum status add_pool(struct vk_commands *commands) {
    struct vk_device *device = commands->device;
    TRY(memory_grow(&commands->pools, &commands->pool_capacity, commands->pool_count + 1, sizeof *commands->pools));
    VkDescriptorPoolSize sizes[TYPES];
    for (uint32_t i = 0; i < TYPES; i++)
        sizes[i] = (VkDescriptorPoolSize){kernel_descriptor_type((enum binding_kind)(i + 1)), POOL_DESCRIPTORS};
    VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                       .maxSets = POOL_SETS,
                                       .poolSizeCount = TYPES,
                                       .pPoolSizes = sizes};
    struct pool *pool = &commands->pools[commands->pool_count];
    VkResult result = vk_call.CreateDescriptorPool(device->handle, &info, NULL, &pool->handle);
    if (result != VK_SUCCESS)
        return device_fail(device, result, "creating a descriptor pool");
    refill(pool);
    commands->pool_current = commands->pool_count++;
    return STATUS_OK;
}

static bool fits(const struct pool *pool, const uint32_t need[TYPES]) {
    for (uint32_t i = 0; i < TYPES; i++)
        if (pool->descriptors_left[i] < need[i])
            return false;
    return pool->sets_left > 0;
}

static enum status allocate_set(struct vk_commands *commands, const struct vk_kernel *kernel, VkDescriptorSet *set) {
    uint32_t need[TYPES] = {0};
    for (uint32_t i = 0; i < kernel->reflection.interface.binding_count; i++)
        if (kernel->reflection.kinds[i] != BINDING_UNUSED)
            need[kernel->reflection.kinds[i] - 1]++;
    while (commands->pool_current < commands->pool_count && !fits(&commands->pools[commands->pool_current], need))
        commands->pool_current++;
    if (commands->pool_current == commands->pool_count)
        TRY(add_pool(commands));
    struct pool *pool = &commands->pools[commands->pool_current];
    VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                        .descriptorPool = pool->handle,
                                        .descriptorSetCount = 1,
                                        .pSetLayouts = &kernel->set_layout};
    VkResult result = vk_call.AllocateDescriptorSets(commands->device->handle, &info, set);
    if (result != VK_SUCCESS)
        return device_fail(commands->device, result, "allocating a descriptor set");
    pool->sets_left--;
    for (uint32_t i = 0; i < TYPES; i++)
        pool->descriptors_left[i] -= need[i];
    return STATUS_OK;
}

static enum status get_view(struct vk_commands *commands, struct vk_range range, VkBufferView *view) {
    for (size_t i = 0; i < commands->view_count; i++) {
        const struct vk_range *known = &commands->views[i].range;
        if (known->buffer == range.buffer && known->offset == range.offset && known->bytes == range.bytes) {
            *view = commands->views[i].handle;
            return STATUS_OK;
        }
    }
    TRY(memory_grow(&commands->views, &commands->view_capacity, commands->view_count + 1, sizeof *commands->views));
    VkBufferViewCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                   .buffer = range.buffer->handle,
                                   .format = VK_FORMAT_R32G32B32A32_SFLOAT,
                                   .offset = range.offset,
                                   .range = range.bytes};
    VkResult result = vk_call.CreateBufferView(commands->device->handle, &info, NULL, view);
    if (result != VK_SUCCESS)
        return device_fail(commands->device, result, "creating a buffer view");
    commands->views[commands->view_count++] = (struct view){*view, range};
    return STATUS_OK;
}

static enum status make_set(struct vk_commands *commands, const struct vk_kernel *kernel, const struct vk_range *ranges,
                            VkDescriptorSet *set) {
    VkWriteDescriptorSet writes[VK_BINDINGS];
    VkDescriptorBufferInfo buffers[VK_BINDINGS];
    VkBufferView views[VK_BINDINGS];
    uint32_t count = 0;
    TRY(allocate_set(commands, kernel, set));
    for (uint32_t i = 0; i < kernel->reflection.interface.binding_count; i++) {
        enum binding_kind kind = kernel->reflection.kinds[i];
        if (kind == BINDING_UNUSED)
            continue;
        buffers[i] = (VkDescriptorBufferInfo){ranges[i].buffer->handle, ranges[i].offset, ranges[i].bytes};
        if (kind != BINDING_STORAGE)
            TRY(get_view(commands, ranges[i], &views[i]));
        writes[count++] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                                 .dstSet = *set,
                                                 .dstBinding = i,
                                                 .descriptorCount = 1,
                                                 .descriptorType = kernel_descriptor_type(kind),
                                                 .pBufferInfo = &buffers[i],
                                                 .pTexelBufferView = &views[i]};
    }
    vk_call.UpdateDescriptorSets(commands->device->handle, count, writes, 0, NULL);
    return STATUS_OK;
}

/* ---- checks ---- */

static bool inside(struct vk_range range) {
    return range.bytes > 0 && range.offset <= range.buffer->bytes && range.bytes <= range.buffer->bytes - range.offset;
}

static enum status check_range(const struct device_facts *facts, struct vk_range range, bool texels) {
    uint32_t unit = texels ? 16 : 4;
    if (!range.buffer || !inside(range))
        return fail(STATUS_USAGE, "bytes [%" PRIu64 ", %" PRIu64 ") are not within a buffer of %" PRIu64 " bytes",
                    range.offset, range.offset + range.bytes, range.buffer ? range.buffer->bytes : 0);
    if (range.offset % RANGE_ALIGNMENT || range.bytes % unit)
        return fail(STATUS_USAGE, "%" PRIu64 " bytes at offset %" PRIu64 ": multiples of %u and %d are needed",
                    range.bytes, range.offset, unit, RANGE_ALIGNMENT);
    if (texels && range.bytes / 16 > facts->max_texel_elements)
        return fail(STATUS_MEMORY,
                    "%" PRIu64 " texels: %s reads at most %u through one texel buffer (maxTexelBufferElements)",
                    range.bytes / 16, facts->name, facts->max_texel_elements);
    if (!texels && range.bytes > facts->max_storage_range)
        return fail(STATUS_MEMORY,
                    "%" PRIu64 " bytes: one storage buffer on %s covers at most %" PRIu64 " (maxStorageBufferRange)",
                    range.bytes, facts->name, facts->max_storage_range);
    return STATUS_OK;
}

static enum status check_dispatch(const struct vk_commands *commands, const struct vk_kernel *kernel,
                                  const struct vk_range *ranges, uint32_t range_count, uint32_t push_count,
                                  const uint32_t groups[3]) {
    const struct device_facts *facts = vk_facts(commands->device);
    const struct vk_interface *interface = &kernel->reflection.interface;
    if (!commands->recording)
        return fail(STATUS_USAGE, "a dispatch is recorded outside vk_begin and vk_end");
    if (range_count != interface->binding_count)
        return fail(STATUS_USAGE, "%u ranges were given, it has %u bindings", range_count, interface->binding_count);
    if (push_count * 4 != interface->push_bytes)
        return fail(STATUS_USAGE, "%u bytes of push constants were given, it takes %u", push_count * 4,
                    interface->push_bytes);
    for (uint32_t i = 0; i < 3; i++)
        if (groups[i] > facts->max_groups[i])
            return fail(STATUS_MEMORY, "%u workgroups along axis %u: %s runs at most %u (maxComputeWorkGroupCount)",
                        groups[i], i, facts->name, facts->max_groups[i]);
    for (uint32_t i = 0; i < range_count; i++) {
        if (kernel->reflection.kinds[i] == BINDING_UNUSED)
            continue;
        enum status status = check_range(facts, ranges[i], interface->bindings[i].texels);
        if (status != STATUS_OK)
            return fail_prefix(status, "binding %u", i);
    }
    return STATUS_OK;
}

/* ---- recording ---- */

enum status vk_record_dispatch(struct vk_commands *commands, struct vk_kernel *kernel, const struct vk_range *ranges,
                               uint32_t range_count, const uint32_t *push, uint32_t push_count,
                               const uint32_t groups[3]) {
    VkDescriptorSet set;
    enum status status = check_dispatch(commands, kernel, ranges, range_count, push_count, groups);
    if (status == STATUS_OK)
        status = kernel_require(commands->device, kernel);
    if (status == STATUS_OK)
        status = make_set(commands, kernel, ranges, &set);
    if (status != STATUS_OK)
        return fail_prefix(status, "kernel %s", kernel->name);
    vk_call.CmdBindPipeline(commands->handle, VK_PIPELINE_BIND_POINT_COMPUTE, kernel->pipeline);
    vk_call.CmdBindDescriptorSets(commands->handle, VK_PIPELINE_BIND_POINT_COMPUTE, kernel->layout, 0, 1, &set, 0,
                                  NULL);
    if (push_count)
        vk_call.CmdPushConstants(commands->handle, kernel->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, push_count * 4,
                                 push);
    vk_call.CmdDispatch(commands->handle, groups[0], groups[1], groups[2]);
    commands->device->counters.dispatches_recorded++;
    return STATUS_OK;
}

void vk_record_copy(struct vk_commands *commands, struct vk_range from, struct vk_buffer *to, uint64_t to_offset) {
    struct vk_range target = {to, to_offset, from.bytes};
    if (!commands->recording || !inside(from) || !inside(target)) {
        keep(commands, fail(STATUS_USAGE,
                            "a copy of %" PRIu64 " bytes from %" PRIu64 " of %" PRIu64 " to %" PRIu64 " of %" PRIu64
                            " is outside its buffers or outside a recording",
                            from.bytes, from.offset, from.buffer->bytes, to_offset, to->bytes));
        return;
    }
    VkBufferCopy region = {.srcOffset = from.offset, .dstOffset = to_offset, .size = from.bytes};
    vk_call.CmdCopyBuffer(commands->handle, from.buffer->handle, to->handle, 1, &region);
}

void vk_record_barrier(struct vk_commands *commands) {
    if (!commands->recording)
        return;
    barrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
            VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT |
                VK_ACCESS_TRANSFER_WRITE_BIT);
}

/* The reset is ordered before the write by the commands themselves. */
void vk_record_timestamp(struct vk_commands *commands, uint32_t index) {
    struct vk_device *device = commands->device;
    if (!commands->recording || index >= device->query_count) {
        keep(commands, fail(STATUS_USAGE, "timestamp %u is outside the %u reserved or outside a recording", index,
                            device->query_count));
        return;
    }
    vk_call.CmdResetQueryPool(commands->handle, device->queries, index, 1);
    vk_call.CmdWriteTimestamp(commands->handle, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, device->queries, index);
}

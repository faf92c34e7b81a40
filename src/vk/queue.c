/* queue: numbered submissions, finite waits, timestamps. */
#include "vk/internal.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_SECONDS = 60, LARGEST_TIMEOUT = 1000000 };

/* RESNET_VK_TIMEOUT, when it is a number of seconds above 0. */
static uint64_t timeout_ns(void) {
    const char *text = getenv("RESNET_VK_TIMEOUT");
    char *end;
    double seconds = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end || !(seconds > 0 && seconds <= LARGEST_TIMEOUT))
        seconds = TIMEOUT_SECONDS;
    return (uint64_t)(seconds * 1e9);
}

enum status queue_create(struct vk_device *device) {
    device->timeout_ns = timeout_ns();
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    for (uint32_t i = 0; i < PENDING_SUBMISSIONS; i++) {
        VkResult result = vk_call.CreateFence(device->handle, &fence, NULL, &device->fences[i]);
        if (result != VK_SUCCESS) {
            device->fences[i] = VK_NULL_HANDLE;
            return device_fail(device, result, "creating a fence");
        }
    }
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                    .queueFamilyIndex = device->physical.family};
    VkResult result = vk_call.CreateCommandPool(device->handle, &pool, NULL, &device->pool);
    if (result != VK_SUCCESS) {
        device->pool = VK_NULL_HANDLE;
        return device_fail(device, result, "creating a command pool");
    }
    return STATUS_OK;
}

void queue_destroy(struct vk_device *device) {
    for (uint32_t i = 0; i < PENDING_SUBMISSIONS; i++)
        vk_call.DestroyFence(device->handle, device->fences[i], NULL);
    vk_call.DestroyCommandPool(device->handle, device->pool, NULL);
}

/* ---- submission ---- */

static enum status lost(const struct vk_device *device) {
    return fail(STATUS_LOST, "%s", device->lost_message);
}

static enum status collect(VkCommandBuffer handles[], struct vk_commands *const *commands, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        handles[i] = commands_handle(commands[i]);
        if (!commands_finished(commands[i]))
            return fail(STATUS_USAGE, "commands number %u were submitted without a finished recording", i);
    }
    return STATUS_OK;
}

enum status vk_submit(struct vk_device *device, struct vk_commands *const *commands, uint32_t count, uint64_t *ticket) {
    VkCommandBuffer handles[VK_SUBMISSION_COMMANDS];
    *ticket = 0;
    if (device->lost)
        return lost(device);
    if (count > VK_SUBMISSION_COMMANDS)
        return fail(STATUS_USAGE, "%u command buffers in one submission: at most %d", count, VK_SUBMISSION_COMMANDS);
    TRY(collect(handles, commands, count));
    uint64_t next = device->submitted + 1;
    VkFence fence = device->fences[next % PENDING_SUBMISSIONS];
    if (next > PENDING_SUBMISSIONS) {
        TRY(vk_wait(device, next - PENDING_SUBMISSIONS));
        VkResult reset = vk_call.ResetFences(device->handle, 1, &fence);
        if (reset != VK_SUCCESS)
            return device_fail(device, reset, "resetting a fence");
    }
    VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = count, .pCommandBuffers = handles};
    VkResult result = vk_call.QueueSubmit(device->queue, 1, &info, fence);
    if (result != VK_SUCCESS)
        return device_fail(device, result, "submitting work");
    device->counters.submissions++;
    *ticket = device->submitted = next;
    return STATUS_OK;
}

/* A fence signals after all earlier submissions of its queue are done too. */
enum status vk_wait(struct vk_device *device, uint64_t ticket) {
    if (device->lost)
        return lost(device);
    if (ticket <= device->finished)
        return STATUS_OK;
    if (ticket > device->submitted)
        return fail(STATUS_USAGE, "waiting for submission %" PRIu64 ": there were only %" PRIu64, ticket,
                    device->submitted);
    VkFence fence = device->fences[ticket % PENDING_SUBMISSIONS];
    VkResult result = vk_call.WaitForFences(device->handle, 1, &fence, VK_TRUE, device->timeout_ns);
    if (result == VK_TIMEOUT) {
        device->lost = device->hung = true;
        snprintf(device->lost_message, sizeof device->lost_message,
                 "%.200s (%.200s) did not finish within %.3g s (RESNET_VK_TIMEOUT sets the limit)",
                 vk_facts(device)->name, vk_facts(device)->driver, (double)device->timeout_ns / 1e9);
        return lost(device);
    }
    if (result != VK_SUCCESS)
        return device_fail(device, result, "waiting for work");
    device->finished = ticket;
    return STATUS_OK;
}

bool vk_finished(const struct vk_device *device, uint64_t ticket) {
    VkFence fence = device->fences[ticket % PENDING_SUBMISSIONS];
    return ticket <= device->finished || vk_call.GetFenceStatus(device->handle, fence) == VK_SUCCESS;
}

bool queue_idle(struct vk_device *device) {
    if (device->finished == device->submitted)
        return true;
    if (!device->lost && vk_wait(device, device->submitted) == STATUS_OK)
        return true;
    /* Work on a lost device counts as complete; work that only took too long may have ended by now. */
    VkFence fence = device->fences[device->submitted % PENDING_SUBMISSIONS];
    return !device->hung || vk_call.GetFenceStatus(device->handle, fence) != VK_NOT_READY;
}

/* ---- timestamps ---- */

bool vk_timestamps_supported(const struct vk_device *device) {
    return device->physical.timestamp_bits > 0;
}

enum status vk_timestamps_reserve(struct vk_device *device, uint32_t count) {
    if (count <= device->query_count)
        return STATUS_OK;
    if (!vk_timestamps_supported(device))
        return fail(STATUS_DEVICE, "%s has no timestamps", vk_facts(device)->name);
    if (!queue_idle(device))
        return lost(device);
    vk_call.DestroyQueryPool(device->handle, device->queries, NULL);
    device->query_count = 0;
    VkQueryPoolCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = count};
    VkResult result = vk_call.CreateQueryPool(device->handle, &info, NULL, &device->queries);
    if (result != VK_SUCCESS) {
        device->queries = VK_NULL_HANDLE;
        return device_fail(device, result, "creating timestamps");
    }
    device->query_count = count;
    return STATUS_OK;
}

/* Ticks since `first`, also when the counter of `bits` bits wrapped between; negative when before it. */
static int64_t ticks_since(uint64_t first, uint64_t ticks, uint32_t bits) {
    uint64_t mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    uint64_t difference = (ticks - first) & mask;
    return difference > mask / 2 ? -(int64_t)((mask - difference) + 1) : (int64_t)difference;
}

enum status vk_timestamps_read(struct vk_device *device, uint32_t count, uint64_t *ns) {
    if (count > device->query_count)
        return fail(STATUS_USAGE, "%u timestamps were asked for: %u are reserved", count, device->query_count);
    if (count == 0)
        return STATUS_OK;
    VkResult result = vk_call.GetQueryPoolResults(device->handle, device->queries, 0, count, count * sizeof *ns, ns,
                                                  sizeof *ns, VK_QUERY_RESULT_64_BIT);
    if (result == VK_NOT_READY)
        return fail(STATUS_USAGE, "a timestamp was read before it was written");
    if (result != VK_SUCCESS)
        return device_fail(device, result, "reading timestamps");
    double period = (double)device->physical.properties.limits.timestampPeriod;
    uint64_t first = ns[0], start = (uint64_t)((double)first * period);
    for (uint32_t i = 0; i < count; i++) {
        double after = (double)ticks_since(first, ns[i], device->physical.timestamp_bits) * period;
        ns[i] = start + (uint64_t)(int64_t)after;
    }
    return STATUS_OK;
}

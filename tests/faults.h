/*
 * faults: a double of the Vulkan driver that lets one call fail. Everything else is done by the real one.
 *
 * faults_install() puts it into the table of functions, while no device is open; faults_set() chooses the call. After
 * VK_ERROR_DEVICE_LOST every further call on that device says the same, and after VK_TIMEOUT its work never ends, until
 * another device is created. Calls are counted from faults_set on.
 */
#ifndef RVK_TESTS_FAULTS_H
#define RVK_TESTS_FAULTS_H

#include "vk/functions.h"

#include "base/memory.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum fault_call { FAULT_SUBMIT, FAULT_WAIT, FAULT_ALLOCATE, FAULT_PIPELINE, FAULT_OPEN, FAULT_CALLS };

static struct {
    struct vk_functions real;
    enum fault_call call;
    uint64_t first, last; /* the calls that fail, from 1 */
    VkResult result;
    atomic_uint_fast64_t seen[FAULT_CALLS];
    bool lost, hung;
    VkPhysicalDeviceMemoryProperties memory; /* what the driver is made to say; memoryTypeCount 0: the truth */
    bool frozen;                             /* timestamps do not advance */
    uint32_t slow_ms;                        /* every wait takes so long at least */
} faults;

static inline void faults_set(enum fault_call call, uint64_t first, uint64_t last, VkResult result) {
    faults.call = call;
    faults.first = first;
    faults.last = last;
    faults.result = result;
    faults.lost = faults.hung = faults.frozen = false;
    faults.memory.memoryTypeCount = 0;
    faults.slow_ms = 0;
    for (int i = 0; i < FAULT_CALLS; i++)
        atomic_store(&faults.seen[i], 0);
}

static inline void faults_clear(void) {
    faults_set(FAULT_SUBMIT, 0, 0, VK_SUCCESS);
}

/* A real device has no work left when it says that it is lost. */
static inline void faults_drain(VkDevice device) {
    void *loader = dlopen("libvulkan.so.1", RTLD_NOW), *symbol = dlsym(loader, "vkDeviceWaitIdle");
    PFN_vkDeviceWaitIdle wait;
    memcpy(&wait, &symbol, sizeof wait);
    (void)wait(device);
    dlclose(loader);
}

/* The device whose calls may fail, and the thread that uses it. One that is opened beside it compiles in the background
 * (vk/ahead.c): what happens to that is not counted. */
static VkDevice faults_device;
static _Thread_local bool faults_here;

/* Counts the call; the result that it shall have instead of being made, or VK_SUCCESS. */
static inline VkResult faults_strike(enum fault_call call) {
    uint64_t number = atomic_fetch_add(&faults.seen[call], 1) + 1;
    if (call != faults.call || number < faults.first || number > faults.last)
        return VK_SUCCESS;
    if (faults.result == VK_ERROR_DEVICE_LOST || faults.result == VK_TIMEOUT)
        faults_drain(faults_device);
    faults.lost = faults.result == VK_ERROR_DEVICE_LOST;
    faults.hung = faults.result == VK_TIMEOUT;
    return faults.result;
}

static VKAPI_ATTR VkResult VKAPI_CALL faults_submit(VkQueue queue, uint32_t count, const VkSubmitInfo *info,
                                                    VkFence fence) {
    if (!faults_here)
        return faults.real.QueueSubmit(queue, count, info, fence);
    VkResult result = faults.lost ? VK_ERROR_DEVICE_LOST : faults_strike(FAULT_SUBMIT);
    return result == VK_SUCCESS ? faults.real.QueueSubmit(queue, count, info, fence) : result;
}

static VKAPI_ATTR VkResult VKAPI_CALL faults_wait(VkDevice device, uint32_t count, const VkFence *fences, VkBool32 all,
                                                  uint64_t timeout) {
    if (device != faults_device)
        return faults.real.WaitForFences(device, count, fences, all, timeout);
    VkResult result = faults.lost ? VK_ERROR_DEVICE_LOST : faults_strike(FAULT_WAIT);
    if (faults.slow_ms)
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000L * faults.slow_ms}, NULL);
    return result == VK_SUCCESS ? faults.real.WaitForFences(device, count, fences, all, timeout) : result;
}

static VKAPI_ATTR VkResult VKAPI_CALL faults_fence(VkDevice device, VkFence fence) {
    if (device == faults_device && (faults.lost || faults.hung))
        return faults.lost ? VK_ERROR_DEVICE_LOST : VK_NOT_READY;
    return faults.real.GetFenceStatus(device, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL faults_allocate(VkDevice device, const VkMemoryAllocateInfo *info,
                                                      const VkAllocationCallbacks *callbacks, VkDeviceMemory *memory) {
    VkResult result = device == faults_device ? faults_strike(FAULT_ALLOCATE) : VK_SUCCESS;
    return result == VK_SUCCESS ? faults.real.AllocateMemory(device, info, callbacks, memory) : result;
}

static VKAPI_ATTR VkResult VKAPI_CALL faults_pipeline(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                      const VkComputePipelineCreateInfo *info,
                                                      const VkAllocationCallbacks *callbacks, VkPipeline *pipelines) {
    VkResult result = device == faults_device ? faults_strike(FAULT_PIPELINE) : VK_SUCCESS;
    if (result == VK_SUCCESS)
        result = faults.real.CreateComputePipelines(device, cache, count, info, callbacks, pipelines);
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL faults_open(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                  const VkAllocationCallbacks *callbacks, VkDevice *device) {
    if (faults_device && !faults.hung)
        return faults.real.CreateDevice(physical, info, callbacks, device);
    faults.lost = faults.hung = false;
    VkResult result = faults_strike(FAULT_OPEN);
    if (result == VK_SUCCESS)
        result = faults.real.CreateDevice(physical, info, callbacks, device);
    if (result == VK_SUCCESS)
        faults_device = *device;
    return result;
}

static VKAPI_ATTR void VKAPI_CALL faults_close(VkDevice device, const VkAllocationCallbacks *callbacks) {
    if (device == faults_device)
        faults_device = VK_NULL_HANDLE;
    faults.real.DestroyDevice(device, callbacks);
}

static VKAPI_ATTR void VKAPI_CALL faults_memory(VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties *memory) {
    faults.real.GetPhysicalDeviceMemoryProperties(physical, memory);
    if (faults.memory.memoryTypeCount)
        *memory = faults.memory;
}

static VKAPI_ATTR VkResult VKAPI_CALL faults_queries(VkDevice device, VkQueryPool pool, uint32_t first, uint32_t count,
                                                     size_t size, void *data, VkDeviceSize stride,
                                                     VkQueryResultFlags flags) {
    VkResult result = faults.real.GetQueryPoolResults(device, pool, first, count, size, data, stride, flags);
    for (uint32_t i = 0; faults.frozen && i < count; i++)
        ((uint64_t *)data)[i] = 1234567;
    return result;
}

static inline enum status faults_install(void) {
    TRY(vk_functions_load());
    faults.real = vk_call;
    vk_call.QueueSubmit = faults_submit;
    vk_call.WaitForFences = faults_wait;
    vk_call.GetFenceStatus = faults_fence;
    vk_call.AllocateMemory = faults_allocate;
    vk_call.CreateComputePipelines = faults_pipeline;
    vk_call.CreateDevice = faults_open;
    vk_call.DestroyDevice = faults_close;
    faults_here = true;
    vk_call.GetPhysicalDeviceMemoryProperties = faults_memory;
    vk_call.GetQueryPoolResults = faults_queries;
    faults_clear();
    return STATUS_OK;
}

#endif

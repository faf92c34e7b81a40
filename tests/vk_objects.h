/*
 * vk_objects: counts the Vulkan objects that exist, by type, between the program and the loader. Objects may be made on
 * any thread.
 */
#ifndef RVK_TEST_VK_OBJECTS_H
#define RVK_TEST_VK_OBJECTS_H

#include "vk/functions.h"

#include <stdatomic.h>
#include <string.h>

/* Types that are created and destroyed one at a time, on a device. */
#define VK_OBJECTS_SIMPLE(X)                                                                                           \
    X(Buffer)                                                                                                          \
    X(BufferView)                                                                                                      \
    X(CommandPool)                                                                                                     \
    X(DescriptorPool)                                                                                                  \
    X(DescriptorSetLayout)                                                                                             \
    X(Fence)                                                                                                           \
    X(PipelineCache)                                                                                                   \
    X(PipelineLayout)                                                                                                  \
    X(QueryPool)                                                                                                       \
    X(ShaderModule)
#define VK_OBJECTS(X)                                                                                                  \
    VK_OBJECTS_SIMPLE(X)                                                                                               \
    X(Instance)                                                                                                        \
    X(Device)                                                                                                          \
    X(DeviceMemory)                                                                                                    \
    X(Pipeline)                                                                                                        \
    X(CommandBuffer)

enum vk_object {
#define X(type) OBJECT_##type,
    VK_OBJECTS(X)
#undef X
        OBJECT_TYPES
};

static const char *const vk_object_names[] = {
#define X(type) #type,
    VK_OBJECTS(X)
#undef X
};

static struct vk_functions vk_real; /* what the counting functions call */
static atomic_long vk_object_counts[OBJECT_TYPES];

static inline VkResult vk_object_made(VkResult result, enum vk_object type, uint32_t count) {
    if (result == VK_SUCCESS)
        atomic_fetch_add(&vk_object_counts[type], (long)count);
    return result;
}

static inline void vk_object_gone(enum vk_object type, long count) {
    atomic_fetch_sub(&vk_object_counts[type], count);
}

#define X(type)                                                                                                        \
    static VKAPI_ATTR VkResult VKAPI_CALL count_Create##type(VkDevice device, const Vk##type##CreateInfo *info,        \
                                                             const VkAllocationCallbacks *allocator, Vk##type *out) {  \
        return vk_object_made(vk_real.Create##type(device, info, allocator, out), OBJECT_##type, 1);                   \
    }                                                                                                                  \
    static VKAPI_ATTR void VKAPI_CALL count_Destroy##type(VkDevice device, Vk##type object,                            \
                                                          const VkAllocationCallbacks *allocator) {                    \
        vk_object_gone(OBJECT_##type, object != VK_NULL_HANDLE);                                                       \
        vk_real.Destroy##type(device, object, allocator);                                                              \
    }
VK_OBJECTS_SIMPLE(X)
#undef X

static VKAPI_ATTR VkResult VKAPI_CALL count_CreateInstance(const VkInstanceCreateInfo *info,
                                                           const VkAllocationCallbacks *allocator, VkInstance *out) {
    return vk_object_made(vk_real.CreateInstance(info, allocator, out), OBJECT_Instance, 1);
}

static VKAPI_ATTR void VKAPI_CALL count_DestroyInstance(VkInstance instance, const VkAllocationCallbacks *allocator) {
    vk_object_gone(OBJECT_Instance, instance != VK_NULL_HANDLE);
    vk_real.DestroyInstance(instance, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL count_CreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                         const VkAllocationCallbacks *allocator, VkDevice *out) {
    return vk_object_made(vk_real.CreateDevice(physical, info, allocator, out), OBJECT_Device, 1);
}

static VKAPI_ATTR void VKAPI_CALL count_DestroyDevice(VkDevice device, const VkAllocationCallbacks *allocator) {
    vk_object_gone(OBJECT_Device, device != VK_NULL_HANDLE);
    vk_real.DestroyDevice(device, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL count_AllocateMemory(VkDevice device, const VkMemoryAllocateInfo *info,
                                                           const VkAllocationCallbacks *allocator,
                                                           VkDeviceMemory *out) {
    return vk_object_made(vk_real.AllocateMemory(device, info, allocator, out), OBJECT_DeviceMemory, 1);
}

static VKAPI_ATTR void VKAPI_CALL count_FreeMemory(VkDevice device, VkDeviceMemory memory,
                                                   const VkAllocationCallbacks *allocator) {
    vk_object_gone(OBJECT_DeviceMemory, memory != VK_NULL_HANDLE);
    vk_real.FreeMemory(device, memory, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL count_CreateComputePipelines(VkDevice device, VkPipelineCache cache,
                                                                   uint32_t count,
                                                                   const VkComputePipelineCreateInfo *infos,
                                                                   const VkAllocationCallbacks *allocator,
                                                                   VkPipeline *out) {
    return vk_object_made(vk_real.CreateComputePipelines(device, cache, count, infos, allocator, out), OBJECT_Pipeline,
                          count);
}

static VKAPI_ATTR void VKAPI_CALL count_DestroyPipeline(VkDevice device, VkPipeline pipeline,
                                                        const VkAllocationCallbacks *allocator) {
    vk_object_gone(OBJECT_Pipeline, pipeline != VK_NULL_HANDLE);
    vk_real.DestroyPipeline(device, pipeline, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL count_AllocateCommandBuffers(VkDevice device,
                                                                   const VkCommandBufferAllocateInfo *info,
                                                                   VkCommandBuffer *out) {
    return vk_object_made(vk_real.AllocateCommandBuffers(device, info, out), OBJECT_CommandBuffer,
                          info->commandBufferCount);
}

static VKAPI_ATTR void VKAPI_CALL count_FreeCommandBuffers(VkDevice device, VkCommandPool pool, uint32_t count,
                                                           const VkCommandBuffer *buffers) {
    vk_object_gone(OBJECT_CommandBuffer, (long)count);
    vk_real.FreeCommandBuffers(device, pool, count, buffers);
}

/* Puts the counting functions in the place of the loader's. Once, while no device is open. */
static inline enum status vk_objects_count(void) {
    TRY(vk_functions_load());
    vk_real = vk_call;
#define X(type) vk_call.Create##type = count_Create##type, vk_call.Destroy##type = count_Destroy##type;
    VK_OBJECTS_SIMPLE(X)
#undef X
    vk_call.CreateInstance = count_CreateInstance;
    vk_call.DestroyInstance = count_DestroyInstance;
    vk_call.CreateDevice = count_CreateDevice;
    vk_call.DestroyDevice = count_DestroyDevice;
    vk_call.AllocateMemory = count_AllocateMemory;
    vk_call.FreeMemory = count_FreeMemory;
    vk_call.CreateComputePipelines = count_CreateComputePipelines;
    vk_call.DestroyPipeline = count_DestroyPipeline;
    vk_call.AllocateCommandBuffers = count_AllocateCommandBuffers;
    vk_call.FreeCommandBuffers = count_FreeCommandBuffers;
    return STATUS_OK;
}

#endif

/*
 * functions: the Vulkan functions that are called, in one table that is filled from the loader when it is first needed.
 *
 * The program so starts, and says what is missing, where there is no loader; and a test replaces entries to see what
 * happens when they fail.
 */
#ifndef RVK_VK_FUNCTIONS_H
#define RVK_VK_FUNCTIONS_H

#include "base/status.h"

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#define VK_FUNCTIONS(X)                                                                                                \
    X(AllocateCommandBuffers)                                                                                          \
    X(AllocateDescriptorSets)                                                                                          \
    X(AllocateMemory)                                                                                                  \
    X(BeginCommandBuffer)                                                                                              \
    X(BindBufferMemory)                                                                                                \
    X(CmdBindDescriptorSets)                                                                                           \
    X(CmdBindPipeline)                                                                                                 \
    X(CmdCopyBuffer)                                                                                                   \
    X(CmdDispatch)                                                                                                     \
    X(CmdFillBuffer)                                                                                                   \
    X(CmdPipelineBarrier)                                                                                              \
    X(CmdPushConstants)                                                                                                \
    X(CmdResetQueryPool)                                                                                               \
    X(CmdWriteTimestamp)                                                                                               \
    X(CreateBuffer)                                                                                                    \
    X(CreateBufferView)                                                                                                \
    X(CreateCommandPool)                                                                                               \
    X(CreateComputePipelines)                                                                                          \
    X(CreateDescriptorPool)                                                                                            \
    X(CreateDescriptorSetLayout)                                                                                       \
    X(CreateDevice)                                                                                                    \
    X(CreateFence)                                                                                                     \
    X(CreateInstance)                                                                                                  \
    X(CreatePipelineCache)                                                                                             \
    X(CreatePipelineLayout)                                                                                            \
    X(CreateQueryPool)                                                                                                 \
    X(CreateShaderModule)                                                                                              \
    X(DestroyBuffer)                                                                                                   \
    X(DestroyBufferView)                                                                                               \
    X(DestroyCommandPool)                                                                                              \
    X(DestroyDescriptorPool)                                                                                           \
    X(DestroyDescriptorSetLayout)                                                                                      \
    X(DestroyDevice)                                                                                                   \
    X(DestroyFence)                                                                                                    \
    X(DestroyInstance)                                                                                                 \
    X(DestroyPipeline)                                                                                                 \
    X(DestroyPipelineCache)                                                                                            \
    X(DestroyPipelineLayout)                                                                                           \
    X(DestroyQueryPool)                                                                                                \
    X(DestroyShaderModule)                                                                                             \
    X(EndCommandBuffer)                                                                                                \
    X(EnumerateDeviceExtensionProperties)                                                                              \
    X(EnumerateInstanceExtensionProperties)                                                                            \
    X(EnumerateInstanceLayerProperties)                                                                                \
    X(EnumerateInstanceVersion)                                                                                        \
    X(EnumeratePhysicalDevices)                                                                                        \
    X(FreeCommandBuffers)                                                                                              \
    X(FreeMemory)                                                                                                      \
    X(GetBufferMemoryRequirements)                                                                                     \
    X(GetDeviceQueue)                                                                                                  \
    X(GetFenceStatus)                                                                                                  \
    X(GetInstanceProcAddr)                                                                                             \
    X(GetPhysicalDeviceFeatures2)                                                                                      \
    X(GetPhysicalDeviceMemoryProperties)                                                                               \
    X(GetPhysicalDeviceMemoryProperties2)                                                                              \
    X(GetPhysicalDeviceProperties)                                                                                     \
    X(GetPhysicalDeviceProperties2)                                                                                    \
    X(GetPhysicalDeviceQueueFamilyProperties)                                                                          \
    X(GetPipelineCacheData)                                                                                            \
    X(GetQueryPoolResults)                                                                                             \
    X(MapMemory)                                                                                                       \
    X(QueueSubmit)                                                                                                     \
    X(ResetDescriptorPool)                                                                                             \
    X(ResetFences)                                                                                                     \
    X(UpdateDescriptorSets)                                                                                            \
    X(WaitForFences)

struct vk_functions {
#define X(name) PFN_vk##name name;
    VK_FUNCTIONS(X)
#undef X
};

/* Empty until vk_functions_load succeeded. A test that replaces entries does so while no device is open. */
extern struct vk_functions vk_call;

/*
 * Fills the table, once for the process. The loader is the file named by RESNET_VK_LOADER, or the system's.
 * STATUS_DEVICE with what to install when there is none, or when it is too old to have every function. Any thread.
 */
CHECKED enum status vk_functions_load(void);

#endif

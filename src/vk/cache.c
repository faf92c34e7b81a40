/* cache: the pipeline cache and its file. */
#include "vk/internal.h"

enum status cache_create(struct vk_device *device) {
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    VkResult result = vkCreatePipelineCache(device->handle, &info, NULL, &device->cache);
    if (result == VK_SUCCESS)
        return STATUS_OK;
    device->cache = VK_NULL_HANDLE;
    return device_fail(device, result, "creating a pipeline cache");
}

void vk_save_cache(struct vk_device *device) {
    (void)device;
}

/*
 * cache: compiled pipelines kept in a file, so that the next start need not compile them.
 *
 * The file is a header of our own and the driver's data. Drivers check their data badly or not at all, so a file that
 * is damaged, or from another device or driver version, never reaches them.
 */
#include "vk/internal.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "vk/kernel_table.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, LARGEST_FILE = 1 << 28 };

/* Everything has the same value for the same device and driver, apart from the last two. No padding. */
struct header {
    char magic[8];
    uint32_t version, vendor, device, driver;
    uint8_t uuid[VK_UUID_SIZE];
    uint64_t size, checksum; /* of the data */
};

uint64_t vk_kernels_checksum(void) {
    uint64_t hash = HASH_START;
    for (const struct kernel_module *module = kernel_table; module->name; module++) {
        hash = hash_bytes(hash, module->name, strlen(module->name));
        hash = hash_bytes(hash, module->words, module->bytes);
    }
    return hash;
}

static struct header header(const struct vk_device *device, const uint8_t *data, size_t size) {
    const VkPhysicalDeviceProperties *properties = &device->physical.properties;
    struct header header = {.magic = "RVKPIPE",
                            .version = VERSION,
                            .vendor = properties->vendorID,
                            .device = properties->deviceID,
                            .driver = properties->driverVersion,
                            .size = size,
                            .checksum = hash_bytes(HASH_START, data, size)};
    memcpy(header.uuid, properties->pipelineCacheUUID, sizeof header.uuid);
    return header;
}

const char *cache_refusal(const struct vk_device *device, const uint8_t *bytes, size_t size) {
    struct header found, expected;
    if (size < sizeof found)
        return "it is cut off";
    memcpy(&found, bytes, sizeof found);
    expected = header(device, bytes + sizeof found, size - sizeof found);
    if (memcmp(&found, &expected, offsetof(struct header, size)) != 0)
        return "it is of another device or driver";
    return memcmp(&found, &expected, sizeof found) != 0 ? "it is damaged" : NULL;
}

/* The driver's data within the file's bytes, NULL (with the reason in the log) when the file is not to be used. */
static const uint8_t *accept(const struct vk_device *device, const uint8_t *bytes, size_t size) {
    const char *why_not = cache_refusal(device, bytes, size);
    if (!why_not)
        return bytes + sizeof(struct header);
    log_info("pipeline cache %s is ignored: %s", device->cache_path, why_not);
    return NULL;
}

enum status cache_create(struct vk_device *device) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    if (device->cache_path && file_exists(device->cache_path)) {
        if (file_read(device->cache_path, LARGEST_FILE, &bytes, &size) == STATUS_OK)
            info.pInitialData = accept(device, bytes, size);
        else
            log_info("pipeline cache is ignored: %s", status_message());
    }
    if (info.pInitialData) {
        info.initialDataSize = size - sizeof(struct header);
        log_info("pipeline cache %s is used: %zu bytes", device->cache_path, info.initialDataSize);
        device->cache_checksum = hash_bytes(HASH_START, info.pInitialData, info.initialDataSize);
    }
    VkResult result = vk_call.CreatePipelineCache(device->handle, &info, NULL, &device->cache);
    free(bytes);
    if (result == VK_SUCCESS)
        return STATUS_OK;
    device->cache = VK_NULL_HANDLE;
    return device_fail(device, result, "creating a pipeline cache");
}

static enum status save(struct vk_device *device, uint8_t **data) {
    size_t size = 0;
    VkResult result = vk_call.GetPipelineCacheData(device->handle, device->cache, &size, NULL);
    if (result == VK_SUCCESS) {
        TRY(memory_zeroed(size, 1, data));
        result = vk_call.GetPipelineCacheData(device->handle, device->cache, &size, *data);
    }
    if (result != VK_SUCCESS)
        return device_fail(device, result, "reading the pipeline cache");
    struct header head = header(device, *data, size);
    if (head.checksum == device->cache_checksum)
        return STATUS_OK;
    const struct file_piece pieces[] = {{&head, sizeof head}, {*data, size}};
    TRY(file_write_atomic(device->cache_path, pieces, COUNT(pieces)));
    device->cache_checksum = head.checksum;
    return STATUS_OK;
}

void vk_save_cache(struct vk_device *device) {
    if (!device->cache_path || device->lost || device->saved_pipelines == device->counters.pipelines)
        return;
    uint8_t *data = NULL;
    if (save(device, &data) != STATUS_OK)
        log_warn("the pipeline cache was not written: %s", status_message());
    device->saved_pipelines = device->counters.pipelines;
    free(data);
}

/* physical: reads what a device can do into plain facts. */
#include "vk/internal.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* LP_MAX_TGSI_LOOP_ITERATIONS of Mesa's gallivm: a guard against endless loops, counted over all loops of a shader. */
enum { LAVAPIPE_LOOP_STEPS = 65535 };

struct extensions {
    VkExtensionProperties *list;
    uint32_t count;
};

static struct extensions list_extensions(VkPhysicalDevice handle) {
    struct extensions extensions = {0};
    uint32_t count = 0;
    if (vk_call.EnumerateDeviceExtensionProperties(handle, NULL, &count, NULL) != VK_SUCCESS || count == 0)
        return extensions;
    extensions.list = calloc(count, sizeof *extensions.list);
    if (extensions.list && vk_call.EnumerateDeviceExtensionProperties(handle, NULL, &count, extensions.list) >= 0)
        extensions.count = count;
    return extensions;
}

static bool has(const struct extensions *extensions, const char *name) {
    for (uint32_t i = 0; i < extensions->count; i++)
        if (strcmp(extensions->list[i].extensionName, name) == 0)
            return true;
    return false;
}

static enum device_kind kind(VkPhysicalDeviceType type) {
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return DEVICE_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return DEVICE_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return DEVICE_VIRTUAL;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return DEVICE_CPU;
    default:
        return DEVICE_OTHER;
    }
}

static void describe_limits(const VkPhysicalDeviceLimits *limits, struct device_facts *facts) {
    facts->max_storage_range = limits->maxStorageBufferRange;
    facts->max_shared_bytes = limits->maxComputeSharedMemorySize;
    facts->max_invocations = limits->maxComputeWorkGroupInvocations;
    memcpy(facts->max_group_size, limits->maxComputeWorkGroupSize, sizeof facts->max_group_size);
    memcpy(facts->max_groups, limits->maxComputeWorkGroupCount, sizeof facts->max_groups);
    facts->max_push_bytes = limits->maxPushConstantsSize;
    facts->max_storage_buffers = MIN(limits->maxPerStageDescriptorStorageBuffers, limits->maxPerStageResources);
    facts->max_texel_elements = limits->maxTexelBufferElements;
    facts->max_storage_texels = MIN(limits->maxPerStageDescriptorStorageImages, limits->maxPerStageResources);
}

/* The heap of a software device is the host's memory, whatever it says: Mesa 22.3 names 2 GiB and gives more. */
static void describe_memory(struct physical *physical, uint64_t max_allocation) {
    VkPhysicalDeviceMemoryProperties memory;
    vk_call.GetPhysicalDeviceMemoryProperties(physical->handle, &memory);
    uint64_t local = 0;
    for (uint32_t i = 0; i < memory.memoryHeapCount; i++)
        if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)
            local = MAX(local, memory.memoryHeaps[i].size);
    struct device_facts *facts = &physical->description.facts;
    facts->max_allocation = local ? MIN(max_allocation, local) : max_allocation;
    facts->heap_bytes = facts->kind == DEVICE_CPU ? MAX(local, host_memory()) : local;
}

/* The first family that computes; its number of valid timestamp bits. False when there is none. */
static bool find_family(struct physical *physical) {
    VkQueueFamilyProperties families[32];
    uint32_t count = COUNT(families);
    vk_call.GetPhysicalDeviceQueueFamilyProperties(physical->handle, &count, families);
    for (uint32_t i = 0; i < count; i++)
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT && families[i].queueCount > 0) {
            physical->family = i;
            physical->timestamp_bits = families[i].timestampValidBits;
            return true;
        }
    return false;
}

static void describe_driver(const VkPhysicalDeviceDriverProperties *driver, struct physical *physical) {
    struct device_facts *facts = &physical->description.facts;
    uint32_t version = physical->properties.driverVersion;
    if (driver->driverInfo[0])
        snprintf(facts->driver, sizeof facts->driver, "%.100s %.150s", driver->driverName, driver->driverInfo);
    else
        snprintf(facts->driver, sizeof facts->driver, "%.100s %u.%u.%u",
                 driver->driverName[0] ? driver->driverName : "driver", VK_API_VERSION_MAJOR(version),
                 VK_API_VERSION_MINOR(version), VK_API_VERSION_PATCH(version));
}

/*
 * Shuffles are trusted where they exist in compute and subgroups are full: software devices run a workgroup of one
 * subgroup so; on GPUs VK_EXT_subgroup_size_control promises it.
 */
static void describe_subgroups(const VkPhysicalDeviceSubgroupProperties *subgroup,
                               const VkPhysicalDeviceSubgroupSizeControlPropertiesEXT *sizes,
                               struct physical *physical) {
    struct device_facts *facts = &physical->description.facts;
    bool shuffle = subgroup->supportedStages & VK_SHADER_STAGE_COMPUTE_BIT &&
                   subgroup->supportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    facts->subgroup_size = MAX(subgroup->subgroupSize, 1U);
    facts->subgroup_shuffle = shuffle && (facts->kind == DEVICE_CPU || facts->size_control);
    if (facts->size_control && sizes->requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) {
        facts->least_subgroup = sizes->minSubgroupSize;
        facts->most_subgroup = sizes->maxSubgroupSize;
        facts->max_subgroups = sizes->maxComputeWorkgroupSubgroups;
    }
}

/* Structures of an extension may be asked for only where it exists. */
static void describe_features(const struct extensions *extensions, struct physical *physical) {
    VkPhysicalDevice16BitStorageFeatures storage = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES};
    VkPhysicalDeviceShaderFloat16Int8FeaturesKHR types = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES_KHR};
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &storage};
    if (has(extensions, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME)) {
        types.pNext = features.pNext;
        features.pNext = &types;
    }
    if (has(extensions, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) {
        control.pNext = features.pNext;
        features.pNext = &control;
    }
    vk_call.GetPhysicalDeviceFeatures2(physical->handle, &features);
    struct device_facts *facts = &physical->description.facts;
    facts->size_control = control.subgroupSizeControl && control.computeFullSubgroups;
    facts->float16 = types.shaderFloat16;
    facts->int16 = features.features.shaderInt16;
    facts->int64 = features.features.shaderInt64;
    facts->storage16 = storage.storageBuffer16BitAccess;
    facts->matrix_units = has(extensions, "VK_KHR_cooperative_matrix");
}

static void describe_more(const struct extensions *extensions, struct physical *physical) {
    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
    VkPhysicalDeviceDriverProperties driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
    VkPhysicalDeviceSubgroupProperties subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
                                                   .pNext = &id};
    VkPhysicalDeviceMaintenance3Properties maintenance = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES, .pNext = &subgroup};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &maintenance};
    if (has(extensions, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME)) {
        driver.pNext = properties.pNext;
        properties.pNext = &driver;
    }
    if (has(extensions, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) {
        sizes.pNext = properties.pNext;
        properties.pNext = &sizes;
    }
    vk_call.GetPhysicalDeviceProperties2(physical->handle, &properties);
    describe_features(extensions, physical);
    memcpy(physical->description.uuid, id.deviceUUID, sizeof physical->description.uuid);
    describe_memory(physical, maintenance.maxMemoryAllocationSize);
    describe_driver(&driver, physical);
    describe_subgroups(&subgroup, &sizes, physical);
    struct device_facts *facts = &physical->description.facts;
    bool lavapipe = driver.driverID == VK_DRIVER_ID_MESA_LLVMPIPE;
    facts->prefers_texels = lavapipe && facts->max_texel_elements >= 1U << 26;
    facts->max_loop_steps = lavapipe ? LAVAPIPE_LOOP_STEPS : UINT32_MAX;
}

void physical_describe(VkPhysicalDevice handle, struct physical *physical) {
    *physical = (struct physical){.handle = handle};
    struct vk_description *description = &physical->description;
    struct device_facts *facts = &description->facts;
    vk_call.GetPhysicalDeviceProperties(handle, &physical->properties);
    uint32_t api = physical->properties.apiVersion;
    description->driver_version = physical->properties.driverVersion;
    snprintf(facts->name, sizeof facts->name, "%s", physical->properties.deviceName);
    snprintf(description->api, sizeof description->api, "%u.%u.%u", VK_API_VERSION_MAJOR(api),
             VK_API_VERSION_MINOR(api), VK_API_VERSION_PATCH(api));
    facts->kind = kind(physical->properties.deviceType);
    facts->vendor_id = physical->properties.vendorID;
    facts->subgroup_size = 1;
    describe_limits(&physical->properties.limits, facts);
    if (api < VK_API_VERSION_1_1) {
        snprintf(description->why_not, sizeof description->why_not, "it offers Vulkan %s, 1.1 is needed",
                 description->api);
        return;
    }
    struct extensions extensions = list_extensions(handle);
    physical->portability_subset = has(&extensions, "VK_KHR_portability_subset");
    physical->memory_budget = has(&extensions, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    describe_more(&extensions, physical);
    free(extensions.list);
    description->usable = find_family(physical);
    if (!description->usable)
        snprintf(description->why_not, sizeof description->why_not, "it has no queue that computes");
}

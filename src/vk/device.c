/* device: choosing a device, opening and closing it, and the sentences of its failures. */
#include "vk/internal.h"

#include "base/log.h"
#include "base/memory.h"
#include "ir/limits.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *result_name(VkResult result) {
    switch (result) {
#define X(name)                                                                                                        \
    case name:                                                                                                         \
        return #name;
        X(VK_SUCCESS)
        X(VK_NOT_READY)
        X(VK_TIMEOUT)
        X(VK_INCOMPLETE)
        X(VK_ERROR_OUT_OF_HOST_MEMORY)
        X(VK_ERROR_OUT_OF_DEVICE_MEMORY)
        X(VK_ERROR_INITIALIZATION_FAILED)
        X(VK_ERROR_DEVICE_LOST)
        X(VK_ERROR_MEMORY_MAP_FAILED)
        X(VK_ERROR_LAYER_NOT_PRESENT)
        X(VK_ERROR_EXTENSION_NOT_PRESENT)
        X(VK_ERROR_FEATURE_NOT_PRESENT)
        X(VK_ERROR_INCOMPATIBLE_DRIVER)
        X(VK_ERROR_TOO_MANY_OBJECTS)
        X(VK_ERROR_FORMAT_NOT_SUPPORTED)
        X(VK_ERROR_FRAGMENTED_POOL)
        X(VK_ERROR_OUT_OF_POOL_MEMORY)
        X(VK_ERROR_INVALID_SHADER_NV)
        X(VK_ERROR_UNKNOWN)
#undef X
    default:
        return "an unknown VkResult";
    }
}

enum status device_fail(struct vk_device *device, VkResult result, const char *action) {
    const struct device_facts *facts = vk_facts(device);
    enum status status = STATUS_DEVICE;
    if (result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY)
        status = STATUS_MEMORY;
    if (result == VK_ERROR_DEVICE_LOST) {
        device->lost = true;
        snprintf(device->lost_message, sizeof device->lost_message,
                 "the device was lost (reset by the driver or the system): %s (%s)", facts->name, facts->driver);
        return fail(STATUS_LOST, "%s", device->lost_message);
    }
    return fail(status, "%s failed on %s (%s): %s", action, facts->name, facts->driver, result_name(result));
}

/* ---- list and choice ---- */

enum status vk_list(struct vk_description **list, uint32_t *count) {
    *list = NULL;
    *count = 0;
    struct instance instance;
    struct physical *found = NULL;
    uint32_t found_count = 0;
    uint64_t messages = 0;
    enum status status = instance_create(false, &messages, &instance);
    if (status == STATUS_OK)
        status = physical_list(instance.handle, &found, &found_count);
    if (status == STATUS_OK)
        status = memory_zeroed(found_count, sizeof **list, list);
    if (status == STATUS_OK) {
        for (uint32_t i = 0; i < found_count; i++)
            (*list)[i] = found[i].description;
        *count = found_count;
    }
    free(found);
    instance_destroy(&instance);
    return status;
}

static bool contains(const char *text, const char *part) {
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return false;
}

/* "0 NAME, 1 NAME" */
static void name_all(const struct physical *list, uint32_t count, char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%u %s", i ? ", " : "", i, list[i].description.facts.name);
}

/* A number in the list, a part of a name, or the first. */
static enum status choose(const struct physical *list, uint32_t count, const char *wanted, uint32_t *chosen) {
    *chosen = 0;
    if (wanted && wanted[0]) {
        char *end;
        unsigned long number = strtoul(wanted, &end, 10);
        *chosen = isdigit((unsigned char)wanted[0]) && !*end && number < count ? (uint32_t)number : count;
        for (uint32_t i = 0; i < count && *chosen == count; i++)
            if (contains(list[i].description.facts.name, wanted))
                *chosen = i;
    }
    if (*chosen == count) {
        char names[512];
        name_all(list, count, names, sizeof names);
        return fail(STATUS_DEVICE, "no device is called '%.100s': there is %s", wanted, names);
    }
    const struct vk_description *description = &list[*chosen].description;
    if (!description->usable)
        return fail(STATUS_DEVICE, "%s cannot be used: %s", description->facts.name, description->why_not);
    return STATUS_OK;
}

/* ---- open and close ---- */

/* What is enabled: all that the facts say, as a kernel may ask for it. */
struct features {
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT control;
    VkPhysicalDeviceShaderFloat16Int8FeaturesKHR types;
    VkPhysicalDevice16BitStorageFeatures storage;
    VkPhysicalDeviceFeatures2 more;
    const char *extensions[3];
    uint32_t extension_count;
};

static void enable_features(const struct physical *physical, struct features *out) {
    const struct device_facts *facts = &physical->description.facts;
    *out = (struct features){
        .control = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT,
                    .subgroupSizeControl = VK_TRUE,
                    .computeFullSubgroups = VK_TRUE},
        .types = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES_KHR,
                  .shaderFloat16 = VK_TRUE},
        .storage = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES,
                    .storageBuffer16BitAccess = facts->storage16},
        .more = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                 .pNext = &out->storage,
                 .features = {.shaderInt16 = facts->int16, .shaderInt64 = facts->int64}},
    };
    if (facts->float16) {
        out->types.pNext = out->more.pNext;
        out->more.pNext = &out->types;
        out->extensions[out->extension_count++] = VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME;
    }
    if (facts->size_control) {
        out->control.pNext = out->more.pNext;
        out->more.pNext = &out->control;
        out->extensions[out->extension_count++] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
    }
    if (physical->portability_subset)
        out->extensions[out->extension_count++] = "VK_KHR_portability_subset";
}

static enum status create_device(struct vk_device *device) {
    const struct physical *physical = &device->physical;
    const float priority = 1;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = physical->family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &priority};
    struct features features;
    enable_features(physical, &features);
    VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = &features.more,
                               .queueCreateInfoCount = 1,
                               .pQueueCreateInfos = &queue,
                               .enabledExtensionCount = features.extension_count,
                               .ppEnabledExtensionNames = features.extensions};
    VkResult result = vk_call.CreateDevice(physical->handle, &info, NULL, &device->handle);
    if (result != VK_SUCCESS) {
        device->handle = VK_NULL_HANDLE;
        return device_fail(device, result, "opening the device");
    }
    vk_call.GetDeviceQueue(device->handle, physical->family, 0, &device->queue);
    vk_call.GetPhysicalDeviceMemoryProperties(physical->handle, &device->memory);
    return STATUS_OK;
}

static enum status open_logical(struct vk_device *device) {
    TRY(create_device(device));
    TRY(queue_create(device));
    return cache_create(device);
}

static enum status copy_text(const char *text, char **out) {
    if (!text || !text[0])
        return STATUS_OK;
    TRY(memory_zeroed(strlen(text) + 1, 1, out));
    strcpy(*out, text);
    return STATUS_OK;
}

static enum status lower_limits(struct vk_device *device, const struct limits *limits) {
    struct vk_description *description = &device->physical.description;
    char text[1024];
    TRY(limits_apply(limits, &description->facts));
    device->lowered = limits_print(&description->offered, &description->facts, text, sizeof text);
    if (device->lowered)
        log_info("limits are lowered: %s", text);
    return STATUS_OK;
}

static enum status open_chosen(const struct vk_options *options, struct vk_device *device) {
    struct physical *list = NULL;
    struct limits limits;
    uint32_t count, chosen;
    TRY(limits_read(options->limits, &limits));
    if (host_wanted(options->device))
        return host_open(options, device);
    device->compiles_ahead = options->compiles_ahead;
    TRY(copy_text(options->cache_path, &device->cache_path));
    TRY(copy_text(options->kernel_path, &device->kernel_path));
    TRY(instance_create(options->validation, &device->counters.validation_messages, &device->instance));
    TRY(physical_list(device->instance.handle, &list, &count));
    enum status status = choose(list, count, options->device, &chosen);
    if (status == STATUS_OK)
        device->physical = list[chosen];
    free(list);
    TRY(status);
    if (device_is_host(device))
        return host_open(options, device);
    TRY(lower_limits(device, &limits));
    return open_logical(device);
}

/* Nobody asked for a slow device. */
static void warn_of_software(const struct vk_device *device, const char *wanted) {
    if (vk_facts(device)->kind == DEVICE_CPU && !(wanted && *wanted))
        log_warn("no GPU was found that Vulkan can use: %s computes on the CPU; for a GPU install its driver (Debian: "
                 "mesa-vulkan-drivers, or the vendor's)",
                 vk_facts(device)->name);
}

/* Mesa's llvmpipe with vectors of 512 bits has computed wrong values in some versions. */
static void warn_of_wide_vectors(const struct vk_device *device) {
    const struct device_facts *facts = vk_facts(device);
    if (facts->kind == DEVICE_CPU && strstr(facts->driver, "llvmpipe") && facts->subgroup_size > 8)
        log_warn("%s runs with vectors of %u floats (LP_NATIVE_VECTOR_WIDTH), which some versions of Mesa compute "
                 "wrongly: run the verify command, or unset the variable",
                 facts->name, facts->subgroup_size);
}

enum status vk_open(const struct vk_options *options, struct vk_device **out) {
    *out = NULL;
    struct vk_device *device;
    TRY(memory_zeroed(1, sizeof *device, &device));
    enum status status = open_chosen(options, device);
    if (status != STATUS_OK) {
        vk_close(device);
        return status;
    }
    warn_of_software(device, options->device);
    warn_of_wide_vectors(device);
    *out = device;
    return STATUS_OK;
}

/* Everything below the instance. After a timeout the driver may still use its objects: then they stay. */
static void destroy_objects(struct vk_device *device, bool idle) {
    ahead_stop(device);
    for (size_t i = 0; i < device->kernel_count; i++)
        kernel_destroy(device, device->kernels[i]);
    vk_commands_destroy(device->transfer);
    for (uint32_t i = 0; i < COUNT(device->staging); i++)
        vk_buffer_destroy(device->staging[i]);
    if (!device->handle || !idle)
        return;
    vk_call.DestroyQueryPool(device->handle, device->queries, NULL);
    vk_call.DestroyPipelineCache(device->handle, device->cache, NULL);
    queue_destroy(device);
    vk_call.DestroyDevice(device->handle, NULL);
}

void vk_close(struct vk_device *device) {
    if (!device)
        return;
    bool idle = queue_idle(device);
    if (idle)
        vk_save_cache(device);
    destroy_objects(device, idle);
    if (idle)
        instance_destroy(&device->instance);
    free(device->kernels);
    free(device->cache_path);
    free(device->kernel_path);
    free(device);
}

enum status device_open_twin(const struct vk_device *device, struct vk_device **twin) {
    TRY(memory_zeroed(1, sizeof **twin, twin));
    (*twin)->physical = device->physical;
    (*twin)->kernel_path = device->kernel_path;
    TRY(open_logical(*twin));
    (*twin)->timeout_ns = UINT64_MAX;
    return STATUS_OK;
}

void device_close_twin(struct vk_device *twin) {
    if (!twin)
        return;
    destroy_objects(twin, queue_idle(twin));
    free(twin->kernels);
    free(twin);
}

enum status vk_recover(struct vk_device *device) {
    destroy_objects(device, queue_idle(device));
    struct vk_device fresh = {
        .instance = device->instance,
        .physical = device->physical,
        .lowered = device->lowered,
        .cache_path = device->cache_path,
        .kernel_path = device->kernel_path,
        .kernels = device->kernels,
        .kernel_capacity = device->kernel_capacity,
        .compiles_ahead = device->compiles_ahead,
        .counters = device->counters,
    };
    *device = fresh;
    enum status status = open_logical(device);
    if (status == STATUS_OK)
        return STATUS_OK;
    device->lost = true;
    fail_prefix(STATUS_LOST, "the device cannot be opened again");
    snprintf(device->lost_message, sizeof device->lost_message, "%s", status_message());
    return STATUS_LOST;
}

const struct device_facts *vk_facts(const struct vk_device *device) {
    return &device->physical.description.facts;
}

const struct vk_description *vk_describe(const struct vk_device *device) {
    return &device->physical.description;
}

bool vk_lowered(const struct vk_device *device) {
    return device->lowered;
}

struct vk_counters vk_counters(const struct vk_device *device) {
    return device->counters;
}

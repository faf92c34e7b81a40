/* instance: the loader, the validation layer, and the list of devices in the order of preference. */
#include "vk/internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static const char layer_name[] = "VK_LAYER_KHRONOS_validation";

static VKAPI_ATTR VkBool32 VKAPI_CALL receive(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                              VkDebugUtilsMessageTypeFlagsEXT types,
                                              const VkDebugUtilsMessengerCallbackDataEXT *data, void *messages) {
    (void)severity;
    if (types & VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT)
        ++*(uint64_t *)messages;
    log_warn("%s", data->pMessage);
    return VK_FALSE;
}

static bool has_extension(const char *layer, const char *name) {
    uint32_t count = 0;
    if (vk_call.EnumerateInstanceExtensionProperties(layer, &count, NULL) != VK_SUCCESS || count == 0)
        return false;
    VkExtensionProperties *list = calloc(count, sizeof *list);
    bool found = false;
    if (list && vk_call.EnumerateInstanceExtensionProperties(layer, &count, list) >= 0)
        for (uint32_t i = 0; i < count; i++)
            found |= strcmp(list[i].extensionName, name) == 0;
    free(list);
    return found;
}

static bool has_layer(void) {
    uint32_t count = 0;
    if (vk_call.EnumerateInstanceLayerProperties(&count, NULL) != VK_SUCCESS || count == 0)
        return false;
    VkLayerProperties *list = calloc(count, sizeof *list);
    bool found = false;
    if (list && vk_call.EnumerateInstanceLayerProperties(&count, list) >= 0)
        for (uint32_t i = 0; i < count; i++)
            found |= strcmp(list[i].layerName, layer_name) == 0;
    free(list);
    return found;
}

static enum status create(const VkInstanceCreateInfo *info, VkInstance *out) {
    VkResult result = vk_call.CreateInstance(info, NULL, out);
    if (result == VK_SUCCESS)
        return STATUS_OK;
    *out = VK_NULL_HANDLE;
    return missing_driver(result, info);
}

static enum status create_messenger(const VkDebugUtilsMessengerCreateInfoEXT *info, struct instance *instance) {
    PFN_vkCreateDebugUtilsMessengerEXT make = (PFN_vkCreateDebugUtilsMessengerEXT)vk_call.GetInstanceProcAddr(
        instance->handle, "vkCreateDebugUtilsMessengerEXT");
    VkResult result = make ? make(instance->handle, info, NULL, &instance->messenger) : VK_ERROR_EXTENSION_NOT_PRESENT;
    if (result == VK_SUCCESS)
        return STATUS_OK;
    return fail(STATUS_DEVICE, "no messages can be received from %s: %s", layer_name, result_name(result));
}

enum status instance_create(bool validation, uint64_t *messages, struct instance *out) {
    *out = (struct instance){0};
    uint32_t version = VK_API_VERSION_1_0;
    TRY(vk_functions_load());
    if (vk_call.EnumerateInstanceVersion(&version) != VK_SUCCESS || version < VK_API_VERSION_1_1)
        return fail(STATUS_DEVICE, "the Vulkan loader is too old: Vulkan 1.1 is needed");
    if (validation && !has_layer())
        return fail(STATUS_DEVICE, "the validation layer %s is not installed (Debian: vulkan-validationlayers)",
                    layer_name);
    VkDebugUtilsMessengerCreateInfoEXT messenger = {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
                                                    .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                                                                       VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
                                                    .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT |
                                                                   VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
                                                    .pfnUserCallback = receive,
                                                    .pUserData = messages};
    const VkValidationFeatureEnableEXT synchronization = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                        .pNext = &messenger,
                                        .enabledValidationFeatureCount = 1,
                                        .pEnabledValidationFeatures = &synchronization};
    const char *layers[] = {layer_name}, *extensions[3];
    uint32_t extension_count = 0;
    if (validation) {
        extensions[extension_count++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
        extensions[extension_count++] = VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME;
    }
    bool portability = has_extension(NULL, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);
    if (portability)
        extensions[extension_count++] = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                     .pApplicationName = "resnet-vk",
                                     .pEngineName = "resnet-vk",
                                     .apiVersion = VK_API_VERSION_1_1};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pNext = validation ? &features : NULL,
                                 .flags = portability ? VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR : 0,
                                 .pApplicationInfo = &application,
                                 .enabledLayerCount = validation,
                                 .ppEnabledLayerNames = layers,
                                 .enabledExtensionCount = extension_count,
                                 .ppEnabledExtensionNames = extensions};
    TRY(create(&info, &out->handle));
    return validation ? create_messenger(&messenger, out) : STATUS_OK;
}

void instance_destroy(struct instance *instance) {
    if (instance->messenger) {
        PFN_vkDestroyDebugUtilsMessengerEXT destroy = (PFN_vkDestroyDebugUtilsMessengerEXT)vk_call.GetInstanceProcAddr(
            instance->handle, "vkDestroyDebugUtilsMessengerEXT");
        if (destroy)
            destroy(instance->handle, instance->messenger, NULL);
    }
    if (instance->handle)
        vk_call.DestroyInstance(instance->handle, NULL);
    *instance = (struct instance){0};
}

/* Usable before unusable, then by kind. */
static int rank(const struct physical *physical) {
    static const int ranks[] = {
        [DEVICE_DISCRETE] = 0, [DEVICE_INTEGRATED] = 1, [DEVICE_VIRTUAL] = 2, [DEVICE_OTHER] = 3, [DEVICE_CPU] = 4};
    return ranks[physical->description.facts.kind] + (physical->description.usable ? 0 : 8);
}

/* By insertion: the loader's order is kept among equals. */
static void sort(struct physical *list, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        struct physical moved = list[i];
        uint32_t j = i;
        for (; j > 0 && rank(&list[j - 1]) > rank(&moved); j--)
            list[j] = list[j - 1];
        list[j] = moved;
    }
}

enum status physical_list(VkInstance instance, struct physical **list, uint32_t *count) {
    VkPhysicalDevice handles[64];
    uint32_t found = COUNT(handles);
    *list = NULL;
    *count = 0;
    VkResult result = vk_call.EnumeratePhysicalDevices(instance, &found, handles);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        found = 0;
    if (found == 0)
        return missing_device();
    TRY(memory_zeroed(found + 1, sizeof **list, list));
    for (uint32_t i = 0; i < found; i++) {
        physical_describe(handles[i], &(*list)[i]);
        (*list)[i].description.offered = (*list)[i].description.facts;
    }
    sort(*list, found);
    host_describe(&(*list)[found]);
    *count = found + 1;
    return STATUS_OK;
}

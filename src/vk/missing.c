/* missing: says why there is no Vulkan instance or no device, and what to install. */
#include "vk/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INSTALL                                                                                                        \
    "install the driver of your GPU's vendor, or Mesa's (Debian: mesa-vulkan-drivers, which also runs on the CPU); "   \
    "the device 'cpu' needs no Vulkan, but is slow"

/* The first thing that the loader complains of, apart from the outcome. */
struct complaint {
    char text[512];
};

static VKAPI_ATTR VkBool32 VKAPI_CALL receive(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                              VkDebugUtilsMessageTypeFlagsEXT types,
                                              const VkDebugUtilsMessengerCallbackDataEXT *data, void *user) {
    struct complaint *complaint = user;
    (void)severity, (void)types;
    if (!*complaint->text && !strstr(data->pMessage, "Found no drivers"))
        snprintf(complaint->text, sizeof complaint->text, "%s", data->pMessage);
    return VK_FALSE;
}

/* Tries once more with an ear for the loader, which speaks to a messenger while it looks for drivers. */
static void listen(const VkInstanceCreateInfo *info, struct complaint *complaint) {
    VkDebugUtilsMessengerCreateInfoEXT messenger = {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
                                                    .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                                                                       VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
                                                    .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT,
                                                    .pfnUserCallback = receive,
                                                    .pUserData = complaint};
    const char *const extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME};
    VkInstanceCreateInfo plain = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                  .pNext = &messenger,
                                  .pApplicationInfo = info->pApplicationInfo,
                                  .enabledExtensionCount = 1,
                                  .ppEnabledExtensionNames = extensions};
    VkInstance instance;
    if (vk_call.CreateInstance(&plain, NULL, &instance) == VK_SUCCESS)
        vk_call.DestroyInstance(instance, NULL);
}

/* The variable that tells the loader where to look, NULL when none is set. */
static const char *limited_by(void) {
    static const char *const names[] = {"VK_DRIVER_FILES", "VK_ICD_FILENAMES"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]))
            return names[i];
    return NULL;
}

enum status missing_driver(VkResult result, const VkInstanceCreateInfo *info) {
    struct complaint complaint = {""};
    const char *variable = limited_by();
    listen(info, &complaint);
    if (*complaint.text)
        return fail(
            STATUS_DEVICE,
            "a Vulkan driver is installed wrongly (%s): the loader says \"%s\"; remove or mend it%s%s, or " INSTALL,
            result_name(result), complaint.text, variable ? ", or unset " : "", variable ? variable : "");
    if (result != VK_ERROR_INCOMPATIBLE_DRIVER)
        return fail(STATUS_DEVICE, "vkCreateInstance failed: %s", result_name(result));
    if (variable)
        return fail(STATUS_DEVICE, "there is no Vulkan driver where %s says: unset it, or " INSTALL, variable);
    return fail(STATUS_DEVICE, "there is no Vulkan driver: " INSTALL);
}

enum status missing_device(void) {
    return fail(STATUS_DEVICE, "Vulkan drivers are installed, but none found a device that it drives or may open "
                               "(Linux: /dev/dri, group render): " INSTALL);
}

/* functions: finds the Vulkan loader and takes the functions from it. */
#include "vk/functions.h"

#include "base/memory.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vk_functions vk_call;

/* macOS: the loader of the SDK, else MoltenVK by itself. */
#ifdef __APPLE__
static const char *const libraries[] = {"libvulkan.1.dylib", "libMoltenVK.dylib"};
#else
static const char *const libraries[] = {"libvulkan.so.1"};
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char trouble[512];   /* why the loader could not be opened; "": it could */
static const char *missing; /* the first function that the loader does not have */

static void *open_library(void) {
    const char *path = getenv("RESNET_VK_LOADER");
    if (path && *path)
        return dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *library = NULL;
    for (size_t i = 0; i < COUNT(libraries) && !library; i++)
        library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

/* An object pointer becomes a function pointer as POSIX has it for dlsym. */
static void take(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    if (!symbol && !missing)
        missing = name;
}

/* The library stays open: drivers do not expect to be unloaded. */
static void load(void) {
    void *library = open_library();
    if (!library) {
        const char *reason = dlerror();
        snprintf(trouble, sizeof trouble, "%s", reason ? reason : "unknown");
        return;
    }
#define X(name) take(library, "vk" #name, &vk_call.name);
    VK_FUNCTIONS(X)
#undef X
}

enum status vk_functions_load(void) {
    const char *path = getenv("RESNET_VK_LOADER");
    pthread_once(&once, load);
    if (*trouble && path && *path)
        return fail(STATUS_DEVICE, "the Vulkan loader that RESNET_VK_LOADER names could not be opened: %s", trouble);
    if (*trouble)
        return fail(STATUS_DEVICE,
                    "there is no Vulkan loader (%s): install it and a driver (Debian: libvulkan1 and "
                    "mesa-vulkan-drivers; Fedora: vulkan-loader; macOS: vulkan-loader and molten-vk); the device 'cpu' "
                    "needs no Vulkan, but is slow",
                    trouble);
    if (missing)
        return fail(STATUS_DEVICE, "%s is too old, or no Vulkan loader: it has no %s; Vulkan 1.1 is needed",
                    path && *path ? path : libraries[0], missing);
    return STATUS_OK;
}

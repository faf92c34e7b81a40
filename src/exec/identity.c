#include "exec/identity.h"

#include "base/file.h"

#include <stdio.h>

static const char *print_uuid(const struct vk_description *device, char text[33]) {
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", device->uuid[i]);
    return text;
}

json_t *identity_pack(const struct vk_description *device) {
    char uuid[33], kernels[17];
    snprintf(kernels, sizeof kernels, "%016llx", (unsigned long long)vk_kernels_checksum());
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s}", "uuid", print_uuid(device, uuid), "device", device->facts.name,
                     "driver", device->facts.driver, "driver_version", (json_int_t)device->driver_version, "program",
                     RVK_VERSION, "kernels", kernels);
}

char *identity_path(const char *name, const struct vk_description *device) {
    char file[96], uuid[33];
    snprintf(file, sizeof file, "%s-%s.json", name, print_uuid(device, uuid));
    return file_cache_path(file);
}

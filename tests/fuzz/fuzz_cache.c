/* A file of compiled pipelines. What passes goes to the driver as it is. */
#include "fuzz.h"

#include "vk/internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct vk_device device = {.physical.properties = {.vendorID = 1, .deviceID = 2, .driverVersion = 3}};
    const char *why_not = cache_refusal(&device, bytes, size);
    if (why_not ? !*why_not : size < 56)
        abort();
    return 0;
}

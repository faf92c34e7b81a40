/* planted_leak: opens a device and forgets a data set, so that a sanitizer build shows that it finds leaks of ours. */
#include "resnet_vk.h"

#include <stdio.h>

static enum rvk_status forget(void) {
    struct rvk_data *data;
    return rvk_open_data("generated:count=3,classes=2,size=8", true, &data);
}

int main(void) {
    struct rvk_context *context;
    if (rvk_open(&(struct rvk_open_options){.no_cache = true}, &context) != RVK_OK || forget() != RVK_OK)
        return 2;
    rvk_close(context);
    puts("the sanitizer has the last word");
    return 0;
}

/*
 * device: opens the first device for a test, or TEST_DEVICE; under TEST_VALIDATION=1 through the validation layer,
 * which must then have been silent when the device is closed.
 */
#ifndef RVK_TEST_DEVICE_H
#define RVK_TEST_DEVICE_H

#include "exec/store.h"
#include "test.h"

#include <stdlib.h>

struct test_device {
    struct vk_device *device;
    struct store *store;
};

static inline void test_device_open(struct test_device *d, const struct vk_options *options) {
    struct vk_options used = options ? *options : (struct vk_options){0};
    used.device = used.device ? used.device : getenv("TEST_DEVICE");
    used.validation |= getenv("TEST_VALIDATION") != NULL;
    d->store = NULL;
    if (vk_open(&used, &d->device) != STATUS_OK)
        fail_msg("%s", status_message());
    assert_int_equal(store_create(d->device, &d->store), STATUS_OK);
}

static inline void test_device_close(struct test_device *d) {
    uint64_t messages = vk_counters(d->device).validation_messages;
    store_destroy(d->store);
    vk_close(d->device);
    assert_int_equal(messages, 0);
}

#endif

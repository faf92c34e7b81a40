/*
 * vk_support: what the tests of vk share. Include it after all other headers (cmocka takes the name `fail`).
 * With TEST_VALIDATION in the environment every device is opened under the validation layer, which must be silent.
 */
#ifndef RVK_TESTS_VK_SUPPORT_H
#define RVK_TESTS_VK_SUPPORT_H

#include "base/log.h"
#include "base/memory.h"
#include "vk/vk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OK(expression)                                                                                                 \
    do {                                                                                                               \
        enum status ok_status = (expression);                                                                          \
        if (ok_status != STATUS_OK)                                                                                    \
            fail_msg("%s: %s", #expression, status_message());                                                         \
    } while (0)

/* The call fails with this status and a sentence that holds `part`. */
#define REFUSED(expression, status, part)                                                                              \
    do {                                                                                                               \
        assert_int_equal((expression), (status));                                                                      \
        if (!strstr(status_message(), (part)))                                                                         \
            fail_msg("%s: \"%s\" does not say \"%s\"", #expression, status_message(), (part));                         \
    } while (0)

static char logged[65536];

static inline void record_log(void *context, enum log_level level, const char *message) {
    (void)context, (void)level;
    size_t used = strlen(logged);
    snprintf(logged + used, sizeof logged - used, "%s\n", message);
}

static inline struct vk_device *open_with(struct vk_options options) {
    struct vk_device *device;
    bool host = options.device && strcmp(options.device, "cpu") == 0;
    options.validation |= !host && getenv("TEST_VALIDATION") != NULL;
    logged[0] = 0;
    OK(vk_open(&options, &device));
    return device;
}

static inline struct vk_device *open_device(void) {
    return open_with((struct vk_options){.kernel_path = TEST_KERNELS});
}

static inline void close_device(struct vk_device *device) {
    if (vk_counters(device).validation_messages)
        fail_msg("the validation layer says: %s", logged);
    vk_close(device);
}

static inline struct vk_buffer *make(struct vk_device *device, enum vk_memory kind, uint64_t bytes) {
    struct vk_buffer *buffer;
    OK(vk_buffer_create(device, kind, bytes, &buffer));
    assert_int_equal(vk_buffer_bytes(buffer), bytes);
    return buffer;
}

static inline struct vk_kernel *get(struct vk_device *device, const char *name, const uint32_t *constants,
                                    uint32_t count) {
    struct vk_kernel *kernel;
    OK(vk_kernel_get(device, name, constants, count, 0, &kernel));
    return kernel;
}

static inline struct vk_commands *begin(struct vk_device *device) {
    struct vk_commands *commands;
    OK(vk_commands_create(device, &commands));
    OK(vk_begin(commands));
    return commands;
}

static inline void run(struct vk_device *device, struct vk_commands *commands) {
    uint64_t ticket;
    OK(vk_submit(device, &commands, 1, &ticket));
    OK(vk_wait(device, ticket));
}

/* Sets an environment variable and gives the old value (free it with restore). */
static inline char *set(const char *name, const char *value) {
    const char *old = getenv(name);
    char *kept = old ? strdup(old) : NULL;
    setenv(name, value, 1);
    return kept;
}

static inline void restore(const char *name, char *kept) {
    if (kept)
        setenv(name, kept, 1);
    else
        unsetenv(name);
    free(kept);
}

#endif

/* vk: devices, buffers, kernels, recorded commands, on whichever device vk_open prefers. */
#include "base/log.h"
#include "base/memory.h"
#include "vk/vk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* last: it defines a macro called fail */

static void print(void *context, enum log_level level, const char *message) {
    (void)context, (void)level;
    fprintf(stderr, "%s\n", message);
}

#define OK(expression)                                                                                                 \
    do {                                                                                                               \
        enum status ok_status = (expression);                                                                          \
        if (ok_status != STATUS_OK)                                                                                    \
            fail_msg("%s: %s", #expression, status_message());                                                         \
    } while (0)

static struct vk_device *open_device(void) {
    struct vk_device *device;
    struct vk_options options = {.validation = getenv("RVK_TEST_VALIDATION") != NULL};
    OK(vk_open(&options, &device));
    return device;
}

static void copies(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    static const char *const kernels[] = {"copy", "copy.texels"};
    enum { QUADS = 1000 };
    float x[QUADS * 4], y[QUADS * 4];
    for (uint32_t i = 0; i < QUADS * 4; i++)
        x[i] = (float)i;
    struct vk_buffer *from, *to;
    struct vk_commands *commands;
    OK(vk_buffer_create(device, VK_MEMORY_DEVICE, sizeof x, &from));
    OK(vk_buffer_create(device, VK_MEMORY_DEVICE, sizeof x, &to));
    OK(vk_commands_create(device, &commands));
    OK(vk_write(from, 0, x, sizeof x));
    for (size_t i = 0; i < COUNT(kernels); i++) {
        struct vk_kernel *kernel;
        OK(vk_kernel_get(device, kernels[i], NULL, 0, &kernel));
        OK(vk_fill(to, 0, sizeof x, 0xFFFFFFFF));
        const struct vk_range ranges[] = {{from, 0, sizeof x}, {to, 0, sizeof x}};
        const uint32_t push[] = {QUADS}, groups[3] = {(QUADS + 63) / 64, 1, 1};
        uint64_t ticket;
        OK(vk_timestamps_reserve(device, 2));
        OK(vk_begin(commands));
        vk_record_timestamp(commands, 0);
        OK(vk_record_dispatch(commands, kernel, ranges, 2, push, 1, groups));
        vk_record_barrier(commands);
        vk_record_timestamp(commands, 1);
        OK(vk_end(commands));
        OK(vk_submit(device, &commands, 1, &ticket));
        OK(vk_wait(device, ticket));
        OK(vk_read(to, 0, y, sizeof y));
        assert_memory_equal(x, y, sizeof x);
        uint64_t ns[2];
        OK(vk_timestamps_read(device, 2, ns));
        assert_true(ns[1] >= ns[0]);
    }
    assert_int_equal(vk_counters(device).validation_messages, 0);
    vk_commands_destroy(commands);
    vk_buffer_destroy(from);
    vk_buffer_destroy(to);
    vk_close(device);
}

int main(void) {
    log_set(print, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The kernels that measure a device do all the work that is counted for them. */
#include "exec/peak.h"

#include "vk_support.h"

enum { GROUPS = 3, SIZE = 64 };

/* Runs a kernel on `groups` workgroups with the given ranges and waits. */
static void run_kernel(struct vk_device *device, const char *name, const uint32_t *constants, uint32_t constant_count,
                       const struct vk_range *ranges, uint32_t range_count, const uint32_t *push, uint32_t push_count) {
    struct vk_kernel *kernel;
    struct vk_commands *commands;
    uint64_t ticket;
    OK(vk_kernel_get(device, name, constants, constant_count, 0, &kernel));
    OK(vk_commands_create(device, &commands));
    OK(vk_begin(commands));
    OK(vk_record_dispatch(commands, kernel, ranges, range_count, push, push_count, (uint32_t[3]){GROUPS, 1, 1}));
    OK(vk_end(commands));
    OK(vk_submit(device, &commands, 1, &ticket));
    OK(vk_wait(device, ticket));
    vk_commands_destroy(commands);
}

/* With factor 1 and term 1 a chain counts its steps. */
static void flops_are_done(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    struct vk_buffer *y;
    float values[GROUPS * SIZE][4];
    const uint32_t rounds = 5, one = 0x3f800000, push[3] = {rounds, one, one};
    OK(vk_buffer_create(device, VK_MEMORY_DEVICE, sizeof values, &y));
    run_kernel(device, "peak_flops", NULL, 0, &(struct vk_range){y, 0, sizeof values}, 1, push, 3);
    OK(vk_read(y, 0, values, sizeof values));
    for (int i = 0; i < GROUPS * SIZE; i++) {
        float expected = 0;
        for (int c = 0; c < PEAK_CHAINS; c++)
            expected += (float)(i % SIZE + c + (int)rounds * PEAK_STEPS);
        assert_true(values[i][0] == expected && values[i][3] == expected);
    }
    vk_buffer_destroy(y);
    close_device(device);
}

/* Every vec4 of x is in the sum of exactly one invocation. */
static void check_read(struct vk_device *device, const char *name, uint32_t size) {
    enum { ROWS = 24 };
    static float x[GROUPS * ROWS * SIZE][4], y[GROUPS * SIZE][4];
    struct vk_buffer *from, *to;
    for (uint32_t i = 0; i < GROUPS * ROWS * size; i++)
        for (uint32_t k = 0; k < 4; k++)
            x[i][k] = (float)(i + 5000 * k);
    OK(vk_buffer_create(device, VK_MEMORY_DEVICE, sizeof x, &from));
    OK(vk_buffer_create(device, VK_MEMORY_DEVICE, sizeof y, &to));
    OK(vk_write(from, 0, x, sizeof x));
    const struct vk_range ranges[2] = {{from, 0, sizeof x}, {to, 0, sizeof y}};
    run_kernel(device, name, &size, 1, ranges, 2, (uint32_t[]){ROWS}, 1);
    OK(vk_read(to, 0, y, sizeof y));
    for (uint32_t i = 0; i < GROUPS * size; i++) {
        float expected = 0;
        for (uint32_t row = 0; row < ROWS; row++)
            expected += x[(i / size * ROWS + row) * size + i % size][3];
        assert_true(y[i][3] == expected);
    }
    vk_buffer_destroy(from);
    vk_buffer_destroy(to);
}

static void memory_is_read(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    check_read(device, "peak_read", 8);
    check_read(device, "peak_read", SIZE);
    if (vk_facts(device)->max_storage_texels)
        check_read(device, "peak_read.texels", 8);
    close_device(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(flops_are_done), cmocka_unit_test(memory_is_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* vk: what is recorded and submitted: dispatches, copies, barriers, timestamps, waits. */
#include "base/clock.h"
#include "vk_support.h"

#include <time.h>

/* ---- dispatches ---- */

static void copied_by(struct vk_device *device, const char *name, struct vk_buffer *from, struct vk_buffer *to,
                      const uint8_t *expected, uint8_t *back) {
    uint64_t bytes = vk_buffer_bytes(from);
    struct vk_kernel *kernel = get(device, name, NULL, 0);
    OK(vk_fill(to, 0, bytes, 0xFFFFFFFF));
    struct vk_commands *commands = begin(device);
    const struct vk_range ranges[] = {{from, 256, bytes - 256}, {to, 0, bytes - 256}};
    const uint32_t quads = (uint32_t)(bytes - 256) / 16 - 1, groups[3] = {(quads + 63) / 64, 1, 1};
    OK(vk_record_dispatch(commands, kernel, ranges, 2, &quads, 1, groups));
    OK(vk_end(commands));
    run(device, commands);
    OK(vk_read(to, 0, back, bytes));
    assert_memory_equal(back, expected + 256, bytes - 256 - 16);
    for (uint64_t i = bytes - 256 - 16; i < bytes; i++)
        assert_int_equal(back[i], 0xFF);
    vk_commands_destroy(commands);
}

static void copy_kernels(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    enum { BYTES = 256 + 16 * 4099 };
    uint8_t *data = malloc(BYTES), *back = malloc(BYTES);
    assert_true(data && back);
    for (uint32_t i = 0; i < BYTES; i++)
        data[i] = (uint8_t)(i * 13 + i / 256) % 100;
    struct vk_buffer *from = make(device, VK_MEMORY_DEVICE, BYTES), *to = make(device, VK_MEMORY_DEVICE, BYTES);
    OK(vk_write(from, 0, data, BYTES));
    copied_by(device, "copy", from, to, data, back);
    copied_by(device, "copy.texels", from, to, data, back);
    vk_buffer_destroy(from);
    vk_buffer_destroy(to);
    free(data);
    free(back);
    close_device(device);
}

static void specialized_kernel(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    enum { COUNT_X = 16 };
    const uint32_t constants[] = {COUNT_X, 1, 2, 1};
    struct vk_kernel *kernel = get(device, "specialized", constants, COUNT(constants));
    assert_int_equal(vk_kernel_interface(kernel)->group_size[0], COUNT_X);
    struct vk_buffer *a = make(device, VK_MEMORY_DEVICE, COUNT_X * 16), *b = make(device, VK_MEMORY_DEVICE, 64),
                     *c = make(device, VK_MEMORY_DEVICE, COUNT_X * 8);
    float values[COUNT_X * 4], sums[COUNT_X], pairs[COUNT_X * 2];
    for (uint32_t i = 0; i < COUNT_X * 4; i++)
        values[i] = (float)i;
    OK(vk_write(a, 0, values, sizeof values));
    for (uint32_t i = 0; i < COUNT_X; i++)
        sums[i] = 1000;
    OK(vk_write(b, 0, sums, sizeof sums));
    const float push[6] = {3, 0, 0, 0, 42, 17};
    uint32_t push_words[6];
    memcpy(push_words, push, sizeof push_words);
    const struct vk_range ranges[] = {{a, 0, COUNT_X * 16}, {b, 0, 64}, {NULL, 0, 0}, {c, 0, COUNT_X * 8}};
    struct vk_commands *commands = begin(device);
    OK(vk_record_dispatch(commands, kernel, ranges, 4, push_words, 6, (const uint32_t[3]){1, 1, 1}));
    OK(vk_end(commands));
    run(device, commands);
    OK(vk_read(b, 0, sums, sizeof sums));
    OK(vk_read(c, 0, pairs, sizeof pairs));
    for (uint32_t i = 0; i < COUNT_X; i++) {
        assert_true(sums[i] == 1000 + (float)(i * 4 * 3 * 2));
        assert_true(pairs[2 * i] == 42 && pairs[2 * i + 1] == 17);
    }
    vk_commands_destroy(commands);
    vk_buffer_destroy(a);
    vk_buffer_destroy(b);
    vk_buffer_destroy(c);
    close_device(device);
}

static void uniform_texels(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    struct vk_kernel *kernel = get(device, "fetch", NULL, 0);
    struct vk_buffer *x = make(device, VK_MEMORY_DEVICE, 16 * 16), *y = make(device, VK_MEMORY_DEVICE, 16 * 16);
    float values[64];
    for (uint32_t i = 0; i < 64; i++)
        values[i] = (float)i;
    OK(vk_write(x, 0, values, sizeof values));
    struct vk_commands *commands = begin(device);
    const struct vk_range ranges[] = {{x, 0, 256}, {y, 0, 256}};
    OK(vk_record_dispatch(commands, kernel, ranges, 2, NULL, 0, (const uint32_t[3]){2, 1, 1}));
    OK(vk_end(commands));
    run(device, commands);
    OK(vk_read(y, 0, values, sizeof values));
    for (uint32_t i = 0; i < 64; i++)
        assert_true(values[i] == (float)(i / 4 * 4 + 3 - i % 4));
    vk_commands_destroy(commands);
    vk_buffer_destroy(x);
    vk_buffer_destroy(y);
    close_device(device);
}

/* A workgroup of one subgroup has all lanes, and shuffles reach them: what facts.subgroup_shuffle promises. */
static void subgroups(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    uint32_t size = vk_facts(device)->subgroup_size;
    if (!vk_facts(device)->subgroup_shuffle) {
        close_device(device);
        skip();
    }
    enum { GROUPS = 40 };
    uint32_t words = GROUPS * size, *found = malloc(words * 4);
    assert_non_null(found);
    struct vk_kernel *kernel = get(device, "shuffle", &size, 1);
    struct vk_buffer *y = make(device, VK_MEMORY_DEVICE, words * 4);
    struct vk_commands *commands = begin(device);
    const struct vk_range range = {y, 0, words * 4};
    OK(vk_record_dispatch(commands, kernel, &range, 1, NULL, 0, (const uint32_t[3]){GROUPS, 1, 1}));
    OK(vk_end(commands));
    run(device, commands);
    OK(vk_read(y, 0, found, words * 4));
    for (uint32_t group = 0; group < GROUPS; group++) {
        uint32_t seen = 0;
        for (uint32_t i = 0; i < size; i++) {
            assert_int_equal(found[group * size + i] >> 16, size);
            seen += (found[group * size + i] & 0xFFFF) / 10;
        }
        assert_int_equal(seen, size * (size - 1) / 2);
    }
    free(found);
    vk_commands_destroy(commands);
    vk_buffer_destroy(y);
    close_device(device);
}

static void dispatches_refused(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    const struct device_facts *facts = vk_facts(device);
    struct vk_kernel *kernel = get(device, "copy", NULL, 0), *texels = get(device, "copy.texels", NULL, 0);
    struct vk_buffer *buffer = make(device, VK_MEMORY_DEVICE, 4096);
    struct vk_commands *commands;
    const uint32_t push[2] = {1, 1}, one[3] = {1, 1, 1};
    struct vk_range good[3] = {{buffer, 0, 1024}, {buffer, 1024, 1024}, {buffer, 0, 16}};
    OK(vk_commands_create(device, &commands));
    REFUSED(vk_record_dispatch(commands, kernel, good, 2, push, 1, one), STATUS_USAGE, "outside vk_begin");
    OK(vk_begin(commands));
    REFUSED(vk_record_dispatch(commands, kernel, good, 3, push, 1, one), STATUS_USAGE,
            "kernel copy: 3 ranges were given, it has 2");
    REFUSED(vk_record_dispatch(commands, kernel, good, 2, push, 2, one), STATUS_USAGE, "8 bytes of push constants");
    static const struct {
        uint64_t offset, bytes;
        const char *part;
    } cases[] = {{4, 16, "multiples"},
                 {0, 0, "not within"},
                 {256, 3841, "not within"},
                 {256, UINT64_MAX, "not within"},
                 {8192, 16, "4096"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct vk_range bad[2] = {good[0], {buffer, cases[i].offset, cases[i].bytes}};
        REFUSED(vk_record_dispatch(commands, kernel, bad, 2, push, 1, one), STATUS_USAGE, "kernel copy: binding 1: ");
        assert_non_null(strstr(status_message(), cases[i].part));
    }
    struct vk_range odd[2] = {{buffer, 0, 1028}, {buffer, 1024, 1028}};
    OK(vk_record_dispatch(commands, kernel, odd, 2, push, 1, one));
    REFUSED(vk_record_dispatch(commands, texels, odd, 2, push, 1, one), STATUS_USAGE, "multiples of 16");
    if (facts->max_groups[1] < UINT32_MAX) {
        const uint32_t groups[3] = {1, facts->max_groups[1] + 1, 1};
        REFUSED(vk_record_dispatch(commands, kernel, good, 2, push, 1, groups), STATUS_MEMORY, "along axis 1");
    }
    OK(vk_end(commands));
    vk_commands_destroy(commands);
    vk_buffer_destroy(buffer);
    close_device(device);
}

static void ranges_too_large(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    const struct device_facts *facts = vk_facts(device);
    static const char *const names[] = {"copy", "copy.texels"};
    const uint64_t most[] = {facts->max_storage_range / 256 * 256, (uint64_t)facts->max_texel_elements * 16};
    const char *const parts[] = {"one storage buffer", "one texel buffer"};
    const uint32_t push = 1;
    for (size_t i = 0; i < COUNT(names); i++) {
        uint64_t bytes = most[i] + 256;
        if (bytes > facts->max_allocation || bytes > UINT64_C(1) << 28)
            continue;
        struct vk_buffer *buffer = make(device, VK_MEMORY_DEVICE, bytes), *small = make(device, VK_MEMORY_DEVICE, 256);
        struct vk_commands *commands = begin(device);
        const struct vk_range bad[] = {{buffer, 0, bytes}, {small, 0, 256}}, good[] = {{buffer, 256, most[i]}, bad[1]};
        REFUSED(vk_record_dispatch(commands, get(device, names[i], NULL, 0), bad, 2, &push, 1,
                                   (const uint32_t[3]){1, 1, 1}),
                STATUS_MEMORY, parts[i]);
        OK(vk_record_dispatch(commands, get(device, names[i], NULL, 0), good, 2, &push, 1,
                              (const uint32_t[3]){1, 1, 1}));
        OK(vk_end(commands));
        vk_commands_destroy(commands);
        vk_buffer_destroy(buffer);
        vk_buffer_destroy(small);
    }
    close_device(device);
}

/* ---- recording and submission ---- */

/* Shifts the blocks of a buffer down by one, block by block: more descriptor sets and views than one pool holds. */
static void long_recording(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    struct vk_kernel *kernel = get(device, "copy.texels", NULL, 0);
    enum { BLOCKS = 1500, WORDS = 64 * BLOCKS };
    uint32_t *words = malloc(WORDS * 4);
    assert_non_null(words);
    struct vk_buffer *buffer = make(device, VK_MEMORY_DEVICE, WORDS * 4);
    struct vk_commands *commands;
    OK(vk_commands_create(device, &commands));
    const uint32_t push = 16;
    for (uint32_t round = 1; round <= 2; round++) {
        OK(vk_begin(commands));
        for (uint32_t i = 0; i + 1 < BLOCKS; i++) {
            const struct vk_range ranges[] = {{buffer, 256 * (i + 1), 256}, {buffer, 256 * i, 256}};
            OK(vk_record_dispatch(commands, kernel, ranges, 2, &push, 1, (const uint32_t[3]){1, 1, 1}));
            vk_record_barrier(commands);
        }
        OK(vk_end(commands));
        for (uint32_t i = 0; i < WORDS; i++)
            words[i] = 0x3F800000 + round * i;
        OK(vk_write(buffer, 0, words, WORDS * 4));
        run(device, commands);
        OK(vk_read(buffer, 0, words, WORDS * 4));
        for (uint32_t i = 0; i < WORDS; i++)
            assert_int_equal(words[i], 0x3F800000 + round * (i < WORDS - 64 ? i + 64 : i));
    }
    free(words);
    vk_commands_destroy(commands);
    vk_buffer_destroy(buffer);
    close_device(device);
}

/* More submissions than the ring holds, of the same recordings, without waiting; nothing is made for them. */
static void many_submissions(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    struct vk_buffer *a = make(device, VK_MEMORY_DEVICE, 512), *out = make(device, VK_MEMORY_DOWNLOAD, 256);
    struct vk_kernel *kernel = get(device, "specialized", (const uint32_t[]){1, 1, 1, 0}, 4);
    const float push[6] = {1};
    uint32_t push_words[6];
    memcpy(push_words, push, sizeof push_words);
    OK(vk_fill(a, 0, 512, 0));
    OK(vk_fill(a, 0, 4, 0x3F800000));
    const struct vk_range sum = {a, 256, 256};
    const struct vk_range ranges[] = {{a, 0, 16}, sum, {NULL, 0, 0}, {out, 0, 256}};
    struct vk_commands *commands[2] = {begin(device), begin(device)};
    OK(vk_record_dispatch(commands[0], kernel, ranges, 4, push_words, 6, (const uint32_t[3]){1, 1, 1}));
    vk_record_barrier(commands[0]);
    vk_record_barrier(commands[1]);
    vk_record_copy(commands[1], sum, out, 0);
    vk_record_barrier(commands[1]);
    OK(vk_end(commands[0]));
    OK(vk_end(commands[1]));
    struct vk_counters before = vk_counters(device);
    enum { ROUNDS = 300 };
    uint64_t ticket = 0;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t next;
        OK(vk_submit(device, commands, 2, &next));
        assert_true(i == 0 || next == ticket + 1);
        ticket = next;
    }
    OK(vk_wait(device, ticket));
    OK(vk_wait(device, 1));
    const float *total = vk_buffer_map(out);
    assert_true(*total == ROUNDS);
    struct vk_counters after = vk_counters(device);
    assert_int_equal(after.submissions - before.submissions, ROUNDS);
    before.submissions = after.submissions;
    assert_memory_equal(&before, &after, sizeof before);
    REFUSED(vk_wait(device, ticket + 1), STATUS_USAGE, "waiting");
    vk_commands_destroy(commands[0]);
    vk_commands_destroy(commands[1]);
    vk_buffer_destroy(a);
    vk_buffer_destroy(out);
    close_device(device);
}

static void recordings_refused(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    struct vk_buffer *buffer = make(device, VK_MEMORY_DEVICE, 512);
    struct vk_commands *commands;
    uint64_t ticket;
    OK(vk_commands_create(device, &commands));
    REFUSED(vk_end(commands), STATUS_USAGE, "vk_begin");
    REFUSED(vk_submit(device, &commands, 1, &ticket), STATUS_USAGE, "finished recording");
    OK(vk_begin(commands));
    REFUSED(vk_submit(device, &commands, 1, &ticket), STATUS_USAGE, "finished recording");
    vk_record_copy(commands, (struct vk_range){buffer, 0, 256}, buffer, 300);
    vk_record_timestamp(commands, 0);
    REFUSED(vk_end(commands), STATUS_USAGE, "256 bytes from 0 of 512 to 300 of 512");
    REFUSED(vk_submit(device, &commands, 1, &ticket), STATUS_USAGE, "finished recording");
    OK(vk_begin(commands));
    vk_record_copy(commands, (struct vk_range){buffer, 0, 256}, buffer, 256);
    OK(vk_end(commands));
    run(device, commands);
    vk_commands_destroy(commands);
    vk_buffer_destroy(buffer);
    close_device(device);
}

/* As many iterations as the facts allow, at most two million, are all done; lavapipe does no more. */
static void loops(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    struct vk_buffer *buffer = make(device, VK_MEMORY_DEVICE, 256);
    const struct vk_range range = {buffer, 0, 256};
    uint32_t most = MIN(vk_facts(device)->max_loop_steps, 2000000U), expected = 5, found;
    struct vk_commands *commands = begin(device);
    OK(vk_fill(buffer, 0, 256, expected));
    OK(vk_record_dispatch(commands, get(device, "slow", NULL, 0), &range, 1, &most, 1, (const uint32_t[3]){1, 1, 1}));
    OK(vk_end(commands));
    run(device, commands);
    OK(vk_read(buffer, 0, &found, 4));
    for (uint32_t i = 0; i < most; i++)
        expected = expected * 1664525U + 1013904223U;
    assert_int_equal(found, expected);
    vk_commands_destroy(commands);
    vk_buffer_destroy(buffer);
    close_device(device);
}

static void timestamps(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    if (!vk_timestamps_supported(device)) {
        close_device(device);
        skip();
    }
    struct vk_kernel *kernel = get(device, "slow", NULL, 0);
    struct vk_buffer *buffer = make(device, VK_MEMORY_DEVICE, 256);
    const struct vk_range range = {buffer, 0, 256};
    const uint32_t rounds = 30000, groups[3] = {512, 1, 1};
    uint64_t ns[3];
    OK(vk_timestamps_reserve(device, 2));
    OK(vk_timestamps_reserve(device, 3));
    OK(vk_fill(buffer, 0, 256, 1));
    struct vk_commands *commands = begin(device);
    vk_record_timestamp(commands, 0);
    OK(vk_record_dispatch(commands, kernel, &range, 1, &rounds, 1, groups));
    vk_record_barrier(commands);
    vk_record_timestamp(commands, 1);
    vk_record_timestamp(commands, 2);
    OK(vk_end(commands));
    for (int i = 0; i < 2; i++) {
        uint64_t start = clock_ns();
        run(device, commands);
        uint64_t wall = clock_ns() - start;
        OK(vk_timestamps_read(device, 3, ns));
        assert_true(ns[0] <= ns[1] && ns[1] <= ns[2]);
        /* The dispatch is most of it; the first one also compiles on some drivers. */
        assert_true(ns[2] - ns[0] <= wall + 1000000);
        assert_true(ns[1] - ns[0] >= 1000000);
    }
    REFUSED(vk_timestamps_read(device, 4, ns), STATUS_USAGE, "3 are reserved");
    vk_commands_destroy(commands);
    vk_buffer_destroy(buffer);
    close_device(device);
}

static void wait_ends(void **state) {
    (void)state;
    char *kept = set("RESNET_VK_TIMEOUT", "0.005");
    struct vk_device *device = open_with((struct vk_options){.kernel_path = TEST_KERNELS});
    restore("RESNET_VK_TIMEOUT", kept);
    struct vk_buffer *buffer = make(device, VK_MEMORY_DEVICE, 256);
    struct vk_commands *commands = begin(device);
    const struct vk_range range = {buffer, 0, 256};
    /* About 0.1 s of work, by a long loop or by many short ones. */
    const uint32_t rounds = MIN(vk_facts(device)->max_loop_steps, 30000000U), groups[3] = {60000000 / rounds, 1, 1};
    uint64_t ticket, other;
    OK(vk_record_dispatch(commands, get(device, "slow", NULL, 0), &range, 1, &rounds, 1, groups));
    OK(vk_end(commands));
    OK(vk_submit(device, &commands, 1, &ticket));
    REFUSED(vk_wait(device, ticket), STATUS_LOST, "RESNET_VK_TIMEOUT");
    assert_non_null(strstr(status_message(), vk_facts(device)->name));
    REFUSED(vk_submit(device, &commands, 1, &other), STATUS_LOST, "did not finish");
    REFUSED(vk_begin(commands), STATUS_LOST, "did not finish");
    nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
    vk_commands_destroy(commands);
    vk_buffer_destroy(buffer);
    close_device(device);
}

/* ---- validation ---- */

/* Without the barrier between writer and reader the layer must speak: it is there and looks. */
static void hazard_is_seen(void **state) {
    (void)state;
    for (int barrier = 1; barrier >= 0; barrier--) {
        struct vk_device *device;
        logged[0] = 0;
        if (vk_open(&(struct vk_options){.validation = true}, &device) != STATUS_OK) {
            assert_non_null(strstr(status_message(), "vulkan-validationlayers"));
            skip();
        }
        struct vk_kernel *kernel = get(device, "copy", NULL, 0);
        struct vk_buffer *buffer = make(device, VK_MEMORY_DEVICE, 768);
        struct vk_commands *commands = begin(device);
        const uint32_t push = 16, groups[3] = {1, 1, 1};
        const struct vk_range first[] = {{buffer, 0, 256}, {buffer, 256, 256}};
        const struct vk_range second[] = {{buffer, 256, 256}, {buffer, 512, 256}};
        OK(vk_record_dispatch(commands, kernel, first, 2, &push, 1, groups));
        if (barrier)
            vk_record_barrier(commands);
        OK(vk_record_dispatch(commands, kernel, second, 2, &push, 1, groups));
        OK(vk_end(commands));
        run(device, commands);
        assert_true((vk_counters(device).validation_messages == 0) == barrier);
        assert_true((strstr(logged, "READ_AFTER_WRITE") == NULL) == barrier);
        vk_commands_destroy(commands);
        vk_buffer_destroy(buffer);
        vk_close(device);
    }
}

int main(void) {
    log_set(record_log, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_kernels),   cmocka_unit_test(specialized_kernel), cmocka_unit_test(uniform_texels),
        cmocka_unit_test(subgroups),      cmocka_unit_test(dispatches_refused), cmocka_unit_test(ranges_too_large),
        cmocka_unit_test(long_recording), cmocka_unit_test(many_submissions),   cmocka_unit_test(recordings_refused),
        cmocka_unit_test(loops),          cmocka_unit_test(timestamps),         cmocka_unit_test(wait_ends),
        cmocka_unit_test(hazard_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

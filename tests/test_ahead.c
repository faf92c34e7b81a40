/* ahead: kernels compiled on another thread, as Mesa's own cache on disk shows them. */
#include "base/clock.h"

#include "folder.h"
#include "vk_support.h"

#include <ftw.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"copy.texels", "relu.texels", "relu_backward.texels", "sigmoid.texels",
                                    "sigmoid_backward.texels"};
/* Of ranges, whatever the kernels. */
static const uint64_t sizes[] = {1 << 20, 9216, 4096 + 16, 16};
enum { LARGEST = 1 << 20 };

static int entries;

static int count_entry(const char *path, const struct stat *info, int kind) {
    const char *name = strrchr(path, '/') + 1;
    entries += kind == FTW_F && info->st_size > 0 && strlen(name) > 10; /* not the index */
    return 0;
}

static int cached(void) {
    entries = 0;
    (void)ftw(folder, count_entry, 8);
    return entries;
}

static void sleep_ms(long ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* NULL: another driver, or one processor. */
static struct vk_device *open_ahead(bool ahead) {
    struct vk_device *device = open_with((struct vk_options){.compiles_ahead = ahead});
    bool helps = strstr(vk_facts(device)->driver, "llvmpipe") && sysconf(_SC_NPROCESSORS_ONLN) > 1;
    if (!helps)
        close_device(device);
    return helps ? device : NULL;
}

static void compile(struct vk_device *device, size_t count) {
    for (size_t k = 0; k < count; k++)
        get(device, names[k], NULL, 0);
    vk_kernels_compile(device);
}

/* Each with ranges of other sizes. */
static void dispatch(struct vk_device *device, const char *name, size_t first_size, struct vk_buffer *buffer) {
    static const uint32_t push[32];
    struct vk_kernel *kernel = get(device, name, NULL, 0);
    const struct vk_interface *interface = vk_kernel_interface(kernel);
    struct vk_range ranges[VK_BINDINGS];
    for (size_t i = 0; i < VK_BINDINGS; i++)
        ranges[i] = (struct vk_range){.buffer = buffer, .bytes = sizes[(i + first_size) % COUNT(sizes)]};
    struct vk_commands *commands = begin(device);
    OK(vk_record_dispatch(commands, kernel, ranges, interface->binding_count, push, interface->push_bytes / 4,
                          (const uint32_t[3]){1, 1, 1}));
    OK(vk_end(commands));
    run(device, commands);
    vk_commands_destroy(commands);
}

/* Mesa writes its cache on a thread of its own. */
static int cached_later(void) {
    sleep_ms(300);
    return cached();
}

static void few_kernels_are_left_alone(void **state) {
    (void)state;
    struct vk_device *device = open_ahead(true);
    if (!device)
        skip();
    int before = cached();
    compile(device, 3);
    assert_int_equal(cached_later(), before);
    close_device(device);
}

static void nothing_unless_asked_for(void **state) {
    (void)state;
    struct vk_device *device = open_ahead(false);
    if (!device)
        skip();
    int before = cached();
    compile(device, COUNT(names));
    assert_int_equal(cached_later(), before);
    close_device(device);
}

/* Closing ends it in the middle. */
static void closing_at_once(void **state) {
    (void)state;
    for (int round = 0; round < 5; round++) {
        struct vk_device *device = open_ahead(true);
        if (!device)
            skip();
        compile(device, COUNT(names));
        sleep_ms(5 * round);
        close_device(device);
    }
}

/* The device finds in the cache what was compiled for it, and compiles nothing once more. */
static void found_by_the_device(void **state) {
    (void)state;
    struct vk_device *device = open_ahead(true);
    if (!device)
        skip();
    struct vk_buffer *buffer = make(device, VK_MEMORY_DEVICE, LARGEST + 16);
    int before = cached();
    compile(device, COUNT(names));
    uint64_t end_ns = clock_ns() + 60 * UINT64_C(1000000000);
    while (cached() < before + (int)COUNT(names) && clock_ns() < end_ns)
        sleep_ms(10);
    assert_int_equal(cached(), before + (int)COUNT(names));
    for (size_t k = 0; k < COUNT(names); k++)
        dispatch(device, names[k], k, buffer);
    assert_int_equal(cached_later(), before + (int)COUNT(names));
    dispatch(device, "copy", 0, buffer); /* unknown to the other thread */
    assert_int_equal(cached_later(), before + (int)COUNT(names) + 1);
    vk_buffer_destroy(buffer);
    close_device(device);
}

static int fresh_cache(void **state) {
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    return make_folder(state) ? -1 : setenv("MESA_SHADER_CACHE_DIR", folder, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh_cache, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(few_kernels_are_left_alone), TEST(nothing_unless_asked_for),
                                       TEST(closing_at_once), TEST(found_by_the_device)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* vk: devices, buffers, kernels and the pipeline cache, on the device that vk_open prefers. */
#include "base/file.h"
#include "vk/functions.h"
#include "vk_support.h"

#include <ctype.h>
#include <unistd.h>

/* ---- devices ---- */

static void listed(void **state) {
    (void)state;
    struct vk_description *list;
    uint32_t count;
    OK(vk_list(&list, &count));
    assert_true(count > 1);
    assert_int_equal(list[count - 1].facts.kind, DEVICE_REFERENCE);
    assert_true(list[count - 1].usable && !list[count - 1].api[0]);
    for (uint32_t i = 0; i + 1 < count; i++) {
        const struct device_facts *facts = &list[i].facts;
        assert_true(facts->name[0] && facts->driver[0] && list[i].api[0] == '1');
        assert_true(list[i].usable == (list[i].why_not[0] == 0));
        assert_true(facts->max_storage_range >= 1 << 27 && facts->max_allocation >= 1 << 27);
        assert_true(facts->max_invocations >= 128 && facts->max_shared_bytes >= 16384);
        assert_true(facts->max_groups[1] >= 65535 && facts->max_texel_elements >= 65536);
        assert_true(i == 0 || list[i - 1].usable || !list[i].usable);
        if (strstr(facts->driver, "llvmpipe")) {
            assert_int_equal(facts->kind, DEVICE_CPU);
            assert_true(facts->prefers_texels && facts->subgroup_shuffle);
        }
        if (strstr(facts->driver, "SwiftShader"))
            assert_false(facts->prefers_texels);
    }
    struct vk_device *device = open_device();
    assert_string_equal(vk_facts(device)->name, list[0].facts.name);
    assert_memory_equal(vk_facts(device), &vk_describe(device)->facts, sizeof list[0].facts);
    close_device(device);
    free(list);
}

static void chosen(void **state) {
    (void)state;
    struct vk_description *list;
    uint32_t count;
    OK(vk_list(&list, &count));
    char part[8] = {0};
    for (size_t i = 0; i + 1 < sizeof part; i++)
        part[i] = (char)toupper((unsigned char)list[0].facts.name[i]);
    const char *const names[] = {"0", "", part, list[0].facts.name};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct vk_device *device = open_with((struct vk_options){.device = names[i]});
        assert_string_equal(vk_facts(device)->name, list[0].facts.name);
        close_device(device);
    }
    struct vk_device *none = (struct vk_device *)part;
    REFUSED(vk_open(&(struct vk_options){.device = "no such device"}, &none), STATUS_DEVICE, "no such device");
    assert_null(none);
    assert_non_null(strstr(status_message(), list[0].facts.name));
    REFUSED(vk_open(&(struct vk_options){.device = "4000000000"}, &none), STATUS_DEVICE, "4000000000");
    free(list);
}

static void opened_many_times(void **state) {
    (void)state;
    for (int i = 0; i < 12; i++) {
        struct vk_device *device = open_device();
        struct vk_buffer *buffer = make(device, VK_MEMORY_DEVICE, 1000);
        uint32_t word = 0;
        OK(vk_fill(buffer, 0, 1000, 77 + (uint32_t)i));
        OK(vk_read(buffer, 996, &word, 4));
        assert_int_equal(word, 77 + i);
        vk_buffer_destroy(buffer);
        close_device(device);
    }
    vk_close(NULL);
    vk_buffer_destroy(NULL);
    vk_commands_destroy(NULL);
}

static void without_driver(void **state) {
    (void)state;
    struct vk_description *list;
    struct vk_device *device;
    uint32_t count;
    char *kept = set("VK_ICD_FILENAMES", "/nonexistent"), *newer = set("VK_DRIVER_FILES", "/nonexistent");
    REFUSED(vk_list(&list, &count), STATUS_DEVICE, "mesa-vulkan-drivers");
    assert_null(list);
    assert_int_equal(count, 0);
    REFUSED(vk_open(&(struct vk_options){0}, &device), STATUS_DEVICE, "mesa-vulkan-drivers");
    restore("VK_ICD_FILENAMES", kept);
    restore("VK_DRIVER_FILES", newer);
}

static VKAPI_ATTR VkResult VKAPI_CALL no_devices(VkInstance instance, uint32_t *count, VkPhysicalDevice *devices) {
    (void)instance, (void)devices;
    *count = 0;
    return VK_SUCCESS;
}

/* There are drivers, but none has a device. */
static void without_device(void **state) {
    (void)state;
    struct vk_device *device;
    PFN_vkEnumeratePhysicalDevices kept = vk_call.EnumeratePhysicalDevices;
    vk_call.EnumeratePhysicalDevices = no_devices;
    REFUSED(vk_open(&(struct vk_options){0}, &device), STATUS_DEVICE, "none found a device");
    assert_non_null(strstr(status_message(), "mesa-vulkan-drivers"));
    OK(vk_open(&(struct vk_options){.device = "cpu"}, &device));
    vk_close(device);
    vk_call.EnumeratePhysicalDevices = kept;
}

static void without_layer(void **state) {
    (void)state;
    struct vk_device *device;
    char *kept = set("VK_LAYER_PATH", "/nonexistent");
    REFUSED(vk_open(&(struct vk_options){.validation = true}, &device), STATUS_DEVICE, "vulkan-validationlayers");
    restore("VK_LAYER_PATH", kept);
}

/* ---- memory ---- */

static void write_read_fill_on(struct vk_device *device) {
    static const enum vk_memory kinds[] = {VK_MEMORY_DEVICE, VK_MEMORY_UPLOAD, VK_MEMORY_DOWNLOAD};
    enum { BYTES = 100003 };
    uint8_t *data = malloc(BYTES), *back = malloc(BYTES);
    assert_true(data && back);
    for (uint32_t i = 0; i < BYTES; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct vk_buffer *buffer = make(device, kinds[k], BYTES);
        assert_true(kinds[k] == VK_MEMORY_DEVICE || vk_buffer_map(buffer));
        OK(vk_write(buffer, 0, data, BYTES));
        OK(vk_write(buffer, 4321, data, 77));
        OK(vk_fill(buffer, 8, 12, 0x04030201));
        OK(vk_read(buffer, 0, back, BYTES));
        assert_memory_equal(back, data, 8);
        assert_memory_equal(back + 8, "\1\2\3\4\1\2\3\4\1\2\3\4", 12);
        assert_memory_equal(back + 20, data + 20, 4301);
        assert_memory_equal(back + 4321, data, 77);
        assert_memory_equal(back + 4398, data + 4398, BYTES - 4398);
        OK(vk_read(buffer, BYTES - 1, back, 1));
        assert_int_equal(back[0], data[BYTES - 1]);
        OK(vk_read(buffer, BYTES, back, 0));
        REFUSED(vk_read(buffer, BYTES, back, 1), STATUS_USAGE, "100003");
        REFUSED(vk_write(buffer, UINT64_MAX, data, 2), STATUS_USAGE, "not within");
        REFUSED(vk_fill(buffer, 2, 4, 0), STATUS_USAGE, "multiples of 4");
        REFUSED(vk_fill(buffer, 4, BYTES - 3, 0), STATUS_USAGE, "not within");
        vk_buffer_destroy(buffer);
    }
    free(data);
    free(back);
    close_device(device);
}

static void write_read_fill(void **state) {
    (void)state;
    write_read_fill_on(open_device());
    write_read_fill_on(open_with((struct vk_options){.device = "cpu"}));
}

/* The host is found by its short name, which needs no loader, by its number and by its name; it runs nothing. */
static void host(void **state) {
    (void)state;
    struct vk_description *list;
    uint32_t count;
    OK(vk_list(&list, &count));
    char number[16];
    snprintf(number, sizeof number, "%u", count - 1);
    const char *const names[] = {"cpu", "CPU", number, "cpu ref"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct vk_device *device;
        OK(vk_open(&(struct vk_options){.device = names[i]}, &device));
        assert_int_equal(vk_facts(device)->kind, DEVICE_REFERENCE);
        struct vk_kernel *kernel;
        struct vk_commands *commands;
        REFUSED(vk_kernel_get(device, "copy", NULL, 0, 0, &kernel), STATUS_DEVICE, "no kernels");
        REFUSED(vk_commands_create(device, &commands), STATUS_DEVICE, "no commands");
        REFUSED(vk_timestamps_reserve(device, 1), STATUS_DEVICE, "no timestamps");
        assert_true(kernel == NULL && commands == NULL);
        struct vk_buffer *most;
        REFUSED(vk_buffer_create(device, VK_MEMORY_DEVICE, list[count - 1].facts.heap_bytes + 1, &most), STATUS_MEMORY,
                "most");
        vk_close(device);
    }
    struct vk_device *device;
    REFUSED(vk_open(&(struct vk_options){.device = "cpu", .validation = true}, &device), STATUS_USAGE, "validate");
    free(list);
}

static void too_large(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    struct vk_buffer *buffer;
    char limit[32];
    uint64_t most = vk_facts(device)->max_allocation;
    snprintf(limit, sizeof limit, "%llu", (unsigned long long)most);
    REFUSED(vk_buffer_create(device, VK_MEMORY_DEVICE, most + 1, &buffer), STATUS_MEMORY, limit);
    assert_null(buffer);
    REFUSED(vk_buffer_create(device, VK_MEMORY_DEVICE, 0, &buffer), STATUS_USAGE, "0 bytes");
    assert_int_equal(vk_counters(device).device_bytes, 0);
    close_device(device);
}

/* ---- kernels ---- */

static void kernels_kept(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    const uint32_t one[] = {1, 1, 4, 0}, two[] = {2, 1, 4, 0};
    struct vk_kernel *kernel = get(device, "specialized", one, 4);
    assert_ptr_equal(get(device, "specialized", one, 4), kernel);
    assert_ptr_not_equal(get(device, "specialized", two, 4), kernel);
    assert_ptr_not_equal(get(device, "specialized", one, 3), kernel);
    assert_ptr_not_equal(get(device, "copy", NULL, 0), get(device, "copy.texels", NULL, 0));
    assert_int_equal(vk_counters(device).pipelines, 0);
    for (int i = 0; i < 2; i++) { /* each is compiled once */
        vk_kernels_compile(device);
        assert_int_equal(vk_counters(device).pipelines, 5);
    }
    assert_true(vk_kernel_exists(device, "copy") && vk_kernel_exists(device, "specialized"));
    assert_false(vk_kernel_exists(device, "copi"));
    close_device(device);
}

/* The same kernel with another size of its subgroups is another pipeline. */
static void subgroups_required(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    uint32_t size = vk_facts(device)->least_subgroup;
    struct vk_kernel *kernel, *again;
    if (size > 0) {
        OK(vk_kernel_get(device, "copy", NULL, 0, size, &kernel));
        OK(vk_kernel_get(device, "copy", NULL, 0, size, &again));
        assert_ptr_equal(kernel, again);
        assert_int_equal(vk_kernel_interface(kernel)->subgroup_size, size);
        assert_ptr_not_equal(kernel, get(device, "copy", NULL, 0));
        assert_int_equal(vk_kernel_interface(get(device, "copy", NULL, 0))->subgroup_size, 0);
    }
    close_device(device);
}

static void kernels_refused(void **state) {
    (void)state;
    struct vk_device *device = open_device();
    const struct device_facts *facts = vk_facts(device);
    struct vk_kernel *kernel;
    REFUSED(vk_kernel_get(device, "missing", NULL, 0, 0, &kernel), STATUS_USAGE, "missing");
    assert_null(kernel);
    REFUSED(vk_kernel_get(device, "integers", NULL, 0, 0, &kernel), STATUS_DATA, "kernel integers: binding 0");
    REFUSED(vk_kernel_get(device, "second_set", NULL, 0, 0, &kernel), STATUS_DATA, "set 1");
    const uint32_t many[] = {facts->max_group_size[0], 2, 1}, wide[] = {facts->max_group_size[0] + 1};
    const uint32_t shared[] = {1, 1, facts->max_shared_bytes / 16};
    REFUSED(vk_kernel_get(device, "specialized", many, 3, 0, &kernel), STATUS_MEMORY, "invocations in a workgroup");
    REFUSED(vk_kernel_get(device, "specialized", wide, 1, 0, &kernel), STATUS_MEMORY, "along one axis");
    REFUSED(vk_kernel_get(device, "specialized", shared, 3, 0, &kernel), STATUS_MEMORY, "shared memory");
    REFUSED(vk_kernel_get(device, "specialized", (const uint32_t[]){0}, 1, 0, &kernel), STATUS_DATA, "axis 0");
    const uint32_t constants[65] = {1, 1, 1};
    REFUSED(vk_kernel_get(device, "specialized", constants, 65, 0, &kernel), STATUS_USAGE, "65");
    assert_int_equal(vk_counters(device).pipelines, 0);
    close_device(device);
}

/* A folder of kernels comes before the embedded ones; what is wrong there is said with the file's name. */
static void kernels_replaced(void **state) {
    (void)state;
    char folder[] = "/tmp/rvk-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/copy.spv", folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs("no SPIR-V", file);
    fclose(file);
    struct vk_device *device = open_with((struct vk_options){.kernel_path = folder});
    struct vk_kernel *kernel;
    REFUSED(vk_kernel_get(device, "copy", NULL, 0, 0, &kernel), STATUS_DATA, path);
    OK(vk_kernel_get(device, "copy.texels", NULL, 0, 0, &kernel));
    close_device(device);
    remove(path);
    rmdir(folder);
}

/* ---- the pipeline cache ---- */

static void save_cache_at(const char *path) {
    struct vk_device *device = open_with((struct vk_options){.cache_path = path});
    get(device, "copy", NULL, 0);
    vk_kernels_compile(device);
    vk_save_cache(device);
    close_device(device);
}

/* The file at `path`, with byte `at` changed unless it is past the end, is accepted or ignored as expected. */
static void assert_cache(const char *path, size_t at, size_t drop, const char *said) {
    uint8_t *bytes;
    size_t size;
    OK(file_read(path, 1 << 28, &bytes, &size));
    if (at < size)
        bytes[at] ^= 0x10;
    const struct file_piece piece = {bytes, size - drop};
    OK(file_write_atomic(path, &piece, 1));
    struct vk_device *device = open_with((struct vk_options){.cache_path = path});
    if (!strstr(logged, said))
        fail_msg("byte %zu changed, %zu dropped: \"%s\" does not say \"%s\"", at, drop, logged, said);
    get(device, "copy", NULL, 0);
    vk_kernels_compile(device);
    close_device(device);
    /* What was ignored was replaced. */
    device = open_with((struct vk_options){.cache_path = path});
    assert_non_null(strstr(logged, "is used"));
    close_device(device);
    free(bytes);
}

static void pipeline_cache(void **state) {
    (void)state;
    char folder[] = "/tmp/rvk-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/pipelines", folder);
    save_cache_at(path);
    assert_true(file_exists(path));
    enum { HEADER = 56 };
    assert_cache(path, SIZE_MAX, 0, "is used");
    assert_cache(path, 0, 0, "another device or driver");  /* magic */
    assert_cache(path, 8, 0, "another device or driver");  /* version of the format */
    assert_cache(path, 12, 0, "another device or driver"); /* vendor */
    assert_cache(path, 20, 0, "another device or driver"); /* driver's version */
    assert_cache(path, 39, 0, "another device or driver"); /* UUID */
    assert_cache(path, 40, 0, "damaged");                  /* size */
    assert_cache(path, 48, 0, "damaged");                  /* checksum */
    assert_cache(path, HEADER, 0, "damaged");
    assert_cache(path, HEADER + 17, 0, "damaged");
    assert_cache(path, SIZE_MAX, 1, "damaged");
    uint8_t *bytes;
    size_t size;
    OK(file_read(path, 1 << 28, &bytes, &size));
    free(bytes);
    assert_cache(path, SIZE_MAX, size - HEADER + 1, "cut off");
    assert_cache(path, SIZE_MAX, size, "cut off");
    remove(path);
    rmdir(folder);
}

static void cache_not_writable(void **state) {
    (void)state;
    struct vk_device *device = open_with((struct vk_options){.cache_path = "/nonexistent/pipelines"});
    get(device, "copy", NULL, 0);
    vk_kernels_compile(device);
    vk_save_cache(device);
    assert_non_null(strstr(logged, "was not written"));
    close_device(device);
}

int main(void) {
    log_set(record_log, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed),
        cmocka_unit_test(chosen),
        cmocka_unit_test(opened_many_times),
        cmocka_unit_test(without_driver),
        cmocka_unit_test(without_device),
        cmocka_unit_test(without_layer),
        cmocka_unit_test(write_read_fill),
        cmocka_unit_test(host),
        cmocka_unit_test(too_large),
        cmocka_unit_test(kernels_kept),
        cmocka_unit_test(kernels_refused),
        cmocka_unit_test(kernels_replaced),
        cmocka_unit_test(pipeline_cache),
        cmocka_unit_test(cache_not_writable),
        cmocka_unit_test(subgroups_required),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

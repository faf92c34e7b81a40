/* The program without a Vulkan loader, without a driver, with a broken one, and where it needs none of them. */
#include "program.h"

#include <stdlib.h>

#define TRAP "RESNET_VK_LOADER=" LOADER_TRAP " "

enum { TRAPPED = 99 };

/* Runs "VARIABLES resnet-vk ARGUMENTS". */
static int run_with(const char *variables, const char *arguments) {
    char line[2048];
    snprintf(line, sizeof line, "env %s %s %s", variables, PROGRAM, arguments);
    return run_line(line);
}

/* ---- what needs no Vulkan ---- */

static void never_opens_the_loader(void **state) {
    (void)state;
    static const char *const commands[] = {"train", "eval",    "predict", "verify", "bench",
                                           "tune",  "devices", "models",  "convert"};
    char arguments[64];
    assert_int_equal(run_with(TRAP, "devices 2>&1"), TRAPPED); /* the trap works */
    expect(TRAPPED, "the Vulkan loader was opened");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(arguments, sizeof arguments, "%s --help 2>&1", commands[i]);
        assert_int_equal(run_with(TRAP, arguments), 0);
        snprintf(arguments, sizeof arguments, "%s --print-config 2>&1", commands[i]);
        assert_int_equal(run_with(TRAP, arguments), 0);
        snprintf(arguments, sizeof arguments, "%s --nonsense 2>&1", commands[i]);
        assert_int_equal(run_with(TRAP, arguments), 2);
    }
    assert_int_equal(run_with(TRAP, "--help"), 0);
    assert_int_equal(run_with(TRAP, "--version"), 0);
    assert_int_equal(run_with(TRAP, "models"), 0);
    assert_int_equal(run_with(TRAP, "convert --list /nonexistent.pth 2>&1"), 3);
    expect(3, "/nonexistent.pth: No such file");
    assert_int_equal(run_with(TRAP, "convert /nonexistent.pth 2>&1"), 2);
    assert_int_equal(run_with(TRAP, "models --json"), 0);
}

#define SMALL "--model resnet8 --data generated:count=48,classes=4,size=8 --batch 16 --eval-batch 16"

static void cpu_never_opens_the_loader(void **state) {
    (void)state;
    char arguments[512];
    snprintf(arguments, sizeof arguments, "train --device cpu " SMALL " --epochs 2 --steps 4 --out %s/run 2>&1",
             folder);
    assert_int_equal(run_with(TRAP, arguments), 0);
    expect(0, "ten to twenty times the time"); /* said, so that nobody takes it for the speed of the program */
    expect(0, "device: CPU reference (reference, float64 reference " RVK_VERSION ")");
    snprintf(arguments, sizeof arguments, "train --device cpu --resume %s/run/last.safetensors 2>/dev/null", folder);
    assert_int_equal(run_with(TRAP, arguments), 0);
    snprintf(arguments, sizeof arguments, "eval --device CPU --weights %s/run/last.safetensors --json 2>/dev/null",
             folder);
    assert_int_equal(run_with(TRAP, arguments), 0);
    json_t *json = line_json(0), *device = json_object_get(json, "device");
    assert_string_equal(json_string_value(json_object_get(device, "kind")), "reference");
    assert_int_equal(json_integer_value(json_object_get(json, "count")), 48);
    json_decref(json);
    snprintf(arguments, sizeof arguments, "convert %s/run/last.safetensors %s/weights.safetensors --list", folder,
             folder);
    assert_int_equal(run_with(TRAP, arguments), 0);
    expect(0, "conv1.weight");
    expect(0, "/weights.safetensors\n");
    assert_null(strstr(output, "optimizer"));
    snprintf(arguments, sizeof arguments,
             "predict --device cpu --weights %s/run/last.safetensors --count 2 2>/dev/null", folder);
    assert_int_equal(run_with(TRAP, arguments), 0);
    assert_int_equal(run_with(TRAP, "bench --device cpu --model resnet8 --size 8 --batch 2 --samples 5 2>/dev/null"),
                     0);
    expect(0, "on CPU reference");
    assert_int_equal(
        run_with(TRAP, "bench --device cpu --model resnet8 --size 8 --batch 2 --samples 5 --print-plan 2>/dev/null"),
        0);
    expect(0, " reference x0");
    assert_int_equal(run_with(TRAP, "verify --device cpu 2>&1"), 4);
    expect(4, "choose a Vulkan device");
    assert_int_equal(run_with(TRAP, "tune --device cpu 2>&1"), 4);
    assert_int_equal(run_with(TRAP, "bench --device cpu --peak 2>&1"), 4);
    assert_int_equal(run_with(TRAP, "train --device cpu --validation " SMALL " 2>&1"), 2);
}

/* ---- what is missing ---- */

/* The driver's description at `path` holds `text`, and is the only one. Every command that computes says the same. */
static void expect_refusal(const char *variables, const char *const parts[]) {
    static const char *const commands[] = {"devices", "bench --model resnet8 --batch 1", "verify --op relu"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char arguments[128];
        snprintf(arguments, sizeof arguments, "%s 2>&1", commands[i]);
        int code = run_with(variables, arguments);
        for (size_t k = 0; parts[k]; k++)
            expect(code, parts[k]);
        assert_int_equal(code, 4);
    }
}
#define EXPECT_REFUSAL(variables, ...) expect_refusal(variables, (const char *const[]){__VA_ARGS__, NULL})

static void no_loader(void **state) {
    (void)state;
    EXPECT_REFUSAL("RESNET_VK_LOADER=/nonexistent/libvulkan.so", "loader", "/nonexistent/libvulkan.so");
    /* Any library that is not a loader. */
    EXPECT_REFUSAL("RESNET_VK_LOADER=libjansson.so.4", "libjansson.so.4", "no Vulkan loader", "Vulkan 1.1");
}

/* Writes a driver's description and returns the variables that make the loader read it alone. */
static const char *describe(const char *name, const char *text) {
    static char variables[320];
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    snprintf(variables, sizeof variables, "VK_DRIVER_FILES=%s VK_ICD_FILENAMES=%s", path, path);
    return variables;
}

static void no_driver(void **state) {
    (void)state;
    EXPECT_REFUSAL(describe("empty.json", ""), "no Vulkan driver", "VK_DRIVER_FILES", "mesa-vulkan-drivers");
    EXPECT_REFUSAL("VK_DRIVER_FILES=/nonexistent.json VK_ICD_FILENAMES=/nonexistent.json", "installed wrongly",
                   "/nonexistent.json", "mesa-vulkan-drivers");
}

static void broken_driver(void **state) {
    (void)state;
    EXPECT_REFUSAL(describe("garbage.json", "{ this is no JSON"), "installed wrongly", "garbage.json");
    EXPECT_REFUSAL(describe("other.json", "{\"file_format_version\": \"1.0.0\"}"), "installed wrongly", "other.json");
    EXPECT_REFUSAL(describe("library.json", "{\"file_format_version\": \"1.0.0\", \"ICD\": {\"library_path\": "
                                            "\"/nonexistent/libdriver.so\", \"api_version\": \"1.3.0\"}}"),
                   "installed wrongly", "/nonexistent/libdriver.so");
}

/* A device that computes on the CPU works; that there is no GPU is said unless it was asked for by name. */
static void software_only(void **state) {
    (void)state;
    assert_int_equal(run_with("A=B", "devices --json"), 0);
    json_t *json = line_json(0), *first = json_array_get(json_object_get(json, "devices"), 0);
    if (strcmp(json_string_value(json_object_get(first, "kind")), "cpu") == 0) {
        assert_int_equal(run_with("A=B", "bench --op relu --shape x=1x2x2x4 --samples 5 2>&1"), 0);
        expect(0, "no GPU was found");
        assert_int_equal(run_with("A=B", "bench --device 0 --op relu --shape x=1x2x2x4 --samples 5 2>&1"), 0);
        assert_null(strstr(output, "no GPU was found"));
    }
    json_decref(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_opens_the_loader),
        cmocka_unit_test(cpu_never_opens_the_loader),
        cmocka_unit_test(no_loader),
        cmocka_unit_test(no_driver),
        cmocka_unit_test(broken_driver),
        cmocka_unit_test(software_only),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

/* report: what `verify --report FILE` writes, whether all is well, a kernel is wrong, or the file cannot be written. */
#include "mutant.h"

#include "program.h"

static const char *file_of(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* The report becomes the output that `expect` looks at. */
static void load(const char *name) {
    uint8_t *bytes;
    size_t size;
    assert_int_equal(file_read(file_of(name), sizeof output - 1, &bytes, &size), STATUS_OK);
    memcpy(output, bytes, size + 1);
    free(bytes);
}

static void markdown_tells_device_limits_and_rows(void **state) {
    (void)state;
    assert_int_equal(run("verify --op dense --report %s", file_of("a.md")), 0);
    load("a.md");
    expect(0, "# resnet-vk " RVK_VERSION " on ");
    expect(0, "\n\nNo failure in ");
    expect(0, "\n- driver: ");
    expect(0, "\n- Vulkan: 1.");
    expect(0, "\n- options: `op = dense`\n");
    expect(0, "\n| op | form | cases | failed | mistrusted | values | largest error / bound |\n");
    expect(0, "\n| dense | plain | ");
    expect(0, "\n| maxStorageBufferRange | ");
    expect(0, "\n| subgroupShuffle | ");
    assert_null(strstr(output, "Failures"));
}

static void json_holds_the_same(void **state) {
    (void)state;
    assert_int_equal(run("verify --op dense --limit maxComputeSharedMemorySize=16KiB --report %s", file_of("a.json")),
                     0);
    load("a.json");
    json_t *json = line_json(0);
    check_record(json, "verify", true);
    json_t *row = json_array_get(json_object_get(json, "ops"), 0), *device = json_object_get(json, "device");
    double worst = json_number_value(json_object_get(row, "worst"));
    assert_string_equal(json_string_value(json_object_get(row, "op")), "dense");
    assert_true(worst > 0 && worst < 1);
    assert_int_equal(json_integer_value(json_object_get(row, "failed")), 0);
    assert_true(json_integer_value(json_object_get(row, "passed")) >= 14);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(device, "limits"), "maxComputeSharedMemorySize")), 16384);
    assert_int_equal(json_array_size(json_object_get(json, "failures")), 0);
    assert_true(json_is_null(json_object_get(json, "trouble")));
    json_decref(json);
}

static void failures_are_named_and_repeated(void **state) {
    (void)state;
    const struct mutant last_left_out = {"add", "add", NULL, "i < quads", "i + 1u < quads"};
    mutant_plant(&last_left_out);
    assert_int_equal(run("verify --op add --kernels %s --report %s 2>&1", mutant_folder, file_of("b.md")), 1);
    load("b.md");
    expect(1, " cases failed.**\n");
    expect(1, "\n## Failures\n\n1. `add` plain: y[");
    expect(1, "   `resnet-vk verify --op add --form plain --shape \"a=");
    expect(1, "\n| add | plain | ");
    expect(1, " inf |\n");
    assert_int_equal(run("verify --op add --kernels %s --report %s 2>&1", mutant_folder, file_of("b.json")), 1);
    load("b.json");
    json_t *json = line_json(0), *failures = json_object_get(json, "failures");
    assert_int_equal(json_array_size(failures),
                     json_integer_value(json_object_get(json_object_get(json, "summary"), "failed")));
    assert_true(json_array_size(failures) > 0);
    json_decref(json);
    mutant_clean();
}

static void what_cannot_be_written_is_an_error(void **state) {
    (void)state;
    assert_int_equal(run("verify --op relu --report %s 2>&1", file_of("none/a.md")), 8);
    expect(8, "/none/a.md: ");
    assert_int_equal(run("verify --op rleu --report %s 2>&1", file_of("c.md")), 2);
    assert_false(file_exists(file_of("c.md")));
}

/* What keeps verification from its end is told in the report too. */
static void trouble_is_reported(void **state) {
    (void)state;
    assert_int_equal(run("verify --model resnet8 --against %s/none --report %s 2>&1", folder, file_of("d.md")), 3);
    load("d.md");
    expect(3, "**The verification did not come to its end:** ");
    expect(3, "/none: ");
}

static int setup(void **state) {
    return make_folder(state) == 0 ? mutant_setup(state) : -1;
}

static int teardown(void **state) {
    return mutant_teardown(state) | remove_folder(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markdown_tells_device_limits_and_rows),
        cmocka_unit_test(json_holds_the_same),
        cmocka_unit_test(failures_are_named_and_repeated),
        cmocka_unit_test(what_cannot_be_written_is_an_error),
        cmocka_unit_test(trouble_is_reported),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

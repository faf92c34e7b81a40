/* The self-test: a wrong form is left out, named and remembered; what was checked is not checked again. */
#include "base/log.h"
#include "exec/selftest.h"
#include "exec/verify.h"

#include "support.h"

#include "device.h"
#include "mutant.h"
#include "program.h"

#define CONV "x=2x16x16x16 weight=3x3x16x16 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1"

static char kept_path[64];

static char warning[1024]; /* the last one */
static int warnings, checks;

static void count_note(void *context, enum log_level level, const char *message) {
    (void)context;
    warnings += level == LOG_WARN;
    checks += strstr(message, "are checked, once") != NULL;
    if (level == LOG_WARN)
        snprintf(warning, sizeof warning, "%s", message);
}

static void open_selftest(struct selftest *selftest, const struct vk_description *device) {
    warnings = checks = 0;
    selftest_open(selftest, device, strdup(kept_path));
}

/* The plan of one call, with the device's kernels or, where they are planted, those of the folder. */
struct one {
    struct test_device device;
    struct graph graph;
    struct plan *plan;
    enum status status;
};

static void make(struct one *one, const char *op, const char *line, bool planted, struct selftest *selftest) {
    tensor_id in[OP_INPUTS];
    test_device_open(&one->device, &(struct vk_options){.kernel_path = planted ? mutant_folder : NULL});
    graph_create(&one->graph);
    if (apply_case(&one->graph, op, line, in) == TENSOR_NONE)
        fail_msg("%s", status_message());
    if (selftest)
        open_selftest(selftest, vk_describe(one->device.device));
    one->status = plan_create(one->device.store, &one->graph, &(struct plan_options){.selftest = selftest}, &one->plan);
}

static void unmake(struct one *one, struct selftest *selftest) {
    plan_destroy(one->plan);
    graph_destroy(&one->graph);
    test_device_close(&one->device);
    if (selftest)
        selftest_destroy(selftest);
}

/* Holds the plan's answer for random inputs to the reference. */
static bool computes_right(struct one *one) {
    struct verify_summary summary;
    if (verify_case_write(one->plan, &one->graph) != STATUS_OK)
        fail_msg("%s", status_message());
    enum status status = verify_graph(one->plan, &one->graph, &(struct verify_options){.kind = -1}, &summary);
    if (status != STATUS_OK && status != STATUS_MISMATCH)
        fail_msg("%s", status_message());
    return status == STATUS_OK;
}

/* A mistake in the form that CONV usually has on the first device. */
static void plant_usual(char form[24]) {
    static const struct {
        const char *form;
        struct mutant mutant;
    } plants[] = {
        {"winograd", {"conv2d", "conv2d_winograd_target", "winograd.glsl", "8.0 * far", "4.0 * far"}},
        {"subgroup", {"conv2d", "conv2d_subgroup", "conv2d_rows.glsl", "row + i >= grid.x", "row + i + 1 >= grid.x"}},
        {"lanes", {"conv2d", "conv2d_tile_lanes", "conv2d_tile.glsl", "k < PLANES;", "k + 1u < PLANES;"}},
        {"tile", {"conv2d", "conv2d_tile", "conv2d_tile.glsl", "k < PLANES;", "k + 1u < PLANES;"}},
        {"plain", {"conv2d", "conv2d", NULL, "first + p < pixels;", "first + p + 1u < pixels;"}},
    };
    struct one one;
    make(&one, "conv2d", CONV, false, NULL);
    snprintf(form, 24, "%s", plan_form(one.plan, 0));
    unmake(&one, NULL);
    for (size_t i = 0; i < COUNT(plants); i++)
        if (strcmp(form, plants[i].form) == 0)
            mutant_plant(&plants[i].mutant);
}

/* ---- checking ---- */

static void what_is_right_is_checked_once(void **state) {
    (void)state;
    struct selftest selftest;
    struct one one;
    remove(kept_path);
    for (int round = 0; round < 2; round++) {
        make(&one, "conv2d", CONV, false, &selftest);
        assert_int_equal(one.status, STATUS_OK);
        assert_int_equal(checks, round == 0);
        assert_int_equal(warnings, 0);
        assert_int_equal(selftest.count, 1);
        assert_true(selftest.results[0].right);
        assert_string_equal(selftest.results[0].form, plan_form(one.plan, 0));
        assert_non_null(strstr(selftest.results[0].line, "weight=3x3x16x16")); /* the case most like it */
        unmake(&one, &selftest);
    }
}

/* The kernels of the folder are wrong, and the plan's numbers right all the same. */
static void a_wrong_form_is_left_out_and_named(void **state) {
    (void)state;
    struct selftest selftest;
    struct one one;
    char usual[24], words[640];
    remove(kept_path);
    plant_usual(usual);
    make(&one, "conv2d", CONV, true, &selftest);
    assert_int_equal(one.status, STATUS_OK);
    assert_string_not_equal(plan_form(one.plan, 0), usual);
    assert_int_equal(warnings, 1);
    snprintf(words, sizeof words, "conv2d: form %s, variant 0, computes wrong numbers on %s (%s)", usual,
             vk_facts(one.device.device)->name, vk_facts(one.device.device)->driver);
    if (!strstr(warning, words))
        fail_msg("\"%s\" is not in \"%s\"", words, warning);
    snprintf(words, sizeof words, "repeat: resnet-vk verify --op conv2d --form %s", usual);
    assert_non_null(strstr(warning, words));
    assert_true(computes_right(&one));
    unmake(&one, &selftest);
    make(&one, "conv2d", CONV, true, NULL); /* the mistake does show */
    assert_string_equal(plan_form(one.plan, 0), usual);
    assert_false(computes_right(&one));
    unmake(&one, NULL);
    mutant_clean();

    make(&one, "conv2d", CONV, false, &selftest); /* remembered: nothing is checked, right as the kernels are now */
    assert_string_not_equal(plan_form(one.plan, 0), usual);
    assert_int_equal(checks, 0);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(warning, "was found to be wrong before"));
    unmake(&one, &selftest);
}

/* What shows with dilation only, for the second call, takes the form from the first one too, and the next is checked.
 */
static void a_failure_concerns_all_calls(void **state) {
    (void)state;
    static const char *const lines[] = {
        CONV, "x=2x9x9x8 weight=3x3x8x8 pad_top=2 pad_bottom=2 pad_left=2 pad_right=2 dilation_h=2 dilation_w=2"};
    struct selftest selftest;
    struct one one;
    tensor_id in[OP_INPUTS];
    make(&one, "conv2d", CONV, false, NULL);
    bool usual = strcmp(plan_form(one.plan, 0), "subgroup") == 0;
    unmake(&one, NULL);
    if (!usual)
        skip();
    remove(kept_path);
    mutant_plant(
        &(struct mutant){"conv2d", "conv2d_subgroup", "conv2d_rows.glsl", "tap * DILATION - PADDING", "tap - PADDING"});
    test_device_open(&one.device, &(struct vk_options){.kernel_path = mutant_folder});
    graph_create(&one.graph);
    for (size_t i = 0; i < COUNT(lines); i++)
        assert_true(apply_case(&one.graph, "conv2d", lines[i], in) != TENSOR_NONE);
    open_selftest(&selftest, vk_describe(one.device.device));
    assert_int_equal(
        plan_create(one.device.store, &one.graph, &(struct plan_options){.selftest = &selftest}, &one.plan), STATUS_OK);
    assert_int_equal(selftest.count, 4); /* both calls in both forms */
    assert_true(selftest.results[0].right && !selftest.results[1].right);
    for (size_t i = 0; i < COUNT(lines); i++)
        assert_string_equal(plan_form(one.plan, i), selftest.results[2].form);
    assert_string_not_equal(selftest.results[2].form, "subgroup");
    unmake(&one, &selftest);
    mutant_clean();
}

static void without_a_right_form_there_is_no_plan(void **state) {
    (void)state;
    struct selftest selftest;
    struct one one;
    remove(kept_path);
    mutant_plant(&(struct mutant){"relu", "relu", NULL, "i >= quads", "i + 1u >= quads"});
    for (int round = 0; round < 2; round++) { /* found, and remembered */
        make(&one, "relu", "x=2x5x3x7", true, &selftest);
        assert_int_equal(one.status, STATUS_MISMATCH);
        assert_null(one.plan);
        assert_non_null(strstr(status_message(), "no form of relu computes right numbers on "));
        unmake(&one, &selftest);
    }
    mutant_clean();
}

/* ---- the file ---- */

static size_t count_kept(const struct vk_description *device) {
    struct selftest selftest;
    open_selftest(&selftest, device);
    size_t count = selftest.count;
    selftest_destroy(&selftest);
    return count;
}

static void other_drivers_and_kernels_are_checked_again(void **state) {
    (void)state;
    struct selftest selftest;
    struct one one;
    remove(kept_path);
    make(&one, "relu", "x=2x5x3x7", false, &selftest);
    struct vk_description device = *vk_describe(one.device.device), others[] = {device, device, device};
    unmake(&one, &selftest);
    assert_int_equal(count_kept(&device), 1);
    others[0].driver_version++;
    others[1].uuid[3] ^= 1;
    others[2].facts.driver[0] ^= 1;
    for (size_t i = 0; i < COUNT(others); i++)
        assert_int_equal(count_kept(&others[i]), 0);

    uint8_t *bytes;
    size_t size;
    assert_int_equal(file_read(kept_path, 1 << 16, &bytes, &size), STATUS_OK);
    char *kernels = strstr((char *)bytes, "\"kernels\": \"");
    assert_non_null(kernels);
    kernels[12] = kernels[12] == '0' ? '1' : '0';
    assert_int_equal(file_write_atomic(kept_path, &(struct file_piece){bytes, size}, 1), STATUS_OK);
    assert_int_equal(count_kept(&device), 0);
    make(&one, "relu", "x=2x5x3x7", false, &selftest);
    assert_int_equal(checks, 1);
    unmake(&one, &selftest);
    assert_int_equal(count_kept(&device), 1);

    for (size_t cut = 0; cut < size; cut += 1 + cut / 4) { /* damaged */
        assert_int_equal(file_write_atomic(kept_path, &(struct file_piece){bytes, cut}, 1), STATUS_OK);
        assert_int_equal(count_kept(&device), 0);
    }
    free(bytes);
}

/* Of two that share the file, none loses what the other has found. */
static void results_are_added(void **state) {
    (void)state;
    struct selftest first, second;
    struct one one;
    remove(kept_path);
    make(&one, "relu", "x=2x5x3x7", false, &first);
    struct vk_description device = *vk_describe(one.device.device);
    unmake(&one, &first);
    selftest_open(&first, &device, strdup(kept_path));
    make(&one, "copy", "x=2x5x3x7", false, &second);
    unmake(&one, &second);
    make(&one, "add", "a=2x5x3x7 b=2x5x3x7", false, NULL);
    assert_int_equal(selftest_run(&first, one.device.device, &one.graph, &(struct plan_options){.selftest = &first}),
                     STATUS_OK);
    unmake(&one, &first);
    assert_int_equal(count_kept(&device), 3);
}

/* ---- the program ---- */

#define TRAIN "train --model resnet8 --data generated:count=32,classes=4,size=16 --batch 16 --eval-batch 32 --epochs 1 "

/* Trains with the user's caches in the folder; the hash of the weights. */
static void train(const char *options, char hash[32]) {
    char line[1024];
    snprintf(line, sizeof line, "XDG_CACHE_HOME=%s/cache %s " TRAIN "%s 2>&1", mutant_folder, PROGRAM, options);
    int code = run_line(line);
    expect(code, "hash of the weights ");
    assert_int_equal(code, 0);
    snprintf(hash, 32, "%.16s", strstr(output, "hash of the weights ") + 20);
}

/* Sets every result of the convolution's usual form to wrong, as a failure would have. */
static void remember_failure(void) {
    struct test_device device;
    char path[256];
    setenv("XDG_CACHE_HOME", mutant_folder, 1);
    test_device_open(&device, NULL);
    char *kept = selftest_path(vk_describe(device.device));
    snprintf(path, sizeof path, "%s/cache/resnet-vk/%s", mutant_folder, strrchr(kept, '/') + 1);
    free(kept);
    test_device_close(&device);
    json_t *file = json_load_file(path, 0, NULL), *results = json_object_get(file, "results");
    assert_non_null(file);
    for (size_t i = 0; i < json_array_size(results); i++) {
        json_t *item = json_array_get(results, i);
        if (strcmp(json_string_value(json_object_get(item, "op")), "conv2d") == 0 &&
            strcmp(json_string_value(json_object_get(item, "form")), "subgroup") == 0)
            json_object_set_new(item, "right", json_false());
    }
    assert_int_equal(json_dump_file(file, path, 0), 0);
    json_decref(file);
}

/* Wrong kernels in the folder, or such a result in the file: training takes the same other form, with the same bits. */
static void training_goes_on_with_another_form(void **state) {
    (void)state;
    struct one one;
    char found[32], remembered[32], wrong[32], right[32], options[128];
    make(&one, "conv2d", CONV, false, NULL);
    bool usual = strcmp(plan_form(one.plan, 0), "subgroup") == 0;
    unmake(&one, NULL);
    if (!usual)
        skip();
    mutant_plant(&(struct mutant){"conv2d", "conv2d_subgroup", "conv2d_rows.glsl",
                                  "return column * STRIDE + tap * DILATION",
                                  "return column * STRIDE + 2 * tap * DILATION"}); /* forward only */
    snprintf(options, sizeof options, "--kernels %s", mutant_folder);
    train(options, found);
    expect(0, "conv2d: form subgroup, variant 0, computes wrong numbers on ");
    snprintf(options, sizeof options, "--kernels %s --no-self-test", mutant_folder);
    train(options, wrong);
    train("--verbose", right);
    expect(0, "are checked, once for this device and driver");
    remember_failure();
    train("--verbose", remembered);
    expect(0, "conv2d: form subgroup, variant 0, was found to be wrong before on ");
    assert_string_equal(found, remembered);
    assert_string_not_equal(found, wrong);
    assert_string_not_equal(found, right); /* other sums, not wrong ones */
    mutant_clean();
}

static int setup(void **state) {
    int status = mutant_setup(state);
    snprintf(kept_path, sizeof kept_path, "%s-kept", mutant_folder);
    log_set(count_note, NULL);
    return status;
}

static int teardown(void **state) {
    log_set(NULL, NULL);
    remove(kept_path);
    return mutant_teardown(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_right_is_checked_once),
        cmocka_unit_test(a_wrong_form_is_left_out_and_named),
        cmocka_unit_test(a_failure_concerns_all_calls),
        cmocka_unit_test(without_a_right_form_there_is_no_plan),
        cmocka_unit_test(other_drivers_and_kernels_are_checked_again),
        cmocka_unit_test(results_are_added),
        cmocka_unit_test(training_goes_on_with_another_form),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

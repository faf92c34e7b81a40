/* Measurement: statistics of samples, the JSON of bench, and comparison with an earlier run. */
#include "resnet_vk.h"

#include "program.h"

#include <math.h>
#include <stdlib.h>

#define CONV "--op conv2d --shape 'x=4x8x8x8 weight=3x3x8x16 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1'"
#define RELU "--op relu --shape x=2x16x16x5"

static bool near(double a, double b) {
    return fabs(a - b) <= 1e-6 * fabs(b);
}

/* A number in an object, which may be in a member of the record. */
static double number(json_t *record, const char *member, const char *name) {
    json_t *value = json_object_get(member ? json_object_get(record, member) : record, name);
    if (!json_is_number(value))
        fail_msg("%s is no number in:\n%s", name, output);
    return json_number_value(value);
}

static void test_summary(void **state) {
    (void)state;
    struct rvk_samples odd = {.ms = {5, 1, 3, 2, 4}, .count = 5}, even = {.ms = {4, 10, 2, 8}, .count = 4};
    struct rvk_samples one = {.ms = {7}, .count = 1};
    rvk_summarize(&odd);
    assert_true(odd.median == 3 && odd.min == 1 && odd.max == 5);
    assert_true(near(odd.spread, 2.0 / 3)); /* quartiles 2 and 4 */
    assert_true(odd.ms[0] == 5 && odd.ms[4] == 4);
    rvk_summarize(&even);
    assert_true(even.median == 6 && even.min == 2 && even.max == 10);
    assert_true(near(even.spread, 5.0 / 6)); /* quartiles 3.5 and 8.5 */
    rvk_summarize(&one);
    assert_true(one.median == 7 && one.spread == 0);
}

/* Median and spread follow from the samples that are in the file. */
static void check_ms(json_t *record) {
    json_t *list = json_object_get(json_object_get(record, "ms"), "samples");
    struct rvk_samples samples = {.count = (uint32_t)json_array_size(list)};
    for (uint32_t i = 0; i < samples.count; i++)
        samples.ms[i] = json_number_value(json_array_get(list, i));
    rvk_summarize(&samples);
    assert_true(samples.median > 0 && near(number(record, "ms", "median"), samples.median));
    assert_true(fabs(number(record, "ms", "spread") - samples.spread) < 1e-6);
}

static size_t sample_count(json_t *record) {
    return json_array_size(json_object_get(json_object_get(record, "ms"), "samples"));
}

static void test_op(void **state) {
    (void)state;
    assert_int_equal(run("bench " CONV " --samples 7 --json"), 0);
    json_t *json = line_json(0);
    check_record(json, "bench", true);
    check_ms(json);
    assert_int_equal(sample_count(json), 7);
    assert_string_equal(json_string_value(json_object_get(json, "op")), "conv2d");
    assert_true(json_string_length(json_object_get(json, "form")) > 0);
    assert_true(number(json, NULL, "flops") == 2.0 * (4 * 8 * 8 * 16) * (3 * 3 * 8));
    assert_true(near(number(json, NULL, "gflops"), 1e-6 * number(json, NULL, "flops") / number(json, "ms", "median")));
    assert_null(json_object_get(json, "images_per_s"));
    json_decref(json);

    assert_int_equal(run("bench " RELU " --seconds 0.2 --json"), 0);
    json = line_json(0);
    assert_true(sample_count(json) >= 5 && sample_count(json) <= RVK_BENCH_SAMPLES);
    assert_true(number(json, "ms", "repeats") * number(json, "ms", "median") > 2); /* ms: long enough for a clock */
    assert_true(number(json, NULL, "gflops") == 0);
    assert_true(number(json, NULL, "bytes") == 2.0 * 4 * (2 * 16 * 16 * 8)); /* rows of five are stored as eight */
    assert_true(number(json, NULL, "dispatches") == 1 && number(json, NULL, "barriers") == 1);
    assert_true(
        near(number(json, NULL, "gb_per_s"), 1e-6 * number(json, NULL, "bytes") / number(json, "ms", "median")));
    json_decref(json);
    assert_int_equal(run("bench " CONV " --form plain --samples 5"), 0);
    expect(0, "conv2d (plain)");
    expect(0, "GFLOP/s");
}

static void test_op_refusals(void **state) {
    (void)state;
    static const struct {
        const char *arguments, *sentence;
    } cases[] = {
        {"--op relu", "needs a shape"},
        {"--op rleu --shape x=1x1x1x4", "no op called rleu"},
        {"--op relu --shape x=1x4", "four numbers"},
        {"--op relu --shape x=1x1x1x4 --form fast", "no form called fast"},
        {"--op conv2d --shape 'x=1x8x8x4 weight=3x3x2x8 groups=2' --form subgroup", "does not run this shape"},
        {"--op conv2d --shape x=1x8x8x4", "weight is missing"},
        {"--op relu --shape x=1x1x1x4 --model resnet8", "at once"},
        {"--op relu --shape x=1x1x1x4 --profile", "needs a model"},
        {"--shape x=1x1x1x4", "a shape needs the name of an op"},
        {"--form plain", "a form needs the name of an op"},
        {"--samples 201", "--samples must be a whole number from 5 to 200"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(run("bench %s 2>&1", cases[i].arguments), 2);
        expect(2, cases[i].sentence);
    }
}

static void test_roofline(void **state) {
    (void)state;
    assert_int_equal(run("bench --model resnet8 --batch 4 --size 16 --samples 5 --roofline --json"), 0);
    json_t *json = line_json(0);
    check_ms(json);
    double gflops = number(json, "peak", "gflops"), gb_per_s = number(json, "peak", "gb_per_s");
    assert_true(gflops > 0 && number(json, "peak", "copy_gb_per_s") > 0);
    assert_true(gb_per_s == fmax(number(json, "peak", "read_gb_per_s"), number(json, "peak", "copy_gb_per_s")));
    assert_true(near(number(json, "peak", "gflops_share"), number(json, NULL, "gflops") / gflops));
    assert_true(number(json, NULL, "dispatches") >= 100 && number(json, NULL, "barriers") >= 50);
    assert_true(number(json, NULL, "dispatches") >= number(json, NULL, "barriers"));
    assert_true(near(number(json, "roofline", "flops_ms"), 1e-6 * number(json, NULL, "flops") / gflops));
    assert_true(near(number(json, "roofline", "bytes_ms"), 1e-6 * number(json, NULL, "bytes") / gb_per_s));
    double ms = number(json, "roofline", "flops_ms") + number(json, "roofline", "bytes_ms");
    assert_true(near(number(json, "roofline", "ms"), ms));
    assert_true(near(number(json, "roofline", "ratio"), number(json, "ms", "median") / ms));
    json_decref(json);
}

static void test_peak(void **state) {
    (void)state;
    assert_int_equal(run("bench --peak --json"), 0);
    json_t *json = line_json(0);
    check_record(json, "bench", true);
    assert_true(number(json, "peak", "gflops") > 0 && number(json, "peak", "gb_per_s") > 0);
    assert_null(json_object_get(json, "ms"));
    json_decref(json);
    assert_int_equal(run("bench " RELU " --samples 5 --peak"), 0);
    expect(0, "% of GB/s");
    expect(0, "the device at its best: ");
}

/* ---- comparison ---- */

/* What bench --json wrote for RELU, for changes. */
static json_t *make_record(void) {
    assert_int_equal(run("bench " RELU " --samples 9 --json"), 0);
    return line_json(0);
}

static void save(json_t *record) {
    char path[128];
    snprintf(path, sizeof path, "%s/before.json", folder);
    assert_int_equal(json_dump_file(record, path, 0), 0);
}

static void test_compare(void **state) {
    (void)state;
    json_t *record = make_record(), *samples = json_object_get(json_object_get(record, "ms"), "samples");
    double before = 2 * number(record, "ms", "median"), spread = number(record, "ms", "spread");
    for (size_t i = 0; i < json_array_size(samples); i++)
        json_array_set_new(samples, i, json_real(2 * json_number_value(json_array_get(samples, i))));
    json_object_set_new(record, "device", json_pack("{s:s}", "name", "another device"));
    save(record);
    json_decref(record);
    assert_int_equal(run("bench " RELU " --samples 5 --compare %s/before.json --json", folder), 0);
    record = line_json(0);
    json_t *compare = json_object_get(record, "compare");
    assert_true(near(number(compare, "before", "median"), before));
    assert_true(fabs(number(compare, "before", "spread") - spread) < 1e-6);
    assert_true(near(number(record, "compare", "ratio"), number(record, "ms", "median") / before));
    json_decref(record);
    assert_int_equal(run("bench " RELU " --samples 5 --compare %s/before.json", folder), 0);
    expect(0, "before.json (spread ");
    expect(0, "that was on another device");
}

static void refuse_file(const char *sentence) {
    assert_int_equal(run("bench " RELU " --compare %s/before.json 2>&1", folder), 3);
    expect(3, "before.json");
    expect(3, sentence);
}

/* Saves the record with another value in one member and expects a refusal. */
static void refuse_member(json_t *record, const char *name, json_t *value, const char *sentence) {
    json_t *changed = json_deep_copy(record);
    if (value)
        json_object_set_new(changed, name, value);
    else
        json_object_del(changed, name);
    save(changed);
    refuse_file(sentence);
    json_decref(changed);
}

static void test_compare_refusals(void **state) {
    (void)state;
    json_t *record = make_record();
    assert_int_equal(run("bench " RELU " --compare %s/absent.json 2>&1", folder), 3);
    expect(3, "absent.json: No such file");
    assert_int_equal(run("bench " RELU " --compare %s 2>&1", folder), 3);
    refuse_member(record, "program", json_string("other"), "is not what bench --json wrote");
    refuse_member(record, "command", json_string("verify"), "is not what bench --json wrote");
    refuse_member(record, "schema", json_integer(2), "only schema 1");
    refuse_member(record, "shape", json_string("x=2x16x16x6"), "something else: its shape is \"x=2x16x16x6\"");
    refuse_member(record, "op", NULL, "something else: its op is absent");
    refuse_member(record, "ms", NULL, "must hold 1 to 200 samples, not 0");
    refuse_member(record, "ms", json_pack("{s:[f, f]}", "samples", 1.0, 0.0), "sample 1 of \"ms\"");
    refuse_member(record, "ms", json_pack("{s:[s]}", "samples", "fast"), "sample 0 of \"ms\"");
    save(json_object_get(record, "ms"));
    refuse_file("is not what bench --json wrote");
    assert_int_equal(run("bench " RELU " --json >%s/before.json; truncate -s 100 %s/before.json", folder, folder), 0);
    refuse_file("is not what bench --json wrote: line 1");
    save(record);
    assert_int_equal(run("bench --model resnet8 --compare %s/before.json 2>&1", folder), 3);
    expect(3, "its model is absent, not \"resnet8\"");
    json_decref(record);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summary),  cmocka_unit_test(test_op),      cmocka_unit_test(test_op_refusals),
        cmocka_unit_test(test_peak),     cmocka_unit_test(test_compare), cmocka_unit_test(test_compare_refusals),
        cmocka_unit_test(test_roofline),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

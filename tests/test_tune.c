/* The tuner: keys, its file, what a plan makes of it, and that a wrong kernel is never taken. */
#include "base/log.h"
#include "exec/plan_internal.h"
#include "exec/tune.h"

#include "support.h"

#include "device.h"
#include "mutant.h"

#include <sys/stat.h>
#include <sys/wait.h>

#define CONV "x=2x16x16x16 weight=3x3x16x16 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1"

/* ---- keys ---- */

static void make_call(struct graph *graph, const char *op, const char *line, struct call *call) {
    tensor_id in[OP_INPUTS];
    graph_create(graph);
    if (apply_case(graph, op, line, in) == TENSOR_NONE)
        fail_msg("%s %s: %s", op, line, graph->message);
    graph_call(graph, 0, call);
}

static void assert_key(const char *op, const char *line, const char *expected) {
    struct graph graph;
    struct call call;
    char key[TUNING_KEY];
    make_call(&graph, op, line, &call);
    assert_true(tuning_key(&call, key));
    assert_string_equal(key, expected);
    graph_destroy(&graph);
}

/* One call has one key, however its line was written. */
static void one_key_a_call(void **state) {
    (void)state;
    const char *expected = "conv2d x=1x4x4x8 weight=3x3x8x8 pad_top=1 pad_left=1";
    assert_key("conv2d", "x=1x4x4x8 weight=3x3x8x8 pad_top=1 pad_left=1", expected);
    assert_key("conv2d", "pad_left=1 weight=3x3x8x8 pad_top=1.0 x=1x4x4x8", expected);
    assert_key("conv2d", "+x=1x4x4x8 weight=3x3x8x8 stride_h=1 stride_w=1 relu=0 pad_top=1 pad_left=1", expected);
    assert_key("conv2d", "x=1x4x4x8 bias=1x1x1x8 weight=1x1x8x8", "conv2d x=1x4x4x8 weight=1x1x8x8 bias=1x1x1x8");
    assert_key("conv2d", "x=1x4x4x8 weight=1x1x8x8 residual=1x4x4x8",
               "conv2d x=1x4x4x8 weight=1x1x8x8 residual=1x4x4x8");
    assert_key("sgd", "parameters=1x1x1x8 gradients=1x1x1x8 velocity=1x1x1x8 hyper=1x1x1x4 weight_decay=0.0001",
               "sgd parameters=1x1x1x8 gradients=1x1x1x8 velocity=1x1x1x8 hyper=1x1x1x4 weight_decay=0.0001");
}

/* Every key reads back as the same call, to the last bit of the attributes. */
static void keys_read_back(void **state) {
    (void)state;
    uint32_t count = 0;
    for (const struct op *const *op = op_table; *op; op++)
        for (const char *const *line = (*op)->cases; line && *line; line++, count++) {
            struct graph graph, again;
            struct call call, other;
            char key[TUNING_KEY], repeated[TUNING_KEY];
            make_call(&graph, (*op)->name, *line, &call);
            assert_true(tuning_key(&call, key));
            make_call(&again, (*op)->name, strchr(key, ' ') + 1, &other);
            assert_true(tuning_key(&other, repeated));
            assert_string_equal(key, repeated);
            assert_memory_equal(call.attribute, other.attribute, sizeof call.attribute);
            for (int j = 0; j < OP_INPUTS; j++) {
                assert_true(!call.in[j] == !other.in[j]);
                if (call.in[j])
                    assert_true(shape_equal(call.in[j]->shape, other.in[j]->shape));
            }
            graph_destroy(&again);
            graph_destroy(&graph);
        }
    assert_true(count > 50);
}

/* ---- the file ---- */

static int notes;

static void count_note(void *context, enum log_level level, const char *message) {
    (void)context;
    (void)message;
    notes += level == LOG_WARN;
}

static struct vk_description pretend(void) {
    struct vk_description device = {
        .facts = {.name = "Pretended", .driver = "driver 1.2"}, .uuid = {1, 2, 3, 255}, .driver_version = 7};
    return device;
}

static const char *file_path(void) {
    static char path[64];
    snprintf(path, sizeof path, "%s/tuning.json", mutant_folder);
    return path;
}

static void write_file(const void *bytes, size_t size) {
    assert_int_equal(file_write_atomic(file_path(), &(struct file_piece){bytes, size}, 1), STATUS_OK);
}

/* The number of choices that are read, and of notes that it gave. */
static size_t read_count(const struct vk_description *device, int *noted) {
    struct tuning tuning;
    notes = 0;
    log_set(count_note, NULL);
    tuning_read(file_path(), device, &tuning);
    log_set(NULL, NULL);
    *noted = notes;
    size_t count = tuning.count;
    tuning_destroy(&tuning);
    return count;
}

static void keep_three(const struct vk_description *device) {
    static const struct tuning_choice choices[] = {
        {"conv2d " CONV, "plain", 0, 1.5, 2.25},
        {"conv2d x=1x1x1x1 weight=1x1x1x1", "", 0, 1, 1},
        {"channel_sum x=1x2x3x4", "wide", 65536, 1e-3, 3},
    };
    remove(file_path());
    for (size_t i = 0; i < COUNT(choices); i++)
        assert_int_equal(tuning_keep(file_path(), device, &choices[i]), STATUS_OK);
}

static void a_file_keeps_choices(void **state) {
    (void)state;
    struct vk_description device = pretend();
    struct tuning tuning;
    struct graph graph;
    struct call call;
    keep_three(&device);
    struct tuning_choice other = {"channel_sum x=1x2x3x4", "narrow", 1, 0.5, 3};
    assert_int_equal(tuning_keep(file_path(), &device, &other), STATUS_OK);
    tuning_read(file_path(), &device, &tuning);
    assert_int_equal(tuning.count, 3);
    make_call(&graph, "conv2d", CONV, &call);
    const struct tuning_choice *found = tuning_find(&tuning, &call);
    assert_non_null(found);
    assert_string_equal(found->form, "plain");
    assert_true(found->variant == 0 && found->ms == 1.5 && found->rule_ms == 2.25);
    graph_destroy(&graph);
    make_call(&graph, "channel_sum", "x=1x2x3x4", &call);
    found = tuning_find(&tuning, &call);
    assert_non_null(found);
    assert_string_equal(found->form, "narrow");
    assert_int_equal(found->variant, 1);
    graph_destroy(&graph);
    make_call(&graph, "conv2d", "x=1x1x1x1 weight=1x1x1x1", &call);
    assert_null(tuning_find(&tuning, &call)); /* measured, and the rule's choice stands */
    assert_true(tuning_has(&tuning, "conv2d x=1x1x1x1 weight=1x1x1x1"));
    assert_false(tuning_has(&tuning, "conv2d x=1x1x1x1 weight=1x1x1x2"));
    graph_destroy(&graph);
    tuning_destroy(&tuning);
}

static void foreign_files_are_ignored(void **state) {
    (void)state;
    struct vk_description device = pretend(), others[] = {device, device, device, device};
    int noted;
    keep_three(&device);
    assert_int_equal(read_count(&device, &noted), 3);
    assert_int_equal(noted, 0);
    others[0].uuid[15] = 1;
    others[1].driver_version = 8;
    others[2].facts.driver[0] = 'D';
    others[3].facts.name[0] = 'p';
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_int_equal(read_count(&others[i], &noted), 0);
        assert_int_equal(noted, 1);
    }
    /* It is replaced by what the other device keeps. */
    struct tuning_choice choice = {"add a=1x1x1x1 b=1x1x1x1", "plain", 0, 1, 2};
    assert_int_equal(tuning_keep(file_path(), &others[1], &choice), STATUS_OK);
    assert_int_equal(read_count(&others[1], &noted), 1);
    remove(file_path());
    assert_int_equal(read_count(&device, &noted), 0);
    assert_int_equal(noted, 0); /* no file is no reason for a note */
}

/* Replaces the first `text` of the file by something else; its choices must then be ignored. */
static void assert_damage(const char *all, const char *text, const char *other) {
    const char *place = strstr(all, text);
    char changed[4096];
    int noted;
    struct vk_description device = pretend();
    assert_non_null(place);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(place - all), all, other, place + strlen(text));
    write_file(changed, strlen(changed));
    if (read_count(&device, &noted) != 0 || noted != 1)
        fail_msg("a file with %s instead of %s is used", other, text);
}

static void damaged_files_are_ignored(void **state) {
    (void)state;
    struct vk_description device = pretend();
    uint8_t *bytes;
    size_t size;
    int noted;
    keep_three(&device);
    assert_int_equal(file_read(file_path(), 4096, &bytes, &size), STATUS_OK);
    for (size_t cut = 0; cut < size; cut += 1 + cut / 4) {
        write_file(bytes, cut);
        assert_int_equal(read_count(&device, &noted), 0);
        assert_int_equal(noted, 1);
    }
    char text[4096];
    snprintf(text, sizeof text, "%.*s", (int)size, (const char *)bytes);
    assert_damage(text, "\"schema\": 1", "\"schema\": 2");
    assert_damage(text, "\"kernels\": \"", "\"kernels\": \"0");
    assert_damage(text, "\"variant\": 0", "\"variant\": -1");
    assert_damage(text, "\"variant\": 0", "\"variant\": 4294967296");
    assert_damage(text, "\"variant\": 0", "\"variant\": \"0\"");
    assert_damage(text, "\"plain\"", "\"a form with a name that is much too long\"");
    assert_damage(text, "\"plain\"", "null");
    assert_damage(text, "\"choices\": [", "\"choices\": [1, ");
    assert_damage(text, text, "[]");
    assert_damage(text, text, "\xff\xfe");
    free(bytes);
}

/* ---- plans ---- */

/* A form that runs CONV on the first device, but is not the one that the rule takes there. */
static const char *other_form(void) {
    struct test_device device;
    struct graph graph;
    struct call call;
    struct lowering *lowering = calloc(1, sizeof *lowering);
    const char *usual = NULL, *other = NULL;
    assert_non_null(lowering);
    test_device_open(&device, NULL);
    make_call(&graph, "conv2d", CONV, &call);
    for (const struct form *form = call.op->forms; form->name; form++) {
        if (!form_lower(form, 0, &call, vk_facts(device.device), lowering))
            continue;
        other = other || !usual ? other : form->name;
        usual = usual ? usual : form->name;
    }
    assert_non_null(other);
    graph_destroy(&graph);
    test_device_close(&device);
    free(lowering);
    return other;
}

/* The plan of one call with one choice in the tuning. */
static struct plan *plan_tuned(struct test_device *device, const struct graph *graph, const char *form,
                               uint32_t variant) {
    struct call call;
    struct plan *plan;
    struct tuning tuning = {0};
    char key[TUNING_KEY];
    struct tuning_choice choice = {.key = key, .variant = variant};
    graph_call(graph, 0, &call);
    assert_true(tuning_key(&call, key));
    snprintf(choice.form, sizeof choice.form, "%s", form);
    assert_int_equal(tuning_set(&tuning, &choice), STATUS_OK);
    if (plan_create(device->store, graph, &(struct plan_options){.tuning = &tuning}, &plan) != STATUS_OK)
        fail_msg("%s", status_message());
    tuning_destroy(&tuning);
    return plan;
}

static void a_plan_takes_the_tuned_form(void **state) {
    (void)state;
    struct test_device device;
    struct graph graph;
    struct call call;
    struct plan *usual, *plan;
    const char *other = other_form();
    test_device_open(&device, NULL);
    make_call(&graph, "conv2d", CONV, &call);
    assert_int_equal(plan_create(device.store, &graph, NULL, &usual), STATUS_OK);
    assert_string_not_equal(plan_form(usual, 0), other);
    plan = plan_tuned(&device, &graph, other, 0);
    assert_string_equal(plan_form(plan, 0), other);
    plan_destroy(plan);
    plan = plan_tuned(&device, &graph, "no such form", 0);
    assert_string_equal(plan_form(plan, 0), plan_form(usual, 0));
    plan_destroy(plan);
    plan = plan_tuned(&device, &graph, other, 1); /* it has no variants */
    assert_string_equal(plan_form(plan, 0), plan_form(usual, 0));
    plan_destroy(plan);
    plan_destroy(usual);
    graph_destroy(&graph);
    test_device_close(&device);
}

/* Each variant of the usual form reaches the device: other groups or constants (another pipeline) than the usual. */
static void a_plan_takes_the_tuned_variant(void **state) {
    (void)state;
    struct test_device device;
    struct graph graph;
    struct call call;
    struct plan *usual;
    struct lowering *lowering = calloc(1, sizeof *lowering);
    uint32_t variants = 0;
    assert_non_null(lowering);
    test_device_open(&device, NULL);
    make_call(&graph, "conv2d", CONV, &call);
    assert_int_equal(plan_create(device.store, &graph, NULL, &usual), STATUS_OK);
    const struct form *form = call.op->forms;
    while (strcmp(form->name, plan_form(usual, 0)) != 0)
        form++;
    assert_true(form_lower(form, 0, &call, vk_facts(device.device), lowering));
    for (uint32_t v = 1, last = lowering->variants; v <= last; v++) {
        if (!form_lower(form, v, &call, vk_facts(device.device), lowering))
            continue;
        struct plan *plan = plan_tuned(&device, &graph, form->name, v);
        assert_memory_equal(plan->dispatches[0].groups, lowering->dispatches[0].groups,
                            sizeof plan->dispatches->groups);
        assert_ptr_not_equal(plan->dispatches[0].kernel, usual->dispatches[0].kernel);
        plan_destroy(plan);
        variants++;
    }
    assert_false(form_lower(form, lowering->variants + 1, &call, vk_facts(device.device), lowering));
    if (vk_facts(device.device)->prefers_texels)
        assert_true(variants >= 3);
    plan_destroy(usual);
    graph_destroy(&graph);
    test_device_close(&device);
    free(lowering);
}

/* ---- variants are right ---- */

/* Runs a case in each variant of each form; the number of those that ran. */
static uint32_t verify_variants(struct test_device *device, const char *op, const char *line) {
    uint32_t passed = 0;
    for (uint32_t variant = 1; variant < 16; variant++) {
        struct verify_options options = {.op = op, .shape = line, .variant = variant, .kind = -1, .seed = 1};
        struct verify_summary summary;
        enum status status = verify_ops(device->store, &options, &summary);
        if (status != STATUS_OK && status != STATUS_USAGE) /* usage: no form has this variant */
            fail_msg("%s %s, variant %u: %s", op, line, variant, status_message());
        passed += summary.passed;
    }
    return passed;
}

static void variants_pass_verification(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"conv2d", "x=2x9x17x5 weight=3x3x5x7 bias=1x1x1x7 relu=1 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1"},
        {"conv2d", "x=1x14x14x8 weight=3x3x8x40 residual=1x14x14x40 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1"},
        {"conv2d", "x=2x19x31x3 weight=7x7x3x16 stride_h=2 stride_w=2 pad_top=3 pad_left=3 pad_right=3"},
        {"conv2d_backward_input", "dy=2x9x8x7 weight=3x3x5x7 stride_h=2 stride_w=2 pad_top=1 pad_left=1 h=18 w=16"},
        {"conv2d_backward_input", "dy=2x8x8x16 weight=3x3x8x16 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1 h=8 w=8"},
        {"conv2d_backward_weight", "x=3x9x17x16 dy=3x9x17x7 pad_top=1 pad_bottom=1 pad_left=1 pad_right=1 kh=3 kw=3"},
        {"conv2d_backward_weight", "x=2x9x17x18 dy=2x5x9x36 stride_h=2 stride_w=2 kh=1 kw=1"},
    };
    struct test_device device;
    test_device_open(&device, NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t passed = verify_variants(&device, cases[i][0], cases[i][1]);
        if (vk_facts(device.device)->prefers_texels && passed == 0)
            fail_msg("no variant runs %s %s", cases[i][0], cases[i][1]);
    }
    test_device_close(&device);
}

/* ---- tuning ---- */

static void keep_case(void *user, uint32_t index, const struct tune_case *item) {
    struct tune_case *kept = user;
    if (index == 0) {
        *kept = *item;
        kept->key = NULL;
    }
}

/* Tunes one call with the kernels in the folder. */
static struct tune_case tune_one(const char *op, const char *line) {
    struct test_device device;
    struct graph graph;
    struct call call;
    struct tune_case result = {0};
    struct tune_summary summary;
    struct tune_options options = {.budget = 100, .path = file_path(), .on_case = keep_case, .user = &result};
    remove(file_path());
    test_device_open(&device, &(struct vk_options){.kernel_path = mutant_folder});
    make_call(&graph, op, line, &call);
    if (tune_graph(device.device, &graph, &options, &summary) != STATUS_OK)
        fail_msg("%s", status_message());
    assert_int_equal(summary.cases, 1);
    assert_true(result.measured);
    graph_destroy(&graph);
    test_device_close(&device);
    return result;
}

static bool file_says(const char *text) {
    uint8_t *bytes;
    size_t size;
    char all[4096];
    assert_int_equal(file_read(file_path(), sizeof all - 1, &bytes, &size), STATUS_OK);
    snprintf(all, sizeof all, "%.*s", (int)size, (const char *)bytes);
    free(bytes);
    return strstr(all, text) != NULL;
}

/* The form that usually wins, made slow. */
static const struct mutant slow_subgroup = {"conv2d", "conv2d_subgroup", "conv2d_rows.glsl",
                                            "float sum[ROWS * COLUMNS * 4];",
                                            "float spin = float(source_size.x);\n"
                                            "for (int i = 0; i < 50000; i++) spin = sin(spin);\n"
                                            "if (spin > 2.0) return;\n"
                                            "float sum[ROWS * COLUMNS * 4];"};

/*
 * A kernel that leaves its work out is faster than the true ones, and must not be taken. What wins is a matter of time,
 * so on a busy machine it may take several tunings until it does and is refused.
 */
static void a_wrong_kernel_is_never_taken(void **state) {
    (void)state;
    static const struct mutant idle[] = {
        {"conv2d", "conv2d", NULL, "tap.x < kernel.x", "tap.x < kernel.x - 3"},
        {"conv2d", "conv2d_tile", "conv2d_tile.glsl", "depth < end_depth", "depth < 0"},
    };
    enum { TRIES = 8 };
    const char *other = other_form();
    char form[64];
    uint32_t refused = 0;
    bool taken = false;
    snprintf(form, sizeof form, "\"form\": \"%s\"", other);
    mutant_plant(&slow_subgroup);
    mutant_plant(&idle[strcmp(other, "plain") == 0 ? 0 : 1]);
    for (int i = 0; i < TRIES && refused == 0 && !taken; i++) {
        struct tune_case result = tune_one("conv2d", CONV);
        refused += result.refused;
        taken = strcmp(result.form, other) == 0 || file_says(form);
    }
    mutant_clean(); /* before anything can fail: the folder is also the next test's */
    assert_false(taken);
    assert_true(refused >= 1);
}

/* The usual form made slow: another one wins, and is kept. */
static void a_faster_form_is_taken(void **state) {
    (void)state;
    struct test_device device;
    test_device_open(&device, NULL);
    bool usual = vk_facts(device.device)->prefers_texels;
    test_device_close(&device);
    if (!usual)
        skip();
    mutant_plant(&slow_subgroup);
    struct tune_case result = tune_one("conv2d", CONV);
    assert_int_equal(result.refused, 0);
    assert_string_equal(result.rule, "subgroup");
    assert_string_not_equal(result.form, "subgroup");
    assert_true(result.ms < result.rule_ms);
    char form[64];
    snprintf(form, sizeof form, "\"form\": \"%s\"", result.form);
    assert_true(file_says(form));
    mutant_clean();
}

/* ---- the program ---- */

static char output[1 << 18];

static int run(const char *arguments) {
    char line[1024];
    snprintf(line, sizeof line, "XDG_CACHE_HOME=%s %s %s", mutant_folder, PROGRAM, arguments);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    output[fread(output, 1, sizeof output - 1, pipe)] = 0;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Does `bench` with this option lower CONV to this form? */
static bool bench_takes(const char *form, const char *option) {
    char arguments[256];
    snprintf(arguments, sizeof arguments, "bench --model resnet8 --batch 2 --size 16 --samples 5 --print-plan %s 2>&1",
             option);
    assert_int_equal(run(arguments), 0);
    char *rest = output;
    for (char *line = strtok_r(output, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (strstr(line, " conv2d ") && strstr(line, " x=2x16x16x16"))
            return strstr(line, form) != NULL;
    fail_msg("bench %s prints no convolution", option);
    return false;
}

static void the_program_tunes_and_uses_it(void **state) {
    (void)state;
    assert_int_equal(run("tune --model resnet8 --batch 2 --size 16 --budget 3 2>&1"), 0);
    assert_non_null(strstr(output, "different ops have a choice"));
    assert_non_null(strstr(output, "kept in "));
    assert_int_equal(run("tune --model resnet8 --batch 2 --size 16 --budget 0.1 --json"), 0);
    assert_non_null(strstr(output, "\"command\":\"tune\""));
    assert_non_null(strstr(output, "\"measured\":1,")); /* the first case is always measured */
    assert_int_equal(run("tune --phase dream 2>&1"), 2);
    assert_int_equal(run("bench --op conv2d --shape '" CONV "' --form plain --samples 5 2>&1"), 0);
    assert_int_equal(run("bench --op conv2d --shape '" CONV "' --form plain --variant 1 --samples 5 2>&1"), 2);
    assert_non_null(strstr(output, "variant 1, does not run"));

    struct test_device device;
    char path[160];
    struct tuning_choice choice = {"conv2d " CONV, "", 0, 1, 2};
    snprintf(choice.form, sizeof choice.form, "%s", other_form());
    assert_int_equal(setenv("XDG_CACHE_HOME", mutant_folder, 1), 0);
    test_device_open(&device, NULL);
    char *kept = tuning_path(vk_describe(device.device));
    assert_non_null(kept);
    snprintf(path, sizeof path, "%s", kept);
    remove(path);
    assert_false(bench_takes(choice.form, ""));
    assert_int_equal(tuning_keep(path, vk_describe(device.device), &choice), STATUS_OK);
    assert_true(bench_takes(choice.form, ""));
    assert_false(bench_takes(choice.form, "--no-tuned"));
    free(kept);
    test_device_close(&device);
    mutant_clean();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_key_a_call),
        cmocka_unit_test(keys_read_back),
        cmocka_unit_test(a_file_keeps_choices),
        cmocka_unit_test(foreign_files_are_ignored),
        cmocka_unit_test(damaged_files_are_ignored),
        cmocka_unit_test(a_plan_takes_the_tuned_form),
        cmocka_unit_test(a_plan_takes_the_tuned_variant),
        cmocka_unit_test(variants_pass_verification),
        cmocka_unit_test(a_wrong_kernel_is_never_taken),
        cmocka_unit_test(a_faster_form_is_taken),
        cmocka_unit_test(the_program_tunes_and_uses_it),
    };
    return cmocka_run_group_tests(tests, mutant_setup, mutant_teardown);
}

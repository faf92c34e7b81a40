/*
 * lowered: under lowered limits the device still computes the right values, or the program refuses by name. One limit
 * after the other, and all at once: at what the specification promises everything must run, below it a refusal has to
 * name the op, the limit and both numbers.
 */
#include "base/log.h"
#include "ir/limits.h"
#include "resnet_vk.h"
#include "train/check.h"

#include "device.h"
#include "support.h"

#include <unistd.h>

/* ---- every op ---- */

/* `limit`: what refusals may name; NULL: there may be none. */
static const struct setting {
    const char *text, *limit;
} settings[] = {
    {"minimum", NULL},
    {"maxMemoryAllocationSize=1GiB", NULL},
    {"maxComputeSharedMemorySize=16KiB", NULL},
    {"maxComputeWorkGroupInvocations=128,maxComputeWorkGroupSize=128", NULL},
    {"maxPerStageDescriptorStorageBuffers=4", NULL},
    {"maxPerStageDescriptorStorageBuffers=4,maxTexelBufferElements=64KiB", NULL},
    {"maxPerStageDescriptorStorageImages=4", NULL},
    {"maxStorageBufferRange=128MiB", NULL},
    {"subgroupShuffle=off", NULL},
    {"subgroupSizeControl=off", NULL},
    {"shaderInt16=off,shaderInt64=off,shaderFloat16=off,storageBuffer16BitAccess=off", NULL},
    /* less than any device has */
    {"maxTexelBufferElements=16", NULL}, /* storage buffers do */
    {"maxPerStageDescriptorStorageImages=1", NULL},
    {"maxComputeSharedMemorySize=1KiB", "maxComputeSharedMemorySize"},
    {"maxComputeWorkGroupInvocations=64", "maxComputeWorkGroupInvocations"},
    {"maxComputeWorkGroupInvocations=32", "maxComputeWorkGroupInvocations"},
    {"maxPerStageDescriptorStorageBuffers=3,maxTexelBufferElements=16", "maxPerStageDescriptorStorageBuffers"},
    {"maxPushConstantsSize=64", "maxPushConstantsSize"},
    {"maxComputeWorkGroupCount=16", "maxComputeWorkGroupCount"},
    {"maxStorageBufferRange=16KiB,maxTexelBufferElements=1KiB", "maxStorageBufferRange"},
    {"maxMemoryAllocationSize=64KiB", "maxMemoryAllocationSize"},
};

struct count {
    uint32_t same, passed, refused; /* as without limits: not run again; cases; cases */
    uint32_t large;                 /* cases that verify cannot hold */
};

/* Kernels that read through texel buffers are chosen after lowering. */
static bool changes_texels(const struct vk_description *description) {
    return description->facts.max_texel_elements != description->offered.max_texel_elements ||
           description->facts.max_storage_texels != description->offered.max_storage_texels;
}

static void print_failure(void *user, const struct verify_result *result) {
    (void)user;
    if (result->outcome == VERIFY_FAILED)
        print_error("%s: %s\n", result->repeat, result->failure);
}

/* The sentence of the last failure names the op, the limit and two numbers. */
static void check_refusal(const struct setting *setting, const char *op, enum status status, struct count *count) {
    const char *message = status_message(), *limit = setting->limit ? strstr(message, setting->limit) : NULL;
    int numbers = 0;
    for (const char *c = message; *c; c++)
        numbers += c[0] >= '0' && c[0] <= '9' && !(c > message && c[-1] >= '0' && c[-1] <= '9');
    if ((status != STATUS_MEMORY && status != STATUS_DEVICE) || !limit || !strstr(message, op) || numbers < 2)
        fail_msg("%s: %s", setting->text, message);
    count->refused++;
}

/* verify holds all tensors of a case in one allocation, which may be larger than any that the op itself asks for. */
static bool is_too_large(const char *line, enum status status) {
    return *line == '+' && status == STATUS_MEMORY && strstr(status_message(), "guarded tensors need");
}

static void run_form(struct test_device *d, const struct setting *setting, const char *op, const char *form,
                     const char *line, struct count *count) {
    struct verify_summary summary;
    struct verify_options options = {.op = op,
                                     .form = form,
                                     .shape = line + (*line == '+'),
                                     .kind = getenv("TEST_ROUNDS") ? -1 : DATA_RANDOM,
                                     .seed = 1,
                                     .report = print_failure};
    enum status status = verify_ops(d->store, &options, &summary);
    if (status == STATUS_OK)
        count->passed += summary.passed;
    else if (is_too_large(line, status))
        count->large++;
    else
        check_refusal(setting, op, status, count);
}

/* The forms of one case that lower otherwise than without the limit. */
static void run_case(struct test_device *d, const struct setting *setting, const struct op *op, const char *line,
                     struct lowering lowerings[2], struct count *count) {
    const struct vk_description *description = vk_describe(d->device);
    struct graph graph;
    struct call call;
    tensor_id in[OP_INPUTS];
    bool any = false;
    graph_create(&graph);
    apply_case(&graph, op->name, line, in);
    graph_call(&graph, 0, &call);
    for (const struct form *form = op->forms; form->name; form++) {
        bool was = form_lower(form, 0, &call, &description->offered, &lowerings[0]);
        if (!form_lower(form, 0, &call, &description->facts, &lowerings[1]))
            continue;
        any = true;
        if (was && !changes_texels(description) && !setting->limit &&
            memcmp(&lowerings[0], &lowerings[1], sizeof lowerings[0]) == 0)
            count->same++;
        else
            run_form(d, setting, op->name, form->name, line, count);
    }
    if (!any) {
        enum status status = op_refuse(&call, &description->facts);
        check_refusal(setting, op->name, fail_prefix(status, "%s", op->name), count);
    }
    graph_destroy(&graph);
}

/* TEST_ROUNDS: every case under each setting, with each kind of data; otherwise every eighth, another one for each, and
 * random data. */
static void run_setting(size_t index) {
    const struct setting *setting = &settings[index];
    bool thorough = getenv("TEST_ROUNDS") != NULL;
    struct test_device d;
    struct count count = {0};
    size_t turn = index;
    struct lowering *lowerings = calloc(2, sizeof *lowerings);
    test_device_open(&d, &(struct vk_options){.limits = setting->text});
    for (const struct op *const *op = op_table; *op; op++)
        for (const char *const *line = (*op)->cases; *line; line++)
            if (thorough ? **line != '+' || !setting->limit : **line != '+' && turn++ % 8 == 0)
                run_case(&d, setting, *op, *line, lowerings, &count);
    free(lowerings);
    test_device_close(&d);
    print_message("%-75s %4u as before, %4u passed, %4u refused, %u too large\n", setting->text, count.same,
                  count.passed, count.refused, count.large);
    assert_true((count.refused > 0) == (setting->limit != NULL));
    assert_true(count.large <= 2); /* adam's, with its eight tensors */
    assert_true(count.same + count.passed > 0);
}

/* A device may offer less than a setting: then nothing would be lowered. */
static bool possible(const char *text) {
    struct test_device d;
    struct limits limits;
    test_device_open(&d, NULL);
    struct device_facts facts = *vk_facts(d.device);
    test_device_close(&d);
    assert_int_equal(limits_read(text, &limits), STATUS_OK);
    for (int i = 0; i < LIMIT_COUNT; i++)
        if (limits.given[i] && limits.values[i] > limit_get(&limit_table[i], &facts))
            return false;
    return true;
}

static void ops_agree_or_are_refused_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(settings); i++)
        if (possible(settings[i].text))
            run_setting(i);
        else
            print_message("%-75s the device has less\n", settings[i].text);
}

/* ---- features ---- */

static void kernels_without_their_feature_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *limits, *kernel, *name;
    } cases[] = {{"shaderInt64=off", "wide_integers", "Int64"},
                 {"subgroupShuffle=off", "shuffle", "GroupNonUniformShuffle"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct test_device d;
        struct vk_kernel *kernel;
        bool offered = possible(i == 0 ? "shaderInt64=on" : "subgroupShuffle=on");
        for (int lowered = 0; lowered < 2; lowered++) {
            test_device_open(
                &d, &(struct vk_options){.kernel_path = TEST_KERNELS, .limits = lowered ? cases[i].limits : NULL});
            assert_int_equal(vk_lowered(d.device), lowered && offered);
            enum status status = vk_kernel_get(d.device, cases[i].kernel, NULL, 0, 0, &kernel);
            assert_int_equal(status, offered && !lowered ? STATUS_OK : STATUS_DEVICE);
            if (status != STATUS_OK)
                assert_non_null(strstr(status_message(), cases[i].name));
            test_device_close(&d);
        }
    }
}

static void other_subgroups_are_refused(void **state) {
    (void)state;
    struct test_device d;
    struct vk_kernel *kernel;
    char text[64];
    test_device_open(&d, &(struct vk_options){.kernel_path = TEST_KERNELS});
    uint32_t own = vk_facts(d.device)->subgroup_size, most = vk_facts(d.device)->most_subgroup;
    assert_int_equal(vk_kernel_get(d.device, "shuffle", NULL, 0, 256, &kernel), STATUS_DEVICE);
    assert_non_null(strstr(status_message(), "it needs subgroups of 256 invocations"));
    test_device_close(&d);
    snprintf(text, sizeof text, "subgroupSize=%u", 2 * MAX(own, most));
    assert_int_equal(vk_open(&(struct vk_options){.limits = text}, &d.device), STATUS_USAGE);
    assert_null(d.device);
    snprintf(text, sizeof text, "subgroupSize=%u", own);
    test_device_open(&d, &(struct vk_options){.limits = text});
    assert_false(vk_lowered(d.device));
    test_device_close(&d);
}

/* ---- whole steps and runs ---- */

static void whole_steps_agree(void **state) {
    (void)state;
    static const char *const names[] = {"resnet8", "resnet8a", "resnet11v2"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct test_device d;
        struct verify_summary summary;
        struct model_options model = {.name = names[i], .height = 16, .width = 16, .filters = 8};
        test_device_open(&d, &(struct vk_options){.limits = "minimum"});
        if (check_model(d.store, &model, 3, 1, &(struct verify_options){.report = print_failure}, &summary) !=
            STATUS_OK)
            fail_msg("%s: %s", names[i], status_message());
        assert_true(summary.passed > 50 && summary.failed == 0);
        test_device_close(&d);
    }
}

static struct rvk_context *open_context(const char *limits) {
    struct rvk_context *context;
    struct rvk_open_options options = {.limits = limits, .validation = getenv("TEST_VALIDATION") != NULL};
    if (rvk_open(&options, &context) != RVK_OK)
        fail_msg("%s", rvk_message());
    return context;
}

static double final_loss(const char *limits, const char *optimizer, const char *out) {
    struct rvk_context *context = open_context(limits);
    struct rvk_train_result result;
    struct rvk_train_options options = {.model = "resnet8",
                                        .data = "generated:count=128,size=16",
                                        .batch = 32,
                                        .eval_batch = 64,
                                        .epochs = 3,
                                        .optimizer = optimizer,
                                        .out = out};
    if (rvk_train(context, &options, &result) != RVK_OK)
        fail_msg("%s: %s", limits ? limits : "as it is", rvk_message());
    assert_int_equal(rvk_get_counters(context).validation_messages, 0);
    rvk_close(context);
    return result.last.train_loss;
}

/* The same up to rounding, which twelve steps make larger. The log says what was lowered. */
static void training_goes_the_same_way(void **state) {
    (void)state;
    static const char *const optimizers[] = {"sgd", "adam"};
    char folder[] = "/tmp/rvk-lowered-XXXXXX", command[96], line[4096];
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < COUNT(optimizers); i++) {
        char out[64];
        snprintf(out, sizeof out, "%s/%s", folder, optimizers[i]);
        double whole = final_loss(NULL, optimizers[i], NULL), lowered = final_loss("minimum", optimizers[i], out);
        print_message("%s: loss %.6f, under minimum %.6f\n", optimizers[i], whole, lowered);
        assert_true(fabs(whole - lowered) <= 0.02 * whole);
        snprintf(line, sizeof line, "%s/log.jsonl", out);
        FILE *log = fopen(line, "r");
        assert_true(log && fgets(line, sizeof line, log));
        fclose(log);
        assert_non_null(strstr(line, "\"lowered_limits\":\"max"));
        assert_non_null(strstr(line, "maxPerStageDescriptorStorageBuffers 4 (of "));
    }
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

/* ---- what is kept between runs ---- */

static char logged[1 << 14];

static void keep_log(void *user, bool warning, const char *message) {
    (void)user, (void)warning;
    size_t used = strlen(logged);
    snprintf(logged + used, sizeof logged - used, "%s\n", message);
}

static struct rvk_tune_result tune(const char *limits) {
    struct rvk_tune_result result;
    struct rvk_tune_options options = {.model = "resnet8", .batch = 4, .size = 16, .phase = "infer", .budget = 0.001};
    logged[0] = '\0';
    struct rvk_context *context = open_context(limits);
    if (rvk_tune(context, &options, &result) != RVK_OK)
        fail_msg("%s", rvk_message());
    rvk_close(context);
    return result;
}

/* Tuned choices are of the whole device: neither used nor written. The pipeline cache holds for both. */
static void only_the_pipeline_cache_is_shared(void **state) {
    (void)state;
    char folder[] = "/tmp/rvk-lowered-XXXXXX", command[2200];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(setenv("XDG_CACHE_HOME", folder, 1), 0);
    rvk_set_log(keep_log, NULL);
    assert_string_equal(tune("maxPerStageDescriptorStorageBuffers=4").path, "");
    snprintf(command, sizeof command, "ls %s/resnet-vk | grep -q tuning", folder);
    assert_int_not_equal(system(command), 0);
    struct rvk_tune_result whole = tune(NULL);
    assert_true(strstr(whole.path, folder) && access(whole.path, F_OK) == 0);
    assert_non_null(strstr(logged, "pipeline cache")); /* of the run under limits */
    snprintf(command, sizeof command, "cp %s %s/before", whole.path, folder);
    assert_int_equal(system(command), 0);
    assert_string_equal(tune("maxPerStageDescriptorStorageBuffers=4").path, "");
    assert_non_null(strstr(logged, "limits are lowered: maxPerStageDescriptorStorageBuffers 4 (of "));
    assert_null(strstr(logged, "tuned choices"));
    snprintf(command, sizeof command, "cmp %s %s/before && rm -r %s", whole.path, folder, folder);
    assert_int_equal(system(command), 0);
    rvk_set_log(NULL, NULL);
    unsetenv("XDG_CACHE_HOME");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ops_agree_or_are_refused_by_name), cmocka_unit_test(kernels_without_their_feature_are_refused),
        cmocka_unit_test(other_subgroups_are_refused),      cmocka_unit_test(whole_steps_agree),
        cmocka_unit_test(training_goes_the_same_way),       cmocka_unit_test(only_the_pipeline_cache_is_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * limits: names and values of --limit, what lowering them does, and that no op asks more of a device than it has, for
 * made-up devices of every kind. No device is needed. What runs under lowered limits is in test_lowered.c.
 */
#include "ir/limits.h"
#include "vk/reflect.h"

#include "support.h"

/* ---- words ---- */

static void refuses(const char *text, const char *part) {
    struct limits limits;
    assert_int_equal(limits_read(text, &limits), STATUS_USAGE);
    if (!strstr(status_message(), part))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, status_message(), part);
}

static uint64_t value_of(const char *text, int number) {
    struct limits limits;
    if (limits_read(text, &limits) != STATUS_OK)
        fail_msg("%s: %s", text, status_message());
    assert_true(limits.given[number]);
    return limits.values[number];
}

static void values_are_read(void **state) {
    (void)state;
    struct limits limits;
    assert_int_equal(value_of("maxComputeSharedMemorySize=16384", LIMIT_NUMBER_maxComputeSharedMemorySize), 16384);
    assert_int_equal(value_of("maxComputeSharedMemorySize=16KiB", LIMIT_NUMBER_maxComputeSharedMemorySize), 16384);
    assert_int_equal(value_of("maxStorageBufferRange=3GiB", LIMIT_NUMBER_maxStorageBufferRange), UINT64_C(3) << 30);
    assert_int_equal(value_of("minimum,subgroupShuffle=on", LIMIT_NUMBER_subgroupShuffle), 1);
    assert_int_equal(value_of("shaderInt64=off,subgroupSize=8", LIMIT_NUMBER_subgroupSize), 8);
    assert_int_equal(limits_read(NULL, &limits), STATUS_OK);
    assert_int_equal(limits_read("", &limits), STATUS_OK);
    assert_false(limits.minimum);
}

static void mistakes_are_named(void **state) {
    (void)state;
    refuses("maxComputeSharedMemorySze=1", "did you mean maxComputeSharedMemorySize?");
    refuses("nonsense=1", "no limit is called 'nonsense'; there are maxStorageBufferRange, ");
    refuses("nonsense=1", ", cooperativeMatrix"); /* the list is whole */
    refuses("maxPushConstantsSize", "a limit is NAME=VALUE, or minimum, not 'maxPushConstantsSize'");
    refuses("10000", "not '10000'");
    refuses("maxPushConstantsSize=0", "a whole number above 0");
    refuses("maxPushConstantsSize=12KB", "not '12KB'");
    refuses("maxPushConstantsSize=-1", "not '-1'");
    refuses("maxStorageBufferRange=99999999999GiB", "not '99999999999GiB'");
    refuses("shaderInt64=2", "shaderInt64 must be on or off, not '2'");
    char word[200];
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    refuses(word, "a limit is NAME=VALUE, not 'xxx");
}

/* ---- lowering ---- */

/* A GPU whose kernels may ask for subgroups of 8 to 32. */
static struct device_facts large(void) {
    return (struct device_facts){
        .name = "large",
        .kind = DEVICE_DISCRETE,
        .max_storage_range = UINT64_C(1) << 32,
        .max_allocation = UINT64_C(1) << 32,
        .heap_bytes = UINT64_C(1) << 34,
        .max_shared_bytes = 65536,
        .max_invocations = 1024,
        .max_group_size = {1024, 512, 64},
        .max_groups = {INT32_MAX, 65535, 65535},
        .max_push_bytes = 256,
        .max_storage_buffers = 1000,
        .max_texel_elements = 1 << 27,
        .max_storage_texels = 1000,
        .max_loop_steps = UINT32_MAX,
        .subgroup_size = 32,
        .least_subgroup = 8,
        .most_subgroup = 32,
        .size_control = true,
        .subgroup_shuffle = true,
        .int64 = true,
        .storage16 = true,
    };
}

static enum status lower(const char *text, struct device_facts *facts) {
    struct limits limits;
    *facts = large();
    TRY(limits_read(text, &limits));
    return limits_apply(&limits, facts);
}

static void lowers(const char *text, struct device_facts *facts) {
    if (lower(text, facts) != STATUS_OK)
        fail_msg("%s: %s", text, status_message());
}

static void limits_are_lowered(void **state) {
    (void)state;
    struct device_facts facts, offered = large();
    char text[256];
    lowers("", &facts);
    assert_memory_equal(&facts, &offered, sizeof facts);
    assert_false(limits_print(&offered, &facts, text, sizeof text));
    lowers("maxStorageBufferRange=128MiB,maxComputeWorkGroupSize=128,shaderInt64=off", &facts);
    assert_int_equal(facts.max_storage_range, 1 << 27);
    assert_int_equal(facts.max_group_size[0], 128);
    assert_int_equal(facts.max_group_size[1], 128);
    assert_int_equal(facts.max_group_size[2], 64); /* not raised */
    assert_false(facts.int64);
    assert_true(facts.storage16);
    assert_true(limits_print(&offered, &facts, text, sizeof text));
    assert_string_equal(text, "maxStorageBufferRange 134217728 (of 4294967296), maxComputeWorkGroupSize 128 (of 1024), "
                              "shaderInt64 0 (of 1)");
    assert_true(limits_print(&offered, &facts, text, 30)); /* cut, within its room */
    assert_int_equal(strlen(text), 29);
}

/* Every number of facts_minimum, and every feature off; what is given by name stays. */
static void minimum_lowers_all(void **state) {
    (void)state;
    struct device_facts facts, minimum;
    facts_minimum(&minimum);
    lowers("minimum,maxComputeSharedMemorySize=32KiB", &facts);
    for (int i = 0; i < LIMIT_COUNT; i++)
        if (i != LIMIT_NUMBER_maxComputeSharedMemorySize && i != LIMIT_NUMBER_subgroupSize &&
            i != LIMIT_NUMBER_memoryHeapSize)
            assert_int_equal(limit_get(&limit_table[i], &facts), limit_get(&limit_table[i], &minimum));
    assert_int_equal(facts.max_shared_bytes, 32768);
    assert_int_equal(facts.subgroup_size, 32); /* of these two the specification promises nothing */
    assert_int_equal(facts.heap_bytes, UINT64_C(1) << 34);
    struct limits all = {.minimum = true};
    facts = minimum;
    facts.max_storage_range = 1000; /* less than the specification allows: no reason to raise it */
    assert_int_equal(limits_apply(&all, &facts), STATUS_OK);
    assert_int_equal(facts.max_storage_range, 1000);
}

static void nothing_is_raised(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"maxComputeSharedMemorySize=65537", "maxComputeSharedMemorySize=65537 is above what large has, 65536"},
        {"maxComputeWorkGroupSize=1025", "1024"},
        {"shaderFloat16=on", "shaderFloat16=1 is above what large has, 0"},
        {"subgroupSize=64", "subgroupSize=64 is not possible: those of large are the powers of two from 8 to 32"},
        {"subgroupSize=4", "from 8 to 32"},
        {"subgroupSize=24", "powers of two"},
        {"subgroupSizeControl=off,subgroupSize=16", "the subgroups of large have 32 invocations"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct device_facts facts, offered = large();
        assert_int_equal(lower(cases[i][0], &facts), STATUS_USAGE);
        if (!strstr(status_message(), cases[i][1]))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i][0], status_message(), cases[i][1]);
        assert_memory_equal(&facts, &offered, sizeof facts);
    }
}

static void subgroups_are_lowered(void **state) {
    (void)state;
    struct device_facts facts;
    lowers("subgroupSize=16", &facts);
    assert_int_equal(facts.subgroup_size, 16);
    assert_int_equal(facts.least_subgroup, 16);
    assert_int_equal(facts.most_subgroup, 16);
    assert_true(facts.subgroup_shuffle);
    lowers("subgroupSize=32", &facts); /* as it is: kernels may still ask for less */
    assert_int_equal(facts.least_subgroup, 8);
    lowers("subgroupSizeControl=off", &facts);
    assert_int_equal(facts.least_subgroup, 0);
    assert_false(facts.subgroup_shuffle); /* on a GPU nothing else promises full subgroups */
}

/* ---- what kernels need ---- */

/*
 * No kernel asks for a feature that not every device has, but for shuffles, which only these kernels have, whose forms
 * look for them. Numbers of SPIR-V: Shader 1, ImageBuffer 47, GroupNonUniform 61, GroupNonUniformShuffle 65.
 */
static void kernels_need_no_features(void **state) {
    (void)state;
    int shuffling = 0;
    for (const struct kernel_module *module = kernel_table; module->name; module++) {
        struct reflection reflection;
        bool may_shuffle = strstr(module->name, "_subgroup") || strstr(module->name, "_lanes");
        bool has_shader = false, shuffles = false;
        assert_int_equal(reflect_module(module->words, module->bytes / 4, NULL, 0, &reflection), STATUS_OK);
        for (uint32_t i = 0; i < reflection.capability_count; i++) {
            uint32_t number = reflection.capabilities[i];
            has_shader |= number == 1;
            shuffles |= number == 65;
            if (number != 1 && number != 47 && !(may_shuffle && (number == 61 || number == 65)))
                fail_msg("kernel %s declares capability %u of SPIR-V", module->name, number);
        }
        assert_true(has_shader && shuffles == may_shuffle);
        shuffling += shuffles;
    }
    assert_in_range(shuffling, 2, 16);
}

/* ---- what ops ask for, on devices of every kind ---- */

enum { AMD = 0x1002, NVIDIA = 0x10DE, INTEL = 0x8086 };

static const struct {
    enum device_kind kind;
    uint32_t vendor;
    bool texels, matrix_units;
} kinds[] = {
    {DEVICE_CPU, 0, true, false},
    {DEVICE_CPU, 0, false, false},
    {DEVICE_DISCRETE, AMD, false, false},
    {DEVICE_DISCRETE, AMD, false, true},
    {DEVICE_DISCRETE, NVIDIA, false, true},
    {DEVICE_DISCRETE, INTEL, false, false},
    {DEVICE_INTEGRATED, INTEL, false, true},
    {DEVICE_OTHER, 0, false, false},
};
static const uint32_t subgroup_sizes[] = {4, 8, 16, 32, 64};

/* What every device can be lowered to: each of the specification's minimums, and all of them. */
static const char *const settings[] = {
    "",
    "minimum",
    "minimum,subgroupSizeControl=on,subgroupShuffle=on",
    "maxStorageBufferRange=128MiB",
    "maxMemoryAllocationSize=1GiB",
    "maxComputeSharedMemorySize=16KiB",
    "maxComputeWorkGroupInvocations=128",
    "maxComputeWorkGroupSize=128",
    "maxComputeWorkGroupCount=65535",
    "maxPushConstantsSize=128",
    "maxPerStageDescriptorStorageBuffers=4",
    "maxPerStageDescriptorStorageImages=4",
    "maxTexelBufferElements=65536",
    "subgroupShuffle=off",
    "subgroupSizeControl=off",
};

static struct device_facts made_up(size_t kind, uint32_t subgroup_size, const char *setting) {
    struct device_facts facts = large();
    struct limits limits;
    facts.kind = kinds[kind].kind;
    facts.vendor_id = kinds[kind].vendor;
    facts.prefers_texels = kinds[kind].texels;
    facts.matrix_units = kinds[kind].matrix_units;
    facts.subgroup_size = facts.least_subgroup = facts.most_subgroup = subgroup_size;
    assert_int_equal(limits_read(setting, &limits), STATUS_OK);
    assert_int_equal(limits_apply(&limits, &facts), STATUS_OK);
    return facts;
}

static const struct kernel_module *find_kernel(const char *name, const char *suffix) {
    char full[96];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    for (const struct kernel_module *module = kernel_table; module->name; module++)
        if (strcmp(module->name, full) == 0)
            return module;
    return NULL;
}

static uint64_t operand_bytes(const struct call *call, const struct lowering *lowering, const struct operand *operand) {
    if (operand->bytes)
        return operand->bytes;
    if (operand->kind == OPERAND_SCRATCH)
        return lowering->scratch_bytes[operand->index] - operand->offset;
    const struct tensor *tensor = operand->kind == OPERAND_INPUT ? call->in[operand->index] : call->out[operand->index];
    return tensor_bytes(tensor) - operand->offset;
}

/* The variant that a plan binds: through texel buffers where they are preferred and fit. */
static void reflect(const struct call *call, const struct device_facts *facts, const struct lowering *lowering,
                    const struct dispatch *dispatch, struct reflection *out) {
    const struct kernel_module *module = facts->prefers_texels ? find_kernel(dispatch->kernel, ".texels") : NULL;
    for (int texels = 1; texels >= 0; texels--, module = find_kernel(dispatch->kernel, "")) {
        if (!module)
            continue;
        if (reflect_module(module->words, module->bytes / 4, dispatch->constants, dispatch->constant_count, out) !=
            STATUS_OK)
            fail_msg("%s: %s", module->name, status_message());
        uint32_t count = 0;
        bool fit = true;
        for (uint32_t i = 0; texels && i < out->interface.binding_count; i++)
            if (out->interface.bindings[i].texels) {
                count++;
                fit &= operand_bytes(call, lowering, &dispatch->operands[i]) / 16 <= facts->max_texel_elements;
            }
        if (!texels || (fit && count <= facts->max_storage_texels))
            return;
    }
}

#define WITHIN(value, limit)                                                                                           \
    do {                                                                                                               \
        if ((value) > (limit))                                                                                         \
            fail_msg("%s: kernel %s: " #value " %llu, " #limit " %llu, on %s with subgroups of %u", call->op->name,    \
                     dispatch->kernel, (unsigned long long)(value), (unsigned long long)(limit), what,                 \
                     facts->subgroup_size);                                                                            \
    } while (0)

static void check_dispatch(const struct call *call, const struct device_facts *facts, const struct lowering *lowering,
                           const struct dispatch *dispatch, const char *what) {
    struct reflection reflection;
    const struct vk_interface *interface = &reflection.interface;
    uint32_t storage = 0, texels = 0, invocations = 1;
    reflect(call, facts, lowering, dispatch, &reflection);
    for (int axis = 0; axis < 3; axis++) {
        WITHIN(dispatch->groups[axis], facts->max_groups[axis]);
        WITHIN(interface->group_size[axis], facts->max_group_size[axis]);
        invocations *= interface->group_size[axis];
    }
    for (uint32_t i = 0; i < interface->binding_count; i++) {
        storage += reflection.kinds[i] == BINDING_STORAGE;
        texels += reflection.kinds[i] == BINDING_STORAGE_TEXELS;
    }
    WITHIN(invocations, facts->max_invocations);
    WITHIN(storage, facts->max_storage_buffers);
    WITHIN(texels, facts->max_storage_texels);
    WITHIN(interface->shared_bytes, facts->max_shared_bytes);
    WITHIN(interface->push_bytes, facts->max_push_bytes);
    assert_int_equal(interface->push_bytes, 4 * dispatch->push_count);
    assert_int_equal(interface->binding_count, dispatch->operand_count);
    if (reflection.uses_subgroups) {
        uint32_t size = dispatch->subgroup_size ? dispatch->subgroup_size : facts->subgroup_size;
        assert_true(facts->subgroup_shuffle && interface->group_size[0] % size == 0);
        if (dispatch->subgroup_size)
            assert_true(size == facts->subgroup_size || facts->size_control);
    }
}

/* Each form in each of its variants; counts what applies. */
static int check_forms(const struct call *call, const struct device_facts *facts, const char *what,
                       struct lowering *lowering) {
    int applied = 0;
    for (const struct form *form = call->op->forms; form->name; form++)
        for (uint32_t variant = 0, last = 0; variant <= last; variant++) {
            if (!form_lower(form, variant, call, facts, lowering))
                continue;
            last = lowering->variants;
            for (uint32_t i = 0; i < lowering->count; i++)
                check_dispatch(call, facts, lowering, &lowering->dispatches[i], what);
            applied++;
        }
    return applied;
}

/* The call on every made-up device. */
static void check_call(const struct call *call) {
    struct lowering *lowering = calloc(1, sizeof *lowering);
    assert_non_null(lowering);
    for (size_t k = 0; k < COUNT(kinds); k++)
        for (size_t s = 0; s < COUNT(subgroup_sizes); s++)
            for (size_t i = 0; i < COUNT(settings); i++) {
                struct device_facts facts = made_up(k, subgroup_sizes[s], settings[i]);
                if (!check_forms(call, &facts, settings[i], lowering))
                    fail_msg("%s: nothing applies under %s", call->op->name, settings[i]);
            }
    free(lowering);
}

static void no_op_asks_for_more(void **state) {
    (void)state;
    for (const struct op *const *op = op_table; *op; op++)
        for (const char *const *line = (*op)->cases; *line; line++) {
            struct graph graph;
            tensor_id in[OP_INPUTS];
            struct call call;
            graph_create(&graph);
            apply_case(&graph, (*op)->name, *line, in);
            assert_int_equal(graph_status(&graph), STATUS_OK);
            graph_call(&graph, 0, &call);
            check_call(&call);
            graph_destroy(&graph);
        }
}

/* Limits far below the specification's: an op is lowered within them, or refused with a limit's name and two numbers.
 */
static void absurd_limits_are_refused_by_name(void **state) {
    (void)state;
    int refused = 0, lowered = 0;
    struct lowering *lowering = calloc(1, sizeof *lowering);
    for (const struct op *const *op = op_table; *op; op++)
        for (const char *const *line = (*op)->cases; *line; line++) {
            struct graph graph;
            tensor_id in[OP_INPUTS];
            struct call call;
            graph_create(&graph);
            apply_case(&graph, (*op)->name, *line, in);
            graph_call(&graph, 0, &call);
            for (uint32_t i = 0; i < 100; i++) {
                const struct limit *limit = &limit_table[random_below(1, 0, i, LIMIT_COUNT)];
                struct device_facts facts = made_up(i % COUNT(kinds), subgroup_sizes[i % 5], i % 3 ? "" : "minimum");
                uint64_t value = UINT64_C(1) << random_below(1, 1, i, 12);
                limit_set(limit, &facts, MIN(value, limit_get(limit, &facts)));
                bool applies = false;
                for (const struct form *form = call.op->forms; form->name; form++)
                    applies |= form_lower(form, 0, &call, &facts, lowering);
                lowered += applies;
                refused += !applies;
                if (applies)
                    continue;
                char needs[96];
                snprintf(needs, sizeof needs, "it needs %s ", limit->name);
                assert_int_equal(op_refuse(&call, &facts), STATUS_MEMORY);
                if (!strstr(status_message(), needs) || !strstr(status_message(), "with these shapes, large has "))
                    fail_msg("%s under %s %llu: %s", *line, limit->name, (unsigned long long)value, status_message());
            }
            graph_destroy(&graph);
        }
    free(lowering);
    assert_true(refused > 100 && lowered > 10000);
}

/* The number in the sentence is the least with which it works. */
static void the_need_is_exact(void **state) {
    (void)state;
    struct graph graph;
    tensor_id in[OP_INPUTS];
    struct call call;
    struct device_facts facts;
    struct lowering *lowering = calloc(1, sizeof *lowering);
    facts_minimum(&facts);
    facts.max_storage_range = 1024;
    graph_create(&graph);
    apply_case(&graph, "sgd", "parameters=1x1x1x40000 gradients=1x1x1x40000 velocity=1x1x1x40000 hyper=1x1x1x4", in);
    graph_call(&graph, 0, &call);
    assert_int_equal(op_refuse(&call, &facts), STATUS_MEMORY);
    assert_string_equal(status_message(),
                        "it needs maxStorageBufferRange 10752 with these shapes, specification minimum "
                        "has 1024");
    facts.max_storage_range = 10752; /* 15 parts: 160000 / 15 = 10667 bytes, in multiples of 256 */
    assert_true(form_lower(call.op->forms, 0, &call, &facts, lowering));
    facts.max_storage_range = 10751;
    assert_false(form_lower(call.op->forms, 0, &call, &facts, lowering));
    graph_destroy(&graph);
    free(lowering);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(limits_are_lowered),
        cmocka_unit_test(minimum_lowers_all),
        cmocka_unit_test(nothing_is_raised),
        cmocka_unit_test(subgroups_are_lowered),
        cmocka_unit_test(kernels_need_no_features),
        cmocka_unit_test(no_op_asks_for_more),
        cmocka_unit_test(absurd_limits_are_refused_by_name),
        cmocka_unit_test(the_need_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

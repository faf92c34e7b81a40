#include "exec/selftest.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "exec/choose.h"
#include "exec/identity.h"
#include "exec/verify_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA = 1, LARGEST_FILE = 1 << 24 };

/* ---- results ---- */

static const struct selftest_result *find(const struct selftest *selftest, const struct selftest_result *like) {
    for (size_t i = 0; i < selftest->count; i++) {
        const struct selftest_result *result = &selftest->results[i];
        if (result->variant == like->variant && strcmp(result->op, like->op) == 0 &&
            strcmp(result->form, like->form) == 0 && strcmp(result->line, like->line) == 0)
            return result;
    }
    return NULL;
}

bool selftest_refuses(const struct selftest *selftest, const struct op *op, const char *form, uint32_t variant) {
    for (size_t i = 0; i < selftest->count; i++) {
        const struct selftest_result *result = &selftest->results[i];
        if (!result->right && result->variant == variant && strcmp(result->op, op->name) == 0 &&
            strcmp(result->form, form) == 0)
            return true;
    }
    return false;
}

/* Did a form of the op fail? */
static bool has_failure(const struct selftest *selftest, const struct op *op) {
    for (size_t i = 0; i < selftest->count; i++)
        if (!selftest->results[i].right && strcmp(selftest->results[i].op, op->name) == 0)
            return true;
    return false;
}

/* Adds a copy, unless there is one already. */
static enum status add(struct selftest *selftest, const struct selftest_result *result) {
    if (find(selftest, result))
        return STATUS_OK;
    struct selftest_result copy = *result;
    copy.line = strdup(result->line);
    copy.repeat = strdup(result->repeat);
    enum status status = copy.line && copy.repeat ? STATUS_OK : fail(STATUS_MEMORY, "out of memory for the self-test");
    if (status == STATUS_OK)
        status = memory_grow(&selftest->results, &selftest->capacity, selftest->count + 1, sizeof copy);
    if (status == STATUS_OK) {
        selftest->results[selftest->count++] = copy;
        return STATUS_OK;
    }
    free(copy.line);
    free(copy.repeat);
    return status;
}

static void forget(struct selftest *selftest) {
    for (size_t i = 0; i < selftest->count; i++) {
        free(selftest->results[i].line);
        free(selftest->results[i].repeat);
    }
    free(selftest->results);
    selftest->results = NULL;
    selftest->count = selftest->capacity = 0;
}

void selftest_destroy(struct selftest *selftest) {
    forget(selftest);
    free(selftest->path);
    *selftest = (struct selftest){0};
}

/* ---- the file ---- */

char *selftest_path(const struct vk_description *device) {
    return identity_path("selftest", device);
}

/* False when the item is malformed, or memory is short. */
static bool unpack_result(json_t *item, struct selftest *out) {
    struct selftest_result result = {0};
    const char *op, *form, *line, *repeat;
    json_int_t variant;
    int right;
    if (json_unpack(item, "{s:s, s:s, s:I, s:s, s:b, s:s}", "op", &op, "form", &form, "variant", &variant, "case",
                    &line, "right", &right, "repeat", &repeat) != 0 ||
        strlen(op) >= sizeof result.op || strlen(form) >= sizeof result.form || variant < 0 || variant > UINT32_MAX)
        return false;
    snprintf(result.op, sizeof result.op, "%s", op);
    snprintf(result.form, sizeof result.form, "%s", form);
    result.variant = (uint32_t)variant;
    result.line = (char *)line;
    result.repeat = (char *)repeat;
    result.right = right != 0;
    return add(out, &result) == STATUS_OK;
}

/* NULL, or why the file is not used. */
static const char *unpack(json_t *file, const struct vk_description *device, struct selftest *out) {
    json_t *identity = identity_pack(device), *results = json_object_get(file, "results");
    bool same = json_equal(json_object_get(file, "for"), identity);
    json_decref(identity);
    if (json_integer_value(json_object_get(file, "schema")) != SCHEMA || !json_is_array(results))
        return "it is damaged, or of another version";
    if (!same)
        return "it is of another device, driver or version of this program";
    for (size_t i = 0; i < json_array_size(results); i++)
        if (!unpack_result(json_array_get(results, i), out))
            return "it is damaged";
    return NULL;
}

/* Adds what the file holds for this device; nothing when it is not there or not to be used. */
static void read(struct selftest *selftest, const struct vk_description *device) {
    struct selftest found = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (!file_exists(selftest->path))
        return;
    if (file_read(selftest->path, LARGEST_FILE, &bytes, &size) != STATUS_OK) {
        log_warn("what the self-test found before is ignored: %s", status_message());
        return;
    }
    json_t *file = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, NULL);
    const char *why_not = unpack(file, device, &found);
    json_decref(file);
    free(bytes);
    if (why_not)
        log_info("%s is ignored: %s; kernels are checked again when they are first used", selftest->path, why_not);
    for (size_t i = 0; i < found.count && !why_not; i++)
        if (add(selftest, &found.results[i]) != STATUS_OK)
            log_warn("%s", status_message());
    forget(&found);
}

static void warn(const struct selftest_result *result, const struct vk_description *device, const char *when) {
    log_warn("%s: form %s, variant %u, %s on %s (%s) and is not used; repeat: %s", result->op, result->form,
             result->variant, when, device->facts.name, device->facts.driver, result->repeat);
}

void selftest_open(struct selftest *selftest, const struct vk_description *device, char *path) {
    *selftest = (struct selftest){.path = path};
    if (path)
        read(selftest, device);
    for (size_t i = 0; i < selftest->count; i++)
        if (!selftest->results[i].right)
            warn(&selftest->results[i], device, "was found to be wrong before");
}

static json_t *pack(const struct selftest *selftest, const struct vk_description *device) {
    json_t *list = json_array();
    for (size_t i = 0; i < selftest->count; i++) {
        const struct selftest_result *result = &selftest->results[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s, s:b, s:s}", "op", result->op, "form", result->form,
                                              "variant", (json_int_t)result->variant, "case", result->line, "right",
                                              (int)result->right, "repeat", result->repeat));
    }
    return json_pack("{s:i, s:o, s:o}", "schema", SCHEMA, "for", identity_pack(device), "results", list);
}

/* Besides what other processes have put there. Without the file everything is checked again, so failing is no error. */
static void keep(struct selftest *selftest, const struct vk_description *device) {
    if (!selftest->path)
        return;
    read(selftest, device);
    json_t *file = pack(selftest, device);
    char *text = json_dumps(file, JSON_INDENT(1));
    json_decref(file);
    if (!text || file_write_atomic(selftest->path, &(struct file_piece){text, strlen(text)}, 1) != STATUS_OK)
        log_info("what the self-test found is not kept: %s", text ? status_message() : "out of memory");
    free(text);
}

/* ---- choosing a case ---- */

/* How much a case is like the call: attributes and operands that are there, then the size of the extents. */
static double likeness(const struct call *call, const struct call *other) {
    double score = 0;
    for (int a = 0; call->op->attributes[a].name; a++)
        score += 8 * (call->attribute[a] == other->attribute[a]);
    for (int j = 0; call->op->inputs[j]; j++) {
        score += 8 * (!call->in[j] == !other->in[j]);
        for (int d = 0; d < 4 && call->in[j] && other->in[j]; d++)
            score -= fabs(log2(call->in[j]->shape.d[d]) - log2(other->in[j]->shape.d[d]));
    }
    return score;
}

/* A case that is lowered by a form, in the variant that the lowering says. */
static bool lower_case(const struct form *form, const struct device_facts *facts, const struct op *op, const char *line,
                       struct lowering *lowering, const struct call *call, double *score) {
    struct verify_case parsed;
    struct graph graph;
    struct call other;
    size_t node;
    bool lowers = false;
    if (verify_case_parse(op, line, &parsed) != STATUS_OK)
        return false;
    graph_create(&graph);
    if (verify_case_build(&parsed, &graph, &node) == STATUS_OK) {
        graph_call(&graph, node, &other);
        lowers = form_lower(form, lowering->variant, &other, facts, lowering);
        *score = likeness(call, &other);
    }
    graph_destroy(&graph);
    return lowers;
}

/* The short case that is most like the call and that the form, in the variant of the lowering, runs; NULL: none. The
 * lowering is then that of the case. */
static const char *find_case(const struct call *call, const struct form *form, const struct device_facts *facts,
                             struct lowering *lowering) {
    const char *best = NULL;
    double most = -INFINITY, score;
    for (const char *const *line = call->op->cases; line && *line; line++)
        if (**line != '+' && lower_case(form, facts, call->op, *line, lowering, call, &score) && score > most) {
            most = score;
            best = *line;
        }
    return best && lower_case(form, facts, call->op, best, lowering, call, &score) ? best : NULL;
}

/* ---- checking ---- */

/* A call that is like no other of the graph. */
struct distinct {
    char key[TUNING_KEY];
    struct call call;
};

struct tester {
    struct selftest *selftest;
    struct vk_device *device;
    const struct plan_options *options;
    struct store *store;
    struct lowering *lowering;
    struct distinct *calls;
    size_t call_count, call_capacity;
    uint32_t checked, wrong;
};

static void keep_failure(void *user, const struct verify_result *result) {
    if (result->outcome == VERIFY_FAILED)
        snprintf(user, sizeof result->repeat, "%s", result->repeat);
}

/* Lets verify say whether a form is right. One that the driver refuses is not. */
static enum status check(struct tester *tester, struct selftest_result *result, bool *refused) {
    struct verify_options options = {.op = result->op,
                                     .form = result->form,
                                     .variant = result->variant,
                                     .shape = result->line,
                                     .kind = -1,
                                     .seed = 1,
                                     .brief = true,
                                     .report = keep_failure,
                                     .user = result->repeat};
    struct verify_summary summary;
    enum status status = verify_ops(tester->store, &options, &summary);
    result->right = status == STATUS_OK;
    *refused = status == STATUS_DEVICE;
    tester->checked++;
    return status == STATUS_MISMATCH || status == STATUS_DEVICE ? STATUS_OK : status;
}

/* What the form would be checked with. False when it was before, or no case runs it. */
static bool find_check(struct tester *tester, const struct call *call, const struct form *form,
                       struct selftest_result *result) {
    result->variant = tester->lowering->variant;
    result->line = (char *)find_case(call, form, vk_facts(tester->device), tester->lowering);
    snprintf(result->op, sizeof result->op, "%s", call->op->name);
    snprintf(result->form, sizeof result->form, "%s", form->name);
    return result->line && !find(tester->selftest, result);
}

/* *usable: the form is not known to be wrong. */
static enum status check_form(struct tester *tester, const struct call *call, const struct form *form, bool *usable) {
    char repeat[sizeof((struct verify_result *)NULL)->repeat];
    struct selftest_result result = {.repeat = repeat};
    *usable = true;
    if (!find_check(tester, call, form, &result)) /* what was wrong is not chosen again */
        return STATUS_OK;
    snprintf(repeat, sizeof repeat, "resnet-vk verify --op %s --form %s --shape \"%s\"", result.op, result.form,
             result.line);
    bool refused;
    enum status status = check(tester, &result, &refused);
    if (status == STATUS_MEMORY) { /* the check may need more than the plan */
        log_info("%s: form %s is not checked: %s", result.op, result.form, status_message());
        return STATUS_OK;
    }
    TRY(status);
    TRY(add(tester->selftest, &result));
    *usable = result.right;
    tester->wrong += !result.right;
    if (!result.right)
        warn(&result, vk_describe(tester->device), refused ? "is refused by the driver" : "computes wrong numbers");
    return STATUS_OK;
}

/* Until a form is right. Without one, the plan says why; when it is because of failures, this does. */
static enum status check_call(struct tester *tester, const struct call *call) {
    const struct device_facts *facts = vk_facts(tester->device);
    bool usable = false;
    while (!usable) {
        const struct form *form = choose_form(call, facts, tester->options, tester->lowering);
        if (!form && !has_failure(tester->selftest, call->op))
            return STATUS_OK;
        if (!form)
            return fail(STATUS_MISMATCH,
                        "no form of %s computes right numbers on %s (%s): see 'resnet-vk verify --op %s'; update the "
                        "driver or choose another device",
                        call->op->name, facts->name, facts->driver, call->op->name);
        TRY(check_form(tester, call, form, &usable));
    }
    return STATUS_OK;
}

/* Has the device make the kernels of the lowering, which are compiled all together. What fails, fails again in check.
 */
static void prepare(struct tester *tester) {
    bool texels = vk_facts(tester->device)->prefers_texels;
    for (uint32_t d = 0; d < tester->lowering->count; d++) {
        const struct dispatch *dispatch = &tester->lowering->dispatches[d];
        struct vk_kernel *kernel;
        char name[64];
        snprintf(name, sizeof name, "%s.texels", dispatch->kernel);
        const char *chosen = texels && vk_kernel_exists(tester->device, name) ? name : dispatch->kernel;
        if (vk_kernel_get(tester->device, chosen, dispatch->constants, dispatch->constant_count,
                          dispatch->subgroup_size, &kernel) != STATUS_OK)
            return;
    }
}

/* Takes the call up if it is a new one. *pending: something about it must be checked. */
static enum status meet(struct tester *tester, const struct call *call, bool *pending) {
    struct distinct distinct = {.call = *call};
    if (!tuning_key(call, distinct.key))
        snprintf(distinct.key, sizeof distinct.key, "%s", call->op->name);
    for (size_t i = 0; i < tester->call_count; i++)
        if (strcmp(tester->calls[i].key, distinct.key) == 0)
            return STATUS_OK;
    struct selftest_result result;
    const struct form *form = choose_form(call, vk_facts(tester->device), tester->options, tester->lowering);
    bool unknown = form ? find_check(tester, call, form, &result) : has_failure(tester->selftest, call->op);
    if (form && unknown)
        prepare(tester);
    *pending |= unknown;
    TRY(memory_grow(&tester->calls, &tester->call_capacity, tester->call_count + 1, sizeof distinct));
    tester->calls[tester->call_count++] = distinct;
    return STATUS_OK;
}

static enum status check_graph(struct tester *tester, const struct graph *graph) {
    bool pending = false;
    TRY(memory_zeroed(1, sizeof *tester->lowering, &tester->lowering));
    for (size_t i = 0; i < graph->node_count; i++) {
        struct call call;
        graph_call(graph, i, &call);
        TRY(meet(tester, &call, &pending));
    }
    if (!pending)
        return STATUS_OK;
    log_info("the kernels of this run are checked, once for this device and driver");
    TRY(store_create(tester->device, &tester->store));
    vk_kernels_compile(tester->device);
    uint32_t wrong;
    do { /* after a failure other calls too take another form, which is then to be checked */
        wrong = tester->wrong;
        for (size_t i = 0; i < tester->call_count; i++)
            TRY(check_call(tester, &tester->calls[i].call));
    } while (tester->wrong != wrong);
    return STATUS_OK;
}

enum status selftest_run(struct selftest *selftest, struct vk_device *device, const struct graph *graph,
                         const struct plan_options *options) {
    uint64_t start_ns = clock_ns();
    struct tester tester = {.selftest = selftest, .device = device, .options = options};
    enum status status = check_graph(&tester, graph);
    if (tester.checked) {
        keep(selftest, vk_describe(device));
        log_info("%u checks of kernels in %.1f s: %u wrong", tester.checked, (double)(clock_ns() - start_ns) / 1e9,
                 tester.wrong);
    }
    store_destroy(tester.store);
    free(tester.lowering);
    free(tester.calls);
    return status;
}

/* api: verification. */
#include "api/internal.h"

#include "base/memory.h"
#include "train/check.h"

#include <string.h>

/* Hands results on, with the command that repeats a model's step. */
struct bridge {
    const struct rvk_verify_options *options;
    char repeat[1024];
};

static void report(void *user, const struct verify_result *result) {
    static const char *const outcomes[] = {
        [VERIFY_PASSED] = "passed", [VERIFY_FAILED] = "failed", [VERIFY_MISTRUSTED] = "mistrusted"};
    const struct bridge *bridge = user;
    struct rvk_verify_case out = {
        .op = result->op,
        .form = result->form,
        .variant = result->variant,
        .shape = result->shape,
        .data = data_kind_name(result->kind),
        .outcome = outcomes[result->outcome],
        .seed = result->seed,
        .worst = result->worst,
        .values = result->values,
        .failure = result->failure,
        .repeat = *bridge->repeat ? bridge->repeat : result->repeat,
    };
    if (bridge->options->on_case)
        bridge->options->on_case(bridge->options->user, &out);
}

static enum status find_kind(const char *name, int *kind) {
    *kind = name && *name ? data_kind_find(name) : -1;
    if (*kind < 0 && name && *name)
        return fail(STATUS_USAGE, "no kind of data is called '%s'; there are exact, random, hostile, adjoint", name);
    return STATUS_OK;
}

static enum status check_options(const struct rvk_verify_options *options) {
    if (options->shape && !options->op)
        return fail(STATUS_USAGE, "a shape needs the name of an op");
    if (options->form && !options->op)
        return fail(STATUS_USAGE, "a form needs the name of an op");
    if (options->variant && !options->form)
        return fail(STATUS_USAGE, "a variant needs the name of a form");
    if (options->op && (options->model || options->against))
        return fail(STATUS_USAGE, "an op and a model cannot be verified at once");
    if (options->against && !options->model)
        return fail(STATUS_USAGE, "a comparison with a file needs the name of the model");
    return STATUS_OK;
}

static void describe_repeat(struct bridge *bridge, uint32_t batch, uint32_t seed) {
    const struct rvk_verify_options *options = bridge->options;
    const char *style = api_text(options->style, "torch");
    char size[32] = "";
    if (options->size)
        snprintf(size, sizeof size, " --size %u", options->size);
    if (options->against)
        snprintf(bridge->repeat, sizeof bridge->repeat, "resnet-vk verify --model %s --style %s --against %s",
                 options->model, style, options->against);
    else if (options->model)
        snprintf(bridge->repeat, sizeof bridge->repeat, "resnet-vk verify --model %s --style %s --batch %u%s --seed %u",
                 options->model, style, batch, size, seed);
}

static enum status verify(struct store *store, const struct rvk_verify_options *options,
                          struct verify_summary *summary) {
    struct bridge bridge = {.options = options};
    struct verify_options verify_options = {
        .op = options->op,
        .form = options->form,
        .variant = options->variant,
        .shape = options->shape,
        .seed = options->seed,
        .all = options->all,
        .report = report,
        .user = &bridge,
    };
    struct model_options model;
    uint32_t batch = options->batch ? options->batch : 8, seed = options->seed ? options->seed : 1;
    TRY(check_options(options));
    TRY(find_kind(options->data, &verify_options.kind));
    TRY(api_model_options(options->model, options->style, options->size, &model));
    describe_repeat(&bridge, batch, seed);
    if (options->against)
        return check_against(store, &model, options->against, &verify_options, summary);
    if (options->model)
        return check_model(store, &model, batch, seed, &verify_options, summary);
    return verify_ops(store, &verify_options, summary);
}

enum rvk_status rvk_verify(struct rvk_context *context, const struct rvk_verify_options *options,
                           struct rvk_verify_summary *out) {
    static const struct rvk_verify_options defaults;
    struct store *store;
    struct verify_summary summary = {0};
    enum status status = store_create(context->device, &store);
    options = options ? options : &defaults;
    if (status == STATUS_OK && !options->against)
        status = api_require_kernels(context);
    if (status == STATUS_OK)
        status = verify(store, options, &summary);
    store_destroy(store);
    *out = (struct rvk_verify_summary){summary.passed, summary.failed, summary.mistrusted, summary.values,
                                       summary.seconds};
    return api_status(status);
}

/* api: tuning of the ops in a model's step. */
#include "api/internal.h"

#include "exec/tune.h"
#include "train/fit.h"

#include <string.h>

/* Hands on what the tuner tells. */
static struct rvk_tune_case convert(const struct tune_case *item) {
    return (struct rvk_tune_case){
        .name = item->key,
        .uses = item->uses,
        .rule = item->rule,
        .form = item->form,
        .variant = item->variant,
        .rule_ms = item->rule_ms,
        .ms = item->ms,
        .refused = item->refused,
        .measured = item->measured,
    };
}

static void on_start(void *user, uint32_t cases, uint32_t candidates) {
    const struct rvk_tune_options *options = user;
    if (options->on_start)
        options->on_start(options->user, cases, candidates);
}

static void on_candidate(void *user, uint32_t index, const struct tune_case *item, const char *form, uint32_t variant) {
    const struct rvk_tune_options *options = user;
    struct rvk_tune_case out = convert(item);
    if (options->on_candidate)
        options->on_candidate(options->user, index, &out, form, variant);
}

static void on_case(void *user, uint32_t index, const struct tune_case *item) {
    const struct rvk_tune_options *options = user;
    struct rvk_tune_case out = convert(item);
    if (options->on_case)
        options->on_case(options->user, index, &out);
}

static enum status find_phase(const char *name, enum step_kind *kind) {
    *kind = strcmp(name, "infer") == 0 ? STEP_PREDICT : STEP_TRAIN;
    if (*kind == STEP_TRAIN && strcmp(name, "train") != 0)
        return fail(STATUS_USAGE, "the phase must be train or infer, not '%s'", name);
    return STATUS_OK;
}

/* What is tuned is what can run: the whole step fits, or the sentence gives the largest batch. */
static enum status check_memory(const struct rvk_context *context, const struct model *model,
                                const struct step_options *step) {
    struct store *store;
    TRY(store_create(context->device, &store));
    const struct fit fit = {.store = store, .model = model, .step = *step, .own_images = true};
    enum status status = fit_check(&fit);
    store_destroy(store);
    return status;
}

static enum status make_step(const struct rvk_context *context, const struct rvk_tune_options *options,
                             struct model *model, struct step *step) {
    struct model_options model_options;
    struct step_options step_options;
    step_options_default(&step_options);
    step_options.batch = step_options.image_count = options->batch ? options->batch : 128;
    TRY(find_phase(api_text(options->phase, "train"), &step_options.kind));
    TRY(api_model_options(options->model, options->style, options->size, &model_options));
    TRY(model_create(&model_options, model));
    TRY(check_memory(context, model, &step_options));
    return step_create(model, &step_options, step);
}

static enum status tune(struct rvk_context *context, const struct rvk_tune_options *options, const struct graph *graph,
                        struct tune_summary *summary) {
    struct tune_options tune_options = {
        .budget = options->budget > 0 ? options->budget : 60,
        .path = context->tuning_path,
        .on_start = on_start,
        .on_candidate = on_candidate,
        .on_case = on_case,
        .user = (void *)options,
    };
    TRY(tune_graph(context->device, graph, &tune_options, summary));
    if (!context->tuning_path)
        return STATUS_OK;
    tuning_destroy(&context->tuning);
    tuning_read(context->tuning_path, vk_describe(context->device), &context->tuning);
    return STATUS_OK;
}

enum rvk_status rvk_tune(struct rvk_context *context, const struct rvk_tune_options *options,
                         struct rvk_tune_result *result) {
    static const struct rvk_tune_options defaults;
    struct model model = {0};
    struct step step = {0};
    struct tune_summary summary = {0};
    options = options ? options : &defaults;
    enum status status = api_require_kernels(context);
    if (status == STATUS_OK)
        status = make_step(context, options, &model, &step);
    if (status == STATUS_OK)
        status = tune(context, options, &step.graph, &summary);
    step_destroy(&step);
    model_destroy(&model);
    *result = (struct rvk_tune_result){summary.cases,   summary.measured, summary.chosen,  summary.refused,
                                       summary.rule_ms, summary.ms,       summary.seconds, ""};
    if (context->tuning_path)
        snprintf(result->path, sizeof result->path, "%s", context->tuning_path);
    return api_status(status);
}

/* api: measurement of a whole step on generated images, of one op, and of the device. */
#include "api/internal.h"

#include "base/memory.h"
#include "exec/bench.h"
#include "exec/peak.h"
#include "train/feed.h"
#include "train/fit.h"
#include "train/fold.h"
#include "train/parameters.h"

#include <string.h>

_Static_assert((int)RVK_BENCH_SAMPLES == (int)BENCH_SAMPLES, "public and internal numbers of samples differ");

struct bench {
    const struct tuning *tuning;
    struct selftest *selftest;
    struct store *store;
    struct bench_op op;
    /* otherwise */
    struct dataset images;
    struct model model;
    struct step step;
    struct plan *plan;
};

static void feed(void *user, struct plan *plan) {
    const struct step *step = &((const struct bench *)user)->step;
    uint32_t *indices = plan_input(plan, step->indices);
    memset(indices, 0, tensor_bytes(&step->graph.tensors[step->indices]));
    for (uint32_t i = 0; i < step->options.batch; i++)
        indices[i] = i;
    memset(plan_input(plan, step->clock), 0, tensor_bytes(&step->graph.tensors[step->clock]));
    if (step->options.kind == STEP_TRAIN) /* nothing is learnt: gradients that vanish are denormal, and slow on CPUs */
        step_hyper(&step->options, 0, 0, plan_input(plan, step->hyper));
}

static enum status make_images(struct bench *bench, uint32_t count, uint32_t size) {
    char spec[96];
    snprintf(spec, sizeof spec, "generated:count=%u,classes=10,size=%u,seed=1,channels=3", count, size);
    TRY(dataset_load(spec, true, &bench->images));
    TRY(feed_images(bench->store, NULL, count, &bench->images, 0, count));
    return feed_normalization(bench->store, &bench->images, count, false);
}

static enum status prepare(struct bench *bench, struct vk_device *device, const struct rvk_bench_options *options,
                           struct step_options *step) {
    struct model_options model;
    TRY(api_model_options(options->model, options->style, options->size, &model));
    TRY(model_create(&model, &bench->model));
    TRY(store_create(device, &bench->store));
    TRY(parameters_initialize(&bench->model, 1, bench->store));
    if (step->kind == STEP_PREDICT)
        TRY(fold_parameters(&bench->model, bench->store, &step->folded));
    step->image_count = step->batch;
    const struct fit fit = {
        .store = bench->store,
        .model = &bench->model,
        .step = *step,
        .own_images = true,
        .plan = {.timestamps = options->profile, .tuning = bench->tuning, .selftest = bench->selftest}};
    TRY(fit_check(&fit));
    TRY(make_images(bench, step->batch, bench->model.options.height));
    TRY(step_create(&bench->model, step, &bench->step));
    TRY(plan_create(bench->store, &bench->step.graph, &fit.plan, &bench->plan));
    if (options->plan)
        plan_print(bench->plan, options->plan);
    return STATUS_OK;
}

static enum status profile_step(struct bench *bench, const struct rvk_bench_options *options) {
    struct profile profile = {0};
    if (!options->profile)
        return STATUS_OK;
    TRY(profile_add(&profile, bench->plan));
    profile_finish(&profile);
    api_profile(&profile, options->on_profile, options->user);
    return options->trace ? profile_write_trace(bench->plan, options->trace) : STATUS_OK;
}

/* ---- results ---- */

void rvk_summarize(struct rvk_samples *samples) {
    struct bench_times times = {.count = samples->count};
    memcpy(times.ms, samples->ms, samples->count * sizeof *times.ms);
    bench_summarize(&times);
    samples->median = times.median;
    samples->min = times.min;
    samples->max = times.max;
    samples->spread = times.spread;
}

/* A step of the plan holds what is measured `repeats` times. */
static void sum_up(const struct bench *bench, const struct plan *plan, uint32_t repeats,
                   const struct bench_times *times, struct rvk_bench_result *result) {
    struct plan_numbers numbers = plan_numbers(plan);
    result->ms.count = times->count;
    result->ms.repeats = times->repeats * repeats;
    for (uint32_t i = 0; i < times->count; i++)
        result->ms.ms[i] = times->ms[i] / repeats;
    rvk_summarize(&result->ms);
    result->flops = numbers.flops / repeats;
    result->bytes = numbers.bytes / repeats;
    result->nodes = numbers.nodes / repeats;
    result->dispatches = numbers.dispatches / repeats;
    result->barriers = numbers.barriers / repeats;
    result->gflops = 1e-6 * result->flops / result->ms.median;
    result->gb_per_s = 1e-6 * result->bytes / result->ms.median;
    result->peak_bytes = vk_counters(store_device(bench->store)).device_bytes;
    result->lower_bound_bytes = numbers.lower_bound + numbers.persistent_bytes;
}

static void sum_up_step(const struct bench *bench, struct rvk_bench_result *result) {
    const struct step_options *step = &bench->step.options;
    double passes = step->kind == STEP_TRAIN ? 3 : 1;
    result->size = bench->model.options.height;
    result->images_per_s = 1e3 * step->batch / result->ms.median;
    result->gflops = 1e-6 * passes * 2 * bench->model.multiply_adds * step->batch / result->ms.median;
}

/* ---- options ---- */

static enum status find_phase(const char *name, enum step_kind *kind) {
    *kind = strcmp(name, "infer") == 0 ? STEP_PREDICT : STEP_TRAIN;
    if (*kind == STEP_TRAIN && strcmp(name, "train") != 0)
        return fail(STATUS_USAGE, "the phase must be train or infer, not '%s'", name);
    return STATUS_OK;
}

static enum status check_options(const struct rvk_bench_options *options) {
    if (options->op && !options->shape)
        return fail(STATUS_USAGE, "the op %s needs a shape such as \"x=128x32x32x16 weight=3x3x16x16 pad_top=1\"",
                    options->op);
    if (options->op && options->model)
        return fail(STATUS_USAGE, "an op and a model cannot be measured at once");
    if (options->variant && !options->form)
        return fail(STATUS_USAGE, "a variant needs the name of a form");
    if (!options->op && (options->shape || options->form))
        return fail(STATUS_USAGE, "a %s needs the name of an op", options->shape ? "shape" : "form");
    if (options->op && (options->profile || options->plan))
        return fail(STATUS_USAGE, "a profile or a plan needs a model, not an op");
    return STATUS_OK;
}

static enum status convert_options(const struct rvk_bench_options *options, struct step_options *step) {
    step_options_default(step);
    step->batch = options->batch ? options->batch : 128;
    step->weight_decay = 5e-4;
    step->decay = DECAY_KERNELS;
    step->recompute = options->recompute;
    TRY(find_phase(api_text(options->phase, "train"), &step->kind));
    if (step->kind == STEP_TRAIN)
        step->shift = 4, step->flip = true;
    return STATUS_OK;
}

/* ---- measurements ---- */

static enum status measure_step(struct bench *bench, struct vk_device *device, const struct rvk_bench_options *options,
                                struct bench_options *timing, struct rvk_bench_result *result) {
    struct step_options step;
    struct bench_times times;
    timing->feed = feed;
    timing->user = bench;
    TRY(convert_options(options, &step));
    TRY(prepare(bench, device, options, &step));
    TRY(bench_plan(bench->plan, timing, &times));
    sum_up(bench, bench->plan, 1, &times, result);
    sum_up_step(bench, result);
    return profile_step(bench, options);
}

static enum status measure_op(struct bench *bench, struct vk_device *device, const struct rvk_bench_options *options,
                              const struct bench_options *timing, struct rvk_bench_result *result) {
    struct bench_times times;
    TRY(store_create(device, &bench->store));
    struct plan_options choice = {.form = options->form, .variant = options->variant, .tuning = bench->tuning};
    TRY(bench_op_create(bench->store, options->op, options->shape, &choice, &bench->op));
    TRY(bench_plan(bench->op.plan, timing, &times));
    sum_up(bench, bench->op.plan, bench->op.repeats, &times, result);
    snprintf(result->form, sizeof result->form, "%s", plan_form(bench->op.plan, 0));
    result->variant = plan_variant(bench->op.plan, 0);
    return STATUS_OK;
}

static enum status measure(struct bench *bench, struct vk_device *device, const struct rvk_bench_options *options,
                           struct rvk_bench_result *result) {
    struct bench_options timing = {.warmup = options->warmup,
                                   .samples = options->samples,
                                   .seconds = options->seconds > 0 ? options->seconds : 10};
    TRY(check_options(options));
    if (options->op)
        return measure_op(bench, device, options, &timing, result);
    return measure_step(bench, device, options, &timing, result);
}

enum rvk_status rvk_bench(struct rvk_context *context, const struct rvk_bench_options *options,
                          struct rvk_bench_result *result) {
    static const struct rvk_bench_options defaults;
    struct bench bench = {.tuning = &context->tuning, .selftest = api_selftest(context)};
    *result = (struct rvk_bench_result){0};
    enum status status = measure(&bench, context->device, options ? options : &defaults, result);
    bench_op_destroy(&bench.op);
    plan_destroy(bench.plan);
    step_destroy(&bench.step);
    model_destroy(&bench.model);
    dataset_destroy(&bench.images);
    store_destroy(bench.store);
    return api_status(status);
}

enum rvk_status rvk_measure_peak(struct rvk_context *context, struct rvk_peak *out) {
    struct peak peak;
    enum status status = api_require_kernels(context);
    if (status == STATUS_OK)
        status = peak_measure(context->device, &peak);
    if (status == STATUS_OK)
        *out = (struct rvk_peak){1e-9 * peak.flops, 1e-9 * peak.read_bytes, 1e-9 * peak.copy_bytes,
                                 1e-9 * peak.best_bytes};
    return api_status(status);
}

/* api: measurement of a whole step on generated images. */
#include "api/internal.h"

#include "base/memory.h"
#include "exec/bench.h"
#include "train/feed.h"
#include "train/parameters.h"

#include <string.h>

struct bench {
    struct store *store;
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
    if (step->options.kind == STEP_TRAIN)
        step_hyper(&step->options, 0.1, 0, plan_input(plan, step->hyper));
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
    TRY(make_images(bench, step->batch, bench->model.options.height));
    TRY(parameters_initialize(&bench->model, 1, bench->store));
    step->image_count = step->batch;
    TRY(step_create(&bench->model, step, &bench->step));
    TRY(plan_create(bench->store, &bench->step.graph, &(struct plan_options){.timestamps = options->profile},
                    &bench->plan));
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

static void sum_up(const struct bench *bench, struct rvk_bench_result *result) {
    const struct step_options *step = &bench->step.options;
    struct bench_summary summary = bench_summarize(result->ms, result->count);
    struct plan_numbers numbers = plan_numbers(bench->plan);
    double passes = step->kind == STEP_TRAIN ? 3 : 1;
    result->size = bench->model.options.height;
    result->ms_median = summary.median_ms;
    result->ms_min = summary.min_ms;
    result->ms_max = summary.max_ms;
    result->images_per_s = 1e3 * step->batch / summary.median_ms;
    result->gflops = 1e-6 * passes * 2 * bench->model.multiply_adds * step->batch / summary.median_ms;
    result->peak_bytes = vk_counters(store_device(bench->store)).device_bytes;
    result->lower_bound_bytes = numbers.lower_bound + numbers.persistent_bytes;
}

static enum status find_phase(const char *name, enum step_kind *kind) {
    *kind = strcmp(name, "infer") == 0 ? STEP_PREDICT : STEP_TRAIN;
    if (*kind == STEP_TRAIN && strcmp(name, "train") != 0)
        return fail(STATUS_USAGE, "the phase must be train or infer, not '%s'", name);
    return STATUS_OK;
}

static enum status measure(struct bench *bench, struct vk_device *device, const struct rvk_bench_options *options,
                           struct rvk_bench_result *result) {
    struct step_options step;
    struct bench_options timing = {.warmup = options->warmup ? options->warmup : 3, .feed = feed, .user = bench};
    step_options_default(&step);
    step.batch = options->batch ? options->batch : 128;
    step.shift = 4;
    step.flip = true;
    step.weight_decay = 5e-4;
    step.decay = DECAY_KERNELS;
    TRY(find_phase(api_text(options->phase, "train"), &step.kind));
    if (step.kind == STEP_PREDICT)
        step.shift = 0, step.flip = false;
    timing.steps = result->count = options->samples ? options->samples : 10;
    if (timing.steps > RVK_BENCH_SAMPLES)
        return fail(STATUS_USAGE, "at most %d samples can be taken, not %u", RVK_BENCH_SAMPLES, timing.steps);
    TRY(prepare(bench, device, options, &step));
    TRY(bench_plan(bench->plan, &timing, result->ms));
    sum_up(bench, result);
    return profile_step(bench, options);
}

enum rvk_status rvk_bench(struct rvk_context *context, const struct rvk_bench_options *options,
                          struct rvk_bench_result *result) {
    static const struct rvk_bench_options defaults;
    struct bench bench = {0};
    *result = (struct rvk_bench_result){0};
    enum status status = measure(&bench, context->device, options ? options : &defaults, result);
    plan_destroy(bench.plan);
    step_destroy(&bench.step);
    model_destroy(&bench.model);
    dataset_destroy(&bench.images);
    store_destroy(bench.store);
    return api_status(status);
}

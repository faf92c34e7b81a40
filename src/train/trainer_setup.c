/* trainer: everything that happens before the first step. */
#include "train/trainer_internal.h"

#include "base/file.h"
#include "base/memory.h"
#include "train/feed.h"
#include "train/parameters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Height and width of the model's images when nothing else says it. */
static enum status usual_size(const struct trainer *trainer, uint32_t *size) {
    struct model_options options = trainer->options->model;
    struct model model;
    options.classes = trainer->training.classes;
    TRY(model_create(&options, &model));
    *size = model.options.height;
    model_destroy(&model);
    return STATUS_OK;
}

static enum status set_up_source(const struct trainer_pictures *pictures, struct source *source) {
    source->threads = pictures->threads;
    if (pictures->broken)
        source->broken_limit = pictures->broken == UINT32_MAX ? 0 : pictures->broken;
    return pictures->cache ? thumbnails_open(pictures->cache, &source->thumbnails) : STATUS_OK;
}

/* What the options leave open about pictures, now that they are known. */
static enum status settle_pictures(struct trainer *trainer) {
    const struct trainer_options *options = trainer->options;
    struct trainer_pictures *pictures = &trainer->pictures;
    uint32_t usual = 0;
    *pictures = options->pictures;
    trainer->mean_per_pixel = options->normalize == NORMALIZE_PIXEL;
    if (!trainer->training.source) {
        if (pictures->augments)
            return fail(STATUS_USAGE,
                        "the images of %s can be shifted and flipped; cropping, jitter and policies are "
                        "for pictures of folder:DIR or tar:FILE",
                        options->data);
        return dataset_choose_size(&trainer->training, pictures->size, 0);
    }
    TRY(set_up_source(pictures, trainer->training.source));
    TRY(set_up_source(pictures, trainer->test.source));
    TRY(usual_size(trainer, &usual));
    TRY(dataset_choose_size(&trainer->training, pictures->size, usual));
    trainer->test.height = trainer->test.width = trainer->training.height;
    trainer->test.whole = trainer->training.whole;
    if (pictures->augment_auto && !trainer->training.whole) {
        pictures->augments = true;
        pictures->augment = picture_augment_defaults;
    }
    return STATUS_OK;
}

static enum status load_data(struct trainer *trainer) {
    const struct trainer_options *options = trainer->options;
    struct dataset *training = &trainer->training, *test = &trainer->test;
    TRY(dataset_load(options->data, true, training));
    TRY(dataset_load(options->data, false, test));
    TRY(settle_pictures(trainer));
    if (options->train_limit)
        training->count = MIN(training->count, options->train_limit);
    if (options->test_limit)
        test->count = MIN(test->count, options->test_limit);
    trainer->train_count = dataset_split(training->count, options->validation_split);
    trainer->validation_count = training->count - trainer->train_count;
    return STATUS_OK;
}

static enum status count_steps(struct trainer *trainer) {
    const struct trainer_options *options = trainer->options;
    uint64_t images = (uint64_t)options->step.batch * options->step.accumulate;
    trainer->steps = (uint32_t)(trainer->train_count / images);
    trainer->images = (uint32_t)images;
    if (trainer->steps == 0)
        return fail(STATUS_USAGE, "%u training images of %s do not fill one step of %u batches of %u",
                    trainer->train_count, options->data, options->step.accumulate, options->step.batch);
    return STATUS_OK;
}

static enum status make_model(struct trainer *trainer) {
    struct model_options options = trainer->options->model;
    options.height = trainer->training.height;
    options.width = trainer->training.width;
    options.channels = trainer->training.channels;
    options.classes = trainer->training.classes;
    TRY(model_create(&options, &trainer->model));
    const char *until = trainer->options->freeze_until;
    size_t first = 0;
    if (until)
        TRY(model_find_layer(&trainer->model, until, &first));
    return model_freeze(&trainer->model, first);
}

/* The tensors of options->weights. Those of a last layer for other classes are not taken. */
static enum status match_weights(struct trainer *trainer) {
    const struct weights *weights = trainer->options->weights;
    const struct model *model = &trainer->model;
    char text[WEIGHTS_HEAD], *head = NULL;
    if (!weights || trainer->options->resume)
        return STATUS_OK;
    const struct safetensors_tensor *last = weights_find(weights, model->parameters[model_head(model)].name);
    if (last && last->rank > 0 && last->shape[0] != model->options.classes) {
        trainer->replaced_classes = (uint32_t)MIN(last->shape[0], UINT32_MAX);
        weights_head(model, text);
        head = text;
    }
    TRY(memory_zeroed(model->count, sizeof *trainer->tensors, &trainer->tensors));
    return weights_match(weights, model, head, trainer->tensors);
}

static void make_schedule(struct trainer *trainer) {
    trainer->schedule = trainer->options->schedule;
    trainer->schedule.steps = (uint64_t)trainer->options->epochs * trainer->steps;
    trainer->schedule.warmup = (uint64_t)llround(trainer->options->warmup_epochs * trainer->steps);
}

/* Of a streamed set, a sample tells mean and scale. */
static enum status make_normalization(struct trainer *trainer) {
    enum trainer_normalize normalize = trainer->options->normalize;
    const struct dataset *training = &trainer->training;
    struct dataset sample;
    if (trainer->options->normalized)
        return checkpoint_load_normalization(trainer->options->normalized, &trainer->model, trainer->store);
    if (normalize == NORMALIZE_IMAGENET || (normalize == NORMALIZE_AUTO && training->source))
        return feed_imagenet_normalization(trainer->store, training->channels);
    if (!training->source)
        return feed_normalization(trainer->store, training, trainer->train_count, trainer->mean_per_pixel);
    TRY(dataset_sample(training, trainer->train_count, &sample));
    enum status status = feed_normalization(trainer->store, &sample, sample.count, trainer->mean_per_pixel);
    dataset_destroy(&sample);
    return status;
}

/* Values in the store: parameters, optimizer state, normalization, images. */
static enum status make_values(struct trainer *trainer) {
    const struct trainer_options *options = trainer->options;
    const struct dataset *training = &trainer->training;
    if (!training->source)
        TRY(feed_images(trainer->store, NULL, trainer->train_count, training, 0, trainer->train_count));
    if (trainer->kept.bytes)
        return trainer_return(trainer);
    if (options->resume)
        return trainer_restore(trainer, options->resume);
    TRY(make_normalization(trainer));
    TRY(parameters_initialize(&trainer->model, options->seed, trainer->store));
    return trainer->tensors ? parameters_load(&trainer->model, trainer->tensors, trainer->store) : STATUS_OK;
}

/* The evaluation, and the training beside it. */
static void describe_steps(const struct trainer *trainer, struct fit *evaluation, struct fit *training) {
    const struct trainer_options *options = trainer->options;
    const struct plan_options plan = {
        .tuning = options->tuning, .selftest = options->selftest, .budget_ns = trainer->budget_ns};
    *evaluation = evaluator_fit(&trainer->model, trainer->store, STEP_EVALUATE, options->eval_batch,
                                trainer->mean_per_pixel, &plan);
    *training = (struct fit){
        .store = trainer->store, .model = &trainer->model, .step = options->step, .plan = plan, .beside = evaluation};
    training->step.kind = STEP_TRAIN;
    training->step.mean_per_pixel = trainer->mean_per_pixel;
    training->step.direct = training->own_images = trainer->training.source != NULL;
    training->step.image_count = training->step.direct ? options->step.batch : trainer->train_count;
    if (trainer->pictures.augment_auto && trainer->pictures.augments) { /* the crop has done both */
        training->step.shift = 0;
        training->step.flip = false;
    }
    training->plan.timestamps = options->profile;
}

static enum status check_memory(const struct trainer *trainer) {
    struct fit evaluation, training;
    describe_steps(trainer, &evaluation, &training);
    TRY(fit_check(&evaluation));
    return fit_check(&training);
}

static enum status make_plans(struct trainer *trainer) {
    struct fit evaluation, training;
    describe_steps(trainer, &evaluation, &training);
    TRY(evaluator_create(&evaluation, &trainer->evaluator));
    TRY(step_create(&trainer->model, &training.step, &trainer->step));
    return plan_create(trainer->store, &trainer->step.graph, &training.plan, &trainer->plan);
}

static enum status check_folder(const struct trainer_options *options) {
    static const char *const names[] = {"last.safetensors", "best.safetensors", "log.jsonl", "curve.svg"};
    char path[640];
    for (size_t i = 0; options->out && !options->resume && i < COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", options->out, names[i]);
        if (file_exists(path) && !options->overwrite)
            return fail(STATUS_USAGE,
                        "%s already holds a run; go on with --resume %s/last.safetensors, or replace it "
                        "with --overwrite",
                        options->out, options->out);
        if (file_exists(path) && unlink(path) != 0)
            return fail(STATUS_IO, "%s cannot be removed", path);
    }
    return STATUS_OK;
}

static uint64_t count_frozen(const struct trainer *trainer) {
    uint64_t count = 0;
    for (size_t i = 0; i < trainer->model.frozen; i++)
        if (trainer->model.parameters[i].class != PARAMETER_STATISTIC)
            count += shape_count(trainer->model.parameters[i].shape);
    return count;
}

static enum status announce(struct trainer *trainer) {
    const struct trainer_options *options = trainer->options;
    if (options->plan && !trainer->recovered)
        plan_print(trainer->plan, options->plan);
    struct trainer_run run = {
        .model = &trainer->model,
        .train_images = trainer->train_count,
        .validation_images = trainer->validation_count,
        .test_images = trainer->test.count,
        .steps = trainer->steps,
        .arena_bytes = plan_numbers(trainer->plan).arena_bytes,
        .device_bytes = vk_counters(trainer->device).device_bytes,
        .resumed_epoch = trainer->at.epoch,
        .resumed_step = trainer->at.step,
        .frozen = count_frozen(trainer),
        .replaced_classes = trainer->replaced_classes,
    };
    TRY(run_log_start(&trainer->log, trainer->device, &run, options->record));
    if (options->on_start && !trainer->recovered)
        options->on_start(options->user, &run);
    return STATUS_OK;
}

enum status trainer_open(struct trainer *trainer) {
    TRY(check_folder(trainer->options));
    TRY(load_data(trainer));
    TRY(count_steps(trainer));
    TRY(make_model(trainer));
    TRY(match_weights(trainer));
    make_schedule(trainer);
    TRY(memory_zeroed(trainer->train_count, sizeof *trainer->order, &trainer->order));
    if (trainer->training.source)
        TRY(loader_create(&trainer->training, trainer->options->step.batch, trainer->training.height,
                          &trainer->loader));
    return run_log_open(&trainer->log, trainer->options->out, !trainer->options->resume);
}

enum status trainer_load(struct trainer *trainer) {
    TRY(store_create(trainer->device, &trainer->store));
    TRY(check_memory(trainer));
    TRY(make_values(trainer));
    TRY(make_plans(trainer));
    TRY(announce(trainer));
    TRY(trainer_keep(trainer));
    return trainer_write(trainer, "last");
}

/* In multiples of 16, which fill the tiles of the kernels, unless so many do not fit. */
static enum status choose_batch(struct trainer *trainer, uint32_t *batch) {
    enum { MOST = 512, UNIT = 16 };
    struct fit evaluation, training;
    TRY(load_data(trainer));
    TRY(make_model(trainer));
    uint32_t images = trainer->train_count / trainer->options->step.accumulate;
    TRY(store_create(trainer->device, &trainer->store));
    describe_steps(trainer, &evaluation, &training);
    training.step.batch = 1;
    TRY(fit_check(&evaluation));
    TRY(fit_check(&training));
    TRY(fit_largest(&training, MAX(MIN(images, (uint32_t)MOST), 1), batch));
    if (*batch > UNIT)
        *batch -= *batch % UNIT;
    return STATUS_OK;
}

enum status trainer_choose_batch(struct vk_device *device, const struct trainer_options *options, uint32_t *batch) {
    struct trainer trainer = {.options = options, .device = device};
    enum status status = choose_batch(&trainer, batch);
    trainer_close(&trainer);
    return status;
}

void trainer_unload(struct trainer *trainer) {
    evaluator_destroy(&trainer->evaluator);
    plan_destroy(trainer->plan);
    step_destroy(&trainer->step);
    store_destroy(trainer->store);
    trainer->plan = NULL;
    trainer->store = NULL;
}

void trainer_close(struct trainer *trainer) {
    trainer_unload(trainer);
    loader_destroy(trainer->loader);
    run_log_close(&trainer->log);
    free(trainer->order);
    free(trainer->tensors);
    free(trainer->kept.bytes);
    model_destroy(&trainer->model);
    dataset_destroy(&trainer->training);
    dataset_destroy(&trainer->test);
}

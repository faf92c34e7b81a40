/* api: rvk_train, a bridge between the public structures and the trainer's. */
#include "api/internal.h"

#include "base/log.h"

#include "model/description.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct bridge {
    const struct rvk_train_options *options; /* with defaults */
    struct trainer_options trainer;
    struct checkpoint checkpoint; /* to resume, or the one that `weights` were read from */
    struct weights weights;
    uint32_t filters; /* of the first convolution, as the checkpoint or the weights have it; 0: the usual ones */
    const struct tuning *tuning;
    struct selftest *selftest;
    char *record, *folder, *description;
    void *keep;
};

static struct rvk_epoch convert_epoch(const struct trainer_epoch *epoch) {
    return (struct rvk_epoch){
        .epoch = epoch->epoch,
        .epochs = epoch->epochs,
        .step = epoch->step,
        .learning_rate = epoch->learning_rate,
        .train_loss = epoch->train_loss,
        .train_accuracy = epoch->train_accuracy,
        .validated = epoch->validated,
        .validation_loss = epoch->validation_loss,
        .validation_accuracy = epoch->validation_accuracy,
        .seconds = epoch->seconds,
        .images_per_second = epoch->images_per_second,
        .waited = epoch->waited,
        .best = epoch->best,
        .weights_hash = epoch->weights_hash,
    };
}

static void on_start(void *user, const struct trainer_run *run) {
    const struct rvk_train_options *options = ((struct bridge *)user)->options;
    struct rvk_run out = {
        .options = options,
        .model = run->model->name,
        .classes = run->model->options.classes,
        .trainable = run->model->trainable,
        .train_images = run->train_images,
        .validation_images = run->validation_images,
        .test_images = run->test_images,
        .steps = run->steps,
        .arena_bytes = run->arena_bytes,
        .device_bytes = run->device_bytes,
        .resumed_epoch = run->resumed_epoch,
        .resumed_step = run->resumed_step,
        .frozen = run->frozen,
        .replaced_classes = run->replaced_classes,
    };
    if (options->on_start)
        options->on_start(options->user, &out);
}

static void on_step(void *user, const struct trainer_progress *progress) {
    const struct rvk_train_options *options = ((struct bridge *)user)->options;
    struct rvk_progress out = {
        .epoch = progress->epoch,
        .epochs = progress->epochs,
        .step = progress->step,
        .steps = progress->steps,
        .loss = progress->loss,
        .accuracy = progress->accuracy,
        .learning_rate = progress->learning_rate,
        .images_per_second = progress->images_per_second,
        .seconds_left = progress->seconds_left,
        .waited = progress->waited,
    };
    if (options->on_step)
        options->on_step(options->user, &out);
}

static void on_evaluating(void *user, const struct trainer_evaluating *progress) {
    const struct rvk_train_options *options = ((struct bridge *)user)->options;
    struct rvk_evaluating out = {progress->test, progress->done, progress->count, progress->seconds};
    if (options->on_evaluating)
        options->on_evaluating(options->user, &out);
}

static void on_epoch(void *user, const struct trainer_epoch *epoch) {
    const struct rvk_train_options *options = ((struct bridge *)user)->options;
    struct rvk_epoch out = convert_epoch(epoch);
    if (options->on_epoch)
        options->on_epoch(options->user, &out);
}

static void on_profile(void *user, const struct profile *profile) {
    const struct rvk_train_options *options = ((struct bridge *)user)->options;
    api_profile(profile, options->on_profile, options->user);
}

static enum status should_stop(void *user) {
    const struct rvk_train_options *options = ((struct bridge *)user)->options;
    return options->should_stop ? (enum status)options->should_stop(options->user) : STATUS_OK;
}

/* From here on a described network is named by its description: its file is read once. */
static enum status keep_description(struct bridge *bridge, struct rvk_train_options *options) {
    struct description description;
    if (!description_is(options->model))
        return STATUS_OK;
    TRY(description_read(options->model, &description));
    options->model = bridge->description = description.text;
    return STATUS_OK;
}

/* "." for a file in the current folder. */
static enum status folder_of(const char *path, char **folder) {
    const char *slash = strrchr(path, '/');
    *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    return *folder ? STATUS_OK : fail(STATUS_MEMORY, "out of memory for the name of a folder");
}

/* Takes the run's options from the checkpoint, and its folder unless the caller named another one. */
static enum status recall(struct bridge *bridge, struct rvk_train_options *options) {
    uint32_t epochs = options->epochs;
    TRY(checkpoint_open(options->resume, &bridge->checkpoint));
    TRY(trainer_record(&bridge->checkpoint, &bridge->record));
    bridge->filters = bridge->checkpoint.model.filters;
    if (train_options_read(options, bridge->record, &bridge->keep) != STATUS_OK)
        return fail_prefix(STATUS_DATA, "%s", options->resume);
    free(bridge->record);
    bridge->record = NULL;
    options->epochs = epochs ? epochs : options->epochs;
    options->model = api_text(bridge->checkpoint.model.name, options->model);
    if (options->out)
        return STATUS_OK;
    TRY(folder_of(options->resume, &bridge->folder));
    options->out = bridge->folder;
    return STATUS_OK;
}

/* Opens the weights to begin with. What the caller does not say about the model is theirs, as is the normalization. */
static enum status adopt(struct bridge *bridge, struct rvk_train_options *options) {
    struct weights *weights = &bridge->weights;
    struct model_options model = {0};
    TRY(weights_open(options->weights, weights));
    if (weights->file_count == 1 && checkpoint_is(&weights->files[0])) {
        TRY(checkpoint_take(&weights->files[0], &bridge->checkpoint));
        model.name = bridge->checkpoint.model.name;
        model.style = bridge->checkpoint.model.style;
    }
    model.name = api_text(options->model, model.name);
    if (options->style && *options->style)
        TRY(model_style_find(options->style, &model.style));
    TRY(weights_describe(weights, &model, &model));
    options->model = model.name;
    options->style = model_style_name(model.style);
    options->normalize = api_text(options->normalize, "weights");
    bridge->filters = model.filters;
    return STATUS_OK;
}

/* "weights": as the checkpoint says it that is resumed or begun with; without one, as is usual for ImageNet. */
static enum status set_normalization(struct bridge *bridge, const struct rvk_train_options *options) {
    struct trainer_options *trainer = &bridge->trainer;
    const struct checkpoint *source = &bridge->checkpoint;
    if (strcmp(options->normalize, "weights") != 0)
        return STATUS_OK;
    if (!options->weights)
        return fail(STATUS_USAGE, "the normalization can be that of weights only when there are weights to begin with");
    static const enum trainer_normalize normalize[] = {[NORMALIZATION_NONE] = NORMALIZE_IMAGENET,
                                                       [NORMALIZATION_CHANNEL] = NORMALIZE_CHANNEL,
                                                       [NORMALIZATION_PIXEL] = NORMALIZE_PIXEL};
    trainer->normalize = normalize[source->normalization];
    trainer->normalized = source->normalization == NORMALIZATION_NONE ? NULL : source;
    return STATUS_OK;
}

/* The batch that fits into the device's memory: from here on it is an ordinary one, which a checkpoint records. */
static enum status choose_batch(struct vk_device *device, struct bridge *bridge, struct rvk_train_options *options) {
    TRY(trainer_choose_batch(device, &bridge->trainer, &options->batch));
    bridge->trainer.step.batch = options->batch;
    return STATUS_OK;
}

static enum status prepare(struct vk_device *device, struct bridge *bridge, struct rvk_train_options *options) {
    if (options->resume)
        TRY(recall(bridge, options));
    else if (options->weights)
        TRY(adopt(bridge, options));
    if (!options->resume)
        train_options_fill(options);
    TRY(keep_description(bridge, options));
    TRY(train_options_convert(options, &bridge->trainer));
    TRY(set_normalization(bridge, options));
    if (options->freeze_until && !options->weights)
        log_warn("what is before %s is frozen, but there are no weights to begin with: it stays as chance made it",
                 options->freeze_until);
    bridge->trainer.weights = options->resume || !options->weights ? NULL : &bridge->weights;
    bridge->trainer.model.filters = bridge->filters;
    bridge->trainer.tuning = bridge->tuning;
    bridge->trainer.selftest = bridge->selftest;
    if (options->batch == RVK_BATCH_AUTO)
        TRY(choose_batch(device, bridge, options));
    TRY(train_options_write(options, &bridge->record));
    struct trainer_options *trainer = &bridge->trainer;
    trainer->resume = options->resume ? &bridge->checkpoint : NULL;
    trainer->record = bridge->record;
    trainer->on_start = on_start;
    trainer->on_step = on_step;
    trainer->on_evaluating = on_evaluating;
    trainer->on_epoch = on_epoch;
    trainer->on_profile = on_profile;
    trainer->should_stop = should_stop;
    trainer->user = bridge;
    return STATUS_OK;
}

static void convert_result(const struct trainer_result *from, struct rvk_train_result *to) {
    *to = (struct rvk_train_result){
        .last = convert_epoch(&from->last),
        .best = convert_epoch(&from->best),
        .tested = from->tested,
        .test_loss = from->test_loss,
        .test_accuracy = from->test_accuracy,
        .steps = from->steps,
        .seconds = from->seconds,
        .waited = from->waited,
        .weights_hash = from->weights_hash,
        .growth = api_counters(&from->growth),
        .growth_known = from->growth_known,
    };
}

static enum status train(struct rvk_context *context, struct bridge *bridge, struct rvk_train_options *options,
                         struct rvk_train_result *out) {
    struct trainer_result result;
    bridge->tuning = &context->tuning;
    bridge->selftest = api_selftest(context);
    TRY(prepare(context->device, bridge, options));
    enum status status = trainer_run(context->device, &bridge->trainer, &result);
    convert_result(&result, out);
    if (status == STATUS_OK && result.tested && result.test_accuracy < options->target_accuracy)
        return fail(STATUS_MISMATCH, "the test accuracy %.4f is below the target %g", result.test_accuracy,
                    options->target_accuracy);
    return status;
}

enum rvk_status rvk_train(struct rvk_context *context, const struct rvk_train_options *options,
                          struct rvk_train_result *result) {
    struct rvk_train_options effective = options ? *options : (struct rvk_train_options){0};
    struct bridge bridge = {.options = &effective};
    enum status status = train(context, &bridge, &effective, result);
    checkpoint_close(&bridge.checkpoint);
    weights_close(&bridge.weights);
    json_decref(bridge.keep);
    free(bridge.record);
    free(bridge.folder);
    free(bridge.description);
    return api_status(status);
}

/* api: a trained model: evaluation and prediction. */
#include "api/internal.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/imagenet.h"
#include "model/description.h"
#include "model/family.h"
#include "train/evaluate.h"
#include "train/feed.h"
#include "train/fold.h"
#include "train/parameters.h"
#include "weights/weights.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct rvk_model {
    struct rvk_context *context;
    struct model model;
    struct store *store;
    char *data;
    json_t *class_names; /* an array; NULL: none are known */
    uint32_t batch;
    bool mean_per_pixel, folded;
    struct evaluator evaluate, predict; /* made when first used */
};

/* ---- loading ---- */

static enum status read_data_spec(const struct checkpoint *checkpoint, char **spec) {
    char *record;
    TRY(trainer_record(checkpoint, &record));
    json_t *options = json_loads(record, 0, NULL);
    const char *text = json_string_value(json_object_get(options, "data"));
    *spec = strdup(text ? text : "");
    json_decref(options);
    free(record);
    return *spec ? STATUS_OK : fail(STATUS_MEMORY, "out of memory for the name of the data set");
}

static enum status read_class_names(const struct checkpoint *checkpoint, json_t **names) {
    char *text;
    TRY(trainer_class_names(checkpoint, &text));
    *names = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    return STATUS_OK;
}

/* Whether the checkpoint is one of the model that the caller named, if any. */
static enum status check_name(const struct checkpoint *checkpoint, const char *name) {
    struct description given = {.text = NULL};
    if (name && description_is(name))
        TRY(description_read(name, &given));
    bool same = !name || strcmp(given.text ? given.text : name, checkpoint->model.name) == 0;
    free(given.text);
    return same ? STATUS_OK
                : fail(STATUS_USAGE, "%s is a checkpoint of %.160s, not of %.160s", checkpoint->file.path,
                       checkpoint->model.name, name);
}

static enum status load_checkpoint(struct rvk_model *model, const struct checkpoint *checkpoint, const char *name) {
    TRY(check_name(checkpoint, name));
    if (checkpoint->normalization == NORMALIZATION_NONE)
        return fail(STATUS_DATA, "%s does not say how images are normalized", checkpoint->file.path);
    model->mean_per_pixel = checkpoint->normalization == NORMALIZATION_PIXEL;
    TRY(read_data_spec(checkpoint, &model->data));
    TRY(read_class_names(checkpoint, &model->class_names));
    TRY(model_create(&checkpoint->model, &model->model));
    TRY(store_create(model->context->device, &model->store));
    return checkpoint_load(checkpoint, &model->model, model->store, CHECKPOINT_WEIGHTS);
}

/* What is not said beside the weights: the options say it, or the weights themselves. */
static enum status load_weights(struct rvk_model *model, const struct weights *weights,
                                const struct rvk_load_options *options) {
    const struct safetensors_tensor **tensors;
    struct model_options given;
    TRY(api_model_options(options->model, options->style, options->size, &given));
    given.name = api_text(options->model, NULL);
    TRY(weights_describe(weights, &given, &given));
    TRY(model_create(&given, &model->model));
    TRY(memory_zeroed(model->model.count, sizeof *tensors, &tensors));
    enum status status = weights_match(weights, &model->model, NULL, tensors);
    if (status == STATUS_OK)
        status = store_create(model->context->device, &model->store);
    if (status == STATUS_OK)
        status = parameters_load(&model->model, tensors, model->store);
    free(tensors);
    TRY(status);
    (model->model.family->large ? log_info : log_warn)(
        "%s does not say how images are normalized: it is done as is usual for ImageNet", weights->path);
    TRY(feed_imagenet_normalization(model->store, model->model.options.channels));
    return memory_zeroed(1, 1, &model->data);
}

static enum status load_file(struct rvk_model *model, const char *path, const struct rvk_load_options *options) {
    struct weights weights;
    struct checkpoint checkpoint = {0};
    enum status status;
    TRY(weights_open(path, &weights));
    if (weights.file_count == 1 && checkpoint_is(&weights.files[0])) {
        status = checkpoint_take(&weights.files[0], &checkpoint);
        if (status == STATUS_OK)
            status = load_checkpoint(model, &checkpoint, options->model);
    } else {
        status = load_weights(model, &weights, options);
    }
    checkpoint_close(&checkpoint);
    weights_close(&weights);
    return status;
}

static enum status load(struct rvk_context *context, const char *path, const struct rvk_load_options *options,
                        struct rvk_model **model) {
    TRY(memory_zeroed(1, sizeof **model, model));
    (*model)->context = context;
    (*model)->batch = options->batch ? options->batch : 256;
    TRY(load_file(*model, path, options));
    return fold_parameters(&(*model)->model, (*model)->store, &(*model)->folded);
}

enum rvk_status rvk_load_model(struct rvk_context *context, const char *path, const struct rvk_load_options *options,
                               struct rvk_model **model) {
    static const struct rvk_load_options defaults;
    *model = NULL;
    enum status status = load(context, path, options ? options : &defaults, model);
    if (status != STATUS_OK) {
        rvk_free_model(*model);
        *model = NULL;
    }
    return api_status(status);
}

void rvk_free_model(struct rvk_model *model) {
    if (!model)
        return;
    evaluator_destroy(&model->evaluate);
    evaluator_destroy(&model->predict);
    store_destroy(model->store);
    model_destroy(&model->model);
    free(model->data);
    json_decref(model->class_names);
    free(model);
}

void rvk_get_model_info(const struct rvk_model *model, struct rvk_model_info *info) {
    api_model_info(&model->model, info);
}

const char *rvk_model_data(const struct rvk_model *model) {
    return model->data;
}

const char *rvk_model_class_name(const struct rvk_model *model, uint32_t class_index) {
    uint32_t classes = model->model.options.classes;
    if (model->class_names && class_index < classes)
        return json_string_value(json_array_get(model->class_names, class_index));
    return classes == IMAGENET_CLASSES && !*model->data ? rvk_imagenet_class(class_index) : NULL;
}

/* ---- classes of a data set ---- */

static bool has_name(const struct rvk_model *model, uint32_t k, const char *name) {
    const char *own = rvk_model_class_name(model, k), *known = rvk_synset_name(name);
    return own && (strcmp(own, name) == 0 || (known && strcmp(own, known) == 0));
}

/* The model's class of that name; UINT32_MAX: there is none. `guess` is looked at first. */
static uint32_t find_class(const struct rvk_model *model, const char *name, uint32_t guess) {
    const uint32_t classes = model->model.options.classes;
    if (guess < classes && has_name(model, guess, name))
        return guess;
    for (uint32_t k = 0; k < classes; k++)
        if (has_name(model, k, name))
            return k;
    return UINT32_MAX;
}

/* By name where the model has all names of the data set, otherwise by number. */
static bool has_all_names(const struct rvk_model *model, const struct dataset *data) {
    for (uint32_t k = 0; k < data->classes; k++)
        if (!data->class_names || find_class(model, data->class_names[k], k) == UINT32_MAX)
            return false;
    return data->classes > 0;
}

uint32_t rvk_model_class(const struct rvk_model *model, const struct rvk_data *data, uint32_t class_index) {
    const struct dataset *set = &data->set;
    if (class_index >= set->classes)
        return UINT32_MAX;
    if (set->classes == model->model.options.classes && !has_all_names(model, set))
        return class_index;
    return set->class_names ? find_class(model, set->class_names[class_index], class_index) : UINT32_MAX;
}

/* Gives `data` labels of its own, free with free(), where its classes have other numbers than the model's. */
static enum status relabel(const struct rvk_model *model, struct dataset *data, uint32_t **labels) {
    const uint32_t classes = model->model.options.classes;
    bool same = data->classes == classes;
    *labels = NULL;
    if (!has_all_names(model, data)) {
        if (same && data->class_names && rvk_model_class_name(model, 0))
            log_warn("classes of %s have other names than the model's, so they are taken by their numbers", data->name);
        return STATUS_OK;
    }
    for (uint32_t k = 0; same && k < classes; k++)
        same = find_class(model, data->class_names[k], k) == k;
    if (same)
        return STATUS_OK;
    uint32_t *numbers;
    TRY(memory_zeroed(data->classes, sizeof *numbers, &numbers));
    for (uint32_t k = 0; k < data->classes; k++)
        numbers[k] = find_class(model, data->class_names[k], k);
    enum status status = memory_zeroed(data->count, sizeof **labels, labels);
    for (uint32_t i = 0; status == STATUS_OK && i < data->count; i++)
        (*labels)[i] = data->labels[i] < data->classes ? numbers[data->labels[i]] : UINT32_MAX;
    free(numbers);
    if (status == STATUS_OK) {
        data->labels = *labels;
        data->classes = classes;
    }
    return status;
}

/* ---- running ---- */

/* *count 0 becomes the number of images from `first` on. Only what is evaluated needs labels. */
static enum status check(const struct rvk_model *model, const struct dataset *data, uint32_t first, uint32_t *count,
                         bool labelled) {
    const struct model_options *options = &model->model.options;
    if (data->height != options->height || data->width != options->width || data->channels != options->channels ||
        (labelled && data->classes != options->classes))
        return fail(STATUS_USAGE, "%s has %ux%ux%u images of %u classes, the model takes %ux%ux%u of %u classes",
                    data->name, data->height, data->width, data->channels, data->classes, options->height,
                    options->width, options->channels, options->classes);
    if (first >= data->count || *count > data->count - first)
        return fail(STATUS_USAGE, "images %u to %u are not all in the %u images of %s", first,
                    first + (*count ? *count - 1 : 0), data->count, data->name);
    *count = *count ? *count : data->count - first;
    return STATUS_OK;
}

static enum status make_evaluator(struct rvk_model *model, enum step_kind kind, struct evaluator *evaluator) {
    if (evaluator->plan)
        return STATUS_OK;
    evaluator_destroy(evaluator);
    const struct plan_options plan = {.tuning = &model->context->tuning, .selftest = api_selftest(model->context)};
    struct fit fit = evaluator_fit(&model->model, model->store, kind, model->batch, model->mean_per_pixel, &plan);
    fit.step.folded = model->folded;
    return evaluator_create(&fit, evaluator);
}

struct watcher {
    enum rvk_status (*on_batch)(void *user, uint32_t done); /* may be NULL */
    void *user;
};

static enum status watch(void *user, uint32_t done) {
    const struct watcher *watcher = user;
    return watcher->on_batch ? (enum status)watcher->on_batch(watcher->user, done) : STATUS_OK;
}

static enum status evaluate(struct rvk_model *model, const struct dataset *data, uint32_t first, uint32_t count,
                            struct watcher *watcher, struct rvk_evaluation *out, struct rvk_answer *out_answers) {
    struct evaluation evaluation;
    struct answer *answers = NULL;
    TRY(check(model, data, first, &count, true));
    TRY(make_evaluator(model, STEP_EVALUATE, &model->evaluate));
    if (out_answers)
        TRY(memory_zeroed(count, sizeof *answers, &answers));
    enum status status = evaluator_run(&model->evaluate, data, first, count, watch, watcher, &evaluation, answers);
    if (status == STATUS_OK)
        *out = (struct rvk_evaluation){evaluation.loss, evaluation.accuracy, evaluation.count};
    for (uint32_t i = 0; status == STATUS_OK && out_answers && i < count; i++)
        out_answers[i] =
            (struct rvk_answer){answers[i].best == UINT32_MAX ? UINT32_MAX : data->labels[first + i], answers[i].best,
                                answers[i].rank, answers[i].best_probability, answers[i].true_probability};
    free(answers);
    return status;
}

enum rvk_status rvk_evaluate_batches(struct rvk_model *model, const struct rvk_data *data, uint32_t first,
                                     uint32_t count, enum rvk_status (*on_batch)(void *user, uint32_t done), void *user,
                                     struct rvk_evaluation *evaluation, struct rvk_answer *answers) {
    struct dataset set;
    struct watcher watcher = {on_batch, user};
    uint32_t *labels;
    api_data_for(data, &model->model.options, &set);
    enum status status = relabel(model, &set, &labels);
    if (status == STATUS_OK)
        status = evaluate(model, &set, first, count, &watcher, evaluation, answers);
    free(labels);
    return api_status(status);
}

enum rvk_status rvk_evaluate(struct rvk_model *model, const struct rvk_data *data, uint32_t first, uint32_t count,
                             struct rvk_evaluation *evaluation, struct rvk_answer *answers) {
    return rvk_evaluate_batches(model, data, first, count, NULL, NULL, evaluation, answers);
}

struct taker {
    enum rvk_status (*on_batch)(void *user, uint32_t first, uint32_t count, const float *probabilities);
    void *user;
};

static enum status take(void *user, uint32_t first, uint32_t count, const float *probabilities) {
    const struct taker *taker = user;
    return (enum status)taker->on_batch(taker->user, first, count, probabilities);
}

static enum status predict(struct rvk_model *model, const struct dataset *data, uint32_t first, uint32_t count,
                           struct taker *taker, double *waited) {
    TRY(check(model, data, first, &count, false));
    TRY(make_evaluator(model, STEP_PREDICT, &model->predict));
    return evaluator_predict(&model->predict, data, first, count, take, taker, waited);
}

enum rvk_status
rvk_predict_batches(struct rvk_model *model, const struct rvk_data *data, uint32_t first, uint32_t count,
                    enum rvk_status (*on_batch)(void *user, uint32_t first, uint32_t count, const float *probabilities),
                    void *user, double *waited) {
    struct dataset set;
    struct taker taker = {on_batch, user};
    api_data_for(data, &model->model.options, &set);
    return api_status(predict(model, &set, first, count, &taker, waited));
}

struct target {
    float *probabilities;
    uint32_t first, classes;
};

static enum rvk_status keep(void *user, uint32_t first, uint32_t count, const float *probabilities) {
    const struct target *target = user;
    memcpy(target->probabilities + (size_t)(first - target->first) * target->classes, probabilities,
           (size_t)count * target->classes * sizeof *probabilities);
    return RVK_OK;
}

enum rvk_status rvk_predict(struct rvk_model *model, const struct rvk_data *data, uint32_t first, uint32_t count,
                            float *probabilities) {
    struct target target = {probabilities, first, model->model.options.classes};
    return rvk_predict_batches(model, data, first, count, keep, &target, NULL);
}

#include "train/evaluate.h"

#include "base/clock.h"
#include "base/memory.h"
#include "data/loader.h"
#include "train/feed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct fit evaluator_fit(const struct model *model, struct store *store, enum step_kind kind, uint32_t batch,
                         bool mean_per_pixel, const struct plan_options *plan) {
    struct fit fit = {.store = store, .model = model, .own_images = true, .plan = *plan};
    step_options_default(&fit.step);
    fit.step.kind = kind;
    fit.step.batch = fit.step.image_count = batch;
    fit.step.set = "eval";
    fit.step.mean_per_pixel = mean_per_pixel;
    fit.step.keep_logits = kind == STEP_EVALUATE;
    fit.plan.slots = 1;
    return fit;
}

enum status evaluator_create(const struct fit *fit, struct evaluator *out) {
    *out = (struct evaluator){.store = fit->store};
    TRY(fit_check(fit));
    TRY(step_create(fit->model, &fit->step, &out->step));
    return plan_create(fit->store, &out->step.graph, &fit->plan, &out->plan);
}

void evaluator_destroy(struct evaluator *evaluator) {
    plan_destroy(evaluator->plan);
    step_destroy(&evaluator->step);
    *evaluator = (struct evaluator){0};
}

/* ---- images, a batch at a time ---- */

struct reader {
    const struct dataset *data;
    struct loader *loader; /* of a streamed set */
    uint32_t first, end, batch;
    uint64_t waited_ns; /* for the loader */
};

/* Of images [first, first + count). */
static enum status open_reader(const struct evaluator *evaluator, const struct dataset *data, uint32_t first,
                               uint32_t count, struct reader *reader) {
    const struct step *step = &evaluator->step;
    uint32_t size = step->graph.tensors[step->x].shape.d[H];
    *reader = (struct reader){.data = data, .first = first, .end = first + count, .batch = step->options.batch};
    if (!data->source)
        return STATUS_OK;
    TRY(loader_create(data, reader->batch, size, &reader->loader));
    const struct loader_pass pass = {
        .first = first, .count = count, .view = {.size = size, .whole = data->whole && data->height == size}};
    loader_start(reader->loader, &pass, 0);
    return STATUS_OK;
}

/* Writes the next batch of *count images to the device, and its indices. */
static enum status read_batch(struct reader *reader, struct evaluator *evaluator, uint32_t *count) {
    const struct step *step = &evaluator->step;
    uint32_t *indices = plan_input(evaluator->plan, step->indices);
    memset(indices, 0, tensor_bytes(&step->graph.tensors[step->indices]));
    *count = MIN(reader->batch, reader->end - reader->first);
    for (uint32_t i = 0; i < reader->batch; i++)
        indices[i] = i < *count ? i : FEED_EMPTY;
    struct dataset images = *reader->data;
    if (reader->loader) {
        struct loader_batch batch;
        const uint64_t start = clock_ns();
        TRY(loader_next(reader->loader, &batch));
        reader->waited_ns += clock_ns() - start;
        for (uint32_t i = 0; i < *count; i++)
            indices[i] = batch.indices[i] == UINT32_MAX ? FEED_EMPTY : i;
        images.images = batch.images;
        images.labels = batch.labels;
        images.height = images.width = step->graph.tensors[step->x].shape.d[H];
    }
    TRY(feed_images(evaluator->store, "eval", reader->batch, &images, reader->loader ? 0 : reader->first, *count));
    reader->first += *count;
    return STATUS_OK;
}

/* Answers the next batch; *indices: FEED_EMPTY where a place is. */
static enum status run_batch(struct reader *reader, struct evaluator *evaluator, uint32_t *count,
                             const uint32_t **indices) {
    const struct step *step = &evaluator->step;
    TRY(read_batch(reader, evaluator, count));
    *indices = plan_input(evaluator->plan, step->indices);
    memset(plan_input(evaluator->plan, step->clock), 0, tensor_bytes(&step->graph.tensors[step->clock]));
    TRY(plan_submit(evaluator->plan));
    return plan_collect(evaluator->plan);
}

static uint32_t largest(const float *values, uint32_t count) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

struct answer evaluate_answer(const float *logits, uint32_t classes, uint32_t target) {
    struct answer answer = {.best = largest(logits, classes)};
    const double highest = (double)logits[answer.best], own = (double)logits[target];
    double sum = 0; /* of exp(logit - highest) */
    for (uint32_t k = 0; k < classes; k++) {
        bool after = (double)logits[k] < own || ((double)logits[k] == own && k > target);
        answer.rank += !after && k != target;
        sum += exp((double)logits[k] - highest);
    }
    answer.best_probability = (float)(1 / sum);
    answer.true_probability = (float)(exp(own - highest) / sum);
    return answer;
}

/* What is said of each of `count` images with these labels; returns how many there are that are no empty places. */
static uint32_t answer(const struct evaluator *evaluator, const uint32_t *labels, const uint32_t *indices,
                       uint32_t count, struct answer *answers) {
    const struct step *step = &evaluator->step;
    const struct tensor *logits = &step->graph.tensors[step->logits];
    const float *row = plan_output(evaluator->plan, step->logits);
    uint32_t present = 0;
    for (uint32_t i = 0; i < count; i++, row += tensor_row(logits)) {
        present += indices[i] != FEED_EMPTY;
        if (answers && indices[i] == FEED_EMPTY)
            answers[i] = (struct answer){.best = UINT32_MAX, .rank = UINT32_MAX};
        else if (answers)
            answers[i] = evaluate_answer(row, logits->shape.d[C], labels[i]);
    }
    return present;
}

static enum status evaluate(struct evaluator *evaluator, struct reader *reader, evaluator_watch *watch, void *user,
                            struct evaluation *evaluation, struct answer *answers) {
    double loss = 0, correct = 0, penalty = 0;
    const uint32_t *labels = reader->data->labels + reader->first, *indices;
    uint32_t present = 0, count;
    for (uint32_t done = 0; reader->first < reader->end;) {
        TRY(run_batch(reader, evaluator, &count, &indices));
        const float *metrics = plan_output(evaluator->plan, evaluator->step.metrics);
        loss += metrics[0], correct += metrics[1], penalty = metrics[2];
        present += answer(evaluator, labels + done, indices, count, answers ? answers + done : NULL);
        done += count;
        if (watch)
            TRY(watch(user, done));
    }
    *evaluation = (struct evaluation){loss / present + penalty, correct / present, present};
    return STATUS_OK;
}

enum status evaluator_run(struct evaluator *evaluator, const struct dataset *data, uint32_t first, uint32_t count,
                          evaluator_watch *watch, void *user, struct evaluation *evaluation, struct answer *answers) {
    struct reader reader;
    TRY(open_reader(evaluator, data, first, count, &reader));
    enum status status = evaluate(evaluator, &reader, watch, user, evaluation, answers);
    loader_destroy(reader.loader);
    return status;
}

/* `dense`: room for a batch of probabilities. */
static enum status predict(struct evaluator *evaluator, struct reader *reader, evaluator_take *take, void *user,
                           float *dense) {
    const struct step *step = &evaluator->step;
    const struct tensor *output = &step->graph.tensors[step->probabilities];
    uint32_t classes = output->shape.d[C], count;
    const uint32_t *indices;
    while (reader->first < reader->end) {
        TRY(run_batch(reader, evaluator, &count, &indices));
        const float *row = plan_output(evaluator->plan, step->probabilities);
        for (uint32_t i = 0; i < count; i++, row += tensor_row(output))
            for (uint32_t k = 0; k < classes; k++)
                dense[(size_t)i * classes + k] = indices[i] == FEED_EMPTY ? NAN : row[k];
        TRY(take(user, reader->first - count, count, dense));
    }
    return STATUS_OK;
}

enum status evaluator_predict(struct evaluator *evaluator, const struct dataset *data, uint32_t first, uint32_t count,
                              evaluator_take *take, void *user, double *waited) {
    const struct step *step = &evaluator->step;
    const uint64_t start = clock_ns();
    struct reader reader;
    float *dense;
    TRY(memory_zeroed(shape_count(step->graph.tensors[step->probabilities].shape), sizeof *dense, &dense));
    enum status status = open_reader(evaluator, data, first, count, &reader);
    if (status == STATUS_OK)
        status = predict(evaluator, &reader, take, user, dense);
    if (waited)
        *waited = (double)reader.waited_ns / fmax((double)(clock_ns() - start), 1);
    loader_destroy(reader.loader);
    free(dense);
    return status;
}

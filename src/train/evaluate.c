#include "train/evaluate.h"

#include "base/memory.h"
#include "train/feed.h"

#include <math.h>
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

/* One batch of `count` <= batch images; the places after them stay empty. */
static enum status run_batch(struct evaluator *evaluator, const struct dataset *data, uint32_t first, uint32_t count) {
    const struct step *step = &evaluator->step;
    TRY(feed_images(evaluator->store, "eval", step->options.batch, data, first, count));
    uint32_t *indices = plan_input(evaluator->plan, step->indices);
    memset(indices, 0, tensor_bytes(&step->graph.tensors[step->indices]));
    for (uint32_t i = 0; i < step->options.batch; i++)
        indices[i] = i < count ? i : FEED_EMPTY;
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

enum status evaluator_run(struct evaluator *evaluator, const struct dataset *data, uint32_t first, uint32_t count,
                          struct evaluation *evaluation, struct answer *answers) {
    const struct step *step = &evaluator->step;
    const struct tensor *logits = &step->graph.tensors[step->logits];
    double loss = 0, correct = 0, penalty = 0;
    for (uint32_t done = 0, part; done < count; done += part) {
        part = MIN(step->options.batch, count - done);
        TRY(run_batch(evaluator, data, first + done, part));
        const float *metrics = plan_output(evaluator->plan, step->metrics);
        const float *row = plan_output(evaluator->plan, step->logits);
        loss += metrics[0], correct += metrics[1], penalty = metrics[2];
        for (uint32_t i = 0; answers && i < part; i++, row += tensor_row(logits))
            answers[done + i] = evaluate_answer(row, logits->shape.d[C], data->labels[first + done + i]);
    }
    *evaluation = (struct evaluation){.loss = loss / count + penalty, .accuracy = correct / count};
    return STATUS_OK;
}

enum status evaluator_predict(struct evaluator *evaluator, const struct dataset *data, uint32_t first, uint32_t count,
                              float *probabilities) {
    const struct step *step = &evaluator->step;
    const struct tensor *output = &step->graph.tensors[step->probabilities];
    uint32_t classes = output->shape.d[C];
    for (uint32_t done = 0, part; done < count; done += part) {
        part = MIN(step->options.batch, count - done);
        TRY(run_batch(evaluator, data, first + done, part));
        const float *row = plan_output(evaluator->plan, step->probabilities);
        for (uint32_t i = 0; i < part; i++, row += tensor_row(output))
            memcpy(probabilities + (size_t)(done + i) * classes, row, classes * sizeof *row);
    }
    return STATUS_OK;
}

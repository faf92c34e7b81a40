/* trainer: the loop. Batch k + 1 is submitted before the numbers of batch k are read. */
#include "train/trainer.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/diagnose.h"
#include "train/trainer_internal.h"

#include <math.h>
#include <string.h>

static double seconds_since(uint64_t ns) {
    return 1e-9 * (double)(clock_ns() - ns);
}

/* ---- one step ---- */

static uint64_t update_number(const struct trainer *trainer, uint32_t step) {
    return (uint64_t)trainer->at.epoch * trainer->steps + step;
}

double trainer_rate(const struct trainer *trainer, uint32_t step) {
    return schedule_rate(&trainer->schedule, &trainer->at.plateau, update_number(trainer, step));
}

/* Waits for the next batch of pictures, and counts the time in which the device waits too. */
static void await_pictures(struct trainer *trainer) {
    while (!loader_ready(trainer->loader, 0)) {
        bool idle = plan_idle(trainer->plan);
        uint64_t start = clock_ns();
        loader_ready(trainer->loader, 1000000);
        trainer->waited_ns += idle ? clock_ns() - start : 0;
    }
}

static void start_pictures(struct trainer *trainer, uint32_t batch) {
    const struct trainer_pictures *pictures = &trainer->pictures;
    const struct loader_pass pass = {
        .order = trainer->order,
        .count = trainer->steps * trainer->images,
        .stand_ins = trainer->train_count,
        .view = {.size = trainer->training.height,
                 .whole = trainer->training.whole,
                 .augment = pictures->augments ? &pictures->augment : NULL,
                 .seed = trainer->options->seed,
                 .epoch = trainer->at.epoch},
    };
    loader_start(trainer->loader, &pass, batch);
}

/* Images, labels and indices of batch `batch` of this epoch. */
static enum status write_pictures(struct trainer *trainer, uint32_t batch, uint32_t *indices) {
    struct loader_batch loaded;
    if (loader_at(trainer->loader) != batch)
        start_pictures(trainer, batch);
    await_pictures(trainer);
    TRY(loader_next(trainer->loader, &loaded));
    const struct step *step = &trainer->step;
    const struct shape image = step->graph.tensors[step->images].shape;
    memcpy(plan_input(trainer->plan, step->images), loaded.images, shape_count(image));
    uint32_t *labels = plan_input(trainer->plan, step->labels);
    memset(labels, 0, tensor_bytes(&step->graph.tensors[step->labels]));
    memcpy(labels, loaded.labels, loaded.count * sizeof *labels);
    memcpy(indices, loaded.indices, loaded.count * sizeof *indices);
    return STATUS_OK;
}

/* Everything that batch `batch` of this epoch takes from the host: a few hundred bytes, unless the set is streamed. */
static enum status write_inputs(struct trainer *trainer, uint32_t batch) {
    const struct step_options *options = &trainer->step.options;
    const struct graph *graph = &trainer->step.graph;
    uint32_t step = batch / options->accumulate;
    uint32_t *indices = plan_input(trainer->plan, trainer->step.indices);
    memset(indices, 0, tensor_bytes(&graph->tensors[trainer->step.indices]));
    if (trainer->loader)
        TRY(write_pictures(trainer, batch, indices));
    else
        memcpy(indices, trainer->order + (size_t)batch * options->batch, options->batch * sizeof *indices);
    const uint32_t clock[4] = {trainer->options->seed, trainer->at.epoch, batch, 0};
    memcpy(plan_input(trainer->plan, trainer->step.clock), clock, sizeof clock);
    if (trainer->step.mixture != TENSOR_NONE)
        mixture_choose(&options->mixture, trainer->options->seed, trainer->at.epoch, batch, options->batch,
                       trainer->model.options.height, trainer->model.options.width,
                       plan_input(trainer->plan, trainer->step.mixture));
    step_hyper(options, trainer_rate(trainer, step), update_number(trainer, 0) * options->accumulate + batch,
               plan_input(trainer->plan, trainer->step.hyper));
    return STATUS_OK;
}

static enum status submit_batch(struct trainer *trainer) {
    TRY(write_inputs(trainer, trainer->submitted));
    TRY(plan_submit(trainer->plan));
    trainer->submitted++;
    return STATUS_OK;
}

/* Repeats the batch whose loss was not finite, node by node. It and those behind it left the parameters as they were.
 */
static enum status name_culprit(struct trainer *trainer) {
    char culprit[256];
    while (plan_pending(trainer->plan))
        TRY(plan_collect(trainer->plan));
    TRY(write_inputs(trainer, trainer->collected));
    TRY(diagnose_step(&trainer->model, &trainer->step, trainer->store, trainer->plan, culprit, sizeof culprit));
    return fail(STATUS_NONFINITE, "the loss became non-finite in epoch %u, step %u: %s", trainer->at.epoch + 1,
                trainer->at.step + 1, *culprit ? culprit : "no op repeats it when the step is run alone");
}

static void report_step(struct trainer *trainer) {
    const struct trainer_options *options = trainer->options;
    const struct position *at = &trainer->at;
    double seconds = seconds_since(trainer->steps_ns), images = (double)at->step * trainer->images;
    uint64_t left = trainer->schedule.steps - update_number(trainer, at->step);
    uint32_t done = at->step - trainer->steps_first;
    struct trainer_progress progress = {
        .epoch = at->epoch + 1,
        .epochs = options->epochs,
        .step = at->step,
        .steps = trainer->steps,
        .loss = at->loss_sum / images,
        .accuracy = at->right_sum / images,
        .learning_rate = trainer_rate(trainer, at->step - 1),
        .images_per_second = done * (double)trainer->images / fmax(seconds, 1e-9),
        .seconds_left = seconds / done * (double)left,
        .waited = 1e-9 * (double)trainer->waited_ns / fmax(seconds, 1e-9),
    };
    if (options->on_step)
        options->on_step(options->user, &progress);
}

/* Counts what grows between the second step of the call and the end of that epoch's steps: nothing may. */
static void watch_counters(struct trainer *trainer) {
    if (trainer->call_steps == 2)
        trainer->counters = vk_counters(trainer->device);
    if (trainer->recovered || trainer->result->growth_known || trainer->call_steps <= 2 ||
        trainer->at.step < trainer->steps)
        return;
    struct vk_counters now = vk_counters(trainer->device), *before = &trainer->counters;
    trainer->result->growth_known = true;
    trainer->result->growth = (struct vk_counters){
        .allocations = now.allocations - before->allocations,
        .pipelines = now.pipelines - before->pipelines,
        .recordings = now.recordings - before->recordings,
        .submissions = now.submissions - before->submissions,
        .dispatches_recorded = now.dispatches_recorded - before->dispatches_recorded,
        .validation_messages = now.validation_messages - before->validation_messages,
        .device_bytes = now.device_bytes - before->device_bytes,
    };
}

/* Every epoch has about 20 parts in the log. */
static enum status log_part(struct trainer *trainer) {
    const uint32_t parts = 20, length = (uint32_t)ceil_div(trainer->steps, parts);
    const struct position *at = &trainer->at, *from = &trainer->part;
    if (at->step % length != 0 && at->step != trainer->steps)
        return STATUS_OK;
    double images = (double)(at->step - from->step) * trainer->images;
    TRY(run_log_part(&trainer->log, at->epoch + (double)at->step / trainer->steps, update_number(trainer, at->step),
                     (at->loss_sum - from->loss_sum) / images, (at->right_sum - from->right_sum) / images));
    trainer->part = *at;
    return STATUS_OK;
}

static enum status collect_batch(struct trainer *trainer) {
    TRY(plan_collect(trainer->plan));
    const float *metrics = plan_output(trainer->plan, trainer->step.metrics);
    if (!isfinite(metrics[0]) || !isfinite(metrics[2]))
        return name_culprit(trainer);
    trainer->at.loss_sum += (double)metrics[0] + (double)metrics[2] * trainer->step.options.batch;
    trainer->at.right_sum += (double)metrics[1];
    if (trainer->options->profile)
        TRY(profile_add(&trainer->profile, trainer->plan));
    if (++trainer->collected % trainer->step.options.accumulate != 0)
        return STATUS_OK;
    trainer->at.step++;
    trainer->call_steps++;
    watch_counters(trainer);
    report_step(trainer);
    return log_part(trainer);
}

/* ---- one epoch ---- */

/* Whether another batch may be submitted before step `end`. *reason and *halted say why not: only between steps. */
static bool may_submit(const struct trainer *trainer, uint32_t end, enum status *reason, bool *halted) {
    const struct trainer_options *options = trainer->options;
    uint32_t steps = trainer->submitted / trainer->step.options.accumulate;
    if (trainer->submitted % trainer->step.options.accumulate != 0)
        return true;
    if (steps == end)
        return false;
    uint64_t begun = trainer->call_steps + (steps - trainer->at.step);
    *reason = options->should_stop ? options->should_stop(options->user) : STATUS_OK;
    *halted = *reason != STATUS_OK || (options->stop_after && begun >= options->stop_after);
    return !*halted;
}

/* Steps up to `end`, or until training shall stop; nothing is pending afterwards. */
static enum status run_until(struct trainer *trainer, uint32_t end, enum status *reason, bool *halted) {
    for (bool more = true; more || plan_pending(trainer->plan);) {
        more = more && may_submit(trainer, end, reason, halted);
        if (more)
            TRY(submit_batch(trainer));
        if (plan_pending(trainer->plan) > (more ? plan_slots(trainer->plan) - 1 : 0))
            TRY(collect_batch(trainer));
    }
    return STATUS_OK;
}

static enum status save_last(struct trainer *trainer) {
    TRY(trainer_keep(trainer));
    return trainer_write(trainer, "last");
}

/* The step before which a checkpoint is due; the end of the epoch at the latest. */
static uint32_t next_save(const struct trainer *trainer) {
    uint64_t every = trainer->options->save_steps;
    return every ? (uint32_t)MIN((trainer->at.step / every + 1) * every, trainer->steps) : trainer->steps;
}

/* Steps up to the end of the epoch, or until training shall stop, saving on the way. */
static enum status run_steps(struct trainer *trainer, enum status *reason, bool *halted) {
    if (trainer->loader)
        loader_stop(trainer->loader); /* it reads the order */
    order_shuffle(trainer->order, trainer->train_count, trainer->options->seed, trainer->at.epoch);
    trainer->steps_first = trainer->at.step;
    trainer->submitted = trainer->collected = trainer->at.step * trainer->step.options.accumulate;
    trainer->steps_ns = clock_ns();
    trainer->waited_ns = 0;
    trainer->part = trainer->at;
    TRY(run_until(trainer, next_save(trainer), reason, halted));
    while (!*halted && trainer->at.step < trainer->steps) {
        TRY(save_last(trainer));
        TRY(run_until(trainer, next_save(trainer), reason, halted));
    }
    trainer->all_waited_ns += trainer->waited_ns;
    trainer->all_steps_ns += clock_ns() - trainer->steps_ns;
    return STATUS_OK;
}

struct watch {
    const struct trainer_options *options;
    struct trainer_evaluating progress;
    uint64_t start_ns;
};

static enum status report_evaluating(void *user, uint32_t done) {
    struct watch *watch = user;
    watch->progress.done = done;
    watch->progress.seconds = seconds_since(watch->start_ns);
    if (watch->options->on_evaluating)
        watch->options->on_evaluating(watch->options->user, &watch->progress);
    return STATUS_OK;
}

/* Images [first, first + count): those of validation, or of the test. */
static enum status evaluate(struct trainer *trainer, bool test, uint32_t first, uint32_t count,
                            struct evaluation *evaluation) {
    struct watch watch = {trainer->options, {.test = test, .count = count}, clock_ns()};
    return evaluator_run(&trainer->evaluator, test ? &trainer->test : &trainer->training, first, count,
                         report_evaluating, &watch, evaluation, NULL);
}

static enum status validate(struct trainer *trainer, struct trainer_epoch *epoch) {
    if (!trainer->validation_count)
        return STATUS_OK;
    struct evaluation evaluation;
    TRY(evaluate(trainer, false, trainer->train_count, trainer->validation_count, &evaluation));
    epoch->validated = true;
    epoch->validation_loss = evaluation.loss;
    epoch->validation_accuracy = evaluation.accuracy;
    return STATUS_OK;
}

/* By validation accuracy, then validation loss; without validation images by training loss. */
static bool is_better(const struct trainer_epoch *epoch, const struct trainer_epoch *best) {
    if (best->epoch == 0)
        return true;
    if (!epoch->validated)
        return epoch->train_loss < best->train_loss;
    if (epoch->validation_accuracy != best->validation_accuracy)
        return epoch->validation_accuracy > best->validation_accuracy;
    return epoch->validation_loss < best->validation_loss;
}

static struct trainer_epoch sum_up(const struct trainer *trainer) {
    double images = (double)trainer->steps * trainer->images;
    double seconds = seconds_since(trainer->steps_ns);
    double here = (double)(trainer->steps - trainer->steps_first) * trainer->images;
    return (struct trainer_epoch){
        .epoch = trainer->at.epoch + 1,
        .epochs = trainer->options->epochs,
        .step = update_number(trainer, trainer->steps),
        .learning_rate = trainer_rate(trainer, trainer->steps - 1),
        .train_loss = trainer->at.loss_sum / images,
        .train_accuracy = trainer->at.right_sum / images,
        .seconds = seconds,
        .images_per_second = here / fmax(seconds, 1e-9),
        .waited = 1e-9 * (double)trainer->waited_ns / fmax(seconds, 1e-9),
    };
}

/* Moves the position to the beginning of the next epoch. */
static void advance(struct trainer *trainer, struct trainer_epoch *epoch) {
    struct position *at = &trainer->at;
    epoch->best = is_better(epoch, &at->best);
    at->stale = epoch->best ? 0 : at->stale + 1;
    if (epoch->best)
        at->best = *epoch;
    plateau_epoch(&at->plateau, trainer->schedule.patience,
                  epoch->validated ? epoch->validation_loss : epoch->train_loss);
    at->epoch++;
    at->step = 0;
    at->loss_sum = at->right_sum = 0;
}

/* The last one is written last: whoever resumes from it can rely on the others, or writes them again. */
static enum status write_epoch(const struct trainer *trainer, bool best) {
    const struct trainer_options *options = trainer->options;
    char name[32];
    snprintf(name, sizeof name, "epoch-%04u", trainer->at.epoch);
    if (best)
        TRY(trainer_write(trainer, "best"));
    if (options->save_every && trainer->at.epoch % options->save_every == 0)
        TRY(trainer_write(trainer, name));
    return trainer_write(trainer, "last");
}

static enum status finish_epoch(struct trainer *trainer) {
    struct trainer_epoch epoch = sum_up(trainer);
    TRY(validate(trainer, &epoch));
    advance(trainer, &epoch);
    TRY(trainer_keep(trainer));
    epoch.weights_hash = trainer->kept.weights_hash;
    trainer->result->last = epoch;
    if (epoch.best)
        trainer->at.best = epoch;
    TRY(run_log_epoch(&trainer->log, &epoch));
    TRY(write_epoch(trainer, epoch.best));
    if (trainer->options->on_epoch)
        trainer->options->on_epoch(trainer->options->user, &epoch);
    return STATUS_OK;
}

/* ---- the whole run ---- */

static bool finished(const struct trainer *trainer) {
    const struct trainer_options *options = trainer->options;
    return trainer->at.epoch >= options->epochs || (options->early_stop && trainer->at.stale >= options->early_stop);
}

static enum status test(struct trainer *trainer) {
    struct evaluation evaluation;
    TRY(evaluate(trainer, true, 0, trainer->test.count, &evaluation));
    trainer->result->tested = true;
    trainer->result->test_loss = evaluation.loss;
    trainer->result->test_accuracy = evaluation.accuracy;
    return run_log_test(&trainer->log, evaluation.loss, evaluation.accuracy);
}

static enum status report_profile(struct trainer *trainer) {
    const struct trainer_options *options = trainer->options;
    if (!options->profile || trainer->profile.steps == 0)
        return STATUS_OK;
    trainer->profile.steps /= trainer->step.options.accumulate; /* what was added were batches */
    profile_finish(&trainer->profile);
    if (options->on_profile)
        options->on_profile(options->user, &trainer->profile);
    return options->trace ? profile_write_trace(trainer->plan, options->trace) : STATUS_OK;
}

static enum status run(struct trainer *trainer) {
    enum status reason = STATUS_OK;
    bool halted = false;
    TRY(trainer_load(trainer));
    while (!finished(trainer) && !halted) {
        TRY(run_steps(trainer, &reason, &halted));
        if (trainer->at.step == trainer->steps)
            TRY(finish_epoch(trainer));
        else
            TRY(save_last(trainer));
    }
    TRY(report_profile(trainer));
    if (!halted)
        return test(trainer);
    TRY(run_log_stop(&trainer->log, update_number(trainer, trainer->at.step), trainer->kept.weights_hash));
    return reason == STATUS_OK ? reason
                               : fail(reason, "stopped in epoch %u after step %u of %u", trainer->at.epoch + 1,
                                      trainer->at.step, trainer->steps);
}

/*
 * Once, with shorter submissions: a long one is the most likely reason. Everything random is a function of seed, epoch
 * and image, so the repeated steps give the bits that were lost.
 */
static enum status recover(struct trainer *trainer) {
    TRY(run_log_lost(&trainer->log, status_message()));
    log_warn("%s; the device is opened again and training goes on from the last state kept, at most one "
             "epoch ago",
             status_message());
    trainer_unload(trainer);
    TRY(vk_recover(trainer->device));
    trainer->recovered = true;
    trainer->budget_ns = PLAN_BUDGET_NS / 2;
    enum status status = run(trainer);
    return status == STATUS_LOST ? fail_more(status, "; it was the second time in this run") : status;
}

enum status trainer_run(struct vk_device *device, const struct trainer_options *options,
                        struct trainer_result *result) {
    *result = (struct trainer_result){0};
    struct trainer trainer = {.options = options, .result = result, .device = device, .call_ns = clock_ns()};
    enum status status = trainer_open(&trainer);
    if (status == STATUS_OK)
        status = run(&trainer);
    if (status == STATUS_LOST)
        status = recover(&trainer);
    result->best = trainer.at.best;
    result->steps = update_number(&trainer, trainer.at.step);
    result->weights_hash = trainer.kept.weights_hash;
    result->seconds = seconds_since(trainer.call_ns);
    result->waited = (double)trainer.all_waited_ns / fmax((double)trainer.all_steps_ns, 1);
    trainer_close(&trainer);
    return status;
}

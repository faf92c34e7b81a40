/* check: the step against the reference. The comparison with a file is in check_file.c. */
#include "train/check.h"

#include "base/memory.h"
#include "base/random.h"
#include "exec/plan.h"
#include "train/fit.h"
#include "train/parameters.h"
#include "train/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_IMAGES = 1000, STREAM_LABELS, STREAM_STATE };

/* Moves what starts as zeros and ones (biases, gammas, running statistics, velocity) to where mistakes show. */
static enum status disturb(const struct model *model, struct store *store, uint32_t seed, const char *root,
                           bool only_vectors) {
    for (size_t p = 0; p < model->count; p++) {
        const struct parameter *parameter = &model->parameters[p];
        uint64_t count = shape_count(parameter->shape);
        double *values;
        if (only_vectors && parameter->class != PARAMETER_VECTOR && parameter->class != PARAMETER_STATISTIC)
            continue;
        if (!only_vectors && parameter->class == PARAMETER_STATISTIC)
            continue;
        TRY(memory_zeroed(count, sizeof *values, &values));
        enum status status = only_vectors ? parameters_read(model, store, root, p, values) : STATUS_OK;
        for (uint64_t i = 0; i < count; i++)
            values[i] += 0.1 * fabs(random_normal(seed, STREAM_STATE + (uint32_t)p, (uint32_t)i));
        if (status == STATUS_OK)
            status = parameters_write(model, store, root, p, values);
        free(values);
        TRY(status);
    }
    return STATUS_OK;
}

static enum status write_images(struct plan *plan, const struct step *step, uint32_t seed) {
    const struct tensor *x = &step->graph.tensors[step->x];
    uint64_t count = shape_count(x->shape);
    double *dense;
    TRY(memory_zeroed(count, sizeof *dense, &dense));
    for (uint64_t i = 0; i < count; i++)
        dense[i] = random_normal(seed, STREAM_IMAGES, (uint32_t)i);
    tensor_store(x, dense, plan_input(plan, step->x));
    free(dense);
    return STATUS_OK;
}

static enum status write_inputs(struct plan *plan, const struct step *step, uint32_t seed) {
    uint32_t classes = step->graph.tensors[step->logits].shape.d[C];
    uint32_t *target = plan_input(plan, step->target);
    TRY(write_images(plan, step, seed));
    memset(target, 0, tensor_bytes(&step->graph.tensors[step->target]));
    for (uint32_t i = 0; i < step->options.batch; i++)
        target[i] = random_below(seed, STREAM_LABELS, i, classes);
    if (step->options.batch > 1) /* as in a last batch that is not full */
        target[step->options.batch - 1] = UINT32_MAX;
    step_hyper(&step->options, 0.1, 0, plan_input(plan, step->hyper));
    return STATUS_OK;
}

static enum status check(const struct model *model, const struct step *step, struct store *store, uint32_t seed,
                         const struct verify_options *verify, struct verify_summary *summary) {
    struct plan *plan;
    enum status status = plan_create(store, &step->graph, NULL, &plan);
    if (status == STATUS_OK)
        status = parameters_initialize(model, seed, store);
    if (status == STATUS_OK)
        status = disturb(model, store, seed, "parameters", true);
    if (status == STATUS_OK)
        status = disturb(model, store, seed, "optimizer.velocity", false);
    if (status == STATUS_OK)
        status = write_inputs(plan, step, seed);
    if (status == STATUS_OK)
        status = verify_graph(plan, &step->graph, verify, summary);
    plan_destroy(plan);
    return status;
}

enum status check_model(struct store *store, const struct model_options *options, uint32_t batch, uint32_t seed,
                        const struct verify_options *verify, struct verify_summary *summary) {
    struct model model;
    struct step step = {0};
    struct step_options step_options;
    step_options_default(&step_options);
    step_options.kind = STEP_TRAIN;
    step_options.batch = batch;
    step_options.weight_decay = 1e-4;
    TRY(model_create(options, &model));
    enum status status = fit_check(&(struct fit){.store = store, .model = &model, .step = step_options});
    if (status == STATUS_OK)
        status = step_create(&model, &step_options, &step);
    if (status == STATUS_OK)
        status = check(&model, &step, store, seed, verify, summary);
    step_destroy(&step);
    model_destroy(&model);
    return status;
}

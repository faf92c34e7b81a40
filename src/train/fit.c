#include "train/fit.h"

#include "base/memory.h"

#include <stdio.h>

static struct step_options with_batch(const struct fit *fit, uint32_t batch) {
    struct step_options options = fit->step;
    options.batch = batch;
    options.image_count = fit->own_images ? batch : options.image_count;
    return options;
}

/* Bytes that a step of `batch` images still needs on the device, with what is beside it. */
static enum status measure(const struct fit *fit, uint32_t batch, uint64_t *bytes) {
    struct plan_request requests[2] = {{NULL, NULL}, {NULL, NULL}};
    struct step steps[2];
    size_t count = 0;
    enum status status = STATUS_OK;
    for (const struct fit *part = fit; part && count < COUNT(steps) && status == STATUS_OK; part = part->beside) {
        struct step_options options = with_batch(part, part == fit ? batch : part->step.batch);
        status = step_create(part->model, &options, &steps[count]);
        requests[count] = (struct plan_request){&steps[count].graph, &part->plan};
        count++;
    }
    if (status == STATUS_OK)
        status = plan_measure(fit->store, requests, count, bytes);
    while (count > 0)
        step_destroy(&steps[--count]);
    return status;
}

/* A tensor that is too large for an allocation, or for every form of its op, does not fit either. */
static bool is_size(enum status status) {
    return status == STATUS_MEMORY || status == STATUS_DEVICE;
}

static enum status passes(const struct fit *fit, uint32_t batch, bool *fits) {
    uint64_t bytes = 0;
    enum status status = measure(fit, batch, &bytes);
    *fits = status == STATUS_OK && bytes <= vk_memory_left(store_device(fit->store));
    return is_size(status) ? STATUS_OK : status;
}

enum status fit_largest(const struct fit *fit, uint32_t most, uint32_t *batch) {
    uint32_t fit_below = 0, above = most + 1; /* the answer is in [fit_below, above) */
    for (uint32_t next = most; above - fit_below > 1; next = fit_below + (above - fit_below) / 2) {
        bool fits;
        TRY(passes(fit, next, &fits));
        *(fits ? &fit_below : &above) = next;
    }
    *batch = fit_below;
    return STATUS_OK;
}

static const char *describe(enum step_kind kind) {
    return kind == STEP_TRAIN ? "training" : kind == STEP_EVALUATE ? "evaluating" : "predicting";
}

/* Says why fit->step.batch images do not fit, and how many would. `status`: of measuring; `reason`: its sentence. */
static enum status refuse(const struct fit *fit, enum status status, const char *reason, uint64_t bytes,
                          uint64_t left) {
    const struct device_facts *facts = vk_facts(store_device(fit->store));
    char advice[64] = "not even a batch of 1 fits", beside[48] = "";
    uint32_t largest = 0;
    if (fit->step.batch > 1)
        TRY(fit_largest(fit, fit->step.batch - 1, &largest));
    if (status == STATUS_DEVICE && !largest) /* it is not the size */
        return fail(status, "%s", reason);
    if (largest)
        snprintf(advice, sizeof advice, "the largest batch that fits is %u", largest);
    if (fit->beside)
        snprintf(beside, sizeof beside, ", and %u to evaluate,", fit->beside->step.batch);
    if (status != STATUS_OK)
        return fail(STATUS_MEMORY, "%s %s with a batch of %u%s on %s: %s; %s", describe(fit->step.kind),
                    fit->model->name, fit->step.batch, beside, facts->name, reason, advice);
    return fail(STATUS_MEMORY, "%s %s with a batch of %u%s needs %.1f MB, but %.1f MB are left on %s: %s",
                describe(fit->step.kind), fit->model->name, fit->step.batch, beside, 1e-6 * (double)bytes,
                1e-6 * (double)left, facts->name, advice);
}

enum status fit_check(const struct fit *fit) {
    uint64_t bytes = 0, left = vk_memory_left(store_device(fit->store));
    char reason[512];
    enum status status = measure(fit, fit->step.batch, &bytes);
    if ((status == STATUS_OK && bytes <= left) || (status != STATUS_OK && !is_size(status)))
        return status;
    snprintf(reason, sizeof reason, "%s", status_message());
    return refuse(fit, status, reason, bytes, left);
}

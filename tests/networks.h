/*
 * networks: makes models and steps for tests; a failure to make one fails the test with its sentence.
 */
#ifndef RVK_TESTS_NETWORKS_H
#define RVK_TESTS_NETWORKS_H

#include "model/model.h"
#include "train/step.h"

#include "support.h"

static inline struct model create(struct model_options options) {
    struct model model;
    if (model_create(&options, &model) != STATUS_OK)
        fail_msg("%s", status_message());
    return model;
}

#define MODEL(...) create((struct model_options){__VA_ARGS__})

static inline struct step make_step(const struct model *model, const struct step_options *options) {
    struct step step;
    if (step_create(model, options, &step) != STATUS_OK)
        fail_msg("%s", status_message());
    return step;
}

static inline struct step_options small_options(enum step_kind kind) {
    struct step_options options;
    step_options_default(&options);
    options.kind = kind;
    options.batch = 3;
    return options;
}

#endif

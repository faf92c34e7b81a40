/*
 * evaluate: a model's answers for any images of its shape, a batch at a time.
 *
 * The images of each batch are copied to the device as bytes ("eval.images"), so that one plan serves every data set;
 * they are normalized there exactly as in training. Pictures of a streamed set are scaled to the model's size, while
 * the device is at work on those before.
 */
#ifndef RVK_TRAIN_EVALUATE_H
#define RVK_TRAIN_EVALUATE_H

#include "data/dataset.h"
#include "exec/plan.h"
#include "train/fit.h"

struct evaluator {
    struct store *store;
    struct step step;
    struct plan *plan;
};

/* What an evaluator for batches of `batch` images is: STEP_EVALUATE or STEP_PREDICT. Of `plan`, slots are not taken. */
struct fit evaluator_fit(const struct model *model, struct store *store, enum step_kind kind, uint32_t batch,
                         bool mean_per_pixel, const struct plan_options *plan);
/* Makes it, if it fits (STATUS_MEMORY). The model's values and the normalization must be in the store before it runs.
 */
CHECKED enum status evaluator_create(const struct fit *fit, struct evaluator *out);
void evaluator_destroy(struct evaluator *evaluator); /* accepts a zeroed one */

struct evaluation {
    double loss, accuracy; /* means; the loss includes the model's penalty. NaN when no picture could be read */
    uint32_t count;        /* without broken pictures */
};

/* What the model says of one image. */
struct answer {
    uint32_t best; /* the most probable class, the first of equals */
    uint32_t rank; /* of the true class: how many come before it, by logit and then by number */
    float best_probability, true_probability;
};

/* `target` is below `classes`. Where logits are not finite, the true class counts as the last. */
struct answer evaluate_answer(const float *logits, uint32_t classes, uint32_t target);

/* Hears after each batch how many images are done. */
typedef enum status evaluator_watch(void *user, uint32_t done);

/*
 * Images [first, first + count), count >= 1, with an evaluator of STEP_EVALUATE; `answers` [count] may be NULL. Of a
 * broken picture, the best class is UINT32_MAX. What `watch` (may be NULL) returns other than STATUS_OK ends the
 * evaluation. STATUS_DATA when too many pictures are broken.
 */
CHECKED enum status evaluator_run(struct evaluator *evaluator, const struct dataset *data, uint32_t first,
                                  uint32_t count, evaluator_watch *watch, void *user, struct evaluation *evaluation,
                                  struct answer *answers);

/* Takes count x classes probabilities, those of images [first, first + count); they live during the call. */
typedef enum status evaluator_take(void *user, uint32_t first, uint32_t count, const float *probabilities);

/*
 * With an evaluator of STEP_PREDICT: `take` gets the probabilities of each batch as soon as they are there; NaN for a
 * broken picture. What it returns other than STATUS_OK ends the prediction. *waited: share of the time in which the
 * device waited for pictures of a streamed set; may be NULL.
 */
CHECKED enum status evaluator_predict(struct evaluator *evaluator, const struct dataset *data, uint32_t first,
                                      uint32_t count, evaluator_take *take, void *user, double *waited);

#endif

/*
 * trainer: the training loop: epochs of recorded steps, validation, checkpoints, the log, and the final test.
 *
 * Everything random is a function of (seed, epoch, image), so the position in a checkpoint is an epoch and a step, and
 * a run that was stopped and resumed gives the bits of one that was not.
 */
#ifndef RVK_TRAIN_TRAINER_H
#define RVK_TRAIN_TRAINER_H

#include "data/view.h"
#include "exec/tuning.h"
#include "train/checkpoint.h"
#include "train/profile.h"
#include "train/schedule.h"
#include "train/step.h"
#include "weights/weights.h"

#include <stdio.h>

/* Mean and scale of the images. AUTO: as usual for ImageNet when they are streamed, else CHANNEL. */
enum trainer_normalize { NORMALIZE_AUTO, NORMALIZE_CHANNEL, NORMALIZE_PIXEL, NORMALIZE_IMAGENET };

/* Of streamed data sets. */
struct trainer_pictures {
    uint32_t size;     /* see dataset_choose_size */
    bool augment_auto; /* crop and flip, unless the pictures have their size already; then step.shift and step.flip */
    bool augments;     /* change each as `augment` says; step.shift and step.flip come after that */
    struct picture_augment_options augment;
    uint32_t threads;  /* see struct source */
    const char *cache; /* see thumbnails_open; NULL: none */
    uint32_t broken;   /* broken pictures that are passed over; 0: what the data set says, UINT32_MAX: none */
};

struct trainer_progress {
    uint32_t epoch, epochs; /* from 1 */
    uint32_t step, steps;   /* done in this epoch */
    double loss, accuracy;  /* means of the epoch so far */
    double learning_rate, images_per_second, seconds_left;
    double waited; /* share of this epoch's time in which the device waited for pictures */
};

/* Of validation after an epoch, or of the test at the end. */
struct trainer_evaluating {
    bool test;
    uint32_t done, count; /* images */
    double seconds;       /* for those that are done */
};

struct trainer_epoch {
    uint32_t epoch, epochs; /* from 1 */
    uint64_t step;          /* done in all */
    double learning_rate, train_loss, train_accuracy, validation_loss, validation_accuracy;
    double seconds, images_per_second; /* of the training steps */
    double waited;                     /* share of these seconds in which the device waited for pictures */
    uint64_t weights_hash;             /* afterwards, see checkpoint.h */
    bool validated, best;
};

struct trainer_run {
    const struct model *model;
    uint32_t train_images, validation_images, test_images, steps;
    uint64_t arena_bytes, device_bytes;
    uint32_t resumed_epoch, resumed_step;
    uint64_t frozen;           /* weights that are not trained */
    uint32_t replaced_classes; /* of the last layer in options.weights, when it is replaced; otherwise 0 */
};

struct trainer_options {
    struct model_options model; /* image size, channels and classes follow the data set */
    struct step_options step;   /* kind, image_count, set, direct and mean_per_pixel are filled in */
    struct schedule schedule;   /* steps and warmup are filled in */
    double warmup_epochs;
    const char *data;
    struct trainer_pictures pictures;
    enum trainer_normalize normalize;
    uint32_t train_limit, test_limit; /* 0: all images */
    double validation_split;
    uint32_t epochs, eval_batch, seed;
    uint32_t early_stop;      /* epochs without a new best; 0: never */
    const char *freeze_until; /* the first layer that is trained; NULL: all are */

    /* What a new run begins with. */
    const struct weights *weights;       /* NULL: chance. The last layer is new when the classes are others */
    const struct checkpoint *normalized; /* images are normalized as it says; NULL: as `normalize` says */

    const char *out; /* NULL: nothing is written */
    bool overwrite;
    const struct checkpoint *resume; /* NULL: a new run */
    uint32_t save_every;             /* epochs; 0: never */
    uint32_t save_steps, stop_after; /* steps; 0: never */
    const struct tuning *tuning;     /* forms for the plans, may be NULL */
    struct selftest *selftest;       /* of the plans' forms, may be NULL */
    const char *record;              /* the caller's options as a JSON object, kept in log and checkpoints */
    const char *trace;               /* with profile */
    FILE *plan;
    bool profile;

    /* each may be NULL */
    void (*on_start)(void *user, const struct trainer_run *run);
    void (*on_step)(void *user, const struct trainer_progress *progress);
    void (*on_evaluating)(void *user, const struct trainer_evaluating *progress);
    void (*on_epoch)(void *user, const struct trainer_epoch *epoch);
    void (*on_profile)(void *user, const struct profile *profile);
    enum status (*should_stop)(void *user);
    void *user;
};

struct trainer_result {
    struct trainer_epoch last, best; /* epoch 0: none */
    bool tested;
    double test_loss, test_accuracy;
    uint64_t steps;
    uint64_t weights_hash; /* of the last state kept: the end, unless training failed */
    double seconds;
    double waited; /* share of the time of training steps in which the device waited for pictures */
    bool growth_known;
    struct vk_counters growth; /* between the second step and the end of the first epoch of this call */
};

/* Trains. *result is filled as far as training came, also on failure. */
CHECKED enum status trainer_run(struct vk_device *device, const struct trainer_options *options,
                                struct trainer_result *result);

/*
 * The batch for a run with these options (their own is not looked at): as many images as fit into the memory of the
 * device, at most 512 and at most what a step can have; a multiple of 16, unless fewer than 16 fit.
 */
CHECKED enum status trainer_choose_batch(struct vk_device *device, const struct trainer_options *options,
                                         uint32_t *batch);

/* The text of `record` in a checkpoint that the trainer saved, free with free(). STATUS_DATA when there is none. */
CHECKED enum status trainer_record(const struct checkpoint *checkpoint, char **record);

/* The names of the classes that the trainer saved, as a JSON array, free with free(); NULL when they had none. */
CHECKED enum status trainer_class_names(const struct checkpoint *checkpoint, char **names);

#endif

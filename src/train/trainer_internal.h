/* trainer: what the loop (trainer.c), its set-up (trainer_setup.c) and its checkpoints (trainer_save.c) share. */
#ifndef RVK_TRAIN_TRAINER_INTERNAL_H
#define RVK_TRAIN_TRAINER_INTERNAL_H

#include "data/loader.h"
#include "train/evaluate.h"
#include "train/run_log.h"
#include "train/trainer.h"

/* Where training is; all of it is in a checkpoint. */
struct position {
    uint32_t epoch, step;       /* of the next step to finish */
    double loss_sum, right_sum; /* of the epoch so far, by image */
    struct plateau plateau;
    struct trainer_epoch best; /* epoch 0: none; seconds and hash are not kept */
    uint32_t stale;            /* epochs since */
};

/* The last state that is safe, as the bytes of a checkpoint. */
struct kept {
    uint8_t *bytes;
    size_t size;
    uint64_t call_steps;
    uint64_t weights_hash;
};

struct trainer {
    const struct trainer_options *options;
    struct trainer_result *result;
    struct vk_device *device;
    struct store *store;
    struct dataset training, test;
    uint32_t train_count, validation_count;
    struct model model;
    const struct safetensors_tensor **tensors; /* in options->weights, by parameter; NULL: there are no weights */
    uint32_t replaced_classes;
    struct step step;
    struct plan *plan;
    struct evaluator evaluator;
    struct schedule schedule;
    uint32_t steps;  /* an epoch; each updates the parameters once */
    uint32_t images; /* a step */
    uint32_t *order;
    struct loader *loader; /* of a streamed training set */
    struct trainer_pictures pictures;
    bool mean_per_pixel;
    struct run_log log;
    struct profile profile;
    struct position at;
    struct position part;                 /* where the part of the epoch began that the log has not seen */
    uint32_t submitted, collected;        /* batches of this epoch: step.options.accumulate make a step */
    uint64_t call_steps;                  /* finished in this call */
    uint64_t call_ns;                     /* when the call began */
    uint64_t steps_ns;                    /* when this epoch's steps began, in this call */
    uint32_t steps_first;                 /* and with which step */
    uint64_t waited_ns;                   /* of them, for pictures, while the device had nothing to do */
    uint64_t all_waited_ns, all_steps_ns; /* of the epochs before, in this call */
    struct vk_counters counters;
    struct kept kept;
    bool recovered;     /* from the loss of the device */
    uint64_t budget_ns; /* of a submission; 0: the plan's default */
};

/* Folder, data, model: what needs no device. */
CHECKED enum status trainer_open(struct trainer *trainer);
void trainer_close(struct trainer *trainer);

/* Values and plans: those of the kept state, of the checkpoint to resume, or new ones. */
CHECKED enum status trainer_load(struct trainer *trainer);
void trainer_unload(struct trainer *trainer); /* also half of them */

/* Keeps the state as it is now; trainer_write writes what is kept to NAME.safetensors in the run's folder, if any. */
CHECKED enum status trainer_keep(struct trainer *trainer);
CHECKED enum status trainer_write(const struct trainer *trainer, const char *name);

/* Takes position and values from the kept state, or from the checkpoint. */
CHECKED enum status trainer_return(struct trainer *trainer);
CHECKED enum status trainer_restore(struct trainer *trainer, const struct checkpoint *checkpoint);

/* Learning rate of step `step` of the current epoch. */
double trainer_rate(const struct trainer *trainer, uint32_t step);

#endif

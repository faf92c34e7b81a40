/*
 * resnet_vk.h: trains, runs and verifies residual networks on any Vulkan device.
 *
 *     struct rvk_context *context;
 *     if (rvk_open(NULL, &context) != RVK_OK)
 *         puts(rvk_message());
 *
 * Status   Every function that can fail returns a status and leaves its outputs as they were, or NULL where it makes an
 *          object. rvk_message() is then one sentence that names the file, the number or the limit. The library never
 *          prints, exits or aborts because of an argument.
 * Options  Zero means default in every option structure: zero it and set what matters. A NULL pointer to one means all
 *          defaults.
 * Memory   Objects are freed by the function named beside them, which accepts NULL. Strings given are copied or used
 *          only during the call. Strings received live as long as the object they came from.
 * Threads  One thread at a time for a context and everything made from it. Different contexts may be used from
 *          different threads at the same time, also on the same device.
 */
#ifndef RESNET_VK_H
#define RESNET_VK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The same numbers as the exit codes of the program. */
enum rvk_status {
    RVK_OK = 0,
    RVK_MISMATCH = 1,      /* the answer is no: a verification mismatch, a target not reached */
    RVK_USAGE = 2,         /* an argument is wrong */
    RVK_DATA = 3,          /* a data or model file is missing or malformed */
    RVK_DEVICE = 4,        /* no usable device or feature */
    RVK_MEMORY = 5,        /* out of memory, or over a limit of the device */
    RVK_LOST = 6,          /* the device was lost; close the context */
    RVK_NONFINITE = 7,     /* numbers became NaN or infinite */
    RVK_IO = 8,            /* reading or writing failed: disk full, permission */
    RVK_INTERRUPTED = 130, /* training stopped as asked (SIGINT), state saved */
    RVK_TERMINATED = 143,  /* training stopped as asked (SIGTERM), state saved */
};

/* "0.1.0". Any thread. */
const char *rvk_version(void);

/* The sentence of the last failure in the calling thread; "" before the first. Lives until that thread's next call. */
const char *rvk_message(void);

/*
 * Sends warnings and notes (one line without its end) to `log`; NULL: nowhere, as at the start. One callback for the
 * whole process: set it before other threads use the library; it may be called from any of them.
 */
void rvk_set_log(void (*log)(void *user, bool warning, const char *message), void *user);

/* ---- devices ---- */

/* A number or, as 0 or 1, a feature of a device: what is believed of it and what the device itself says. */
struct rvk_limit {
    const char *name; /* "maxComputeSharedMemorySize" */
    uint64_t value, offered;
};
enum { RVK_LIMITS = 32 };

struct rvk_device {
    char name[256];
    char driver[256]; /* name and version, as the driver spells them */
    char api[32];     /* "1.3.230"; "" for the reference */
    char kind[16];    /* "discrete", "integrated", "virtual", "cpu", "other"; "reference": see rvk_open_options */
    uint64_t memory_bytes;
    bool usable;
    char why_not[128];                   /* what is missing when it is not usable */
    struct rvk_limit limits[RVK_LIMITS]; /* ends with a NULL name */
};

/*
 * Lists the devices, the CPU reference last; free *devices with free(). RVK_DEVICE when there is no Vulkan loader, no
 * driver or no device (the sentence says which, and what to install), RVK_MEMORY. Any thread.
 */
enum rvk_status rvk_list_devices(struct rvk_device **devices, uint32_t *count);

/* An open device with the values that live on it. */
struct rvk_context;

struct rvk_open_options {
    const char *device;      /* index in rvk_list_devices or part of a name; default: discrete, integrated, virtual,
                                other, software, in this order. "cpu": the float64 reference, which needs no Vulkan and
                                is slow; never taken unless asked for. What verifies, tunes or measures kernels is
                                RVK_DEVICE on it */
    const char *kernel_path; /* folder of NAME.spv files that replace the built-in kernels */
    bool no_cache;           /* do not keep compiled pipelines in the user's cache folder */
    bool no_tuned;           /* do not use what rvk_tune measured on this device */
    bool no_self_test;       /* do not check kernels at their first use on this device and driver. Otherwise a kernel
                                that computes wrong numbers there is left out (a warning names it), RVK_MISMATCH when no
                                other one does its work; a file in the user's cache folder remembers that */
    bool validation;         /* load the Khronos validation layer */
    const char *limits; /* "NAME=VALUE,..." (NAME: see rvk_limit_names; VALUE: a whole number, also with KiB, MiB or
                           GiB, or on or off): believe less of the device. "minimum": believe what the Vulkan
                           specification promises of every device. Nothing is then tuned or read from tuning */
};

/*
 * RVK_DEVICE, RVK_MEMORY; RVK_USAGE when several devices match the name, and for limits that are unknown, above what
 * the device offers, or a subgroup size that it cannot be made to run. Close with rvk_close. Any thread.
 */
enum rvk_status rvk_open(const struct rvk_open_options *options, struct rvk_context **context);
void rvk_close(struct rvk_context *context);

/* What the limits of rvk_open_options may name; ends with NULL. Any thread. */
const char *const *rvk_limit_names(void);

/* The device that the context took. */
void rvk_get_device(const struct rvk_context *context, struct rvk_device *device);

/* Totals since rvk_open, and the bytes allocated on the device now. */
struct rvk_counters {
    uint64_t allocations, pipelines, recordings, submissions, validation_messages, device_bytes;
};
struct rvk_counters rvk_get_counters(const struct rvk_context *context);

/* ---- models ---- */

struct rvk_model_info {
    char name[32];
    uint64_t trainable, untrained; /* numbers of weights, and of running means and variances */
    double multiply_adds;          /* convolutions and dense layers, forward, one image */
    uint32_t height, width, channels, classes;
};

/*
 * Names of the usual depths; ends with NULL. Any other depth that fits the rule works as well, and wherever a name is
 * taken, the path of a description that ends with ".json" (docs/models.md) or its text, which begins with '{'. A
 * description that is malformed is RVK_DATA with a sentence that names the file, the key and its limit. Any thread.
 */
const char *const *rvk_model_names(void);
/* How depths and names are made, in a few lines. Any thread. */
const char *rvk_model_rule(void);

/*
 * For the model's usual images: 32 x 32 x 3 and 10 classes, ImageNet 224 x 224 x 3 and 1000. `style` is "torch" (also
 * NULL) or "keras". RVK_USAGE with the rule for depths when there is no such model. Any thread.
 */
enum rvk_status rvk_describe_model(const char *name, const char *style, struct rvk_model_info *info);

/* ---- data sets ---- */

struct rvk_data;

/* How pictures of a streamed data set are read; nothing of this changes a number in evaluation and prediction. */
struct rvk_data_options {
    uint32_t decode_threads; /* 0: one for each processor */
    uint32_t broken;         /* so many broken pictures are named and passed over, one more is RVK_DATA; 0: 10, or one
                                of a hundred; RVK_BROKEN_NONE: none */
    const char *cache; /* "thumbnails": pictures that were scaled once are kept, in the user's cache folder, at the
                          size from which they are cut (3 x 256 x 256 bytes or more for images of 224 x 224).
                          "thumbnails:DIR": in this folder. NULL: no cache */
};
#define RVK_BROKEN_NONE UINT32_MAX

/*
 * `spec`: "fashion-mnist" (Debian's package), "mnist:DIR", "fashion-mnist:DIR", "cifar10:DIR", "cifar100:DIR" or
 * "generated:count=512,classes=10,size=32,seed=1,channels=3": images in memory, all of one size. `training` selects the
 * training or the test images.
 *
 * "folder:DIR" (JPEG and PNG files in a folder for each class) and "tar:FILE" (the same, not compressed; or 1.jpg and
 * 1.cls, as WebDataset has them) are streamed: their pictures have any size, and are read and scaled when they are
 * needed, by threads of the library. The classes are the folders in the order of their names; where DIR holds train and
 * val (or validation, or test) they are in there, otherwise every tenth picture of each class, in the order of names,
 * is for testing (of a class with two to nine, the last).
 *
 * RVK_USAGE for an unknown spec; RVK_DATA with file and record for a damaged or missing file; RVK_IO for what cannot be
 * read. `options` may be NULL. Close with rvk_close_data. Any thread; reading an open data set as well, but a streamed
 * one can be used by one model or training at a time.
 */
enum rvk_status rvk_open_data(const char *spec, bool training, struct rvk_data **data);
enum rvk_status rvk_open_data_with(const char *spec, bool training, const struct rvk_data_options *options,
                                   struct rvk_data **data);

/*
 * A streamed set of the pictures at `paths`, in this order; a folder stands for all JPEG and PNG files in it and its
 * folders, in the order of their names. It has no labels and no classes. RVK_DATA when a path does not exist or there
 * are no pictures; whether a file is a sound picture shows when it is needed. Otherwise as above.
 */
enum rvk_status rvk_open_pictures(const char *const *paths, uint32_t count, const struct rvk_data_options *options,
                                  struct rvk_data **data);
void rvk_close_data(struct rvk_data *data);

struct rvk_data_info {
    uint32_t count, height, width, channels, classes; /* of a streamed set: height and width 0 unless its pictures are
                                                         squares of one size (by the first 64) */
    bool streamed;
};
struct rvk_data_info rvk_get_data_info(const struct rvk_data *data);
/* height x width x channels bytes, channels innermost; NULL for an index outside, and for a streamed set. */
const uint8_t *rvk_image(const struct rvk_data *data, uint32_t index);
/*
 * Writes the picture `index` of a streamed set, scaled and cut to a square as rvk_predict does it for a model of this
 * size, to `pixels`: size x size x 3 bytes, red first. RVK_USAGE for another set, an index outside or a size of 0 or
 * above 2048; RVK_DATA or RVK_IO with the name of a picture that is broken; RVK_MEMORY. Any thread.
 */
enum rvk_status rvk_read_picture(const struct rvk_data *data, uint32_t index, uint32_t size, uint8_t *pixels);
/* The file of a picture: below the folder, in the tar, or as it was given. NULL unless the set is streamed. */
const char *rvk_image_name(const struct rvk_data *data, uint32_t index);
/* UINT32_MAX for an index outside, and where it is not known. */
uint32_t rvk_label(const struct rvk_data *data, uint32_t index);
/* NULL when the class has no name. */
const char *rvk_class_name(const struct rvk_data *data, uint32_t class_index);

/* The name of a class of ImageNet (ILSVRC 2012), 0 to 999: "tench". NULL for other numbers. Any thread. */
const char *rvk_imagenet_class(uint32_t class_index);
/* The same by synset, as folders of ImageNet's pictures are called: "n01440764". NULL for other texts. Any thread. */
const char *rvk_synset_name(const char *synset);

/* ---- training ---- */

struct rvk_progress {
    uint32_t epoch, epochs; /* this epoch, from 1 */
    uint32_t step, steps;   /* steps done in this epoch */
    double loss, accuracy;  /* means of the epoch so far */
    double learning_rate;   /* of the last step */
    double images_per_second, seconds_left;
    double waited; /* share of this epoch's time in which the device waited for pictures of a streamed set */
};

/* Of validation after an epoch, or of the test at the end. */
struct rvk_evaluating {
    bool test;
    uint32_t done, count; /* images */
    double seconds;       /* for those that are done */
};

struct rvk_epoch {
    uint32_t epoch, epochs;
    uint64_t step; /* steps done in all */
    double learning_rate;
    double train_loss, train_accuracy;
    bool validated; /* whether the next two mean something */
    double validation_loss, validation_accuracy;
    double seconds, images_per_second; /* of the training steps */
    double waited;                     /* share of these seconds in which the device waited for pictures */
    bool best;                         /* so far */
    uint64_t weights_hash;             /* see rvk_train_result; 0: of an epoch before a resume */
};

/* One kind of op in the profile. */
struct rvk_profile_row {
    const char *op;
    uint32_t dispatches; /* a step */
    double ms;           /* a step */
    double share;        /* of the step's time on the device */
    double gflops;       /* 0 for ops that do no multiply-adds of convolutions or dense layers */
};

/* What a training run is about to do. */
struct rvk_run {
    const struct rvk_train_options *options; /* with every default filled in */
    const char *model;
    uint32_t classes;
    uint64_t trainable; /* weights, running statistics aside */
    uint32_t train_images, validation_images, test_images;
    uint32_t steps;       /* an epoch */
    uint64_t arena_bytes; /* temporaries of a step, as packed */
    uint64_t device_bytes;
    uint32_t resumed_epoch, resumed_step; /* finished before */
    uint64_t frozen;                      /* of `trainable`, so many weights keep their values */
    uint32_t replaced_classes; /* the weights had a last layer for so many classes, which a new one replaces; 0: it
                                  fits, or there are no weights */
};

/* As `batch`: the largest multiple of 16 that fits into the memory of the device (fewer where 16 do not), at most 512.
 */
#define RVK_BATCH_AUTO UINT32_MAX

struct rvk_train_options {
    const char *model;       /* "resnet20" */
    const char *style;       /* "torch" or "keras": padding, bias, epsilon, momentum, initialization, penalty */
    const char *data;        /* "fashion-mnist", see rvk_open_data */
    uint32_t train_limit;    /* only the first images of the training set; 0: all */
    uint32_t test_limit;     /* only the first images of the test set; 0: all */
    double validation_split; /* the last share of the training set is kept for validation; 0: none */
    uint32_t size;           /* height and width of the images of a streamed set. 0: those of its pictures, where they
                                are squares of one size (by the first 64), otherwise the model's usual ones */
    const char *cache;       /* see rvk_data_options. Random parts are then cut out of pictures that were scaled */
    const char *normalize; /* "channel": mean and deviation of each channel; "pixel": mean of each pixel, /255 (both of
                              a streamed set by its first 1,000 pictures); "imagenet": the mean and deviation that are
                              usual for ImageNet; "auto": imagenet for a streamed set, else channel. With
                              `weights` by default "weights": what they were trained with, see there */
    const char *augment;   /* "none", or some of these with commas between: "shift", "flip"; and for a streamed set
                              "crop" (a random part of the picture, 8 % of its area or more), "jitter" (brightness,
                              contrast, saturation, hue) and "rand" (two operations of RandAugment). "both" is
                              "shift,flip". "auto": the same, or "crop,flip" where pictures have to be scaled */
    uint32_t shift;        /* whole pixels, 4 */
    /*
     * Images of a batch are mixed with each other, and their labels in the loss: mixup takes the weighted mean of two
     * images, cutmix puts a box of one into the other. The share that an image keeps is from Beta(alpha, alpha) for
     * each batch; given both, each batch takes one of them by chance. 0: not used; 0.2 and 1 are usual. The accuracy in
     * training then counts the label of the image that the mixture began with.
     */
    double mixup, cutmix;   /* alpha, at most 100 */
    uint32_t epochs;        /* 20 */
    uint32_t batch;         /* 128, or RVK_BATCH_AUTO, which leaves the learning rate as it is and which a checkpoint
                               records as the number that was found; the last images of an epoch that do not fill a
                               step are left out */
    uint32_t accumulate;    /* 1; so many batches make a step, which updates the weights once, with their mean gradient:
                               as a batch so many times as large, in the memory of one. Batch normalization still
                               takes its statistics from each batch, as in PyTorch */
    uint32_t eval_batch;    /* 256 */
    uint32_t seed;          /* of initialization, order and augmentation */
    const char *optimizer;  /* "sgd", "adam" or "adamw" */
    double learning_rate;   /* the highest; 0.1 for sgd, 0.001 for the others */
    double momentum;        /* sgd: 0.9; negative: none */
    bool nesterov;          /* sgd */
    double weight_decay;    /* 0 */
    const char *decay;      /* what it acts on: "weights" (kernels of convolutions and dense layers) or "all" */
    const char *schedule;   /* "cosine", "constant", "step", "onecycle" or "plateau" */
    double warmup;          /* epochs in which the rate grows linearly to its height */
    double factor;          /* step and plateau multiply the rate by it: 0.1 */
    const char *drops;      /* step: after which epochs, "80,120"; default: half and three quarters of them */
    uint32_t patience;      /* plateau: epochs without a better loss, 5 */
    double label_smoothing; /* 0 */
    uint32_t early_stop;    /* stop after so many epochs that were not the best; 0: never */
    double target_accuracy; /* RVK_MISMATCH when the test accuracy ends below; 0: none */

    /*
     * Fine-tuning. A new run begins with the weights and running statistics of a checkpoint, or of another file that
     * rvk_load_model takes. Model and style are then by default those of the file. When it has another number of
     * classes than the data, the last layer is new. Images are normalized as a checkpoint says it, and otherwise as is
     * usual for ImageNet, unless `normalize` asks for the new images' own numbers.
     */
    const char *weights;
    /*
     * What comes before the layer `freeze_until` ("layer4", "layer4.1", "fc") keeps its weights: their
     * gradients are not computed, and its batch normalization uses the running statistics and leaves them as they are.
     */
    const char *freeze_until; /* NULL: everything is trained */
    bool freeze_norm;   /* all batch normalization uses the running statistics; gammas and betas are still trained */
    double layer_decay; /* the parts of a network (stem, stages, head) learn at different rates: each at that of the
                           next one towards the head times this, above 0; 1 */
    double head_rate;   /* the learning rate of the head as a multiple, above 0; 1 */

    /* Less memory, more time: activations inside a block are computed again when its gradient needs them, instead of
     * kept. The weights are the same bit by bit. Belongs to the call, not to the run. */
    bool recompute;
    const char *out; /* folder for last.safetensors, best.safetensors, log.jsonl, log.csv; NULL: nothing is written */
    bool overwrite;  /* replace the run that is in `out` */
    const char *resume; /* a checkpoint of a run: its options are used; only epochs (when not 0), out and what follows
                           are taken from here. Without `out`, the run goes on in the folder of this file */
    uint32_t decode_threads, broken; /* see rvk_data_options */
    uint32_t save_every;             /* also keep epoch-NNNN.safetensors every so many epochs; 0: never */
    uint32_t save_steps;             /* save last.safetensors every so many steps of an epoch too; 0: only at its end */
    uint32_t steps;                  /* stop and save after so many steps in this call, with RVK_OK; 0: do not */
    bool profile;                    /* time every dispatch */
    const char *trace;               /* profile: file for one step in Chrome's trace format */
    FILE *plan;                      /* print what a step does to this file: its ops and their kernels */

    /* Called from the calling thread, each may be NULL. */
    void (*on_start)(void *user, const struct rvk_run *run);
    void (*on_step)(void *user, const struct rvk_progress *progress);         /* after every step: be quick */
    void (*on_evaluating)(void *user, const struct rvk_evaluating *progress); /* after every batch: likewise */
    void (*on_epoch)(void *user, const struct rvk_epoch *epoch);
    void (*on_profile)(void *user, const struct rvk_profile_row *rows, uint32_t count); /* once, at the end */
    /* Asked after every step. RVK_OK: go on. Anything else, such as RVK_INTERRUPTED: save and return that. */
    enum rvk_status (*should_stop)(void *user);
    void *user;
};

struct rvk_train_result {
    struct rvk_epoch last, best; /* epoch 0: none was finished */
    bool tested;                 /* false when training was stopped before its end */
    double test_loss, test_accuracy;
    uint64_t steps; /* done in all */
    double seconds; /* of this call */
    double waited;  /* share of the time of its training steps in which the device waited for pictures */
    /*
     * Equal when all bits of all weights are: FNV-1a (64 bits) of parameters and running statistics, as they come first
     * in a checkpoint. The same device, driver, options and number of steps give the same hash, whether the run was
     * stopped and resumed or not. After a failure, that of the last state that was kept.
     */
    uint64_t weights_hash;
    /* Growth between the second step and the end of the first whole epoch: but for submissions, and the recordings that
     * save_steps needs to read the state, all zero, or something is wrong. */
    struct rvk_counters growth;
    bool growth_known;
};

/*
 * Trains a model. The best checkpoint is chosen by validation accuracy, without a validation split by training loss;
 * the test images are used once, at the end. A run that was saved and resumed gives the same bits as one in one go.
 * *result is filled also on RVK_MISMATCH, RVK_NONFINITE, RVK_INTERRUPTED and RVK_TERMINATED. Further failures:
 * RVK_USAGE (also when `out` holds a run already), RVK_DATA, RVK_MEMORY, RVK_LOST, RVK_IO.
 */
enum rvk_status rvk_train(struct rvk_context *context, const struct rvk_train_options *options,
                          struct rvk_train_result *result);

/* ---- a trained model ---- */

struct rvk_model;

struct rvk_load_options {
    uint32_t batch; /* images that are computed at a time: 256 */
    /* What only a checkpoint says itself; of one, another model's name is an error, and the next two are not used. */
    const char *model; /* "resnet18"; default: the one of rvk_model_names that the tensors fit */
    const char *style; /* "torch" */
    uint32_t size;     /* height and width of the images: 224 for an ImageNet network, otherwise 32 */
};

/*
 * Loads weights, running statistics and normalization from a checkpoint of a run; or only weights and statistics from a
 * file of another program: a safetensors file (floats of 16, 32 or 64 bits), what torch.save wrote of a state dict
 * (.pth, also inside a dictionary as "state_dict" or "model"; nothing in it is executed) or the index of several files
 * (*.index.json), whose tensors are called as torchvision, timm or Hugging Face's microsoft/resnet-* call them. Number
 * of classes and channels are then those of the tensors, and images are normalized as is usual for ImageNet. RVK_DATA
 * with a sentence that names the tensors that are missing, superfluous or of another shape; RVK_USAGE for a model that
 * there is not; RVK_MEMORY. Free with rvk_free_model, before the context.
 */
enum rvk_status rvk_load_model(struct rvk_context *context, const char *path, const struct rvk_load_options *options,
                               struct rvk_model **model);
void rvk_free_model(struct rvk_model *model);

void rvk_get_model_info(const struct rvk_model *model, struct rvk_model_info *info);
/* The spec of the data set that it was trained on; "" when the file does not say it. */
const char *rvk_model_data(const struct rvk_model *model);

/*
 * What the model calls a class: as the data set did that it was trained on, or as ImageNet does when a file from
 * elsewhere has 1000 classes. NULL when that is not known, and for an index outside.
 */
const char *rvk_model_class_name(const struct rvk_model *model, uint32_t class_index);

/*
 * Which of the model's classes a class of the data set is: the one of the same name (of ImageNet's also by synset), or
 * of the same number, where there are equally many and their names are not known or not all the same. UINT32_MAX when
 * there is no such class. Labels of evaluations follow this, if it finds all classes of the data set.
 */
uint32_t rvk_model_class(const struct rvk_model *model, const struct rvk_data *data, uint32_t class_index);

struct rvk_evaluation {
    double loss, accuracy;
    uint32_t count; /* without broken pictures */
};

/* What the model says of one image. */
struct rvk_answer {
    uint32_t label; /* its true class, as the model counts classes (rvk_model_class) */
    uint32_t best;  /* the most probable class, the first of equals */
    uint32_t rank;  /* how many classes come before the true one, by probability and then by number: 0 is right, and the
                       true class is among the k best where rank < k */
    float best_probability, true_probability;
};

/*
 * Mean loss and share of right answers over images [first, first + count) (count 0: to the end). `answers`, where not
 * NULL, receives those of all these images, in their order; confusion matrices and accuracies by class or among the k
 * best are counts of them. Where outputs are not finite, the true class counts as the last.
 * Pictures of a streamed set are scaled to the model's size; broken ones are left out of all numbers, and their answers
 * have UINT32_MAX as label, class and rank. RVK_USAGE when the images have another shape than the model's or the range
 * is outside; RVK_DATA when too many pictures are broken.
 */
enum rvk_status rvk_evaluate(struct rvk_model *model, const struct rvk_data *data, uint32_t first, uint32_t count,
                             struct rvk_evaluation *evaluation, struct rvk_answer *answers);

/*
 * The same; after each batch `on_batch` hears how many images are done. No function on this model may be called from
 * it. What it returns other than RVK_OK ends the evaluation and is returned.
 */
enum rvk_status rvk_evaluate_batches(struct rvk_model *model, const struct rvk_data *data, uint32_t first,
                                     uint32_t count, enum rvk_status (*on_batch)(void *user, uint32_t done), void *user,
                                     struct rvk_evaluation *evaluation, struct rvk_answer *answers);

/* Probabilities of every class (of the model) for images [first, first + count): count x classes numbers, NaN for a
 * broken picture. Failures as above; the data set may be without classes. */
enum rvk_status rvk_predict(struct rvk_model *model, const struct rvk_data *data, uint32_t first, uint32_t count,
                            float *probabilities);

/*
 * The same, a batch at a time: `on_batch` gets count x classes numbers, those of images [first, first + count), in the
 * order of the images and as soon as they are there; they live during the call, which no function on this model may be
 * called from. What it returns other than RVK_OK ends the prediction and is returned. *waited, if not NULL: share of
 * the time in which the device waited for pictures of a streamed set.
 */
enum rvk_status
rvk_predict_batches(struct rvk_model *model, const struct rvk_data *data, uint32_t first, uint32_t count,
                    enum rvk_status (*on_batch)(void *user, uint32_t first, uint32_t count, const float *probabilities),
                    void *user, double *waited);

/* ---- files of weights ---- */

/* A tensor in a file. */
struct rvk_tensor {
    const char *name;   /* torchvision's: "layer1.0.conv1.weight" */
    const char *origin; /* the file's own */
    const char *dtype;  /* "F32", "F16", "BF16", "F64", "I64", ... */
    uint32_t rank;
    uint64_t shape[8];
    uint64_t bytes;
};

struct rvk_convert_options {
    const char *dtype; /* of the floating-point numbers that are written: "f32", "f16" or "bf16", rounded to nearest;
                          default: each tensor's own */
    /* Of an ONNX file, what only a checkpoint says itself: as in rvk_load_options. */
    const char *model, *style;
    uint32_t size;
    void (*on_tensor)(void *user, const struct rvk_tensor *tensor); /* each tensor that was read, if not NULL */
    /* Asked between tensors, if not NULL. RVK_OK: go on. Anything else: `out` is not written, and that is returned. */
    enum rvk_status (*should_stop)(void *user);
    void *user;
};

/*
 * Writes the weights in `in`, any file that rvk_load_model takes, to `out` (NULL: nowhere, they are only read), which
 * replaces an older file as a whole or stays away. NAME.safetensors: a plain state dict; what a checkpoint holds beside
 * weights and running statistics is left out. NAME.onnx: the network for inference (operator set 17, float32), from
 * normalized images "x" [batch, channels, height, width] to "logits" [batch, classes], batch normalization folded into
 * convolutions. No device is used. RVK_USAGE for another ending of `out`, an unknown dtype or model; RVK_DATA, also
 * when a number is too large for the dtype, and for an ONNX file when the tensors are not those of a model that is
 * known; RVK_MEMORY, RVK_IO. Any thread.
 */
enum rvk_status rvk_convert(const char *in, const char *out, const struct rvk_convert_options *options);

/* ---- verification ---- */

struct rvk_verify_case {
    const char *op, *form, *shape; /* for a whole model: form "" and shape is the place in the model */
    const char *data;              /* "exact", "random", "hostile", "adjoint" */
    const char *outcome;           /* "passed", "failed", "mistrusted" (too many zeros to prove anything) */
    uint32_t variant;              /* of the form */
    uint32_t seed;
    double worst; /* largest error as a share of its bound */
    uint64_t values;
    const char *failure; /* one sentence; "" when passed */
    const char *repeat;  /* the command that repeats the case */
};

struct rvk_verify_summary {
    uint32_t passed, failed, mistrusted;
    uint64_t values;
    double seconds;
};

struct rvk_verify_options {
    const char *op;      /* only this op */
    const char *form;    /* only this form of it */
    uint32_t variant;    /* of the form, as rvk_tune names it; 0: its own choice */
    const char *shape;   /* one case, needs `op`: "x=2x9x9x5 weight=3x3x5x7 stride_h=2" */
    const char *data;    /* only this kind: "exact", "random", "hostile"; "adjoint": the op is held to its gradient */
    uint32_t seed;       /* of the data, even: positive but for hostile values; 0: 1, and but for exact data also 2 */
    bool all;            /* also the long cases */
    const char *model;   /* instead of the ops' cases: a whole training step of this model */
    const char *style;   /* of the model */
    uint32_t batch;      /* of the model: 8 */
    uint32_t size;       /* height and width of the model's images: 32, for an ImageNet network 224 */
    const char *against; /* compare a training step of `model` with the tensors in this safetensors file */
    void (*on_case)(void *user, const struct rvk_verify_case *result);
    void *user;
};

/*
 * Holds the device to the float64 reference. RVK_MISMATCH when a value is out of its bound; *summary is then filled.
 * RVK_MEMORY when a model's step does not fit, with the largest batch that does.
 */
enum rvk_status rvk_verify(struct rvk_context *context, const struct rvk_verify_options *options,
                           struct rvk_verify_summary *summary);

/* ---- measurement ---- */

enum { RVK_BENCH_SAMPLES = 200 };

/* Times of the same thing, measured several times. */
struct rvk_samples {
    double ms[RVK_BENCH_SAMPLES]; /* in the order they were taken */
    uint32_t count;
    uint32_t repeats; /* each is the mean of so many: more than one where the thing is very short */
    double median, min, max;
    double spread; /* distance of the quartiles as a share of the median */
};

/* Computes the last four fields from ms and count (1 to RVK_BENCH_SAMPLES). Any thread. */
void rvk_summarize(struct rvk_samples *samples);

struct rvk_bench_options {
    const char *model, *style; /* "resnet20", "torch" */
    const char *phase;         /* "train" or "infer" */
    uint32_t batch;            /* 128 */
    uint32_t size;             /* height and width of the images: 32, for an ImageNet network 224 */
    bool recompute;            /* as in rvk_train_options */
    const char *op;            /* instead of a model's step: this op on random data ... */
    const char *shape;         /* ... of this shape, as in rvk_verify_options ... */
    const char *form;          /* ... computed in this form; default: as a step would do it */
    uint32_t variant;          /* of the form, as rvk_tune names it; 0: its own choice */
    uint32_t samples;          /* exactly so many; 0: at least 10, until their spread is below 5 % ... */
    double seconds;            /* ... or so many seconds are over: 10 */
    uint32_t warmup;           /* steps before: 3 */
    bool profile;              /* not with `op`, as the next three */
    const char *trace;
    FILE *plan;
    void (*on_profile)(void *user, const struct rvk_profile_row *rows, uint32_t count);
    void *user;
};

struct rvk_bench_result {
    struct rvk_samples ms; /* of a step, or of the op once */
    char form[32];         /* of the op; "" for a model */
    uint32_t variant;      /* of the form */
    uint32_t size;         /* height and width of the images; 0 for an op */
    double images_per_s;   /* 0 for an op */
    double gflops; /* 2 x multiply-adds of convolutions and dense layers; training counts as three times forward; 0 for
                      an op without them */
    double gb_per_s;                      /* nominal traffic: every kernel reads and writes its operands once */
    double flops, bytes;                  /* of a step or of the op, as its kernels do them */
    uint32_t nodes, dispatches, barriers; /* of a step or of the op */
    uint64_t peak_bytes;                  /* on the device: everything that is allocated */
    uint64_t lower_bound_bytes;           /* largest sum of values that are alive at once, and what outlives a step */
};

/* Random images, the whole step as in training; or one op. RVK_USAGE, RVK_MEMORY, RVK_LOST. */
enum rvk_status rvk_bench(struct rvk_context *context, const struct rvk_bench_options *options,
                          struct rvk_bench_result *result);

/* The best that kernels reach which do nothing but multiply-adds, or nothing but read or copy memory. */
struct rvk_peak {
    double gflops;                       /* float32; a multiply-add counts as two */
    double read_gb_per_s, copy_gb_per_s; /* copying counts bytes read and bytes written */
    double gb_per_s;                     /* the larger of the two */
};

/* Measures for a few seconds. RVK_MEMORY, RVK_LOST. */
enum rvk_status rvk_measure_peak(struct rvk_context *context, struct rvk_peak *peak);

struct rvk_data_rate_options {
    uint32_t size;   /* as in rvk_train_options; usual is 224 */
    uint32_t batch;  /* 128 */
    double seconds;  /* that it takes: 10 */
    bool evaluation; /* scale and cut as for evaluation; otherwise as for training: a random part, perhaps mirrored */
    struct rvk_data_options data;
};

struct rvk_data_rate {
    double images_per_s, seconds;
    uint32_t images, threads, size;
};

/*
 * Reads the training pictures of a streamed set again and again as training would, without a device. RVK_USAGE for
 * another set, and the failures of rvk_open_data and of too many broken pictures. Any thread.
 */
enum rvk_status rvk_measure_data(const char *spec, const struct rvk_data_rate_options *options,
                                 struct rvk_data_rate *result);

/* ---- tuning ---- */

/* An op with certain shapes and attributes, as verify's `op` and `shape` take them: "conv2d x=... weight=...". */
struct rvk_tune_case {
    const char *name;
    uint32_t uses;           /* in a step */
    const char *rule, *form; /* the form that is taken without tuning, and the one that won */
    uint32_t variant;        /* of `form` */
    double rule_ms, ms;      /* of one evaluation */
    uint32_t refused;        /* candidates that were faster, but wrong */
    bool measured;           /* false: there was no time left */
};

struct rvk_tune_options {
    const char *model, *style; /* "resnet20", "torch" */
    const char *phase;         /* "train" or "infer" */
    uint32_t batch;            /* 128 */
    uint32_t size;             /* height and width of the images: 32, for an ImageNet network 224 */
    double budget;             /* seconds: 60 */

    /* each may be NULL */
    void (*on_start)(void *user, uint32_t cases, uint32_t candidates);
    /* Before a candidate is measured. */
    void (*on_candidate)(void *user, uint32_t index, const struct rvk_tune_case *item, const char *form,
                         uint32_t variant);
    void (*on_case)(void *user, uint32_t index, const struct rvk_tune_case *item);
    void *user;
};

struct rvk_tune_result {
    uint32_t cases, measured, chosen, refused; /* chosen: something else than without tuning */
    double rule_ms, ms; /* what was measured, each as often as in a step, without tuning and as tuned */
    double seconds;
    char path[1024]; /* of the file that keeps the choices; "": none: no cache folder, or kernel_path or limits are in
                        use */
};

/*
 * Measures the forms of each different op in the model's step and keeps those that are faster than the usual one, and
 * pass verification, in the user's cache folder, for this device and driver. This context and later ones use them. The
 * last bits of results may differ from those without tuning. RVK_USAGE, RVK_MEMORY (before anything is measured, with
 * the largest batch whose step fits), RVK_LOST, RVK_IO.
 */
enum rvk_status rvk_tune(struct rvk_context *context, const struct rvk_tune_options *options,
                         struct rvk_tune_result *result);

#ifdef __cplusplus
}
#endif

#endif

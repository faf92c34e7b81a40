/* api: what the files behind resnet_vk.h share. */
#ifndef RVK_API_INTERNAL_H
#define RVK_API_INTERNAL_H

#include "resnet_vk.h"

#include "data/dataset.h"
#include "exec/selftest.h"
#include "train/trainer.h"

struct rvk_context {
    struct vk_device *device;
    char *tuning_path;    /* NULL: tuned choices are neither used nor kept */
    struct tuning tuning; /* empty with --no-tuned */
    bool tests_itself;
    struct selftest selftest;
};

struct rvk_data {
    struct dataset set;
};

/* Of the sides to which pictures can be scaled. */
#define API_LARGEST_PICTURE 2048u

/* *out: the set as a model of `options` sees it, for reading; it stays the caller's of `data`. */
void api_data_for(const struct rvk_data *data, const struct model_options *options, struct dataset *out);

/* Default for a NULL or empty text. */
const char *api_text(const char *text, const char *otherwise);
enum rvk_status api_status(enum status status);
/* STATUS_DEVICE on the CPU reference, which has no kernels to verify, tune or measure. */
CHECKED enum status api_require_kernels(const struct rvk_context *context);
/* For the plans of this context; NULL: forms are not checked before they are used. */
struct selftest *api_selftest(struct rvk_context *context);
struct rvk_counters api_counters(const struct vk_counters *counters);

/* Options of a model for images of `size` x `size`; 0: the model's default. */
CHECKED enum status api_model_options(const char *name, const char *style, uint32_t size, struct model_options *out);

/* The weights as an ONNX file; a checkpoint among them is taken over. See rvk_convert. */
struct weights;
CHECKED enum status api_write_onnx(struct weights *weights, const struct rvk_convert_options *options,
                                   const char *path);

void api_model_info(const struct model *model, struct rvk_model_info *info);

/* Sends the rows to a callback, which may be NULL. */
void api_profile(const struct profile *profile,
                 void (*report)(void *user, const struct rvk_profile_row *rows, uint32_t count), void *user);

/* ---- training options (train_options.c) ---- */

/* Fills in every default; afterwards the numbers are meant as they stand. */
void train_options_fill(struct rvk_train_options *options);

/* The options that belong to the run, as a JSON object. Free with free(). STATUS_MEMORY. */
CHECKED enum status train_options_write(const struct rvk_train_options *options, char **json);

/*
 * Sets the options that belong to the run from such a text, all of which must be there. Texts point into *keep, which
 * is to be freed with json_decref (declared as void * to keep jansson out of here) after their last use.
 */
CHECKED enum status train_options_read(struct rvk_train_options *options, const char *json, void **keep);

/* STATUS_USAGE for a word that is not known, or numbers that do not go together. Callbacks are left out. */
CHECKED enum status train_options_convert(const struct rvk_train_options *options, struct trainer_options *out);

#endif

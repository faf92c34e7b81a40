/*
 * checkpoint: everything that training needs to go on, in one safetensors file.
 *
 * Tensors: parameters and running statistics under their own names in PyTorch's layouts, the optimizer's state as
 * "optimizer.velocity.NAME" (or m, v; only of what is trained) in the same layouts, "normalize.mean" and
 * "normalize.scale" if there are any. Metadata ("resnet_vk.model" = "resnet20" or a description's text, ...): the
 * model, the position and the seed, and the training options as the JSON text that the caller gives. After
 * checkpoint_load the store holds the bits that checkpoint_save saw.
 */
#ifndef RVK_TRAIN_CHECKPOINT_H
#define RVK_TRAIN_CHECKPOINT_H

#include "data/safetensors.h"
#include "exec/store.h"
#include "model/model.h"
#include "train/step.h"

struct checkpoint_state {
    uint32_t epoch, step; /* the next step to do: epochs finished, steps done in this one */
    uint64_t updates;     /* optimizer steps done in all (Adam's t) */
    uint32_t seed;
    enum optimizer optimizer;
    const char *options; /* JSON text of the caller; NULL: none */
};

/* How images were normalized: the values "normalize.mean" and "normalize.scale" of the store. */
enum normalization {
    NORMALIZATION_NONE,    /* there are no such values */
    NORMALIZATION_CHANNEL, /* the mean is [1,1,1,c] */
    NORMALIZATION_PIXEL,   /* the mean is [1,h,w,c] */
};

/* The bytes of the file, free with free(). */
CHECKED enum status checkpoint_pack(const struct model *model, struct store *store,
                                    const struct checkpoint_state *state, enum normalization normalization,
                                    uint8_t **bytes, size_t *size);
CHECKED enum status checkpoint_save(const char *path, const struct model *model, struct store *store,
                                    const struct checkpoint_state *state, enum normalization normalization);

/*
 * Stands for the weights in the bytes of such a file: FNV-1a (base/hash.h) of the parameters and running statistics in
 * their order in the model, as float32 in the layout of the file, where they come first.
 */
uint64_t checkpoint_weights_hash(const struct model *model, const uint8_t *bytes);

/* An open checkpoint, or any safetensors file with a model's weights (then has_state is false and model.name NULL). */
struct checkpoint {
    struct safetensors file;
    bool has_state;
    struct model_options model;    /* name points into the file */
    struct checkpoint_state state; /* options points into the file */
    enum normalization normalization;
};

CHECKED enum status checkpoint_open(const char *path, struct checkpoint *out);
/* Whether it says that it is a checkpoint of this program's, and not only a model's weights. */
bool checkpoint_is(const struct safetensors *file);
/* Takes over a file that was read already; *file is then empty, also on failure. */
CHECKED enum status checkpoint_take(struct safetensors *file, struct checkpoint *out);
/* From memory; `bytes` must stay until checkpoint_close. `name` stands for the path in sentences. */
CHECKED enum status checkpoint_parse(const char *name, const uint8_t *bytes, size_t size, struct checkpoint *out);
void checkpoint_close(struct checkpoint *checkpoint); /* accepts a zeroed one */

enum checkpoint_part {
    CHECKPOINT_WEIGHTS, /* parameters, running statistics and normalization: for eval, predict, fine-tuning */
    CHECKPOINT_ALL,     /* and the optimizer's state: to resume */
};

/*
 * Writes the tensors into the store, making its values where they are missing. A missing, unknown or wrongly shaped
 * tensor is refused by name before anything is written; PyTorch's num_batches_tracked is passed over.
 */
CHECKED enum status checkpoint_load(const struct checkpoint *checkpoint, const struct model *model, struct store *store,
                                    enum checkpoint_part part);
/* Only the normalization, which must be there, for a model of another run. */
CHECKED enum status checkpoint_load_normalization(const struct checkpoint *checkpoint, const struct model *model,
                                                  struct store *store);

#endif

/*
 * weights: named tensors that another program may have written, under the names that torchvision (and this program)
 * gives them.
 *
 * Read are safetensors files, what torch.save wrote of a state dict (.pth), *.index.json with shards of these kinds
 * beside it, and our own checkpoints, of which only the weights are taken. The names of torchvision, timm and Hugging
 * Face's microsoft/resnet-* are known (see names.c). Every way in which a file can be wrong is refused with STATUS_DATA
 * and one sentence that names it.
 */
#ifndef RVK_WEIGHTS_WEIGHTS_H
#define RVK_WEIGHTS_WEIGHTS_H

#include "data/safetensors.h"
#include "model/model.h"

struct weights {
    char *path;                         /* for sentences */
    struct safetensors_tensor *tensors; /* no two have the same name */
    const char **origins;               /* the name of each in the file */
    size_t count, capacity;
    /* what tensors and origins point into */
    struct safetensors *files;
    size_t file_count;
    void **blocks;
    size_t block_count, block_capacity;
};

/* STATUS_DATA, STATUS_IO, STATUS_MEMORY; *out is then zeroed. */
CHECKED enum status weights_open(const char *path, struct weights *out);
void weights_close(struct weights *weights); /* accepts a zeroed one */

/* A block to be freed with the weights, such as numbers that take the place of a tensor's own. It is freed at once when
 * there is no memory to remember it. */
CHECKED enum status weights_keep(struct weights *weights, void *block);

/* NULL when there is none. */
const struct safetensors_tensor *weights_find(const struct weights *weights, const char *name);

/*
 * The options of the model that the tensors are of. `given` says what is known: its name (NULL: found among the usual
 * models by names and shapes, resnet50 rather than resnet50v1, which has the same ones), style and image size. Classes,
 * channels and filters that it leaves at 0 are those of the tensors. out->name is that of `given` or of a constant.
 * STATUS_DATA when no model fits, or several do.
 */
CHECKED enum status weights_describe(const struct weights *weights, const struct model_options *given,
                                     struct model_options *out);

/*
 * The tensor of each parameter of the model, in an array of model->count; shapes and the kind of numbers are checked.
 * `except` (NULL: nothing) is the beginning of names that may be missing, superfluous or of another shape: such
 * parameters get NULL. STATUS_DATA with one sentence about all tensors that are missing, not in the model, or of
 * another shape: the first few by name.
 */
CHECKED enum status weights_match(const struct weights *weights, const struct model *model, const char *except,
                                  const struct safetensors_tensor **tensors);

/* The beginning of the names of the model's last dense layer ("fc."), whose shape follows the number of classes:
 * `except` for a model with other classes. `text` holds WEIGHTS_HEAD characters; returns it. */
enum { WEIGHTS_HEAD = 64 };
const char *weights_head(const struct model *model, char *text);

#endif

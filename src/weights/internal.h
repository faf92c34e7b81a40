/* weights: what its files share. */
#ifndef RVK_WEIGHTS_INTERNAL_H
#define RVK_WEIGHTS_INTERNAL_H

#include "weights/weights.h"

/* Appends a tensor under the name that it has in the file. */
CHECKED enum status weights_append(struct weights *weights, const struct safetensors_tensor *tensor);

/* Gives every tensor its name, and leaves out those that no model has. */
CHECKED enum status names_translate(struct weights *weights);

#endif

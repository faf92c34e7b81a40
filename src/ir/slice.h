/*
 * slice: lowers an op that treats every image on its own (op.by_image) for some images at a time, where a tensor of all
 * is larger than one storage buffer may be.
 */
#ifndef RVK_IR_SLICE_H
#define RVK_IR_SLICE_H

#include "ir/op.h"

/*
 * What form->lower does, with `lowering` as that wants it (form_lower calls this). The call is handed to the form whole
 * when everything fits, and also when no number of images fits and starts every slice at a multiple of
 * TENSOR_ALIGNMENT: recording then refuses the tensor by name. False when the form does not apply or has too many
 * dispatches.
 */
bool slice_lower(const struct form *form, const struct call *call, const struct device_facts *facts,
                 struct lowering *lowering);

#endif

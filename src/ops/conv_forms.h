/*
 * conv_forms: the ways to compute the three convolution ops on a device, each from best to plainest.
 */
#ifndef RVK_OPS_CONV_FORMS_H
#define RVK_OPS_CONV_FORMS_H

#include "ir/op.h"

/* Software devices (fast texel reads and shuffles), without groups, at most 8 taps in a row. */
bool conv_forms_subgroup(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_subgroup_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_subgroup_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering);

/* GPUs, without groups. */
bool conv_forms_tile(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_tile_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_tile_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering);

/* The same on software devices, where it is slow: last in the list, so that verify proves it without a GPU. */
bool conv_forms_slow_tile(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_slow_tile_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_slow_tile_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering);

/* Any device, any shape. */
bool conv_forms_plain(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_plain_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_plain_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering);

/* Appends the dispatch that sums `parts` parts of `part` vec4 each, which lie in scratch block 0, into output 0. */
void conv_forms_sum_parts(struct lowering *lowering, uint32_t part, uint32_t parts);

#endif

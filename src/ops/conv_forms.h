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

/* What the kernels of conv2d and conv2d_backward_input add and do at the end: bits of their `flags`. */
enum { CONV_RELU = 1, CONV_BIAS = 2, CONV_RESIDUAL = 4, CONV_MASK = 8 };

/*
 * Binds source, weights, bias or mask, residual and target; returns the flags. The weights stand in for what is absent.
 * The addend of conv2d_backward_input is a residual. dispatch->bytes counts every operand once.
 */
uint32_t conv_forms_bind(struct dispatch *dispatch, const struct call *call, bool backward);

/* Appends the dispatch that sums `parts` parts of `part` vec4 each, which lie in scratch block 0, into output 0. */
void conv_forms_sum_parts(struct lowering *lowering, uint32_t part, uint32_t parts);

#endif

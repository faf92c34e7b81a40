/*
 * conv_forms: the ways to compute the three convolution ops on a device, each from best to plainest.
 */
#ifndef RVK_OPS_CONV_FORMS_H
#define RVK_OPS_CONV_FORMS_H

#include "ops/conv_geometry.h"

/* Software devices (fast texel reads and shuffles), groups of whole vec4s if any, at most 8 taps in a row. */
bool conv_forms_subgroup(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_subgroup_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_subgroup_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering);

/* Any device; groups of whole vec4s, at most 8 taps in a row. */
bool conv_forms_quads(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_quads_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_quads_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering);

/* Software devices, one group, 3x3 with stride 1, where it is faster by an estimate. Rounds more: see struct form. */
bool conv_forms_winograd(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_winograd_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering);

/* The same where it is not: last in the list, for verify and for the tuner, which measures. */
bool conv_forms_slow_winograd(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_slow_winograd_input(const struct call *call, const struct device_facts *facts,
                                    struct lowering *lowering);

/* GPUs, without groups. */
bool conv_forms_tile(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_tile_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_tile_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering);

/*
 * The same for GPUs of few registers and short subgroups (Intel's): the lanes of a subgroup share the weights. The
 * weight gradient's lanes share x, where there are filters for all of them or it is still faster by an estimate.
 */
bool conv_forms_lanes(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_lanes_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_lanes_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering);

/* Both on software devices, where it is slow: last in the list, so that verify proves it without a GPU. */
bool conv_forms_slow_tile(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_slow_tile_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_slow_tile_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering);

bool conv_forms_slow_lanes(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_slow_lanes_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
/* Also on a GPU where the tile is faster by the estimate: the tuner measures. */
bool conv_forms_slow_lanes_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering);

/* What these forms need in any case. */
bool conv_forms_tile_applies(const struct call *call, const struct device_facts *facts);
/* Subgroup size of the tile forms; 0: any. Without the double issue of later ones, AMD's GPUs hold more halves of
 * waves. */
uint32_t conv_forms_wave(const struct device_facts *facts);
/* Lanes of the subgroups that share weights; 0: they do not. */
uint32_t conv_forms_lane_count(const struct device_facts *facts);
/* May a workgroup have so many invocations, in subgroups of `lanes` (0: any)? */
bool conv_forms_group_fits(uint32_t invocations, uint32_t lanes, const struct device_facts *facts);

/* Any device, any shape. */
bool conv_forms_plain(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_plain_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering);
bool conv_forms_plain_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering);

/* What the kernels of conv2d and conv2d_backward_input add and do at the end: bits of their `flags`. */
enum { CONV_RELU = 1, CONV_BIAS = 2, CONV_RESIDUAL = 4, CONV_MASK = 8 };

/*
 * Binds source, weights, bias or mask, residual and target; returns the flags. The source stands in for what is absent.
 * The addend of conv2d_backward_input is a residual. dispatch->bytes counts every operand once.
 */
uint32_t conv_forms_bind(struct dispatch *dispatch, const struct call *call, bool backward);

/* Binds bias or mask and residual only; operand 0 stands in for what is absent. */
uint32_t conv_forms_bind_addends(struct dispatch *dispatch, const struct call *call, bool backward);

/* Whether device and tensors are such as the subgroup form wants. */
bool conv_forms_subgroup_fits(const struct call *call, const struct conv_geometry *conv,
                              const struct device_facts *facts);

/*
 * Appends the subgroup form's product of `matrices` pairs, [rows][source channels] x the weights of a 1x1 convolution
 * with the channels of `conv` (backward: transposed). `rows` is a multiple of 32. The caller binds source, weight,
 * twice the weight again, target.
 */
struct dispatch *conv_forms_subgroup_products(struct lowering *lowering, const struct device_facts *facts,
                                              uint32_t matrices, uint32_t rows, const struct conv_geometry *conv,
                                              bool backward);

/* Appends the dispatch that sums `parts` parts of `part` vec4 each, which lie in scratch block 0, into output 0. */
void conv_forms_sum_parts(struct lowering *lowering, uint32_t part, uint32_t parts);

#endif

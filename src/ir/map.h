/*
 * map: what ops share whose inputs and single output have one shape, computed element by element.
 *
 * The kernel has the op's name; its bindings are the inputs, then the output; its only push word is the number of vec4;
 * its workgroup has 64 invocations, each of which computes one vec4.
 */
#ifndef RVK_IR_MAP_H
#define RVK_IR_MAP_H

#include "ir/op.h"

/* An infer function: the output is as input 0; every other input must have that shape too. */
CHECKED enum status map_infer(const struct call *call, struct tensor out[]);

/* A form's lower function; it always applies. */
bool map_lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering);

#endif

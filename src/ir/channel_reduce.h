/*
 * channel_reduce: how a sum over the pixels of [n, h, w, c] is cut into chunks, for each channel; several ops share it.
 * Kernels of stage one include shaders/channel_reduce.glsl and leave `numbers` partial results a chunk and channel in
 * scratch block 0 as [chunk][number][channel]; kernels of stage two include shaders/channel_merge.glsl and merge them.
 */
#ifndef RVK_IR_CHANNEL_REDUCE_H
#define RVK_IR_CHANNEL_REDUCE_H

#include "ir/dispatch.h"
#include "ir/tensor.h"

struct channel_reduce {
    uint32_t quads, pixels;           /* of the tensor: four channels are a quad */
    uint32_t lanes;                   /* quads of one workgroup, a power of two */
    uint32_t first_size, second_size; /* invocations of a workgroup in stage one and two */
    uint32_t chunk, chunks;           /* pixels of one chunk, number of chunks */
    uint32_t slice;                   /* chunks of one dispatch of stage one */
};

enum { CHANNEL_REDUCE_PIXELS = 1 }; /* the word of stage one that says how many pixels its dispatch has */

/*
 * A GPU wants all of its processors busy with large workgroups. A CPU runs the invocations of a workgroup one vector
 * after the other and pays for every barrier between them: `narrow` workgroups, several for each core. A tensor larger
 * than one storage buffer may be is cut into slices, of chunks that are small enough.
 */
struct channel_reduce channel_reduce_cut(const struct tensor *x, const struct device_facts *facts, bool narrow);

/* Adds stage one; the caller adds its inputs, then the operand scratch 0, and then calls channel_reduce_slice. */
struct dispatch *channel_reduce_first(struct lowering *lowering, const struct channel_reduce *cut, const char *kernel,
                                      uint32_t numbers);

/*
 * Makes of stage one, added last, one dispatch a slice. `images`: the inputs that have all pixels, as bits. False when
 * that are too many dispatches, or a dispatch has too many groups.
 */
bool channel_reduce_slice(struct lowering *lowering, const struct channel_reduce *cut, const struct device_facts *facts,
                          uint32_t images);

/* Adds stage two with the operand scratch 0; the caller adds the others. `epsilon`: of a batch normalization, or 0. */
struct dispatch *channel_reduce_second(struct lowering *lowering, const struct channel_reduce *cut, const char *kernel,
                                       double epsilon);

#endif

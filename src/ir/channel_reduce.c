#include "ir/channel_reduce.h"

#include "base/memory.h"

struct channel_reduce channel_reduce_cut(const struct tensor *x, bool narrow) {
    enum { UNROLL = 8, LANES = 16, BATCHES = 64 };
    struct channel_reduce cut = {
        .quads = tensor_row(x) / 4, .lanes = 1, .first_size = narrow ? 16 : 128, .second_size = narrow ? 8 : 64};
    cut.pixels = (uint32_t)(tensor_elements(x) / tensor_row(x));
    while (cut.lanes < cut.quads && cut.lanes < LANES)
        cut.lanes *= 2;
    uint64_t batch = UNROLL * cut.first_size / cut.lanes, blocks = ceil_div(cut.quads, cut.lanes);
    uint64_t wanted = MAX((narrow ? 64 : 512) / blocks, 1);
    /* No invocation adds more than 512 pixels: longer chains would lose digits. */
    cut.chunk = (uint32_t)MIN(round_up(ceil_div(cut.pixels, wanted), batch), BATCHES * batch);
    cut.chunks = (uint32_t)ceil_div(cut.pixels, cut.chunk);
    return cut;
}

struct dispatch *channel_reduce_first(struct lowering *lowering, const struct channel_reduce *cut, const char *kernel,
                                      uint32_t numbers) {
    struct dispatch *dispatch = lowering_add(lowering, kernel);
    lowering->scratch_bytes[0] = UINT64_C(16) * cut->chunks * numbers * cut->quads;
    dispatch_push(dispatch, cut->quads);
    dispatch_push(dispatch, cut->pixels);
    dispatch_push(dispatch, cut->chunk);
    dispatch_push(dispatch, cut->lanes);
    dispatch_constant(dispatch, cut->first_size);
    dispatch->groups[0] = cut->chunks;
    dispatch->groups[1] = (uint32_t)ceil_div(cut->quads, cut->lanes);
    return dispatch;
}

struct dispatch *channel_reduce_second(struct lowering *lowering, const struct channel_reduce *cut, const char *kernel,
                                       double epsilon) {
    struct dispatch *dispatch = lowering_add(lowering, kernel);
    dispatch_scratch(dispatch, 0);
    dispatch_push(dispatch, cut->quads);
    dispatch_push(dispatch, cut->pixels);
    dispatch_push(dispatch, cut->chunk);
    dispatch_push(dispatch, cut->chunks);
    dispatch_push_float(dispatch, epsilon);
    dispatch_constant(dispatch, cut->second_size);
    dispatch_linear(dispatch, cut->quads, 1);
    dispatch->bytes = (double)lowering->scratch_bytes[0];
    return dispatch;
}

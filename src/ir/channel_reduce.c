#include "ir/channel_reduce.h"

#include "base/memory.h"

/* Any so many chunks begin at a multiple of TENSOR_ALIGNMENT, as vec4s and partial results are 16 bytes. */
enum { UNIT = TENSOR_ALIGNMENT / 16 };

/* Chunks for one dispatch: all, or as many units as one storage buffer covers, of chunks made small enough for one. */
static void cut_slices(struct channel_reduce *cut, uint64_t batch, const struct device_facts *facts) {
    uint64_t pixel = UINT64_C(16) * cut->quads, most = facts->max_storage_range / (UNIT * pixel) / batch * batch;
    cut->slice = cut->chunks;
    if (cut->pixels * pixel <= facts->max_storage_range || most == 0)
        return;
    cut->chunk = (uint32_t)MIN(cut->chunk, most);
    cut->chunks = (uint32_t)ceil_div(cut->pixels, cut->chunk);
    cut->slice = (uint32_t)(facts->max_storage_range / (cut->chunk * pixel) / UNIT * UNIT);
}

struct channel_reduce channel_reduce_cut(const struct tensor *x, const struct device_facts *facts, bool narrow) {
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
    cut_slices(&cut, batch, facts);
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

/* Restricts it to `count` chunks from number `first` on. */
static void restrict_to(struct dispatch *part, const struct channel_reduce *cut, uint32_t first, uint32_t count,
                        uint32_t images, uint64_t partial_bytes) {
    uint64_t pixel = UINT64_C(16) * cut->quads, from = (uint64_t)first * cut->chunk;
    uint64_t pixels = MIN((uint64_t)count * cut->chunk, cut->pixels - from);
    part->push[CHANNEL_REDUCE_PIXELS] = (uint32_t)pixels;
    part->groups[0] = count;
    part->bytes *= (double)pixels / cut->pixels;
    for (uint32_t i = 0; i < part->operand_count; i++) {
        struct operand *operand = &part->operands[i];
        if (operand->kind == OPERAND_SCRATCH)
            *operand = (struct operand){OPERAND_SCRATCH, operand->index, first * partial_bytes, count * partial_bytes};
        else if (images >> operand->index & 1)
            *operand = (struct operand){OPERAND_INPUT, operand->index, from * pixel, pixels * pixel};
    }
}

bool channel_reduce_slice(struct lowering *lowering, const struct channel_reduce *cut, const struct device_facts *facts,
                          uint32_t images) {
    const struct dispatch whole = lowering->dispatches[lowering->count - 1];
    uint64_t slices = ceil_div(cut->chunks, cut->slice);
    if (cut->slice > facts->max_groups[0] || whole.groups[1] > facts->max_groups[1] ||
        slices + lowering->count > LOWERING_DISPATCHES) /* stage two follows */
        return false;
    for (uint32_t first = 0; first < cut->chunks && slices > 1; first += cut->slice) {
        struct dispatch *part =
            first ? lowering_add(lowering, whole.kernel) : &lowering->dispatches[lowering->count - 1];
        *part = whole;
        restrict_to(part, cut, first, MIN(cut->slice, cut->chunks - first), images,
                    lowering->scratch_bytes[0] / cut->chunks);
    }
    return true;
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

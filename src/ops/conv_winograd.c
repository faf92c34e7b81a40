/*
 * conv_winograd: 3x3 convolutions with stride 1, and their input gradients, by Winograd's F(4x4, 3x3) on software
 * devices: a quarter of the multiply-adds for four passes over memory. The transforms are in
 * shaders/conv2d_winograd_*.comp, the 36 matrix products are those of a 1x1 convolution; here is the choice.
 */
#include "ops/conv_forms.h"

#include "base/memory.h"
#include "ops/conv_geometry.h"

enum { GROUP_SIZE = 64, TILE = 4, MATRICES = 36 };
enum { WEIGHTS, SOURCES, PRODUCTS }; /* scratch blocks */

/* What software devices were measured to do: multiply-adds of both kinds and vec4s written in a nanosecond, and the
 * nanoseconds that three dispatches more cost. It must win by a tenth. */
#define DIRECT_RATE 48.0
#define PRODUCT_RATE 36.0
#define WRITE_RATE 0.35
#define DISPATCHES_NS 1e5
#define GAIN 0.9

struct winograd {
    struct conv_geometry conv;
    bool backward;
    struct shape source, target;
    uint32_t tiles[2], count; /* rows, columns; in all images */
    uint32_t rows;            /* of each matrix: `count` rounded up to whole blocks of the product */
    uint32_t padding[2];      /* may be negative modulo 2^32 */
};

static struct winograd describe(const struct call *call, bool backward) {
    struct winograd w = {.backward = backward};
    w.conv = backward ? conv_geometry_of(call, call->out[0], call->in[1], call->in[0])
                      : conv_geometry_of(call, call->in[0], call->in[1], call->out[0]);
    w.source = backward ? w.conv.y : w.conv.x;
    w.target = backward ? w.conv.x : w.conv.y;
    for (int axis = ROWS; axis <= COLUMNS; axis++) {
        w.tiles[axis] = (w.target.d[H + axis] + TILE - 1) / TILE;
        w.padding[axis] = backward ? 2 - w.conv.before[axis] : w.conv.before[axis];
    }
    w.count = w.target.d[N] * w.tiles[ROWS] * w.tiles[COLUMNS];
    w.rows = (uint32_t)round_up(w.count, 32);
    return w;
}

/* vec4s of a scratch block. */
static uint64_t block_quads(const struct winograd *w, int block) {
    if (block == WEIGHTS)
        return UINT64_C(36) * w->conv.weight.d[KI] * conv_quads(w->conv.weight.d[KO]);
    return UINT64_C(36) * w->rows * conv_quads(block == SOURCES ? w->source.d[C] : w->target.d[C]);
}

static bool fits(const struct winograd *w, const struct device_facts *facts) {
    for (int block = WEIGHTS; block <= PRODUCTS; block++)
        if (block_quads(w, block) > MIN(facts->max_texel_elements, facts->max_storage_range / 16))
            return false;
    return true;
}

/* With few channels or few images there is too little to win. */
static bool pays(const struct winograd *w) {
    double product = 36.0 * w->rows * w->source.d[C] * w->target.d[C], written = 0;
    for (int block = WEIGHTS; block <= PRODUCTS; block++)
        written += (double)block_quads(w, block);
    double direct = conv_geometry_multiply_adds(&w->conv) / DIRECT_RATE;
    return product / PRODUCT_RATE + written / WRITE_RATE + DISPATCHES_NS < GAIN * direct;
}

static bool applies(const struct call *call, const struct winograd *w, const struct device_facts *facts) {
    const struct conv_geometry *conv = &w->conv;
    return conv->weight.d[KH] == 3 && conv->weight.d[KW] == 3 && conv->stride[ROWS] == 1 &&
           conv->stride[COLUMNS] == 1 && conv->dilation[ROWS] == 1 && conv->dilation[COLUMNS] == 1 &&
           conv->groups == 1 && w->source.d[C] > 1 && conv_forms_subgroup_fits(call, conv, facts) && fits(w, facts);
}

static void push_tiles(struct dispatch *dispatch, const struct winograd *w, struct shape shape) {
    dispatch_push(dispatch, shape.d[H]);
    dispatch_push(dispatch, shape.d[W]);
    dispatch_push(dispatch, w->tiles[ROWS]);
    dispatch_push(dispatch, w->tiles[COLUMNS]);
}

static void push_matrices(struct dispatch *dispatch, const struct winograd *w, struct shape shape) {
    dispatch_push(dispatch, conv_quads(shape.d[C]));
    dispatch_push(dispatch, w->count);
    dispatch_push(dispatch, w->rows * conv_quads(shape.d[C]));
    dispatch_linear(dispatch, (uint64_t)w->count * conv_quads(shape.d[C]), GROUP_SIZE);
}

static void add_weights(struct lowering *lowering, const struct winograd *w) {
    uint32_t count = w->conv.weight.d[KI] * conv_quads(w->conv.weight.d[KO]);
    struct dispatch *dispatch = lowering_add(lowering, "conv2d_winograd_weight");
    dispatch_input(dispatch, 1);
    dispatch_scratch(dispatch, WEIGHTS);
    dispatch_constant(dispatch, w->backward);
    dispatch_push(dispatch, count);
    dispatch_linear(dispatch, count, GROUP_SIZE);
    dispatch->bytes = 16.0 * (9 + 36) * count;
}

static void add_sources(struct lowering *lowering, const struct winograd *w) {
    struct dispatch *dispatch = lowering_add(lowering, "conv2d_winograd_source");
    dispatch_input(dispatch, 0);
    dispatch_scratch(dispatch, SOURCES);
    push_tiles(dispatch, w, w->source);
    dispatch_push(dispatch, w->padding[ROWS]);
    dispatch_push(dispatch, w->padding[COLUMNS]);
    push_matrices(dispatch, w, w->source);
    dispatch->bytes = 4.0 * (double)shape_count(w->source) + 16.0 * (double)block_quads(w, SOURCES);
}

static void add_products(struct lowering *lowering, const struct device_facts *facts, const struct winograd *w) {
    struct dispatch *dispatch = conv_forms_subgroup_products(lowering, facts, MATRICES, w->rows, &w->conv, w->backward);
    dispatch_scratch(dispatch, SOURCES);
    dispatch_scratch(dispatch, WEIGHTS);
    dispatch_scratch(dispatch, WEIGHTS); /* for absent addends */
    dispatch_scratch(dispatch, WEIGHTS);
    dispatch_scratch(dispatch, PRODUCTS);
    dispatch->bytes = 0;
    for (int block = WEIGHTS; block <= PRODUCTS; block++)
        dispatch->bytes += 16.0 * (double)block_quads(w, block);
}

static void add_targets(const struct call *call, struct lowering *lowering, const struct winograd *w) {
    struct dispatch *dispatch = lowering_add(lowering, "conv2d_winograd_target");
    dispatch_scratch(dispatch, PRODUCTS);
    dispatch_constant(dispatch, conv_forms_bind_addends(dispatch, call, w->backward));
    dispatch_output(dispatch, 0);
    push_tiles(dispatch, w, w->target);
    push_matrices(dispatch, w, w->target);
    dispatch_push(dispatch, w->target.d[C]);
    dispatch->bytes = 4.0 * (double)shape_count(w->target) + 16.0 * (double)block_quads(w, PRODUCTS);
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering, bool backward,
                  bool paying) {
    struct winograd w = describe(call, backward);
    if (!applies(call, &w, facts) || pays(&w) != paying)
        return false;
    for (int block = WEIGHTS; block <= PRODUCTS; block++)
        lowering->scratch_bytes[block] = 16 * block_quads(&w, block);
    add_weights(lowering, &w);
    add_sources(lowering, &w);
    add_products(lowering, facts, &w);
    add_targets(call, lowering, &w);
    return true;
}

bool conv_forms_winograd(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return lower(call, facts, lowering, false, true);
}

bool conv_forms_winograd_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return lower(call, facts, lowering, true, true);
}

bool conv_forms_slow_winograd(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    return lower(call, facts, lowering, false, false);
}

bool conv_forms_slow_winograd_input(const struct call *call, const struct device_facts *facts,
                                    struct lowering *lowering) {
    return lower(call, facts, lowering, true, false);
}

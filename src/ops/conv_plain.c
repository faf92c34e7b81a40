/*
 * conv_plain: the convolution ops for any device and any shape. No shared memory, no subgroups, no specialization; one
 * pipeline a kernel serves all shapes. Tensors over the device's storage range are computed in slices of images.
 */
#include "ops/conv_forms.h"

#include "base/memory.h"
#include "ops/conv_geometry.h"

enum { GROUP_SIZE = 64 /* local_size_x of the kernels */, PIXELS = 4 /* an invocation computes, in conv2d.glsl */ };

/* Invocations of the weight gradient that keep a large device busy, pixels a chunk should have, bytes of all parts. */
#define WEIGHT_INVOCATIONS 32768
#define CHUNK_PIXELS_LEAST 64
#define CHUNK_PIXELS_MOST 4096
#define PART_BYTES (UINT64_C(1) << 26)

static uint64_t image_bytes(struct shape shape) {
    return UINT64_C(16) * shape.d[H] * shape.d[W] * conv_quads(shape.d[C]);
}

/*
 * Images that one dispatch may handle: as many as fit the storage range, and so many that the next slice is aligned.
 * All, if no number satisfies both: recording then refuses the tensor by name.
 */
static uint32_t slice_images(const struct conv_geometry *conv, const struct device_facts *facts) {
    uint64_t x = image_bytes(conv->x), y = image_bytes(conv->y);
    uint64_t most = facts->max_storage_range / MAX(x, y);
    uint32_t images = conv->x.d[N];
    if (images <= most)
        return images;
    uint64_t unit = 1;
    while (x * unit % TENSOR_ALIGNMENT || y * unit % TENSOR_ALIGNMENT)
        unit *= 2;
    uint64_t slice = most / unit * unit;
    return slice == 0 || ceil_div(images, slice) >= LOWERING_DISPATCHES / 2 ? images : (uint32_t)slice;
}

/* Restricts the operand added last to `count` images from `first` on. */
static void slice_operand(struct dispatch *dispatch, struct shape shape, uint32_t first, uint32_t count) {
    if (count == shape.d[N])
        return;
    struct operand *operand = &dispatch->operands[dispatch->operand_count - 1];
    operand->offset = first * image_bytes(shape);
    operand->bytes = count * image_bytes(shape);
}

static void push_pair(struct dispatch *dispatch, const uint32_t pair[2]) {
    dispatch_push(dispatch, pair[ROWS]);
    dispatch_push(dispatch, pair[COLUMNS]);
}

/* The first words of the push block in conv2d.glsl. */
static void push_geometry(struct dispatch *dispatch, const struct conv_geometry *conv, uint32_t images) {
    push_pair(dispatch, &conv->x.d[H]);
    push_pair(dispatch, &conv->y.d[H]);
    push_pair(dispatch, &conv->weight.d[KH]);
    push_pair(dispatch, conv->stride);
    push_pair(dispatch, conv->before);
    push_pair(dispatch, conv->dilation);
    dispatch_push(dispatch, images);
    dispatch_push(dispatch, conv->x.d[C]);
    dispatch_push(dispatch, conv->y.d[C]);
    dispatch_push(dispatch, conv->weight.d[KI]);
    dispatch_push(dispatch, conv->y.d[C] / conv->groups);
}

static void set_work(struct dispatch *dispatch, const struct conv_geometry *conv, uint32_t images) {
    double share = (double)images / conv->x.d[N];
    dispatch->flops = 2 * share * conv_geometry_multiply_adds(conv);
    dispatch->bytes =
        (double)images * (double)(image_bytes(conv->x) + image_bytes(conv->y)) + 4 * (double)shape_count(conv->weight);
}

/* Invocations of a kernel that computes `pixels` pixels of `channels` channels. */
static uint64_t invocations(const struct conv_geometry *conv, uint64_t pixels, uint32_t channels) {
    return (conv->groups == 1 ? ceil_div(pixels, PIXELS) : pixels) * conv_quads(channels);
}

/* Changes output 0 for some images of `shape` by an operand, as `flags` say: + residual, relu of the sum, or mask. */
static void add_finish(struct lowering *lowering, struct shape shape, uint32_t operand, uint32_t first, uint32_t count,
                       uint32_t flags) {
    uint64_t items = count * image_bytes(shape) / 16;
    struct dispatch *dispatch = lowering_add(lowering, "conv2d_finish");
    dispatch_input(dispatch, operand);
    slice_operand(dispatch, shape, first, count);
    dispatch_output(dispatch, 0);
    slice_operand(dispatch, shape, first, count);
    dispatch_push(dispatch, (uint32_t)items);
    dispatch_push(dispatch, flags);
    dispatch_linear(dispatch, items, GROUP_SIZE);
    dispatch->bytes = 48 * (double)items;
}

static void add_forward(const struct call *call, const struct conv_geometry *conv, struct lowering *lowering,
                        uint32_t first, uint32_t count) {
    bool bias = call->in[2], residual = call->in[3], both = bias && residual, relu = attr(call, "relu") != 0;
    struct dispatch *dispatch = lowering_add(lowering, conv->groups == 1 ? "conv2d" : "conv2d_grouped");
    dispatch_input(dispatch, 0);
    slice_operand(dispatch, conv->x, first, count);
    dispatch_input(dispatch, 1);
    dispatch_input(dispatch, bias ? 2 : residual ? 3 : 1); /* the weights stand in for an addend that is absent */
    if (residual && !bias)
        slice_operand(dispatch, conv->y, first, count);
    dispatch_output(dispatch, 0);
    slice_operand(dispatch, conv->y, first, count);
    push_geometry(dispatch, conv, count);
    dispatch_push(dispatch, (relu && !both ? CONV_RELU : 0u) | (bias ? CONV_BIAS : residual ? CONV_RESIDUAL : 0u));
    dispatch_linear(dispatch, invocations(conv, (uint64_t)count * conv->y.d[H] * conv->y.d[W], conv->y.d[C]),
                    GROUP_SIZE);
    set_work(dispatch, conv, count);
    if (both) /* a third operand and a fourth: more storage buffers than every device has */
        add_finish(lowering, conv->y, 3, first, count, relu ? CONV_RELU : 0u);
}

bool conv_forms_plain(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->in[1], call->out[0]);
    uint32_t images = conv.x.d[N], slice = slice_images(&conv, facts);
    for (uint32_t first = 0; first < images; first += slice)
        add_forward(call, &conv, lowering, first, MIN(slice, images - first));
    return true;
}

bool conv_forms_plain_input(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->out[0], call->in[1], call->in[0]);
    uint32_t images = conv.x.d[N], slice = slice_images(&conv, facts);
    for (uint32_t first = 0; first < images; first += slice) {
        uint32_t count = MIN(slice, images - first);
        struct dispatch *dispatch =
            lowering_add(lowering, conv.groups == 1 ? "conv2d_backward_input" : "conv2d_grouped_backward_input");
        dispatch_input(dispatch, 0);
        slice_operand(dispatch, conv.y, first, count);
        dispatch_input(dispatch, 1);
        dispatch_output(dispatch, 0);
        slice_operand(dispatch, conv.x, first, count);
        push_geometry(dispatch, &conv, count);
        dispatch_linear(dispatch, invocations(&conv, (uint64_t)count * conv.x.d[H] * conv.x.d[W], conv.x.d[C]),
                        GROUP_SIZE);
        set_work(dispatch, &conv, count);
        if (call->in[2])
            add_finish(lowering, conv.x, 2, first, count, 0);
        if (call->in[3])
            add_finish(lowering, conv.x, 3, first, count, CONV_MASK);
    }
    return true;
}

/* How the pixels of the weight gradient are cut: `count` parts of `pixels` in a slice of images. */
struct chunks {
    uint32_t count, pixels;
};

static struct chunks cut(const struct conv_geometry *conv, const struct device_facts *facts, uint32_t images,
                         uint32_t slices, uint64_t items) {
    uint64_t part =
        UINT64_C(4) * conv->weight.d[KH] * conv->weight.d[KW] * conv->weight.d[KI] * 4 * conv_quads(conv->y.d[C]);
    uint64_t pixels = (uint64_t)images * conv->y.d[H] * conv->y.d[W];
    uint64_t most = MAX(MIN(PART_BYTES, facts->max_storage_range) / part / slices, 1);
    uint64_t count = MIN(ceil_div(WEIGHT_INVOCATIONS, items), ceil_div(pixels, CHUNK_PIXELS_LEAST));
    count = MIN(MAX(count, ceil_div(pixels, CHUNK_PIXELS_MOST)), most);
    struct chunks chunks = {.pixels = (uint32_t)ceil_div(pixels, count)};
    chunks.count = (uint32_t)ceil_div(pixels, chunks.pixels);
    return chunks;
}

/*
 * Rows of the kernel whose gradient one dispatch may write: as many as fit the storage range, with the next ones
 * aligned. All, if no number satisfies both: recording then refuses the tensor by name.
 */
static uint32_t slice_rows(const struct conv_geometry *conv, const struct device_facts *facts) {
    uint64_t row = UINT64_C(16) * conv->weight.d[KW] * conv->weight.d[KI] * conv_quads(conv->y.d[C]);
    uint64_t most = facts->max_storage_range / row, unit = 1;
    uint32_t rows = conv->weight.d[KH];
    if (rows <= most)
        return rows;
    while (row * unit % TENSOR_ALIGNMENT)
        unit *= 2;
    uint64_t slice = most / unit * unit;
    return slice == 0 || ceil_div(rows, slice) > LOWERING_DISPATCHES ? rows : (uint32_t)slice;
}

/* The gradient of some rows of the kernel is that of a kernel with these rows only, over images that are padded less.
 */
static void add_weight_rows(const struct conv_geometry *whole, struct lowering *lowering, uint32_t first, uint32_t rows,
                            uint64_t row_items) {
    struct conv_geometry conv = *whole;
    uint64_t bytes = UINT64_C(16) * conv.weight.d[KW] * conv.weight.d[KI] * conv_quads(conv.y.d[C]);
    conv.weight.d[KH] = rows;
    conv.before[ROWS] -= first * conv.dilation[ROWS]; /* may become negative modulo 2^32 */
    struct dispatch *dispatch =
        lowering_add(lowering, conv.groups == 1 ? "conv2d_backward_weight" : "conv2d_grouped_backward_weight");
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    dispatch_output(dispatch, 0);
    if (rows < whole->weight.d[KH])
        dispatch_range(dispatch, first * bytes, rows * bytes);
    push_geometry(dispatch, &conv, conv.x.d[N]);
    dispatch_push(dispatch, 1);
    dispatch_push(dispatch, conv.x.d[N] * conv.y.d[H] * conv.y.d[W]);
    dispatch_push(dispatch, 0);
    dispatch_linear(dispatch, rows * row_items, GROUP_SIZE);
    set_work(dispatch, &conv, conv.x.d[N]);
}

bool conv_forms_plain_weight(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct conv_geometry conv = conv_geometry_of(call, call->in[0], call->out[0], call->in[1]);
    uint32_t images = conv.x.d[N], slice = slice_images(&conv, facts), slices = (images + slice - 1) / slice;
    uint64_t taps = (uint64_t)conv.weight.d[KH] * conv.weight.d[KW], row = conv_quads(conv.y.d[C]);
    uint64_t items = taps * row * (conv.groups == 1 ? conv_quads(conv.x.d[C]) : conv.weight.d[KI]);
    uint64_t part = taps * conv.weight.d[KI] * row;
    bool direct = slices == 1 && cut(&conv, facts, images, 1, items).count == 1;
    uint32_t parts = 0, rows = slice_rows(&conv, facts);
    for (uint32_t first = 0; direct && first < conv.weight.d[KH]; first += rows)
        add_weight_rows(&conv, lowering, first, MIN(rows, conv.weight.d[KH] - first), items / conv.weight.d[KH]);
    if (direct)
        return true;
    for (uint32_t first = 0; first < images; first += slice) {
        uint32_t count = MIN(slice, images - first);
        struct chunks chunks = cut(&conv, facts, count, slices, items);
        struct dispatch *dispatch =
            lowering_add(lowering, conv.groups == 1 ? "conv2d_backward_weight" : "conv2d_grouped_backward_weight");
        dispatch_input(dispatch, 0);
        slice_operand(dispatch, conv.x, first, count);
        dispatch_input(dispatch, 1);
        slice_operand(dispatch, conv.y, first, count);
        dispatch_scratch(dispatch, 0);
        push_geometry(dispatch, &conv, count);
        dispatch_push(dispatch, chunks.count);
        dispatch_push(dispatch, chunks.pixels);
        dispatch_push(dispatch, parts);
        dispatch_linear(dispatch, items * chunks.count, GROUP_SIZE);
        set_work(dispatch, &conv, count);
        parts += chunks.count;
    }
    lowering->scratch_bytes[0] = 16 * part * parts;
    conv_forms_sum_parts(lowering, (uint32_t)part, parts);
    return true;
}

uint32_t conv_forms_bind_addends(struct dispatch *dispatch, const struct call *call, bool backward) {
    uint32_t other = backward ? 3 : 2, residual = backward ? 2 : 3; /* operands: bias or mask, residual */
    uint32_t flags = !backward && attr(call, "relu") != 0 ? CONV_RELU : 0u;
    flags |= call->in[residual] ? CONV_RESIDUAL : 0u;
    flags |= !call->in[other] ? 0u : backward ? CONV_MASK : CONV_BIAS;
    dispatch_input(dispatch, call->in[other] ? other : 0);
    dispatch_input(dispatch, call->in[residual] ? residual : 0);
    return flags;
}

uint32_t conv_forms_bind(struct dispatch *dispatch, const struct call *call, bool backward) {
    dispatch_input(dispatch, 0);
    dispatch_input(dispatch, 1);
    uint32_t flags = conv_forms_bind_addends(dispatch, call, backward);
    dispatch_output(dispatch, 0);
    dispatch->bytes = (double)tensor_bytes(call->out[0]);
    for (int j = 0; j < OP_INPUTS; j++)
        dispatch->bytes += call->in[j] ? (double)tensor_bytes(call->in[j]) : 0;
    return flags;
}

void conv_forms_sum_parts(struct lowering *lowering, uint32_t part, uint32_t parts) {
    struct dispatch *dispatch = lowering_add(lowering, "conv2d_sum");
    dispatch_scratch(dispatch, 0);
    dispatch_output(dispatch, 0);
    dispatch_push(dispatch, part);
    dispatch_push(dispatch, parts);
    dispatch_linear(dispatch, part, GROUP_SIZE);
    dispatch->bytes = 16 * (double)part * (parts + 1);
}

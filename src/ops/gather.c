/*
 * gather_batch: the batch of a step out of the data set that lives on the device as bytes. x = (byte - mean) * scale
 * after a shift by whole pixels in [-shift, shift] on both axes and, with flip, a mirroring of every other image on
 * average. Pixels from outside are byte 0, or with nearest the edge's. The mean is that of the source pixel (outside:
 * of the nearest one), as if it had been subtracted before the shift.
 *
 * The choices are a pure function of (seed, epoch, index of the image): clock = (seed, epoch, step, 0). An index that
 * is no image (0xFFFFFFFF) leaves its place empty: zeros, target 0xFFFFFFFF.
 *
 * With direct=1, images and labels are those of this batch alone: place i takes image i, and its index, which may be
 * any number, serves the random choices (and leaves the place empty when it is 0xFFFFFFFF).
 *
 * On a device two kernels come first, which write down the choices, and mean and scale as one table: the kernel that
 * makes x then has the four storage buffers that every device allows.
 */
#include "ir/op.h"

#include "base/memory.h"
#include "base/random.h"
#include "ir/bound.h"

enum { IMAGES, LABELS, INDICES, CLOCK, MEAN, SCALE };
enum { GROUP_SIZE = 64 };
enum { CHOICES, TABLE }; /* scratch */

/* Streams of random numbers, the same as in shaders/gather_choices.comp: one for each epoch and purpose. */
enum { PURPOSE_ROWS, PURPOSE_COLUMNS, PURPOSE_FLIP };

static uint32_t choose(const double *clock, uint32_t purpose, uint32_t index, uint32_t count) {
    return random_below((uint32_t)clock[0], 0x67610000u + 4u * (uint32_t)clock[1] + purpose, index, count);
}

static enum status check_bytes(const struct call *call) {
    const struct tensor *images = call->in[IMAGES], *labels = call->in[LABELS];
    char texts[2][48];
    if (images->dtype != DTYPE_U8)
        return fail(STATUS_USAGE, "images should be bytes");
    for (int j = LABELS; j <= CLOCK; j++)
        if (call->in[j]->dtype != DTYPE_U32 || !shape_equal(call->in[j]->shape, shape_vector(call->in[j]->shape.d[3])))
            return fail(STATUS_USAGE, "%s should be whole numbers [1,1,1,n], it is %s", call->op->inputs[j],
                        shape_print(call->in[j]->shape, texts[0]));
    if (labels->shape.d[3] != images->shape.d[N])
        return fail(STATUS_USAGE, "labels are %s for images %s", shape_print(labels->shape, texts[0]),
                    shape_print(images->shape, texts[1]));
    if (attr(call, "direct") != 0 && call->in[INDICES]->shape.d[3] != images->shape.d[N])
        return fail(STATUS_USAGE, "a direct batch needs an index for each of its %u images, there are %u",
                    images->shape.d[N], call->in[INDICES]->shape.d[3]);
    if (call->in[CLOCK]->shape.d[3] != 4)
        return fail(STATUS_USAGE, "clock should be 1x1x1x4, it is %s", shape_print(call->in[CLOCK]->shape, texts[0]));
    return STATUS_OK;
}

static bool mean_per_pixel(const struct call *call) {
    return call->in[MEAN]->shape.d[H] != 1 || call->in[MEAN]->shape.d[W] != 1;
}

static enum status infer(const struct call *call, struct tensor out[]) {
    TRY(check_bytes(call));
    struct shape image = call->in[IMAGES]->shape, mean = call->in[MEAN]->shape, scale = call->in[SCALE]->shape;
    uint32_t batch = call->in[INDICES]->shape.d[3];
    char texts[2][48];
    image.d[N] = 1;
    if ((mean_per_pixel(call) && !shape_equal(mean, image)) || mean.d[N] != 1 || mean.d[C] != image.d[C])
        return fail(STATUS_USAGE, "mean should be 1x1x1x%u or %s, it is %s", image.d[C], shape_print(image, texts[0]),
                    shape_print(mean, texts[1]));
    if (!shape_equal(scale, shape_vector(image.d[C])))
        return fail(STATUS_USAGE, "scale should be 1x1x1x%u, it is %s", image.d[C], shape_print(scale, texts[0]));
    if (!(attr(call, "shift") >= 0 && attr(call, "shift") < MIN(image.d[H], image.d[W])))
        return fail(STATUS_USAGE, "shift should be from 0 to %u, it is %g", MIN(image.d[H], image.d[W]) - 1,
                    attr(call, "shift"));
    out[0].dtype = DTYPE_F32;
    out[0].shape = shape4(batch, image.d[H], image.d[W], image.d[C]);
    out[1].dtype = DTYPE_U32;
    out[1].shape = shape_vector(batch);
    return STATUS_OK;
}

/* What was chosen for one image. */
struct choice {
    int32_t rows, columns;
    bool flip;
};

static struct choice choose_all(const struct call *call, const double *clock, uint32_t index) {
    uint32_t shift = attr_u(call, "shift"), count = 2 * shift + 1;
    return (struct choice){
        .rows = (int32_t)choose(clock, PURPOSE_ROWS, index, count) - (int32_t)shift,
        .columns = (int32_t)choose(clock, PURPOSE_COLUMNS, index, count) - (int32_t)shift,
        .flip = attr(call, "flip") != 0 && choose(clock, PURPOSE_FLIP, index, 2) == 1,
    };
}

/* Writes one pixel at (y, x) of the image that starts at `image`. */
static void gather_pixel(const struct call *call, const double *const in[], const double *image, struct choice choice,
                         int32_t y, int32_t x, double *out, double *bound) {
    const struct shape *shape = &call->in[IMAGES]->shape;
    int32_t height = (int32_t)shape->d[H], width = (int32_t)shape->d[W];
    uint32_t channels = shape->d[C];
    int32_t row = y + choice.rows, column = (choice.flip ? width - 1 - x : x) + choice.columns;
    int32_t edge_row = MIN(MAX(row, 0), height - 1), edge_column = MIN(MAX(column, 0), width - 1);
    bool inside = row == edge_row && column == edge_column;
    size_t pixel = ((size_t)edge_row * (size_t)width + (size_t)edge_column) * channels;
    const double *mean = in[MEAN] + (mean_per_pixel(call) ? pixel : 0);
    for (uint32_t c = 0; c < channels; c++) {
        double byte = inside || attr(call, "nearest") != 0 ? image[pixel + c] : 0;
        out[c] = (byte - mean[c]) * in[SCALE][c];
        bound[c] = 2 * UNIT_ROUNDOFF * fabs(out[c]);
    }
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    struct shape shape = call->out[0]->shape;
    bool direct = attr(call, "direct") != 0;
    uint32_t count = direct ? UINT32_MAX : call->in[IMAGES]->shape.d[N], channels = shape.d[C];
    size_t image_count = (size_t)shape.d[H] * shape.d[W] * channels;
    for (size_t n = 0; n < shape.d[N]; n++) {
        bool empty = in[INDICES][n] >= count;
        uint32_t index = empty ? 0 : (uint32_t)in[INDICES][n];
        size_t image = direct ? n : index;
        out[1][n] = empty ? (double)UINT32_MAX : in[LABELS][image];
        bound[1][n] = 0;
        struct choice choice = choose_all(call, in[CLOCK], index);
        for (size_t i = 0; i < image_count; i++)
            out[0][n * image_count + i] = bound[0][n * image_count + i] = 0;
        for (size_t p = 0; !empty && p < image_count / channels; p++)
            gather_pixel(call, in, in[IMAGES] + image * image_count, choice, (int32_t)(p / shape.d[W]),
                         (int32_t)(p % shape.d[W]), out[0] + n * image_count + p * channels,
                         bound[0] + n * image_count + p * channels);
    }
}

/* Images that one dispatch may see: within the storage range, and so many that the next part is aligned. 0: none. */
static uint64_t images_per_part(uint64_t image_bytes, uint64_t count, const struct device_facts *facts) {
    uint64_t unit = 1, most = facts->max_storage_range / image_bytes;
    if (round_up(count * image_bytes, 4) <= facts->max_storage_range)
        return count;
    while (image_bytes * unit % TENSOR_ALIGNMENT)
        unit *= 2;
    return most / unit * unit;
}

static void add_labels(const struct call *call, struct lowering *lowering, uint32_t batch, uint32_t count) {
    struct dispatch *dispatch = lowering_add(lowering, "gather_labels");
    dispatch_input(dispatch, LABELS);
    dispatch_input(dispatch, INDICES);
    dispatch_output(dispatch, 1);
    dispatch_push(dispatch, batch);
    dispatch_push(dispatch, count);
    dispatch_push(dispatch, attr(call, "direct") != 0);
    dispatch_linear(dispatch, round_up(batch, 4), GROUP_SIZE);
    dispatch->bytes = 12.0 * batch;
}

static void add_choices(const struct call *call, struct lowering *lowering, uint32_t batch) {
    struct dispatch *dispatch = lowering_add(lowering, "gather_choices");
    dispatch_input(dispatch, INDICES);
    dispatch_input(dispatch, CLOCK);
    dispatch_scratch(dispatch, CHOICES);
    dispatch_push(dispatch, batch);
    dispatch_push(dispatch, attr_u(call, "shift"));
    dispatch_push(dispatch, attr(call, "flip") != 0);
    dispatch_push(dispatch, attr(call, "direct") != 0);
    dispatch_linear(dispatch, batch, GROUP_SIZE);
    dispatch->bytes = 20.0 * batch;
    lowering->scratch_bytes[CHOICES] = UINT64_C(16) * batch;
}

static void add_table(const struct call *call, struct lowering *lowering) {
    uint64_t count = tensor_elements(call->in[MEAN]) / 4;
    struct dispatch *dispatch = lowering_add(lowering, "gather_table");
    dispatch_input(dispatch, MEAN);
    dispatch_input(dispatch, SCALE);
    dispatch_scratch(dispatch, TABLE);
    dispatch_push(dispatch, (uint32_t)count);
    dispatch_push(dispatch, (uint32_t)(tensor_elements(call->in[SCALE]) / 4));
    dispatch_linear(dispatch, count, GROUP_SIZE);
    dispatch->bytes = 48.0 * (double)count;
    lowering->scratch_bytes[TABLE] = 32 * count;
}

static void add_images(const struct call *call, struct lowering *lowering, uint64_t first, uint64_t images) {
    struct shape x = call->out[0]->shape;
    uint64_t image_bytes = (uint64_t)x.d[H] * x.d[W] * x.d[C];
    struct dispatch *dispatch = lowering_add(lowering, "gather_batch");
    dispatch_input(dispatch, IMAGES);
    dispatch_range(dispatch, first * image_bytes, round_up(images * image_bytes, 4));
    dispatch_scratch(dispatch, CHOICES);
    dispatch_scratch(dispatch, TABLE);
    dispatch_output(dispatch, 0);
    const uint32_t words[] = {
        x.d[N], x.d[H], x.d[W], x.d[C], (uint32_t)first, (uint32_t)images, call->in[IMAGES]->shape.d[N]};
    for (size_t i = 0; i < COUNT(words); i++)
        dispatch_push(dispatch, words[i]);
    dispatch_push(dispatch, mean_per_pixel(call));
    dispatch_push(dispatch, attr(call, "nearest") != 0);
    dispatch_linear(dispatch, tensor_elements(call->out[0]) / 4, GROUP_SIZE);
    dispatch->bytes = 5.0 * (double)tensor_elements(call->out[0]);
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    struct shape x = call->out[0]->shape;
    uint32_t count = call->in[IMAGES]->shape.d[N];
    uint64_t image_bytes = (uint64_t)x.d[H] * x.d[W] * x.d[C], part = images_per_part(image_bytes, count, facts);
    if (part == 0 || ceil_div(count, part) > LOWERING_DISPATCHES - 3)
        return false;
    add_labels(call, lowering, x.d[N], count);
    add_choices(call, lowering, x.d[N]);
    add_table(call, lowering);
    for (uint64_t first = 0; first < count; first += part)
        add_images(call, lowering, first, MIN(part, count - first));
    return true;
}

/* Every seventh place is empty. */
static double sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    uint32_t i = (uint32_t)index, count = call->in[IMAGES]->shape.d[N];
    switch (input) {
    case IMAGES:
        return random_below(seed, 1, i, 256);
    case LABELS:
        return random_below(seed, 2, i, 1000);
    case INDICES:
        return i % 7 == 6 ? (double)UINT32_MAX
                          : random_below(seed, 3, i, attr(call, "direct") != 0 ? UINT32_MAX : count);
    case CLOCK:
        return i < 3 ? random_bits(seed, 4, i) : 0;
    case MEAN:
        return kind == DATA_EXACT ? random_below(seed, 5, i, 256) : 255 * random_uniform(seed, 5, i);
    default:
        return kind == DATA_EXACT ? 0.25 * (1 + i % 3) : 0.01 + 0.02 * random_uniform(seed, 6, i);
    }
}

#define BATCH(count, n) "labels=1x1x1x" count " indices=1x1x1x" n " clock=1x1x1x4 "
static const char *const cases[] = {
    "images=9x6x7x3 " BATCH("9", "5") "mean=1x1x1x3 scale=1x1x1x3 shift=2 flip=1",
    "images=1x1x1x1 " BATCH("1", "1") "mean=1x1x1x1 scale=1x1x1x1",
    "images=20x32x32x1 " BATCH("20", "15") "mean=1x32x32x1 scale=1x1x1x1 shift=4 flip=1 nearest=1",
    "images=17x5x5x3 " BATCH("17", "9") "mean=1x5x5x3 scale=1x1x1x3 shift=4",
    "images=11x4x3x9 " BATCH("11", "8") "mean=1x1x1x9 scale=1x1x1x9 shift=1 nearest=1",
    "images=64x32x32x3 " BATCH("64", "130") "mean=1x1x1x3 scale=1x1x1x3 shift=4 flip=1",
    "images=8x5x6x3 " BATCH("8", "8") "mean=1x1x1x3 scale=1x1x1x3 direct=1 shift=1 flip=1",
    "images=3x16x16x3 " BATCH("3", "3") "mean=1x16x16x3 scale=1x1x1x3 direct=1",
    "+images=8x32x32x3 " BATCH("8", "4200") "mean=1x1x1x3 scale=1x1x1x3 shift=4 flip=1", /* many groups */
    "+images=50000x32x32x3 " BATCH("50000", "128") "mean=1x32x32x3 scale=1x1x1x3 shift=4 flip=1",
    NULL,
};

const struct op op_gather_batch = {
    .name = "gather_batch",
    .inputs = {"images", "labels", "indices", "clock", "mean", "scale"},
    .input_dtypes = {DTYPE_U8, DTYPE_U32, DTYPE_U32, DTYPE_U32, DTYPE_F32, DTYPE_F32},
    .outputs = {"x", "target"},
    .attributes = {{"shift", 0}, {"flip", 0}, {"nearest", 0}, {"direct", 0}},
    .infer = infer,
    .reference = reference,
    .forms = {{"plain", lower}},
    .sample = sample,
    .no_hostile = true,
    .cases = cases,
};

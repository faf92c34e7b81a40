/*
 * mix: images of a batch with parts of others in them, for mixup (Zhang et al., "mixup: Beyond Empirical Risk
 * Minimization", 2017) and cutmix (Yun et al., "CutMix", 2019). The partner of image i is image (i + shift) mod n.
 * Inside a box, y is the partner; elsewhere y = x + share (partner - x).
 *
 * choice = (shift, top, bottom, left, right, share of the pixels, share of the label, 0): rows top <= y < bottom,
 * columns left <= x < right, shares in units of 2^-24. Zeros leave everything as it is.
 * mixed holds three rows for the loss: the image's own label, its partner's, and the share of the latter.
 */
#include "ir/op.h"

#include "base/memory.h"
#include "base/random.h"
#include "ir/bound.h"

enum { X, TARGET, CHOICE };
enum { SHIFT, TOP, BOTTOM, LEFT, RIGHT, PIXEL_SHARE, LABEL_SHARE, CHOICE_WORDS = 8 };
enum { GROUP_SIZE = 64, MIXED_ROWS = 3 };

static enum status infer(const struct call *call, struct tensor out[]) {
    const struct tensor *x = call->in[X];
    char text[48];
    if (call->in[TARGET]->dtype != DTYPE_U32 || !shape_equal(call->in[TARGET]->shape, shape_vector(x->shape.d[N])))
        return fail(STATUS_USAGE, "target should be whole numbers 1x1x1x%u, it is %s", x->shape.d[N],
                    shape_print(call->in[TARGET]->shape, text));
    if (call->in[CHOICE]->dtype != DTYPE_U32 || !shape_equal(call->in[CHOICE]->shape, shape_vector(CHOICE_WORDS)))
        return fail(STATUS_USAGE, "choice should be whole numbers 1x1x1x%d, it is %s", CHOICE_WORDS,
                    shape_print(call->in[CHOICE]->shape, text));
    out[0].dtype = DTYPE_F32;
    out[0].shape = x->shape;
    out[1].dtype = DTYPE_U32;
    out[1].shape = shape4(1, 1, MIXED_ROWS, x->shape.d[N]);
    return STATUS_OK;
}

static size_t partner_of(const double *choice, size_t image, size_t images) {
    return (image + (size_t)choice[SHIFT]) % images;
}

/* One row of pixels, `row` of the image. The difference, its product with the share and the sum are rounded. */
static void mix_row(const double *choice, const struct shape *shape, uint32_t row, const double *own,
                    const double *partner, double *out, double *bound) {
    double share = choice[PIXEL_SHARE] * 0x1p-24;
    bool rows_in = row >= choice[TOP] && row < choice[BOTTOM];
    for (size_t i = 0; i < (size_t)shape->d[W] * shape->d[C]; i++) {
        uint32_t column = (uint32_t)(i / shape->d[C]);
        bool inside = rows_in && column >= choice[LEFT] && column < choice[RIGHT];
        double apart = partner[i] - own[i];
        out[i] = inside ? partner[i] : own[i] + share * apart;
        bound[i] = inside || share == 0 ? 0 : UNIT_ROUNDOFF * (2.01 * share * fabs(apart) + fabs(out[i])) + 0x1p-126;
    }
}

static void reference(const struct call *call, const double *const in[], double *const out[], double *const bound[]) {
    struct shape shape = call->in[X]->shape;
    size_t images = shape.d[N], row_count = (size_t)shape.d[W] * shape.d[C];
    for (size_t n = 0; n < images; n++) {
        size_t partner = partner_of(in[CHOICE], n, images);
        for (uint32_t row = 0; row < shape.d[H]; row++) {
            size_t own_at = (n * shape.d[H] + row) * row_count, partner_at = (partner * shape.d[H] + row) * row_count;
            mix_row(in[CHOICE], &shape, row, in[X] + own_at, in[X] + partner_at, out[0] + own_at, bound[0] + own_at);
        }
        out[1][n] = in[TARGET][n];
        out[1][images + n] = in[TARGET][partner];
        out[1][2 * images + n] = in[CHOICE][LABEL_SHARE];
        for (size_t row = 0; row < MIXED_ROWS; row++)
            bound[1][row * images + n] = 0;
    }
}

static bool lower(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    (void)facts;
    struct shape x = call->in[X]->shape;
    uint32_t stride = tensor_row(call->out[1]);
    uint64_t quads = tensor_elements(call->in[X]) / 4;
    struct dispatch *labels = lowering_add(lowering, "mix_labels");
    dispatch_input(labels, TARGET);
    dispatch_input(labels, CHOICE);
    dispatch_output(labels, 1);
    dispatch_push(labels, x.d[N]);
    dispatch_push(labels, stride);
    dispatch_linear(labels, stride, GROUP_SIZE);
    labels->bytes = 16.0 * x.d[N];
    struct dispatch *pixels = lowering_add(lowering, "mix");
    dispatch_input(pixels, X);
    dispatch_input(pixels, CHOICE);
    dispatch_output(pixels, 0);
    dispatch_push(pixels, x.d[N]);
    dispatch_push(pixels, x.d[H]);
    dispatch_push(pixels, x.d[W]);
    dispatch_push(pixels, tensor_row(call->in[X]) / 4);
    dispatch_linear(pixels, quads, GROUP_SIZE);
    pixels->bytes = 48.0 * (double)quads;
    return true;
}

/* A box and a share at once, though neither mixup nor cutmix has both. */
static double sample(const struct call *call, enum data_kind kind, int input, uint64_t index, uint32_t seed) {
    struct shape x = call->in[X]->shape;
    if (input == TARGET)
        return index % 5 == 4 ? (double)UINT32_MAX : random_below(seed, 1, (uint32_t)index, 1000);
    if (input != CHOICE)
        return (double)NAN;
    const double choice[CHOICE_WORDS] = {
        [SHIFT] = random_below(seed, 2, 0, x.d[N]),
        [TOP] = x.d[H] / 3,
        [BOTTOM] = x.d[H] - x.d[H] / 4,
        [LEFT] = x.d[W] / 4,
        [RIGHT] = x.d[W] / 2,
        [PIXEL_SHARE] = kind == DATA_EXACT ? 0x1p22 * random_below(seed, 3, 0, 4) : random_below(seed, 3, 0, 1 << 24),
        [LABEL_SHARE] = random_below(seed, 4, 0, 1 << 24),
    };
    return choice[index];
}

#define BATCH(n) " target=1x1x1x" n " choice=1x1x1x8"
static const char *const cases[] = {
    "x=5x6x7x3" BATCH("5"),
    "x=1x1x1x1" BATCH("1"),
    "x=4x9x5x8" BATCH("4"),
    "x=7x3x2x13" BATCH("7"),
    "x=130x4x4x3" BATCH("130"),
    "x=32x32x32x3" BATCH("32"),
    "+x=128x64x64x3" BATCH("128"),
    "+x=4200x32x32x3" BATCH("4200"), /* many groups */
    NULL,
};

const struct op op_mix = {
    .name = "mix",
    .inputs = {"x", "target", "choice"},
    .input_dtypes = {[TARGET] = DTYPE_U32, [CHOICE] = DTYPE_U32},
    .outputs = {"y", "mixed"},
    .infer = infer,
    .reference = reference,
    .forms = {{"plain", lower}},
    .sample = sample,
    .no_hostile = true,
    .cases = cases,
};

#include "train/mixture.h"

#include "base/memory.h"
#include "base/random.h"

#include <math.h>

/* Purposes of random numbers: one stream for each epoch and purpose. */
enum { DRAW_COIN, DRAW_SHIFT, DRAW_U, DRAW_V, DRAW_ROW, DRAW_COLUMN, PURPOSES = 8 };
/* Operands of the op, see src/ops/mix.c. */
enum { SHIFT, TOP, BOTTOM, LEFT, RIGHT, PIXEL_SHARE, LABEL_SHARE };

/*
 * Student's t with 2 alpha degrees of freedom by the polar method (Bailey, "Polar generation of random variates with
 * the t-distribution", Math. Comp. 62, 1994): t^2 = 2 alpha (u^(-1/alpha) - 1) cos^2(2 pi v); and
 * 1/2 + t / (2 sqrt(2 alpha + t^2)) is Beta(alpha, alpha). In terms of w = u^(1/alpha), which may vanish.
 */
double mixture_beta(double alpha, double u, double v) {
    double w = pow(1 - u, 1 / alpha), c = cos(6.283185307179586 * v);
    double length = sqrt(w + (1 - w) * c * c);
    return length > 0 ? 0.5 + 0.5 * sqrt(1 - w) * c / length : 0.5;
}

static uint32_t to_share(double share) {
    return (uint32_t)(share * 0x1p24 + 0.5);
}

/* One axis of the box: `size` * part pixels around `middle`, cut off at the edges. */
static void place_side(uint32_t size, double part, uint32_t middle, uint32_t *first, uint32_t *end) {
    uint32_t half = (uint32_t)(0.5 * part * size);
    *first = middle > half ? middle - half : 0;
    *end = MIN(middle + half, size);
}

void mixture_choose(const struct mixture *mixture, uint32_t seed, uint32_t epoch, uint32_t batch, uint32_t images,
                    uint32_t height, uint32_t width, uint32_t choice[MIXTURE_WORDS]) {
    uint32_t stream = 0x6d780000u + PURPOSES * epoch;
    bool both = mixture->mixup > 0 && mixture->cutmix > 0;
    bool cut = both ? random_below(seed, stream + DRAW_COIN, batch, 2) : mixture->cutmix > 0;
    double kept = mixture_beta(cut ? mixture->cutmix : mixture->mixup, random_uniform(seed, stream + DRAW_U, batch),
                               random_uniform(seed, stream + DRAW_V, batch));
    for (int i = 0; i < MIXTURE_WORDS; i++)
        choice[i] = 0;
    if (images > 1)
        choice[SHIFT] = 1 + random_below(seed, stream + DRAW_SHIFT, batch, images - 1);
    if (!cut) {
        choice[PIXEL_SHARE] = choice[LABEL_SHARE] = to_share(1 - kept);
        return;
    }
    double part = sqrt(1 - kept);
    place_side(height, part, random_below(seed, stream + DRAW_ROW, batch, height), &choice[TOP], &choice[BOTTOM]);
    place_side(width, part, random_below(seed, stream + DRAW_COLUMN, batch, width), &choice[LEFT], &choice[RIGHT]);
    double area = (double)(choice[BOTTOM] - choice[TOP]) * (choice[RIGHT] - choice[LEFT]);
    choice[LABEL_SHARE] = to_share(area / ((double)height * width));
}

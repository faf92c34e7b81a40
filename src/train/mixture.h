/*
 * mixture: how the images of a batch are mixed with each other (mixup, cutmix). The choice is made on the host, a pure
 * function of (seed, epoch, batch), and goes to the step as a few whole numbers: the operand `choice` of the op mix.
 */
#ifndef RVK_TRAIN_MIXTURE_H
#define RVK_TRAIN_MIXTURE_H

#include <stdbool.h>
#include <stdint.h>

enum { MIXTURE_WORDS = 8 };

/* Parameters of Beta(alpha, alpha), the distribution of the share that an image keeps; 0: not used. */
struct mixture {
    double mixup, cutmix;
};

static inline bool mixture_is_used(const struct mixture *mixture) {
    return mixture->mixup > 0 || mixture->cutmix > 0;
}

/*
 * Fills `choice` for a batch of `images` images of height x width pixels. The partner is the image `shift` places
 * further on, with a shift that is uniform in 1..images - 1. With both mixup and cutmix each batch takes one of them,
 * by a fair coin. The box of cutmix is that of the paper: sides sqrt(1 - lambda) of the image's, its middle anywhere in
 * the image and the rest cut off; the label's share follows the area that is left.
 */
void mixture_choose(const struct mixture *mixture, uint32_t seed, uint32_t epoch, uint32_t batch, uint32_t images,
                    uint32_t height, uint32_t width, uint32_t choice[MIXTURE_WORDS]);

/* A draw from Beta(alpha, alpha), alpha > 0, from two uniform numbers: u in [0, 1), v in [0, 1). */
double mixture_beta(double alpha, double u, double v);

#endif

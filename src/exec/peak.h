/*
 * peak: what a device can do at best, measured with kernels that do nothing else.
 */
#ifndef RVK_EXEC_PEAK_H
#define RVK_EXEC_PEAK_H

#include "vk/vk.h"

/* Of shaders/peak_flops.comp: multiply-adds of an invocation in a round. */
enum { PEAK_CHAINS = 14, PEAK_STEPS = 32 };

struct peak {
    double flops;      /* float32 operations a second; a multiply-add counts as two */
    double read_bytes; /* a second, reading only */
    double copy_bytes; /* a second, reading and writing: both count */
    double best_bytes; /* the larger of the two */
};

/* Takes about two seconds: the best of several runs of each kernel. Fails as vk_buffer_create and vk_wait do. */
CHECKED enum status peak_measure(struct vk_device *device, struct peak *out);

#endif

/*
 * warp: changes of a square of pixels that look at more than one of them.
 */
#include "picture/internal.h"

#include <math.h>
#include <string.h>

void warp_affine(const uint8_t *in, uint32_t size, struct affine affine, uint8_t *out) {
    double middle = size / 2.0;
    for (uint32_t row = 0; row < size; row++)
        for (uint32_t column = 0; column < size; column++, out += 3) {
            double x = column + 0.5 - middle, y = row + 0.5 - middle;
            double from_x = floor(affine.a * x + affine.b * y + affine.c + middle);
            double from_y = floor(affine.d * x + affine.e * y + affine.f + middle);
            if (from_x >= 0 && from_x < size && from_y >= 0 && from_y < size)
                memcpy(out, in + 3 * ((size_t)from_y * size + (size_t)from_x), 3);
            else
                memset(out, 0, 3);
        }
}

void warp_sharpness(const uint8_t *in, uint32_t size, double factor, uint8_t *out) {
    size_t stride = (size_t)3 * size;
    memcpy(out, in, stride * size);
    for (size_t y = 1; y + 1 < size; y++)
        for (size_t i = y * stride + 3; i < (y + 1) * stride - 3; i++) {
            uint32_t sum = 4u * in[i];
            for (size_t from = i - stride; from <= i + stride; from += stride)
                sum += (uint32_t)in[from - 3] + in[from] + in[from + 3];
            out[i] = blend((uint8_t)((2 * sum + 13) / 26), in[i], factor);
        }
}

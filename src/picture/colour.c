/*
 * colour: changes of pixels one by one, in the 8-bit arithmetic of Pillow (ImageEnhance and ImageOps), which
 * torchvision's transforms of PIL images use. The hue is computed in floating point instead of Pillow's 8-bit HSV.
 */
#include "picture/internal.h"

#include "base/memory.h"

#include <math.h>

uint8_t blend(uint8_t a, uint8_t b, double factor) {
    float value = (float)a + (float)factor * (float)(b - a);
    return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)value;
}

/* ITU-R 601: 0.299, 0.587, 0.114, with 16 bits after the point. */
static uint8_t grey(const uint8_t *pixel) {
    return (uint8_t)((pixel[0] * 19595u + pixel[1] * 38470u + pixel[2] * 7471u + 0x8000u) >> 16);
}

/* Replaces the bytes of one channel, or with `step` 1 of all. */
static void look_up(uint8_t *bytes, size_t count, size_t step, const uint8_t table[256]) {
    for (size_t i = 0; i < count; i++)
        bytes[i * step] = table[bytes[i * step]];
}

static void blend_with(uint8_t *pixels, size_t count, uint8_t other, double factor) {
    uint8_t table[256];
    for (uint32_t i = 0; i < 256; i++)
        table[i] = blend(other, (uint8_t)i, factor);
    look_up(pixels, 3 * count, 1, table);
}

void colour_brightness(uint8_t *pixels, size_t count, double factor) {
    blend_with(pixels, count, 0, factor);
}

void colour_contrast(uint8_t *pixels, size_t count, double factor) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += grey(pixels + 3 * i);
    blend_with(pixels, count, (uint8_t)((double)sum / (double)count + 0.5), factor);
}

void colour_saturation(uint8_t *pixels, size_t count, double factor) {
    for (size_t i = 0; i < count; i++, pixels += 3) {
        uint8_t level = grey(pixels);
        for (int c = 0; c < 3; c++)
            pixels[c] = blend(level, pixels[c], factor);
    }
}

/* In sixths of a turn: red 0, green 2, blue 4. `spread` = largest - smallest > 0. */
static float hue(const uint8_t *pixel, uint8_t largest, float spread) {
    if (pixel[0] == largest)
        return (float)(pixel[1] - pixel[2]) / spread;
    if (pixel[1] == largest)
        return 2 + (float)(pixel[2] - pixel[0]) / spread;
    return 4 + (float)(pixel[0] - pixel[1]) / spread;
}

/* An angle in sixths, brought from [-6, 12) to [0, 6). */
static float wrap(float angle) {
    return angle < 0 ? angle + 6 : angle >= 6 ? angle - 6 : angle;
}

void colour_hue(uint8_t *pixels, size_t count, double turn) {
    static const float first[3] = {5, 3, 1}; /* channel c = largest - spread * ramp(first + hue) */
    float shift = (float)(6 * (turn - floor(turn)));
    for (size_t i = 0; i < count; i++, pixels += 3) {
        uint8_t largest = MAX(MAX(pixels[0], pixels[1]), pixels[2]);
        uint8_t smallest = MIN(MIN(pixels[0], pixels[1]), pixels[2]);
        if (largest == smallest)
            continue;
        float spread = (float)(largest - smallest), angle = wrap(hue(pixels, largest, spread) + shift);
        for (int c = 0; c < 3; c++) {
            float k = wrap(first[c] + angle), ramp = MIN(MIN(k, 4 - k), 1);
            pixels[c] = (uint8_t)((float)largest - spread * MAX(ramp, 0) + 0.5f);
        }
    }
}

void colour_posterize(uint8_t *pixels, size_t count, uint32_t bits) {
    for (size_t i = 0; i < 3 * count; i++)
        pixels[i] = (uint8_t)(pixels[i] & 0xff00u >> bits);
}

void colour_solarize(uint8_t *pixels, size_t count, double threshold) {
    uint8_t table[256];
    for (uint32_t i = 0; i < 256; i++)
        table[i] = (uint8_t)(i < threshold ? i : 255 - i);
    look_up(pixels, 3 * count, 1, table);
}

static void count_levels(const uint8_t *bytes, size_t count, size_t histogram[256]) {
    for (size_t i = 0; i < 256; i++)
        histogram[i] = 0;
    for (size_t i = 0; i < count; i++)
        histogram[bytes[3 * i]]++;
}

void colour_autocontrast(uint8_t *pixels, size_t count) {
    size_t histogram[256];
    uint8_t table[256];
    for (size_t c = 0; c < 3; c++) {
        uint32_t low = 0, high = 255;
        count_levels(pixels + c, count, histogram);
        while (low < 255 && histogram[low] == 0)
            low++;
        while (high > 0 && histogram[high] == 0)
            high--;
        if (high <= low)
            continue;
        double scale = 255.0 / (high - low);
        for (uint32_t i = 0; i < 256; i++)
            table[i] = (uint8_t)MIN(MAX(i * scale - low * scale, 0), 255);
        look_up(pixels + c, count, 3, table);
    }
}

void colour_equalize(uint8_t *pixels, size_t count) {
    size_t histogram[256];
    uint8_t table[256];
    for (size_t c = 0; c < 3; c++) {
        count_levels(pixels + c, count, histogram);
        size_t last = 255;
        while (last > 0 && histogram[last] == 0)
            last--;
        size_t step = (count - histogram[last]) / 255, sum = step / 2;
        if (step == 0)
            continue;
        for (size_t i = 0; i < 256; i++) {
            table[i] = (uint8_t)MIN(sum / step, (size_t)255);
            sum += histogram[i];
        }
        look_up(pixels + c, count, 3, table);
    }
}

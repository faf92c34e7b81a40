/*
 * A generated data set for tests: class k is a smooth random pattern, every image of it that pattern plus noise. In
 * whole numbers throughout, so that every machine makes the same bytes.
 */
#include "data/formats.h"

#include "base/memory.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

/* A pattern interpolates GRID x GRID cells between random corners; noise is within +- NOISE of it. */
enum { GRID = 4, NOISE = 32 };
enum { STREAM_PATTERN = 1, STREAM_NOISE_TRAINING, STREAM_NOISE_TEST };

struct option {
    const char *name;
    uint32_t *value, initial, least, most;
};

/* Takes one "name=number" from the front of *text, and the comma after it. */
static enum status take_option(const struct option *options, size_t count, const char **text) {
    size_t length = strcspn(*text, "=,"), i = 0;
    while (i < count && (strlen(options[i].name) != length || strncmp(options[i].name, *text, length) != 0))
        i++;
    if (i == count || (*text)[length] != '=')
        return fail(STATUS_USAGE,
                    "generated: \"%s\" should start with count=, classes=, size=, channels= or seed=", *text);
    const char *digits = *text + length + 1;
    size_t width = strspn(digits, "0123456789");
    unsigned long long value = width && width < 12 ? strtoull(digits, NULL, 10) : UINT64_MAX;
    if (value < options[i].least || value > options[i].most || (digits[width] && digits[width] != ','))
        return fail(STATUS_USAGE, "generated: %s should be a whole number from %u to %u in \"%s\"", options[i].name,
                    options[i].least, options[i].most, *text);
    *options[i].value = (uint32_t)value;
    *text = digits + width + (digits[width] == ',');
    return STATUS_OK;
}

enum status generated_parse(const char *text, struct dataset *out, uint32_t *seed) {
    const struct option options[] = {
        {"count", &out->count, 512, 1, 1u << 20}, {"classes", &out->classes, 10, 1, 1000},
        {"size", &out->height, 32, 4, 512},       {"channels", &out->channels, 3, 1, 4},
        {"seed", seed, 1, 0, UINT32_MAX},
    };
    for (size_t i = 0; i < COUNT(options); i++)
        *options[i].value = options[i].initial;
    while (*text)
        TRY(take_option(options, COUNT(options), &text));
    out->width = out->height;
    return STATUS_OK;
}

/* Bilinear interpolation between the corners of a cell, 0..255, at pixel (y, x) of `size`. */
static uint32_t pattern(uint32_t seed, uint32_t class_channel, uint32_t size, uint32_t y, uint32_t x) {
    uint32_t row = y * GRID / size, column = x * GRID / size;
    uint32_t dy = y * GRID % size, dx = x * GRID % size;
    uint32_t first = (class_channel * (GRID + 1) + row) * (GRID + 1) + column;
    uint32_t a = random_below(seed, STREAM_PATTERN, first, 256);
    uint32_t b = random_below(seed, STREAM_PATTERN, first + 1, 256);
    uint32_t c = random_below(seed, STREAM_PATTERN, first + GRID + 1, 256);
    uint32_t d = random_below(seed, STREAM_PATTERN, first + GRID + 2, 256);
    return ((a * (size - dx) + b * dx) * (size - dy) + (c * (size - dx) + d * dx) * dy) / (size * size);
}

static void draw(struct dataset *out, const uint8_t *patterns, uint32_t seed, uint32_t stream) {
    size_t bytes = (size_t)out->height * out->width * out->channels;
    for (uint32_t i = 0; i < out->count; i++) {
        out->labels[i] = i % out->classes;
        for (size_t p = 0; p < bytes; p++) {
            int noise = (int)random_below(seed, stream, (uint32_t)(i * bytes + p), 2 * NOISE + 1) - NOISE;
            int value = patterns[out->labels[i] * bytes + p] + noise;
            out->images[i * bytes + p] = (uint8_t)MIN(MAX(value, 0), 255);
        }
    }
}

enum status generated_load(const char *options, bool training, struct dataset *out) {
    uint32_t seed;
    TRY(generated_parse(options, out, &seed));
    TRY(dataset_allocate(out));
    uint8_t *patterns, *next;
    TRY(memory_zeroed((size_t)out->classes * out->height * out->width, out->channels, &patterns));
    next = patterns;
    for (uint32_t k = 0; k < out->classes; k++)
        for (uint32_t y = 0; y < out->height; y++)
            for (uint32_t x = 0; x < out->width; x++)
                for (uint32_t c = 0; c < out->channels; c++)
                    *next++ = (uint8_t)pattern(seed, k * out->channels + c, out->height, y, x);
    draw(out, patterns, seed, training ? STREAM_NOISE_TRAINING : STREAM_NOISE_TEST);
    free(patterns);
    return STATUS_OK;
}

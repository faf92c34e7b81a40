#include "data/dataset.h"

#include "base/memory.h"
#include "data/formats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct source {
    const char *name;
    const char *argument; /* when the spec gives none; NULL: it must */
    enum status (*load)(const char *argument, bool training, struct dataset *out);
} sources[] = {
    {"fashion-mnist", "/usr/share/datasets/fashion-mnist", fashion_mnist_load},
    {"mnist", NULL, mnist_load},
    {"cifar10", NULL, cifar10_load},
    {"cifar100", NULL, cifar100_load},
    {"generated", "", generated_load},
};

static const struct source *find_source(const char *spec, const char **argument) {
    size_t length = strcspn(spec, ":");
    for (size_t i = 0; i < COUNT(sources); i++)
        if (strlen(sources[i].name) == length && strncmp(sources[i].name, spec, length) == 0) {
            *argument = spec[length] && spec[length + 1] ? spec + length + 1 : sources[i].argument;
            return &sources[i];
        }
    return NULL;
}

enum status dataset_load(const char *spec, bool training, struct dataset *out) {
    *out = (struct dataset){0};
    const char *argument = NULL;
    const struct source *source = find_source(spec, &argument);
    if (!source)
        return fail(STATUS_USAGE,
                    "there is no data set called \"%s\": choose fashion-mnist, fashion-mnist:DIR, mnist:DIR, "
                    "cifar10:DIR, cifar100:DIR or generated",
                    spec);
    if (!argument)
        return fail(STATUS_USAGE, "the data set %s needs the folder of its files: %s:DIR", source->name, source->name);
    snprintf(out->name, sizeof out->name, "%s", source->name);
    enum status status = source->load(argument, training, out);
    if (status != STATUS_OK)
        dataset_destroy(out);
    return status;
}

void dataset_destroy(struct dataset *dataset) {
    free(dataset->images);
    free(dataset->labels);
    *dataset = (struct dataset){0};
}

static uint64_t image_bytes(const struct dataset *dataset) {
    return (uint64_t)dataset->height * dataset->width * dataset->channels;
}

enum status dataset_allocate(struct dataset *dataset) {
    const uint64_t limit = UINT64_C(1) << 31;
    if (dataset->count == 0)
        return fail(STATUS_DATA, "there are no images");
    if (dataset->count > limit / image_bytes(dataset))
        return fail(STATUS_DATA, "%u images of %ux%ux%u bytes are more than the limit of %llu bytes", dataset->count,
                    dataset->height, dataset->width, dataset->channels, (unsigned long long)limit);
    TRY(memory_zeroed((size_t)round_up(dataset->count * image_bytes(dataset), 4), 1, &dataset->images));
    return memory_zeroed(dataset->count, sizeof *dataset->labels, &dataset->labels);
}

static void channel_statistics(const struct dataset *dataset, uint32_t first, uint32_t count, uint32_t channel,
                               double *mean, double *deviation) {
    uint64_t pixels = (uint64_t)count * dataset->height * dataset->width, sum = 0, squares = 0;
    const uint8_t *bytes = dataset->images + first * image_bytes(dataset) + channel;
    for (uint64_t i = 0; i < pixels; i++) {
        uint64_t value = bytes[i * dataset->channels];
        sum += value;
        squares += value * value;
    }
    *mean = (double)sum / (double)pixels;
    double variance = (double)squares / (double)pixels - *mean * *mean;
    *deviation = variance > 0 ? sqrt(variance) : 0;
}

static void pixel_means(const struct dataset *dataset, uint32_t first, uint32_t count, double *mean) {
    uint64_t pixels = image_bytes(dataset);
    for (uint64_t p = 0; p < pixels; p++)
        mean[p] = 0;
    for (uint64_t i = first; i < (uint64_t)first + count; i++)
        for (uint64_t p = 0; p < pixels; p++)
            mean[p] += dataset->images[i * pixels + p];
    for (uint64_t p = 0; p < pixels; p++)
        mean[p] /= count;
}

void dataset_statistics(const struct dataset *dataset, uint32_t first, uint32_t count, double *mean_per_channel,
                        double *deviation_per_channel, double *mean_per_pixel) {
    for (uint32_t c = 0; c < dataset->channels; c++) {
        double mean, deviation;
        channel_statistics(dataset, first, count, c, &mean, &deviation);
        if (mean_per_channel)
            mean_per_channel[c] = mean;
        if (deviation_per_channel)
            deviation_per_channel[c] = deviation;
    }
    if (mean_per_pixel)
        pixel_means(dataset, first, count, mean_per_pixel);
}

uint32_t dataset_split(uint32_t count, double fraction) {
    double first = floor(count * (1.0 - fraction));
    return first <= 0 ? 0 : first >= count ? count : (uint32_t)first;
}

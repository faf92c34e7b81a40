#include "data/dataset.h"

#include "base/memory.h"
#include "data/formats.h"
#include "data/view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- streamed sets ---- */

enum { BROKEN_LIMIT = 10 }; /* or a hundredth of the pictures */

/* The set of what is in out->source. */
static enum status finish_streamed(struct dataset *out) {
    const struct source *source = out->source;
    out->count = (uint32_t)source->count;
    out->channels = 3;
    out->classes = source->classes;
    out->class_names = (const char *const *)source->class_names;
    out->source->broken_limit = MAX(out->count / 100, (uint32_t)BROKEN_LIMIT);
    TRY(memory_zeroed(out->count, sizeof *out->labels, &out->labels));
    for (uint32_t i = 0; i < out->count; i++)
        out->labels[i] = source->items[i].label;
    return STATUS_OK;
}

static enum status folder_load(const char *path, bool training, struct dataset *out) {
    TRY(source_create(path, &out->source));
    TRY(folder_scan(out->source, training));
    TRY(source_arrange(out->source, training));
    return finish_streamed(out);
}

static enum status archive_load(const char *path, bool training, struct dataset *out) {
    TRY(source_create(path, &out->source));
    TRY(archive_scan(out->source));
    TRY(source_arrange(out->source, training));
    return finish_streamed(out);
}

static enum status add_path(struct source *source, const char *path) {
    struct stat about;
    const struct source_item item = {.label = UINT32_MAX};
    if (stat(path, &about) != 0)
        return fail(STATUS_DATA, "%s: there is no such file or folder", path);
    if (S_ISDIR(about.st_mode))
        return folder_list(source, path);
    return source_add(source, path, &item);
}

static enum status list(const char *const *paths, size_t count, struct dataset *out) {
    TRY(source_create("", &out->source));
    for (size_t i = 0; i < count; i++)
        TRY(add_path(out->source, paths[i]));
    if (out->source->count == 0)
        return fail(STATUS_DATA, "there are no pictures (.jpg, .jpeg, .png) in %s", count ? paths[0] : "nothing");
    return finish_streamed(out);
}

enum status dataset_list(const char *const *paths, size_t count, struct dataset *out) {
    *out = (struct dataset){.name = "pictures"};
    enum status status = list(paths, count, out);
    if (status != STATUS_OK)
        dataset_destroy(out);
    return status;
}

enum status dataset_choose_size(struct dataset *dataset, uint32_t size, uint32_t usual) {
    uint32_t side;
    if (!dataset->source)
        return size == 0 || (size == dataset->height && size == dataset->width)
                   ? STATUS_OK
                   : fail(STATUS_USAGE,
                          "%s has images of %ux%u: only pictures of folder:DIR or tar:FILE can get a size",
                          dataset->name, dataset->height, dataset->width);
    TRY(view_side(dataset->source, &side));
    dataset->height = dataset->width = size ? size : side ? side : usual;
    dataset->whole = side == dataset->height;
    return STATUS_OK;
}

/* ---- all sets ---- */

static const struct format {
    const char *name;
    const char *argument; /* when the spec gives none; NULL: it must */
    enum status (*load)(const char *argument, bool training, struct dataset *out);
} formats[] = {
    {"fashion-mnist", "/usr/share/datasets/fashion-mnist", fashion_mnist_load},
    {"mnist", NULL, mnist_load},
    {"cifar10", NULL, cifar10_load},
    {"cifar100", NULL, cifar100_load},
    {"generated", "", generated_load},
    {"folder", NULL, folder_load},
    {"tar", NULL, archive_load},
};

static const struct format *find_format(const char *spec, const char **argument) {
    size_t length = strcspn(spec, ":");
    for (size_t i = 0; i < COUNT(formats); i++)
        if (strlen(formats[i].name) == length && strncmp(formats[i].name, spec, length) == 0) {
            *argument = spec[length] && spec[length + 1] ? spec + length + 1 : formats[i].argument;
            return &formats[i];
        }
    return NULL;
}

enum status dataset_load(const char *spec, bool training, struct dataset *out) {
    *out = (struct dataset){0};
    const char *argument = NULL;
    const struct format *format = find_format(spec, &argument);
    if (!format)
        return fail(STATUS_USAGE,
                    "there is no data set called \"%s\": choose fashion-mnist, fashion-mnist:DIR, mnist:DIR, "
                    "cifar10:DIR, cifar100:DIR, folder:DIR, tar:FILE or generated",
                    spec);
    if (!argument)
        return fail(STATUS_USAGE, "the data set %s needs its files: %s:%s", format->name, format->name,
                    format->load == archive_load ? "FILE" : "DIR");
    snprintf(out->name, sizeof out->name, "%s", format->name);
    enum status status = format->load(argument, training, out);
    if (status != STATUS_OK)
        dataset_destroy(out);
    return status;
}

void dataset_destroy(struct dataset *dataset) {
    free(dataset->images);
    free(dataset->labels);
    source_destroy(dataset->source);
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

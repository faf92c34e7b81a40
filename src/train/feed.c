#include "train/feed.h"

#include "base/memory.h"
#include "train/parameters.h"

#include <stdio.h>
#include <stdlib.h>

/* Makes NAME or SET.NAME in the store; `name` receives it. */
static enum status make(struct store *store, const char *set, const char *what, const struct tensor *tensor,
                        char name[64]) {
    struct vk_buffer *buffer;
    snprintf(name, 64, "%s%s%s", set ? set : "", set ? "." : "", what);
    return store_get(store, name, tensor_bytes(tensor), &buffer);
}

enum status feed_images(struct store *store, const char *set, uint32_t capacity, const struct dataset *data,
                        uint32_t first, uint32_t count) {
    struct tensor images = {.dtype = DTYPE_U8, .shape = {{capacity, data->height, data->width, data->channels}}};
    struct tensor labels = {.dtype = DTYPE_U32, .shape = shape_vector(capacity)};
    size_t image_bytes = (size_t)data->height * data->width * data->channels;
    char name[64];
    TRY(make(store, set, "images", &images, name));
    TRY(store_write(store, name, 0, data->images + first * image_bytes, count * image_bytes));
    TRY(make(store, set, "labels", &labels, name));
    return store_write(store, name, 0, data->labels + first, (uint64_t)count * sizeof *data->labels);
}

static enum status write(struct store *store, const char *name, struct shape shape, const double *dense) {
    struct tensor tensor = {.dtype = DTYPE_F32, .shape = shape};
    return values_write(store, name, tensor_bytes(&tensor), 0, shape, dense);
}

enum status feed_imagenet_normalization(struct store *store, uint32_t channels) {
    enum { CHANNELS = 3 };
    static const double means[CHANNELS] = {0.485, 0.456, 0.406}, deviations[CHANNELS] = {0.229, 0.224, 0.225};
    double mean[CHANNELS], scale[CHANNELS];
    if (channels != CHANNELS)
        return fail(STATUS_DATA, "there is no usual normalization of images with %u channels", channels);
    for (uint32_t c = 0; c < CHANNELS; c++) {
        mean[c] = 255 * means[c];
        scale[c] = 1 / (255 * deviations[c]);
    }
    TRY(write(store, "normalize.mean", shape_vector(CHANNELS), mean));
    return write(store, "normalize.scale", shape_vector(CHANNELS), scale);
}

enum status feed_normalization(struct store *store, const struct dataset *data, uint32_t count, bool per_pixel) {
    struct shape image = {{1, data->height, data->width, data->channels}}, vector = shape_vector(data->channels);
    size_t pixels = (size_t)shape_count(image);
    double *pixel_mean;
    TRY(memory_zeroed(pixels + 2 * (size_t)data->channels, sizeof *pixel_mean, &pixel_mean));
    double *mean = pixel_mean + pixels, *scale = mean + data->channels;
    dataset_statistics(data, 0, count, mean, scale, pixel_mean);
    for (uint32_t c = 0; c < data->channels; c++)
        scale[c] = per_pixel ? 1.0 / 255 : 1 / (scale[c] > 0 ? scale[c] : 1);
    enum status status =
        per_pixel ? write(store, "normalize.mean", image, pixel_mean) : write(store, "normalize.mean", vector, mean);
    if (status == STATUS_OK)
        status = write(store, "normalize.scale", vector, scale);
    free(pixel_mean);
    return status;
}

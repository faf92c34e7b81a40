/* api: how fast pictures can be had, without a device. */
#include "api/internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "data/loader.h"

/* Batches of one pass after the other, until the time is over; the first is not counted: it fills the buffers. */
static enum status run(struct loader *loader, struct loader_pass *pass, uint32_t batch, double seconds,
                       struct rvk_data_rate *result) {
    struct loader_batch loaded;
    uint64_t start = 0;
    uint32_t batches = (uint32_t)ceil_div(pass->count, batch);
    for (pass->view.epoch = 0; result->seconds < seconds; pass->view.epoch++) {
        loader_start(loader, pass, 0);
        for (uint32_t b = 0; b < batches && result->seconds < seconds; b++) {
            TRY(loader_next(loader, &loaded));
            result->images += start ? loaded.count : 0;
            start = start ? start : clock_ns();
            result->seconds = 1e-9 * (double)(clock_ns() - start);
        }
    }
    result->images_per_s = result->images / result->seconds;
    return STATUS_OK;
}

static enum status measure(const struct dataset *data, const struct rvk_data_rate_options *options,
                           struct rvk_data_rate *result) {
    struct loader *loader;
    uint32_t batch = options->batch ? options->batch : 128;
    struct loader_pass pass = {
        .count = data->count,
        .stand_ins = data->count,
        .view = {.size = data->height, .whole = data->whole, .augment = &picture_augment_defaults},
    };
    if (options->evaluation)
        pass.view.augment = NULL;
    TRY(loader_create(data, batch, data->height, &loader));
    *result = (struct rvk_data_rate){.size = data->height, .threads = loader_threads(loader)};
    enum status status = run(loader, &pass, batch, options->seconds > 0 ? options->seconds : 10, result);
    loader_destroy(loader);
    return status;
}

enum rvk_status rvk_measure_data(const char *spec, const struct rvk_data_rate_options *options,
                                 struct rvk_data_rate *result) {
    static const struct rvk_data_rate_options defaults;
    struct rvk_data *data;
    options = options ? options : &defaults;
    enum rvk_status status = rvk_open_data_with(spec, true, &options->data, &data);
    if (status != RVK_OK)
        return status;
    if (!data->set.source)
        status = api_status(fail(STATUS_USAGE,
                                 "%s is in memory: only the pictures of folder:DIR and tar:FILE are read "
                                 "while they are needed",
                                 data->set.name));
    else if (options->size > API_LARGEST_PICTURE)
        status = api_status(fail(STATUS_USAGE, "pictures can be scaled to at most %ux%u pixels, not %u",
                                 API_LARGEST_PICTURE, API_LARGEST_PICTURE, options->size));
    else
        status = api_status(dataset_choose_size(&data->set, options->size, 224));
    if (status == RVK_OK)
        status = api_status(measure(&data->set, options, result));
    rvk_close_data(data);
    return status;
}

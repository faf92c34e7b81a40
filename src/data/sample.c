/* sample: pictures of a streamed set, brought into memory. */
#include "data/loader.h"

#include "base/memory.h"
#include "data/formats.h"

#include <string.h>

enum { SAMPLE_PICTURES = 1000, SAMPLE_BYTES = 1 << 28, BATCH = 16 };

static enum status take(struct loader *loader, uint32_t count, struct dataset *out) {
    size_t image_bytes = (size_t)3 * out->height * out->width;
    for (uint32_t done = 0; done < count; done += BATCH) {
        struct loader_batch batch;
        TRY(loader_next(loader, &batch));
        for (uint32_t i = 0; i < batch.count; i++)
            if (batch.indices[i] != UINT32_MAX) {
                memcpy(out->images + out->count * image_bytes, batch.images + i * image_bytes, image_bytes);
                out->labels[out->count++] = batch.labels[i];
            }
    }
    return out->count ? STATUS_OK : fail(STATUS_DATA, "none of the first %u pictures can be read", count);
}

static enum status sample(const struct dataset *dataset, uint32_t count, struct dataset *out) {
    struct loader *loader;
    const struct loader_pass pass = {.count = count, .view = {.size = out->height, .whole = dataset->whole}};
    TRY(dataset_allocate(out));
    out->count = 0;
    TRY(loader_create(dataset, BATCH, out->height, &loader));
    loader_start(loader, &pass, 0);
    enum status status = take(loader, count, out);
    loader_destroy(loader);
    return status;
}

enum status dataset_sample(const struct dataset *dataset, uint32_t count, struct dataset *out) {
    uint32_t most = SAMPLE_BYTES / (3 * dataset->height * dataset->width);
    *out = (struct dataset){.name = "sample",
                            .count = MIN(MIN(count, (uint32_t)SAMPLE_PICTURES), MAX(most, 1)),
                            .height = dataset->height,
                            .width = dataset->width,
                            .channels = 3,
                            .classes = dataset->classes};
    enum status status = sample(dataset, out->count, out);
    if (status != STATUS_OK)
        dataset_destroy(out);
    return status;
}

#include "cli/thumbnail.h"

#include "picture/picture.h"

#include <stdlib.h>

/* One or two channels are shown as grey, more as red, green and blue. */
static void copy(const uint8_t *image, struct rvk_data_info info, uint32_t factor, const struct picture *picture) {
    for (uint32_t y = 0; y < picture->height; y++)
        for (uint32_t x = 0; x < picture->width; x++) {
            const uint8_t *from = image + ((size_t)(y / factor) * info.width + x / factor) * info.channels;
            uint8_t *to = picture->pixels + ((size_t)y * picture->width + x) * 3;
            for (uint32_t c = 0; c < 3; c++)
                to[c] = from[info.channels >= 3 ? c : 0];
        }
}

static enum rvk_status read_image(const struct rvk_data *data, uint32_t index, uint32_t side, struct picture *picture) {
    struct rvk_data_info info = rvk_get_data_info(data);
    uint32_t factor = !info.streamed && info.width < side ? side / info.width : 1;
    *picture = (struct picture){info.width * factor, info.height * factor, NULL};
    if (info.streamed)
        picture->width = picture->height = side;
    picture->pixels = malloc((size_t)3 * picture->width * picture->height);
    if (!picture->pixels)
        return cli_fail(RVK_MEMORY, "out of host memory for a thumbnail");
    if (info.streamed)
        return rvk_read_picture(data, index, side, picture->pixels);
    copy(rvk_image(data, index), info, factor, picture);
    return RVK_OK;
}

enum rvk_status thumbnail(const struct rvk_data *data, uint32_t index, uint32_t side, uint8_t **jpeg, size_t *size) {
    enum { QUALITY = 88 };
    struct picture picture;
    enum rvk_status status = read_image(data, index, side, &picture);
    if (status == RVK_OK)
        status = (enum rvk_status)picture_encode_jpeg(&picture, QUALITY, jpeg, size);
    picture_destroy(&picture);
    return status;
}

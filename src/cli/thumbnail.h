/*
 * thumbnail: images of data sets as small JPEG files, for pages.
 */
#ifndef RVK_CLI_THUMBNAIL_H
#define RVK_CLI_THUMBNAIL_H

#include "cli/cli.h"

/*
 * Image `index` as a network sees it, about `side` pixels wide; small images are enlarged by a whole factor, so that
 * their pixels can be seen. Free *jpeg with free(). RVK_DATA or RVK_IO for a broken picture, RVK_MEMORY.
 */
enum rvk_status thumbnail(const struct rvk_data *data, uint32_t index, uint32_t side, uint8_t **jpeg, size_t *size);

#endif

#include "data/view.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Pictures that tell the size of all. */
enum { PROBED = 64 };

/* Puts the picture's file before the sentence. */
static enum status name_file(const struct source *source, uint32_t index, enum status status) {
    return fail_prefix(status, "%s%s%s", source->path, *source->path ? "/" : "", source->items[index].name);
}

static enum status decode(const struct source *source, uint32_t index, uint32_t at_least, struct picture *out) {
    uint8_t *bytes;
    size_t size;
    TRY(source_read(source, index, &bytes, &size));
    enum status status = picture_decode(bytes, size, at_least, out);
    free(bytes);
    return status == STATUS_OK ? STATUS_OK : name_file(source, index, status);
}

/* The shorter side of a picture that is scaled for evaluation. */
static uint32_t shorter_side(const struct view *view) {
    return view->whole ? view->size : (view->size * 256 + 112) / 224;
}

/* Whole pictures are shrunk, so that evaluation gets the same bytes from a thumbnail. */
static enum status make_thumbnail(struct source *source, uint32_t index, const struct thumbnail_key *key,
                                  struct picture *out) {
    TRY(decode(source, index, 0, out));
    enum status status = thumbnail_shrink(out, (uint32_t)key->shorter_side);
    if (status != STATUS_OK) {
        picture_destroy(out);
        return name_file(source, index, status);
    }
    if (thumbnail_keep(source->thumbnails, key, out) != STATUS_OK)
        source_note_uncached(source, status_message());
    return STATUS_OK;
}

/* For training, half a picture's side is still a whole image: decoding does not have to be finer than that. */
static enum status get(struct source *source, uint32_t index, const struct view *view, struct picture *out) {
    struct thumbnail_key key = {.shorter_side = shorter_side(view)};
    if (!source->thumbnails || source_identify(source, index, &key) != STATUS_OK)
        return decode(source, index, view->augment ? 2 * view->size : 0, out);
    return thumbnail_load(source->thumbnails, &key, out) ? STATUS_OK : make_thumbnail(source, index, &key, out);
}

static enum status evaluate(const struct picture *picture, const struct view *view, uint8_t *out) {
    if (view->whole && picture->width == view->size && picture->height == view->size) {
        memcpy(out, picture->pixels, (size_t)3 * view->size * view->size);
        return STATUS_OK;
    }
    return picture_evaluation(picture, shorter_side(view), view->size, out);
}

enum status view_picture(struct source *source, uint32_t index, const struct view *view, uint8_t *out) {
    struct picture picture;
    TRY(get(source, index, view, &picture));
    enum status status = view->augment
                             ? picture_augment(&picture, view->augment, view->seed, view->epoch, index, view->size, out)
                             : evaluate(&picture, view, out);
    picture_destroy(&picture);
    if (status == STATUS_USAGE) /* its sides are too different */
        status = STATUS_DATA;
    return status == STATUS_OK ? STATUS_OK : name_file(source, index, status);
}

enum status view_side(const struct source *source, uint32_t *side) {
    *side = 0;
    for (uint32_t i = 0; i < MIN(source->count, (size_t)PROBED); i++) {
        struct picture picture;
        enum status status = decode(source, i, 0, &picture);
        if (status == STATUS_MEMORY)
            return status;
        if (status != STATUS_OK)
            continue;
        bool same = picture.width == picture.height && (*side == 0 || picture.width == *side);
        *side = same ? picture.width : 0;
        picture_destroy(&picture);
        if (!same)
            return STATUS_OK;
    }
    return STATUS_OK;
}

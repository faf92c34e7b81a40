/*
 * png: PNG files, decoded by libspng.
 */
#include "picture/internal.h"

#include <spng.h>

/* Every byte of a deflate stream gives at most 1032 bytes: a longest match of 258 bytes in two bits. */
enum { INFLATION = 1032, CHUNK_LIMIT = 1 << 24 };

/* Whether `size` bytes can hold so many rows; a file that only claims to be large is refused before its memory is. */
static enum status check_size(const struct spng_ihdr *header, size_t size) {
    static const uint8_t samples[] = {1, 0, 3, 1, 2, 0, 4};
    uint64_t bits = (uint64_t)header->width * header->height * header->bit_depth * samples[header->color_type];
    if (bits / 8 > (uint64_t)INFLATION * size)
        return fail(STATUS_DATA, "the PNG is truncated: %zu bytes cannot hold %ux%u pixels", size, header->width,
                    header->height);
    return STATUS_OK;
}

static enum status decode(spng_ctx *context, size_t size, uint64_t limit, struct picture *out, uint32_t *orientation) {
    struct spng_ihdr header;
    struct spng_exif exif;
    int error = spng_get_ihdr(context, &header);
    if (error)
        return fail(STATUS_DATA, "damaged PNG: %s", spng_strerror(error));
    TRY(picture_check_size(header.width, header.height, limit));
    TRY(check_size(&header, size));
    TRY(picture_create(header.width, header.height, out));
    error = spng_decode_image(context, out->pixels, (size_t)3 * header.width * header.height, SPNG_FMT_RGB8, 0);
    if (error) {
        picture_destroy(out);
        return fail(STATUS_DATA, "damaged PNG: %s", spng_strerror(error));
    }
    if (spng_get_exif(context, &exif) == 0)
        *orientation = exif_orientation((const uint8_t *)exif.data, exif.length);
    return STATUS_OK;
}

enum status png_decode(const uint8_t *bytes, size_t size, uint64_t limit, struct picture *out, uint32_t *orientation) {
    spng_ctx *context = spng_ctx_new(0);
    if (!context)
        return fail(STATUS_MEMORY, "out of host memory: the state of the PNG decoder");
    enum status status = STATUS_DATA;
    int error = spng_set_chunk_limits(context, CHUNK_LIMIT, 2 * (size_t)CHUNK_LIMIT);
    error = error ? error : spng_set_png_buffer(context, bytes, size);
    if (error)
        status = fail(STATUS_DATA, "damaged PNG: %s", spng_strerror(error));
    else
        status = decode(context, size, limit, out, orientation);
    spng_ctx_free(context);
    return status;
}

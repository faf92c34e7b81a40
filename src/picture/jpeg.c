/*
 * jpeg: JPEG files, decoded by libjpeg(-turbo). The library reports errors through a callback that may not return:
 * jpeg_decode jumps back (setjmp) to where everything is freed, and nothing between holds memory of its own.
 */
#include "picture/internal.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdio.h> /* jpeglib.h needs FILE */
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

/* A progressive file may repeat tiny scans over a huge picture; real ones have about ten. */
enum { SCANS_LIMIT = 200 };
/* Of a progressive file all coefficients are kept, 2 bytes each: for three full planes of the largest picture. */
#define MEMORY_LIMIT ((long)(PICTURE_PIXELS_LIMIT * 7))

struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    char text[JMSG_LENGTH_MAX];
    struct picture picture;
    uint8_t *row; /* of CMYK; NULL for other colours */
    uint32_t orientation;
};

static void stop(j_common_ptr jpeg) {
    struct decoder *decoder = jpeg->client_data;
    jpeg->err->format_message(jpeg, decoder->text);
    longjmp(decoder->back, 1);
}

/* Warnings (level -1) after which pixels are guesses are errors. Others, such as bytes between markers, are harmless.
 */
static void listen(j_common_ptr jpeg, int level) {
    switch (level < 0 ? jpeg->err->msg_code : 0) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
        stop(jpeg);
    }
}

static void watch_scans(j_common_ptr jpeg) {
    struct decoder *decoder = jpeg->client_data;
    if (decoder->jpeg.input_scan_number > SCANS_LIMIT) {
        snprintf(decoder->text, sizeof decoder->text, "more than %d scans", SCANS_LIMIT);
        longjmp(decoder->back, 1);
    }
}

static void prepare(struct decoder *decoder) {
    struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    jpeg->err = jpeg_std_error(&decoder->errors);
    decoder->errors.error_exit = stop;
    decoder->errors.emit_message = listen;
    jpeg->client_data = decoder;
    jpeg_create_decompress(jpeg);
    decoder->progress.progress_monitor = watch_scans;
    jpeg->progress = &decoder->progress;
    jpeg->mem->max_memory_to_use = MEMORY_LIMIT;
}

/* Halves the picture as long as its shorter side stays large enough. */
static void choose_scale(struct jpeg_decompress_struct *jpeg, uint32_t at_least) {
    uint32_t shorter = MIN(jpeg->image_width, jpeg->image_height);
    jpeg->scale_num = 1;
    jpeg->scale_denom = 1;
    while (at_least && jpeg->scale_denom < 8 && ceil_div(shorter, 2 * jpeg->scale_denom) >= at_least)
        jpeg->scale_denom *= 2;
}

static void find_orientation(struct decoder *decoder) {
    static const char name[6] = "Exif\0"; /* and another zero */
    decoder->orientation = 1;
    for (jpeg_saved_marker_ptr marker = decoder->jpeg.marker_list; marker; marker = marker->next)
        if (marker->data_length > sizeof name && memcmp(marker->data, name, sizeof name) == 0) {
            decoder->orientation = exif_orientation(marker->data + sizeof name, marker->data_length - sizeof name);
            return;
        }
}

/* round(a * b / 255) */
static uint8_t multiply(uint32_t a, uint32_t b) {
    uint32_t product = a * b + 128;
    return (uint8_t)((product + (product >> 8)) >> 8);
}

/* Adobe's files hold 255 - ink: white paper is 255, 255, 255, 255. */
static void cmyk_to_rgb(const uint8_t *cmyk, size_t count, uint8_t *rgb) {
    for (size_t i = 0; i < count; i++, cmyk += 4, rgb += 3)
        for (size_t c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(cmyk[3] - multiply(255u - cmyk[c], cmyk[3]));
}

/* libjpeg's errors jump out of it, ours are returned. */
static enum status decode(struct decoder *decoder, const uint8_t *bytes, size_t size, uint32_t at_least) {
    struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    jpeg_mem_src(jpeg, bytes, (unsigned long)size);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    (void)jpeg_read_header(jpeg, TRUE);
    find_orientation(decoder);
    choose_scale(jpeg, at_least);
    bool four = jpeg->num_components == 4;
    jpeg->out_color_space = four ? JCS_CMYK : JCS_RGB;
    jpeg_calc_output_dimensions(jpeg);
    /* Counted before scaling: time and the memory for coefficients depend on it. */
    TRY(picture_check_size(jpeg->image_width, jpeg->image_height));
    TRY(picture_create(jpeg->output_width, jpeg->output_height, &decoder->picture));
    size_t width = jpeg->output_width;
    if (four)
        TRY(memory_zeroed(width, 4, &decoder->row));
    (void)jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *target = decoder->picture.pixels + 3 * width * jpeg->output_scanline;
        JSAMPROW row = four ? decoder->row : target;
        (void)jpeg_read_scanlines(jpeg, &row, 1);
        if (four)
            cmyk_to_rgb(decoder->row, width, target);
    }
    (void)jpeg_finish_decompress(jpeg);
    return STATUS_OK;
}

enum status jpeg_decode(const uint8_t *bytes, size_t size, uint32_t at_least, struct picture *out,
                        uint32_t *orientation) {
    struct decoder *decoder;
    TRY(memory_zeroed(1, sizeof *decoder, &decoder));
    enum status volatile status = STATUS_OK;
    if (setjmp(decoder->back)) {
        bool full = decoder->errors.msg_code == JERR_OUT_OF_MEMORY || decoder->errors.msg_code == JERR_NO_BACKING_STORE;
        status = fail(full ? STATUS_MEMORY : STATUS_DATA, "damaged JPEG: %s", decoder->text);
    } else {
        prepare(decoder);
        status = decode(decoder, bytes, size, at_least);
    }
    jpeg_destroy_decompress(&decoder->jpeg);
    if (status == STATUS_OK) {
        *out = decoder->picture;
        *orientation = decoder->orientation;
    } else {
        picture_destroy(&decoder->picture);
    }
    free(decoder->row);
    free(decoder);
    return status;
}

/*
 * jpeg: JPEG files, decoded and encoded by libjpeg(-turbo). The library reports errors through a callback that may not
 * return: it jumps back (setjmp) to where everything is freed, and nothing between holds memory of its own.
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
/* Of a progressive file all coefficients are kept, 2 bytes each: enough for three full planes. What needs more is
 * refused. */
enum { BYTES_PER_PIXEL = 7 };

/* Where errors go; the library hands it to the callbacks as client_data. */
struct catcher {
    struct jpeg_error_mgr errors;
    jmp_buf back;
    char text[JMSG_LENGTH_MAX];
};

struct decoder {
    struct catcher catcher;
    struct jpeg_decompress_struct jpeg;
    struct jpeg_progress_mgr progress;
    struct picture picture;
    uint8_t *row; /* of CMYK; NULL for other colours */
    uint32_t orientation;
};

static void stop(j_common_ptr jpeg) {
    struct catcher *catcher = jpeg->client_data;
    jpeg->err->format_message(jpeg, catcher->text);
    longjmp(catcher->back, 1);
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

static struct jpeg_error_mgr *catch_errors(struct catcher *catcher) {
    struct jpeg_error_mgr *errors = jpeg_std_error(&catcher->errors);
    errors->error_exit = stop;
    errors->emit_message = listen;
    return errors;
}

/* The sentence of a caught error. */
static enum status fail_caught(const struct catcher *catcher, enum status code, const char *what) {
    bool full = catcher->errors.msg_code == JERR_OUT_OF_MEMORY;
    return fail(full ? STATUS_MEMORY : code, "%s: %s", what, catcher->text);
}

/* ---- decoding ---- */

static void watch_scans(j_common_ptr jpeg) {
    struct catcher *catcher = jpeg->client_data;
    if (((j_decompress_ptr)jpeg)->input_scan_number > SCANS_LIMIT) {
        snprintf(catcher->text, sizeof catcher->text, "more than %d scans", SCANS_LIMIT);
        longjmp(catcher->back, 1);
    }
}

static void prepare(struct decoder *decoder, uint64_t limit) {
    struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    jpeg->err = catch_errors(&decoder->catcher);
    jpeg->client_data = &decoder->catcher;
    jpeg_create_decompress(jpeg);
    decoder->progress.progress_monitor = watch_scans;
    jpeg->progress = &decoder->progress;
    jpeg->mem->max_memory_to_use = (long)(BYTES_PER_PIXEL * limit);
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
static enum status decode(struct decoder *decoder, const uint8_t *bytes, size_t size, uint32_t at_least,
                          uint64_t limit) {
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
    TRY(picture_check_size(jpeg->image_width, jpeg->image_height, limit));
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

enum status jpeg_decode(const uint8_t *bytes, size_t size, uint32_t at_least, uint64_t limit, struct picture *out,
                        uint32_t *orientation) {
    struct decoder *decoder;
    TRY(memory_zeroed(1, sizeof *decoder, &decoder));
    enum status volatile status = STATUS_OK;
    if (setjmp(decoder->catcher.back)) {
        status = fail_caught(&decoder->catcher, STATUS_DATA, "damaged JPEG");
    } else {
        prepare(decoder, limit);
        status = decode(decoder, bytes, size, at_least, limit);
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

/* ---- encoding ---- */

struct encoder {
    struct catcher catcher;
    struct jpeg_compress_struct jpeg;
    struct jpeg_destination_mgr target;
    uint8_t *bytes;
    size_t size, capacity;
};

static struct encoder *encoder_of(j_compress_ptr jpeg) {
    return (struct encoder *)jpeg->client_data; /* the catcher comes first */
}

/* Makes room behind the first encoder->size bytes. */
static void make_room(j_compress_ptr jpeg) {
    enum { STEP = 16384 };
    struct encoder *encoder = encoder_of(jpeg);
    if (memory_grow(&encoder->bytes, &encoder->capacity, encoder->size + STEP, 1) != STATUS_OK)
        ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
    encoder->target.next_output_byte = encoder->bytes + encoder->size;
    encoder->target.free_in_buffer = encoder->capacity - encoder->size;
}

static boolean target_full(j_compress_ptr jpeg) {
    encoder_of(jpeg)->size = encoder_of(jpeg)->capacity;
    make_room(jpeg);
    return TRUE;
}

static void target_done(j_compress_ptr jpeg) {
    struct encoder *encoder = encoder_of(jpeg);
    encoder->size = encoder->capacity - encoder->target.free_in_buffer;
}

static void encode(struct encoder *encoder, const struct picture *in, int quality) {
    struct jpeg_compress_struct *jpeg = &encoder->jpeg;
    jpeg->err = catch_errors(&encoder->catcher);
    jpeg->client_data = encoder;
    jpeg_create_compress(jpeg);
    encoder->target = (struct jpeg_destination_mgr){
        .init_destination = make_room, .empty_output_buffer = target_full, .term_destination = target_done};
    jpeg->dest = &encoder->target;
    jpeg->image_width = in->width;
    jpeg->image_height = in->height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < in->height) {
        JSAMPROW row = in->pixels + (size_t)3 * in->width * jpeg->next_scanline;
        (void)jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
}

enum status picture_encode_jpeg(const struct picture *in, int quality, uint8_t **bytes, size_t *size) {
    struct encoder *encoder;
    if (quality < 1 || quality > 100)
        return fail(STATUS_USAGE, "the quality of a JPEG should be from 1 to 100, it is %d", quality);
    TRY(memory_zeroed(1, sizeof *encoder, &encoder));
    enum status volatile status = STATUS_OK;
    if (setjmp(encoder->catcher.back))
        status = fail_caught(&encoder->catcher, STATUS_USAGE, "no JPEG can be made");
    else
        encode(encoder, in, quality);
    jpeg_destroy_compress(&encoder->jpeg);
    if (status == STATUS_OK) {
        *bytes = encoder->bytes;
        *size = encoder->size;
    } else {
        free(encoder->bytes);
    }
    free(encoder);
    return status;
}

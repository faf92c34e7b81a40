/* picture: decoding, scaling and cropping give the bytes that Pillow and torchvision give. */
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "picture/picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <spng.h>
#include <zlib.h>

#include "picture_support.h"
#include "picture_truth.h"

/* ---- against torchvision ---- */

static void evaluation_is_torchvisions(void **state) {
    (void)state;
    for (uint32_t i = 0; i < COUNT(truths); i++) {
        const struct truth *truth = &truths[i];
        size_t bytes = (size_t)3 * truth->crop * truth->crop;
        struct picture picture = draw(i, truth->width, truth->height);
        uint8_t *out = malloc(bytes);
        assert_non_null(out);
        assert_int_equal(picture_evaluation(&picture, truth->resize, truth->crop, out), STATUS_OK);
        if (hash_bytes(HASH_START, out, bytes) != truth->hash)
            fail_msg("picture %u: %ux%u to %u, %u is not what torchvision makes of it", i, truth->width, truth->height,
                     truth->resize, truth->crop);
        free(out);
        picture_destroy(&picture);
    }
}

/* The triangle filter in float64 over all pixels of an axis, its weights rounded to 22 bits after the point. */
static void weigh(double *weights, uint32_t count, double low, double high, uint32_t out_size, uint32_t i) {
    double step = (high - low) / out_size, wide = fmax(step, 1), sum = 0;
    for (uint32_t j = 0; j < count; j++) {
        weights[j] = fmax(0, 1 - fabs(j + 0.5 - (low + (i + 0.5) * step)) / wide);
        sum += weights[j];
    }
    for (uint32_t j = 0; j < count; j++)
        weights[j] = floor(weights[j] / sum * 0x1p22 + 0.5) * 0x1p-22;
}

static double to_byte(double value) {
    return fmin(fmax(floor(value + 0.5), 0), 255);
}

/* One channel of `in` scaled along rows or (stride) columns; every sum is exact in float64. */
static void scale_line(const double *in, uint32_t count, size_t stride, double low, double high, uint32_t out_size,
                       double *out, size_t out_stride) {
    double *weights = malloc(count * sizeof *weights);
    assert_non_null(weights);
    for (uint32_t i = 0; i < out_size; i++) {
        double sum = 0;
        weigh(weights, count, low, high, out_size, i);
        for (uint32_t j = 0; j < count; j++)
            sum += weights[j] * in[j * stride];
        out[i * out_stride] = to_byte(sum);
    }
    free(weights);
}

static void assert_scaled(const struct picture *in, struct box box, uint32_t width, uint32_t height) {
    size_t in_count = (size_t)in->width * in->height;
    double *plane = malloc(in_count * sizeof *plane), *rows = malloc((size_t)width * in->height * sizeof *rows);
    double *column = malloc(height * sizeof *column);
    uint8_t *out = malloc((size_t)3 * width * height);
    assert_true(plane && rows && column && out);
    assert_int_equal(picture_resize_crop(in, box, width, height, out), STATUS_OK);
    for (uint32_t c = 0; c < 3; c++) {
        for (size_t i = 0; i < in_count; i++)
            plane[i] = in->pixels[3 * i + c];
        for (uint32_t y = 0; y < in->height; y++)
            scale_line(plane + (size_t)y * in->width, in->width, 1, box.x0, box.x1, width, rows + (size_t)y * width, 1);
        for (uint32_t x = 0; x < width; x++) {
            scale_line(rows + x, in->height, width, box.y0, box.y1, height, column, 1);
            for (uint32_t y = 0; y < height; y++)
                if (out[3 * ((size_t)y * width + x) + c] != column[y])
                    fail_msg("%ux%u to %ux%u: pixel (%u, %u) channel %u is %u, not %g", in->width, in->height, width,
                             height, x, y, c, out[3 * ((size_t)y * width + x) + c], column[y]);
        }
    }
    free(plane);
    free(rows);
    free(column);
    free(out);
}

static void scaling_is_the_triangle_filter(void **state) {
    (void)state;
    static const struct {
        uint32_t width, height, to_width, to_height;
        struct box box;
    } scalings[] = {
        {1, 1, 5, 3, {0, 0, 1, 1}},
        {7, 9, 7, 9, {0, 0, 7, 9}},
        {50, 31, 17, 40, {0, 0, 50, 31}},
        {50, 31, 17, 11, {3.25f, 2, 41, 30.5f}},
        {33, 40, 60, 70, {5, 6, 20.75f, 9.5f}},
        {200, 3, 1, 1, {0, 0, 200, 3}},
        {90, 61, 89, 60, {0, 0, 90, 61}},
        {64, 64, 8, 8, {0.5f, 0.5f, 1, 1}},
    };
    for (uint32_t i = 0; i < 2 * COUNT(scalings); i++) {
        uint32_t k = i / 2;
        struct picture picture = draw(i, scalings[k].width, scalings[k].height);
        assert_scaled(&picture, scalings[k].box, scalings[k].to_width, scalings[k].to_height);
        picture_destroy(&picture);
    }
}

static void impossible_scalings_are_refused(void **state) {
    (void)state;
    struct picture picture = draw(1, 20, 10), small = {0};
    uint8_t out[12] = {0};
    static const struct box boxes[] = {{0, 0, 21, 10}, {0, 0, 20, 11},  {-1, 0, 5, 5},
                                       {5, 5, 5, 6},   {0, 0, 20, NAN}, {0, 8, 20, 7}};
    for (size_t i = 0; i < COUNT(boxes); i++)
        assert_int_equal(picture_resize_crop(&picture, boxes[i], 2, 2, out), STATUS_USAGE);
    assert_int_equal(picture_resize_crop(&picture, (struct box){0, 0, 20, 10}, 0, 2, out), STATUS_USAGE);
    assert_int_equal(picture_resize_crop(&picture, (struct box){0, 0, 20, 10}, 2, 65536, out), STATUS_USAGE);
    assert_int_equal(picture_evaluation(&picture, 0, 2, out), STATUS_USAGE);
    assert_int_equal(picture_evaluation(&picture, 65535, 2, out), STATUS_USAGE);
    assert_int_equal(picture_evaluation(&picture, 10, 0, out), STATUS_USAGE);
    assert_int_equal(picture_thumbnail(&picture, 0, &small), STATUS_USAGE);
    assert_null(small.pixels);
    picture_destroy(&picture);
}

/* ---- decoding ---- */

static void read_corpus(const char *name, uint8_t **bytes, size_t *size) {
    char path[512];
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/fuzz/corpus/picture/%s", name);
    if (file_read(path, 1 << 20, bytes, size) != STATUS_OK)
        fail_msg("%s", status_message());
}

static void files_decode_as_with_pillow(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(file_truths); i++) {
        const struct file_truth *truth = &file_truths[i];
        struct picture picture;
        uint8_t *bytes;
        size_t size;
        read_corpus(truth->name, &bytes, &size);
        if (picture_decode(bytes, size, 0, &picture) != STATUS_OK)
            fail_msg("%s: %s", truth->name, status_message());
        bool turned = strncmp(truth->name, "turned", 6) == 0;
        assert_int_equal(picture.width, turned ? 26 : 37);
        assert_int_equal(picture.height, turned ? 37 : 26);
        if (hash_bytes(HASH_START, picture.pixels, (size_t)3 * picture.width * picture.height) != truth->hash)
            fail_msg("%s is not what Pillow decodes", truth->name);
        picture_destroy(&picture);
        free(bytes);
    }
}

/* Every prefix is refused, a PNG's up to its last row; memory of exactly its size lets AddressSanitizer see more. */
static void truncated_files_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(file_truths); i++) {
        bool png = strstr(file_truths[i].name, ".png") != NULL;
        struct picture picture = {0};
        uint8_t *bytes;
        size_t size;
        read_corpus(file_truths[i].name, &bytes, &size);
        for (size_t part = 0; part < size - (png ? 16 : 0); part++) {
            uint8_t *copy = malloc(part ? part : 1);
            assert_non_null(copy);
            memcpy(copy, bytes, part);
            if (picture_decode(copy, part, part % 2 ? 9 : 0, &picture) != STATUS_DATA)
                fail_msg("%s: %zu of %zu bytes are accepted", file_truths[i].name, part, size);
            assert_null(picture.pixels);
            free(copy);
        }
        free(bytes);
    }
}

static void assert_refused(const uint8_t *bytes, size_t size, const char *part) {
    struct picture picture = {0};
    assert_int_equal(picture_decode(bytes, size, 0, &picture), STATUS_DATA);
    assert_null(picture.pixels);
    if (!strstr(status_message(), part))
        fail_msg("\"%s\" does not say \"%s\"", status_message(), part);
}

/* `value` in big endian, as both formats have it. */
static void put_number(uint8_t *bytes, size_t width, uint32_t value) {
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> 8 * (width - 1 - i));
}

static uint8_t *find_marker(uint8_t *bytes, uint8_t kind) {
    while (bytes[0] != 0xff || bytes[1] != kind)
        bytes++;
    return bytes;
}

/* Nothing is missing but the end of the last row of blocks. */
static void files_with_a_gap_are_refused(void **state) {
    (void)state;
    uint8_t *bytes;
    size_t size;
    read_corpus("colour.jpg", &bytes, &size);
    memcpy(bytes + size - 12, "\xff\xd9", 2);
    assert_refused(bytes, size - 10, "premature end of data segment");
    free(bytes);
}

static void bombs_are_refused(void **state) {
    (void)state;
    uint8_t *bytes, *frame;
    size_t size;
    read_corpus("progressive.jpg", &bytes, &size);
    frame = find_marker(bytes, 0xc2); /* then length, precision, height, width */
    put_number(frame + 5, 2, 30000);
    put_number(frame + 7, 2, 30000);
    assert_refused(bytes, size, "30000x30000 pixels, more than");
    put_number(frame + 5, 2, 8000);
    put_number(frame + 7, 2, 8000);
    assert_refused(bytes, size, "Corrupt JPEG data");
    free(bytes);
    read_corpus("colour.png", &bytes, &size);
    static const uint32_t sides[][2] = {{16385, 16384}, {0x7fffffff, 0x7fffffff}, {1 << 21, 1}, {16384, 16384}};
    static const char *const says[] = {"16385x16384 pixels, more than", "overflow", "2097152x1 pixels, more than",
                                       "bytes cannot hold 16384x16384 pixels"};
    for (size_t i = 0; i < COUNT(sides); i++) {
        put_number(bytes + 16, 4, sides[i][0]);
        put_number(bytes + 20, 4, sides[i][1]);
        uLong check = crc32(0, bytes + 12, 17);
        put_number(bytes + 29, 4, (uint32_t)check);
        assert_refused(bytes, size, says[i]);
    }
    free(bytes);
}

/* A progressive JPEG whose first scan comes again and again. */
static void endless_scans_are_refused(void **state) {
    (void)state;
    enum { TIMES = 500 };
    uint8_t *bytes, *many, *scan, *end;
    size_t size;
    read_corpus("progressive.jpg", &bytes, &size);
    scan = find_marker(bytes, 0xda);
    for (end = scan + 2; end[0] != 0xff || end[1] == 0; end++)
        ;
    size_t before = (size_t)(scan - bytes), length = (size_t)(end - scan), count = before + TIMES * length;
    many = malloc(count + 2);
    assert_non_null(many);
    memcpy(many, bytes, before);
    for (size_t i = 0; i < TIMES; i++)
        memcpy(many + before + i * length, scan, length);
    memcpy(many + count, "\xff\xd9", 2);
    assert_refused(many, count + 2, "more than 200 scans");
    free(many);
    free(bytes);
}

static void what_is_no_picture_is_refused(void **state) {
    (void)state;
    assert_refused((const uint8_t *)"", 0, "empty");
    assert_refused((const uint8_t *)"GIF89a..", 8, "neither a JPEG nor a PNG");
    assert_refused((const uint8_t *)"\x89PNG\r\n\x1a", 7, "neither a JPEG nor a PNG");
    assert_refused((const uint8_t *)"\xff\xd8\xff\xd9", 4, "JPEG");
}

/* The factor is the largest that leaves the shorter side long enough, and the picture looks the same. */
static void scaled_decoding_is_never_smaller_than_asked(void **state) {
    (void)state;
    struct picture picture = draw(2, 203, 150), small;
    uint8_t *bytes;
    size_t size;
    assert_int_equal(picture_encode_jpeg(&picture, 90, &bytes, &size), STATUS_OK);
    for (uint32_t at_least = 1; at_least < 200; at_least++) {
        uint32_t factor = 1;
        for (uint32_t larger = 2; larger <= 8; larger *= 2)
            if (ceil_div(150, larger) >= at_least)
                factor = larger;
        assert_int_equal(picture_decode(bytes, size, at_least, &small), STATUS_OK);
        assert_int_equal(small.height, ceil_div(150, factor));
        assert_int_equal(small.width, ceil_div(203, factor));
        picture_destroy(&small);
    }
    free(bytes);
    picture_destroy(&picture);
}

/* ---- PNG: every colour type, depth and interlacing ---- */

static uint32_t sample_of(uint32_t i, uint32_t depth) {
    return random_bits(7, depth, i) >> (32 - depth);
}

/* Samples as the encoder takes them: rows padded to bytes, 16 bits in the machine's order. */
static void pack(uint8_t *rows, uint32_t width, uint32_t height, uint32_t channels, uint32_t depth) {
    size_t row_bytes = ((size_t)width * channels * depth + 7) / 8;
    memset(rows, 0, row_bytes * height);
    for (uint32_t i = 0; i < width * height * channels; i++) {
        size_t bit = (size_t)(i % (width * channels)) * depth;
        uint8_t *byte = rows + i / (width * channels) * row_bytes + bit / 8;
        uint16_t wide = (uint16_t)sample_of(i, depth);
        if (depth == 16)
            memcpy(byte, &wide, 2);
        else
            *byte = (uint8_t)(*byte | sample_of(i, depth) << (8 - depth - bit % 8));
    }
}

static void assert_png(uint8_t type, uint8_t depth, uint8_t interlaced) {
    enum { WIDTH = 11, HEIGHT = 13 };
    static const uint32_t channels_of[] = {1, 0, 3, 1, 2, 0, 4};
    uint32_t channels = channels_of[type];
    struct spng_ihdr header = {.width = WIDTH, .height = HEIGHT, .bit_depth = depth, .color_type = type};
    struct spng_plte palette = {.n_entries = 1u << MIN(depth, 8)};
    uint8_t rows[WIDTH * HEIGHT * 8];
    struct picture picture;
    size_t size;
    int error;
    header.interlace_method = interlaced;
    for (uint32_t i = 0; i < palette.n_entries; i++)
        palette.entries[i] = (struct spng_plte_entry){(uint8_t)(i * 7), (uint8_t)(255 - i), (uint8_t)(i * i), 255};
    pack(rows, WIDTH, HEIGHT, channels, depth);
    spng_ctx *context = spng_ctx_new(SPNG_CTX_ENCODER);
    spng_set_option(context, SPNG_ENCODE_TO_BUFFER, 1);
    spng_set_ihdr(context, &header);
    spng_set_gama(context, 1); /* does not count */
    if (type == SPNG_COLOR_TYPE_INDEXED)
        spng_set_plte(context, &palette);
    assert_int_equal(spng_encode_image(context, rows, ((size_t)WIDTH * channels * depth + 7) / 8 * HEIGHT, SPNG_FMT_PNG,
                                       SPNG_ENCODE_FINALIZE),
                     0);
    uint8_t *bytes = spng_get_png_buffer(context, &size, &error);
    spng_ctx_free(context);
    assert_int_equal(picture_decode(bytes, size, 0, &picture), STATUS_OK);
    for (uint32_t i = 0; i < 3 * WIDTH * HEIGHT; i++) {
        bool grey = channels < 3;
        uint32_t sample = sample_of(i / 3 * channels + (grey ? 0 : i % 3), depth);
        struct spng_plte_entry entry = palette.entries[sample % 256];
        uint32_t level = depth == 16 ? sample >> 8 : sample * 255 / ((1u << depth) - 1);
        if (type == SPNG_COLOR_TYPE_INDEXED)
            level = i % 3 == 0 ? entry.red : i % 3 == 1 ? entry.green : entry.blue;
        if (picture.pixels[i] != level)
            fail_msg("type %u, %u bits, interlaced %u: value %u is %u, not %u", type, depth, interlaced, i,
                     picture.pixels[i], level);
    }
    picture_destroy(&picture);
    free(bytes);
}

static void every_png_decodes(void **state) {
    (void)state;
    static const uint8_t kinds[][2] = {{0, 1}, {0, 2}, {0, 4}, {0, 8}, {0, 16}, {2, 8}, {2, 16}, {3, 1},
                                       {3, 2}, {3, 4}, {3, 8}, {4, 8}, {4, 16}, {6, 8}, {6, 16}};
    for (size_t i = 0; i < COUNT(kinds); i++)
        for (uint8_t interlaced = 0; interlaced < 2; interlaced++)
            assert_png(kinds[i][0], kinds[i][1], interlaced);
}

/* ---- orientation ---- */

enum side { TOP, RIGHT, BOTTOM, LEFT };

/* Exif 2.3, tag 274: on which side of the upright picture the first stored row and the first stored column are. */
static const struct {
    enum side row, column;
} stored_at[9] = {{0, 0},      {TOP, LEFT},  {TOP, RIGHT},    {BOTTOM, RIGHT}, {BOTTOM, LEFT},
                  {LEFT, TOP}, {RIGHT, TOP}, {RIGHT, BOTTOM}, {LEFT, BOTTOM}};

static enum side opposite(enum side side) {
    return (enum side)((side + 2) % 4);
}

/* Red at the corner pixel of two adjacent sides. */
static uint8_t red_at(const struct picture *picture, enum side a, enum side b) {
    uint32_t x = a == RIGHT || b == RIGHT ? picture->width - 1 : 0;
    uint32_t y = a == BOTTOM || b == BOTTOM ? picture->height - 1 : 0;
    return picture->pixels[3 * ((size_t)y * picture->width + x)];
}

/* An EXIF marker whose directory holds another entry and the orientation. */
static size_t put_exif(uint8_t *bytes, bool little, uint32_t orientation) {
    static const uint8_t big_form[] = {0xff, 0xe1, 0, 46, 'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0,
                                       0,    8,    0, 2,  1,   0,   0,   3,   0, 0, 0,   1,   0, 9,  0, 0,
                                       1,    0x12, 0, 3,  0,   0,   0,   1,   0, 0, 0,   0,   0, 0};
    static const uint8_t numbers[][2] = {{2, 12}, {4, 14}, {2, 18}, {2, 20}, {2, 22}, {4, 24},
                                         {2, 28}, {2, 32}, {2, 34}, {4, 36}, {2, 40}};
    memcpy(bytes, big_form, sizeof big_form - 2);
    put_number(bytes + 2, 2, sizeof big_form - 4);
    put_number(bytes + 40, 2, orientation);
    for (size_t i = 0; little && i < COUNT(numbers); i++)
        for (size_t low = 0, high = numbers[i][0] - 1u; low < high; low++, high--) {
            uint8_t *number = bytes + numbers[i][1], kept = number[low];
            number[low] = number[high];
            number[high] = kept;
        }
    if (little)
        memcpy(bytes + 10, "II", 2);
    return sizeof big_form - 2;
}

/* Stored: four corners of different red. */
static void pictures_are_turned_upright(void **state) {
    (void)state;
    struct picture stored = draw(0, 48, 32), upright;
    static const uint8_t reds[] = {20, 90, 160, 230}; /* first row: first, last column; last row: first, last column */
    uint8_t *bytes, turned[8192];
    size_t size;
    for (size_t i = 0; i < (size_t)48 * 32; i++)
        memset(stored.pixels + 3 * i, reds[2 * (i / 48 >= 16) + (i % 48 >= 24)], 3);
    assert_int_equal(picture_encode_jpeg(&stored, 95, &bytes, &size), STATUS_OK);
    for (uint32_t k = 0; k < 2 * 10; k++) {
        uint32_t orientation = k / 2, known = orientation >= 1 && orientation <= 8 ? orientation : 1;
        memcpy(turned, bytes, 2);
        size_t inserted = put_exif(turned + 2, k % 2, orientation);
        assert_true(inserted + size <= sizeof turned);
        memcpy(turned + 2 + inserted, bytes + 2, size - 2);
        assert_int_equal(picture_decode(turned, size + inserted, 0, &upright), STATUS_OK);
        enum side row = stored_at[known].row, column = stored_at[known].column;
        assert_int_equal(upright.width, row % 2 ? 32 : 48);
        assert_int_equal(upright.height, row % 2 ? 48 : 32);
        assert_in_range(red_at(&upright, row, column), 15, 25);
        assert_in_range(red_at(&upright, row, opposite(column)), 85, 95);
        assert_in_range(red_at(&upright, opposite(row), column), 155, 165);
        picture_destroy(&upright);
    }
    free(bytes);
    picture_destroy(&stored);
}

/* ---- encoding ---- */

/* Encodes and decodes; the mean error of ramps that are steep is a few levels. */
static size_t assert_encoded(const struct picture *picture, int quality) {
    struct picture again;
    uint8_t *bytes;
    size_t size, count = (size_t)3 * picture->width * picture->height;
    double error = 0;
    assert_int_equal(picture_encode_jpeg(picture, quality, &bytes, &size), STATUS_OK);
    assert_int_equal(picture_decode(bytes, size, 0, &again), STATUS_OK);
    assert_int_equal(again.width, picture->width);
    assert_int_equal(again.height, picture->height);
    for (size_t i = 0; i < count; i++)
        error += abs(picture->pixels[i] - again.pixels[i]) / (double)count;
    if (!(error < 12))
        fail_msg("the mean error is %g", error);
    picture_destroy(&again);
    free(bytes);
    return size;
}

static void encoding_keeps_the_picture(void **state) {
    (void)state;
    struct picture picture = draw(4, 301, 200), small;
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_true(assert_encoded(&picture, 98) > 3 * 16384); /* several times the first room */
    assert_true(assert_encoded(&picture, 80) < assert_encoded(&picture, 98));
    assert_int_equal(picture_thumbnail(&picture, 96, &small), STATUS_OK);
    assert_int_equal(small.width, 96);
    assert_int_equal(small.height, 63);
    assert_encoded(&small, 95);
    picture_destroy(&small);
    assert_int_equal(picture_thumbnail(&picture, 1000, &small), STATUS_OK);
    assert_memory_equal(small.pixels, picture.pixels, (size_t)3 * 301 * 200);
    picture_destroy(&small);
    assert_int_equal(picture_encode_jpeg(&picture, 101, &bytes, &size), STATUS_USAGE);
    picture.width = 65501;
    assert_int_equal(picture_encode_jpeg(&picture, 90, &bytes, &size), STATUS_USAGE);
    assert_non_null(strstr(status_message(), "65500"));
    assert_null(bytes);
    picture_destroy(&picture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evaluation_is_torchvisions),
        cmocka_unit_test(scaling_is_the_triangle_filter),
        cmocka_unit_test(impossible_scalings_are_refused),
        cmocka_unit_test(files_decode_as_with_pillow),
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(files_with_a_gap_are_refused),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(endless_scans_are_refused),
        cmocka_unit_test(what_is_no_picture_is_refused),
        cmocka_unit_test(scaled_decoding_is_never_smaller_than_asked),
        cmocka_unit_test(every_png_decodes),
        cmocka_unit_test(pictures_are_turned_upright),
        cmocka_unit_test(encoding_keeps_the_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

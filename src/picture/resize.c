/*
 * resize: Pillow's antialiased bilinear filter in its 8-bit arithmetic, to the byte.
 *
 * Output pixel i of an axis that scales `in` pixels by s = in / out has its middle at m = first + (i + 1/2) s in the
 * source and weighs the source pixels j (middle j + 1/2) with a triangle of half-width f = max(s, 1):
 * 1 - |j + 1/2 - m| / f, normalized to sum 1 and rounded to 22 bits after the point. Rows are scaled first and rounded
 * to bytes, then columns.
 */
#include "picture/internal.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRACTION_BITS = 22, SIDE_LIMIT = 65535 };

/*
 * What the output pixels of one axis are made of: pixel i is the sum of weights[i * taps + t] * source[first[i] + t]
 * over all t < taps. All have as many taps as the widest, so that loops over them have one length; others are zero.
 */
struct filter {
    uint32_t taps;
    uint32_t *first;
    int32_t *weights;
};

static void filter_destroy(struct filter *filter) {
    free(filter->first);
    free(filter->weights);
}

/* An axis on which [low, high) of in_size pixels become out_size pixels. */
struct axis {
    uint32_t in_size;
    double low, scale, wide; /* wide: half the triangle's width */
};

static struct axis make_axis(uint32_t in_size, float low, float high, uint32_t out_size) {
    double scale = (double)(high - low) / out_size;
    return (struct axis){in_size, (double)low, scale, fmax(scale, 1)};
}

struct span {
    uint32_t first, end;
};

static double middle_of(const struct axis *axis, uint32_t i) {
    return axis->low + (i + 0.5) * axis->scale;
}

/* The source pixels that output pixel i sees. */
static struct span find_span(const struct axis *axis, uint32_t i) {
    int32_t low = (int32_t)(middle_of(axis, i) - axis->wide + 0.5);
    int32_t high = (int32_t)(middle_of(axis, i) + axis->wide + 0.5);
    return (struct span){(uint32_t)MAX(low, 0), MIN((uint32_t)high, axis->in_size)};
}

/* The weights of output pixel i; `scratch` has room for them. */
static void weigh(const struct axis *axis, uint32_t i, double *scratch, int32_t *weights) {
    struct span span = find_span(axis, i);
    double sum = 0;
    for (uint32_t j = span.first; j < span.end; j++) {
        double distance = fabs((j - middle_of(axis, i) + 0.5) * (1 / axis->wide));
        scratch[j - span.first] = distance < 1 ? 1 - distance : 0;
        sum += scratch[j - span.first];
    }
    for (uint32_t t = 0; t < span.end - span.first; t++)
        weights[t] = (int32_t)(0.5 + (sum != 0 ? scratch[t] / sum : scratch[t]) * (1 << FRACTION_BITS));
}

/* For output pixels [begin, begin + count). */
static enum status filter_create(struct filter *filter, const struct axis *axis, uint32_t begin, uint32_t count) {
    double *scratch = NULL;
    filter->taps = 1;
    for (uint32_t i = 0; i < count; i++) {
        struct span span = find_span(axis, begin + i);
        filter->taps = MAX(filter->taps, span.end - span.first);
    }
    enum status status = memory_zeroed(filter->taps, sizeof *scratch, &scratch);
    if (status == STATUS_OK)
        status = memory_zeroed(count, sizeof *filter->first, &filter->first);
    if (status == STATUS_OK)
        status = memory_zeroed((size_t)count * filter->taps, sizeof *filter->weights, &filter->weights);
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        uint32_t first = find_span(axis, begin + i).first;
        filter->first[i] = MIN(first, axis->in_size - filter->taps);
        weigh(axis, begin + i, scratch, filter->weights + (size_t)i * filter->taps + (first - filter->first[i]));
    }
    free(scratch);
    return status;
}

/* The sum of weights is 1 to within taps / 2^23, so that a sum of bytes may exceed 255 by rounding only. */
static uint8_t to_byte(int32_t sum) {
    int32_t value = sum >> FRACTION_BITS;
    return (uint8_t)(value > 255 ? 255 : value);
}

static inline void scale_row_by(uint32_t taps, const uint8_t *in, const struct filter *filter, uint32_t width,
                                uint8_t *out) {
    const int32_t *weight = filter->weights;
    for (uint32_t x = 0; x < width; x++, out += 3, weight += taps) {
        const uint8_t *pixel = in + (size_t)3 * filter->first[x];
        int32_t red = 1 << (FRACTION_BITS - 1), green = red, blue = red;
        for (uint32_t t = 0; t < taps; t++, pixel += 3) {
            red += weight[t] * pixel[0];
            green += weight[t] * pixel[1];
            blue += weight[t] * pixel[2];
        }
        out[0] = to_byte(red);
        out[1] = to_byte(green);
        out[2] = to_byte(blue);
    }
}

/* Known lengths are unrolled: enlarging has 2 taps, reducing to two thirds 3. */
static void scale_row(const uint8_t *in, const struct filter *filter, uint32_t width, uint8_t *out) {
    switch (filter->taps) {
    case 2:
        scale_row_by(2, in, filter, width, out);
        break;
    case 3:
        scale_row_by(3, in, filter, width, out);
        break;
    case 4:
        scale_row_by(4, in, filter, width, out);
        break;
    default:
        scale_row_by(filter->taps, in, filter, width, out);
    }
}

static void scale_column(const uint8_t *in, size_t stride, const int32_t *weights, uint32_t taps, size_t bytes,
                         int32_t *sums, uint8_t *out) {
    for (size_t i = 0; i < bytes; i++)
        sums[i] = 1 << (FRACTION_BITS - 1);
    for (uint32_t t = 0; t < taps; t++, in += stride)
        for (size_t i = 0; i < bytes; i++)
            sums[i] += weights[t] * in[i];
    for (size_t i = 0; i < bytes; i++)
        out[i] = to_byte(sums[i]);
}

static enum status scale(const struct view *in, const struct filter *across, const struct filter *down,
                         struct window window, uint8_t *out, size_t out_stride) {
    uint32_t first = down->first[0], last = window.height - 1;
    uint32_t rows = down->first[last] + down->taps - first;
    size_t bytes = (size_t)3 * window.width;
    uint8_t *between = NULL;
    int32_t *sums = NULL;
    enum status status = memory_zeroed(rows, bytes, &between);
    if (status == STATUS_OK)
        status = memory_zeroed(bytes, sizeof *sums, &sums);
    if (status == STATUS_OK) {
        for (uint32_t y = 0; y < rows; y++)
            scale_row(in->pixels + (first + y) * in->stride, across, window.width, between + y * bytes);
        for (uint32_t y = 0; y < window.height; y++)
            scale_column(between + (down->first[y] - first) * bytes, bytes, down->weights + (size_t)y * down->taps,
                         down->taps, bytes, sums, out + y * out_stride);
    }
    free(between);
    free(sums);
    return status;
}

enum status resize_view(const struct view *in, struct box box, uint32_t width, uint32_t height, struct window window,
                        uint8_t *out, size_t out_stride) {
    struct filter across = {0}, down = {0};
    if (width < 1 || width > SIDE_LIMIT || height < 1 || height > SIDE_LIMIT)
        return fail(STATUS_USAGE, "a picture can be scaled to 1 to %d pixels a side, not %ux%u", SIDE_LIMIT, width,
                    height);
    if (!(box.x0 >= 0 && box.y0 >= 0 && box.x0 < box.x1 && box.y0 < box.y1 && box.x1 <= (float)in->width &&
          box.y1 <= (float)in->height))
        return fail(STATUS_USAGE, "the box (%g, %g, %g, %g) is no part of a picture of %ux%u pixels", (double)box.x0,
                    (double)box.y0, (double)box.x1, (double)box.y1, in->width, in->height);
    const struct axis x = make_axis(in->width, box.x0, box.x1, width);
    const struct axis y = make_axis(in->height, box.y0, box.y1, height);
    enum status status = filter_create(&across, &x, window.left, window.width);
    if (status == STATUS_OK)
        status = filter_create(&down, &y, window.top, window.height);
    if (status == STATUS_OK)
        status = scale(in, &across, &down, window, out, out_stride);
    filter_destroy(&across);
    filter_destroy(&down);
    return status;
}

static struct view whole(const struct picture *picture) {
    return (struct view){picture->pixels, picture->width, picture->height, (size_t)3 * picture->width};
}

enum status picture_resize_crop(const struct picture *in, struct box box, uint32_t width, uint32_t height,
                                uint8_t *out) {
    struct view view = whole(in);
    return resize_view(&view, box, width, height, (struct window){0, 0, width, height}, out, (size_t)3 * width);
}

/* Python's round((size - crop) / 2): halves go to the even number. */
static uint32_t middle(uint32_t size, uint32_t crop) {
    uint32_t half = (size - crop) / 2;
    return half + ((size - crop) % 2 && half % 2);
}

/* One axis of the crop: which pixels of the scaled picture, and where they go. */
static void crop_axis(uint32_t size, uint32_t crop, uint32_t *first, uint32_t *count, uint32_t *target) {
    *first = size > crop ? middle(size, crop) : 0;
    *count = MIN(size, crop);
    *target = size < crop ? (crop - size) / 2 : 0;
}

enum status picture_evaluation(const struct picture *in, uint32_t resize, uint32_t crop, uint8_t *out) {
    struct view view = whole(in);
    uint32_t shorter = MIN(in->width, in->height), left, top;
    uint64_t width = (uint64_t)resize * in->width / shorter, height = (uint64_t)resize * in->height / shorter;
    struct box box = {0, 0, (float)in->width, (float)in->height};
    struct window window;
    if (MAX(width, height) > SIDE_LIMIT || crop < 1 || crop > SIDE_LIMIT)
        return fail(STATUS_USAGE, "a picture of %ux%u pixels can not be scaled to %llux%llu and cropped to %u",
                    in->width, in->height, (unsigned long long)width, (unsigned long long)height, crop);
    crop_axis((uint32_t)width, crop, &window.left, &window.width, &left);
    crop_axis((uint32_t)height, crop, &window.top, &window.height, &top);
    if (width < crop || height < crop)
        memset(out, 0, (size_t)3 * crop * crop);
    return resize_view(&view, box, (uint32_t)width, (uint32_t)height, window, out + 3 * ((size_t)top * crop + left),
                       (size_t)3 * crop);
}

enum status picture_thumbnail(const struct picture *in, uint32_t side, struct picture *out) {
    struct picture small;
    uint32_t longer = MAX(in->width, in->height), bound = MIN(side, longer);
    struct box box = {0, 0, (float)in->width, (float)in->height};
    if (side < 1 || bound > SIDE_LIMIT)
        return fail(STATUS_USAGE, "the side of a thumbnail should be from 1 to %d, it is %u", SIDE_LIMIT, side);
    TRY(picture_create(MAX((uint64_t)bound * in->width / longer, 1), MAX((uint64_t)bound * in->height / longer, 1),
                       &small));
    enum status status = picture_resize_crop(in, box, small.width, small.height, small.pixels);
    if (status != STATUS_OK)
        picture_destroy(&small);
    else
        *out = small;
    return status;
}

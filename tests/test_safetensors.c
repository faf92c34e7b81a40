/* safetensors: what is written is read back, and every way to be wrong is refused with a sentence. */
#include "base/memory.h"
#include "base/random.h"
#include "data/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A file of this header and `data_size` bytes 0, 1, 2, ... in memory of exactly its size (so that ASan sees a read past
 * the end). Free with free(). */
static uint8_t *assemble(const char *header, size_t data_size, size_t *size) {
    uint64_t length = strlen(header);
    *size = 8 + (size_t)length + data_size;
    uint8_t *bytes = malloc(*size);
    assert_non_null(bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, (size_t)length);
    for (size_t i = 0; i < data_size; i++)
        bytes[8 + length + i] = (uint8_t)i;
    return bytes;
}

/* ---- hostile headers ---- */

static const struct {
    const char *header;
    size_t data_size;
    const char *sentence; /* a part of it */
} refused[] = {
    {"", 0, "not a JSON object"},
    {"[]", 0, "not a JSON object"},
    {" {}", 0, "not a JSON object"},
    {"{", 0, "not JSON"},
    {"{}x", 0, "not JSON"},
    {"{\"a\":1,\"a\":2}", 0, "not JSON: duplicate"},
    {"{\"a\":1}", 0, "tensor a is not described"},
    {"{\"a\":{}}", 0, "tensor a has no dtype"},
    {"{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor a has no dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor a has no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "not a whole number"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "not a whole number"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "more than 8 dimensions"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "more than 2^64"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0, "more than 2^64"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,0]}}", 0, "not JSON"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "tensor a has no data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "tensor a has no data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,-4]}}", 4, "tensor a has no data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "tensor a lies at bytes 4 to 0 of 4"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "tensor a lies at bytes 0 to 8 of 4"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "has 4 bytes, but its shape asks for 8"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
     6, "tensor b overlaps"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
     4, "overlaps"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}", 3, "tensor a follows a gap"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 3, "the last 1 bytes belong to no tensor"},
    {"{\"a\\nb\":7}", 0, "tensor a?b is not described"},
    {"{\"__metadata__\":[]}", 0, "metadata is not an object"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "metadata k is not a string"},
};

static void refuses_wrong_headers(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        size_t size;
        struct safetensors file;
        uint8_t *bytes = assemble(refused[i].header, refused[i].data_size, &size);
        enum status status = safetensors_parse("f.safetensors", bytes, size, &file);
        if (status != STATUS_DATA || !strstr(status_message(), refused[i].sentence))
            fail_msg("%s: status %d, \"%s\"", refused[i].header, (int)status, status_message());
        assert_ptr_equal(strstr(status_message(), "f.safetensors: "), status_message());
        assert_null(file.tensors);
        free(bytes);
    }
}

static void refuses_wrong_lengths(void **state) {
    (void)state;
    const uint64_t lengths[] = {3, 100000001, UINT64_MAX, UINT64_MAX - 7, 1u << 30};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        size_t size;
        struct safetensors file;
        uint8_t *bytes = assemble("{}", 0, &size);
        memcpy(bytes, &lengths[i], 8);
        assert_int_equal(safetensors_parse("f", bytes, size, &file), STATUS_DATA);
        assert_non_null(strstr(status_message(), "does not fit"));
        free(bytes);
    }
}

static const char *const small = "{\"__metadata__\":{\"model\":\"resnet20\"},"
                                 "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                                 "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[24,32]},"
                                 "\"none\":{\"dtype\":\"F64\",\"shape\":[0,7],\"data_offsets\":[32,32]},"
                                 "\"h\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[32,34]}}";

static void accepts_a_small_file(void **state) {
    (void)state;
    size_t size;
    struct safetensors file;
    char text[SAFETENSORS_SHAPE_TEXT];
    uint8_t *bytes = assemble(small, 34, &size);
    assert_int_equal(safetensors_parse("f", bytes, size, &file), STATUS_OK);
    assert_int_equal(file.count, 4);
    assert_string_equal(safetensors_metadata(&file, "model"), "resnet20");
    assert_null(safetensors_metadata(&file, "w"));
    assert_string_equal(safetensors_print_shape(safetensors_find(&file, "w"), text), "[2, 3]");
    assert_int_equal(safetensors_count(safetensors_find(&file, "n")), 1);
    assert_int_equal(safetensors_count(safetensors_find(&file, "none")), 0);
    assert_null(safetensors_find(&file, "model"));
    safetensors_destroy(&file);
    free(bytes);
}

static void refuses_every_truncation(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = assemble(small, 34, &size);
    for (size_t cut = 0; cut < size; cut++) {
        struct safetensors file;
        uint8_t *part = malloc(cut ? cut : 1);
        assert_non_null(part);
        memcpy(part, bytes, cut);
        assert_int_equal(safetensors_parse("f", part, cut, &file), STATUS_DATA);
        free(part);
    }
    free(bytes);
}

static void read_all(const struct safetensors *file) {
    for (size_t i = 0; i < file->count; i++) {
        uint64_t count = safetensors_count(&file->tensors[i]);
        double *values = malloc((size_t)count * sizeof *values + 1);
        char text[SAFETENSORS_SHAPE_TEXT];
        assert_non_null(values);
        safetensors_values(&file->tensors[i], values);
        safetensors_print_shape(&file->tensors[i], text);
        free(values);
    }
}

/* Whatever a damaged file says, it is refused with a sentence or read within its bounds. */
static void survives_damage(void **state) {
    (void)state;
    size_t size, accepted = 0;
    uint8_t *bytes = assemble(small, 34, &size);
    uint8_t *damaged = malloc(size);
    assert_non_null(damaged);
    for (uint32_t seed = 0; seed < 20000; seed++) {
        struct safetensors file;
        memcpy(damaged, bytes, size);
        for (uint32_t flip = 0; flip <= seed % 3; flip++)
            damaged[random_below(seed, 1, flip, (uint32_t)size)] = (uint8_t)random_bits(seed, 2, flip);
        enum status status = safetensors_parse("f", damaged, size, &file);
        if (status == STATUS_OK) {
            accepted++;
            read_all(&file);
            safetensors_destroy(&file);
        } else {
            assert_int_equal(status, STATUS_DATA);
            assert_null(strchr(status_message(), '\n'));
        }
    }
    assert_in_range(accepted, 1, 19999); /* damage in the data is no damage */
    free(damaged);
    free(bytes);
}

/* ---- values ---- */

static void expect_values(enum safetensors_dtype dtype, const void *bytes, uint64_t size, const double *expected,
                          uint64_t count) {
    struct safetensors_tensor tensor = {.dtype = dtype, .rank = 1, .shape = {count}, .bytes = bytes, .size = size};
    double values[8];
    assert_int_equal(safetensors_count(&tensor), count);
    safetensors_values(&tensor, values);
    for (uint64_t i = 0; i < count; i++)
        if (values[i] != expected[i] && !(isnan(values[i]) && isnan(expected[i])))
            fail_msg("dtype %d value %d: %g instead of %g", (int)dtype, (int)i, values[i], expected[i]);
}

#define EXPECT(dtype, type, count, ...)                                                                                \
    expect_values(dtype, (const type[]){__VA_ARGS__}, sizeof(type[count]), expected, count)

static void converts_every_dtype(void **state) {
    (void)state;
    const double halves[] = {1, -65504, 0x1p-24, 0x1p-14, INFINITY, NAN, -2, 0};
    const double bfloats[] = {1, -3.140625, INFINITY};
    const double expected[] = {-2, 0, 5};
    const double positive[] = {250, 0, 5};
    expect_values(SAFETENSORS_F16, (const uint16_t[]){0x3c00, 0xfbff, 1, 0x0400, 0x7c00, 0x7c01, 0xc000, 0}, 16, halves,
                  8);
    expect_values(SAFETENSORS_BF16, (const uint16_t[]){0x3f80, 0xc049, 0x7f80}, 6, bfloats, 3);
    EXPECT(SAFETENSORS_F32, float, 3, -2, 0, 5);
    EXPECT(SAFETENSORS_F64, double, 3, -2, 0, 5);
    EXPECT(SAFETENSORS_I8, int8_t, 3, -2, 0, 5);
    EXPECT(SAFETENSORS_I16, int16_t, 3, -2, 0, 5);
    EXPECT(SAFETENSORS_I32, int32_t, 3, -2, 0, 5);
    EXPECT(SAFETENSORS_I64, int64_t, 3, -2, 0, 5);
    expect_values(SAFETENSORS_U8, (const uint8_t[]){250, 0, 5}, 3, positive, 3);
    expect_values(SAFETENSORS_U16, (const uint16_t[]){250, 0, 5}, 6, positive, 3);
    expect_values(SAFETENSORS_U32, (const uint32_t[]){250, 0, 5}, 12, positive, 3);
    expect_values(SAFETENSORS_U64, (const uint64_t[]){250, 0, 5}, 24, positive, 3);
    expect_values(SAFETENSORS_BOOL, (const uint8_t[]){1, 0}, 2, (const double[]){1, 0}, 2);
}

/* All 65536 numbers with 1 bit of sign, and so many of exponent and fraction, by IEEE 754's formula. */
static double formula(uint32_t bits, int exponent_bits, int fraction_bits) {
    uint32_t exponent = bits >> fraction_bits & ((1u << exponent_bits) - 1),
             fraction = bits & ((1u << fraction_bits) - 1);
    double sign = bits >> 15 ? -1 : 1, part = (double)fraction / (1 << fraction_bits);
    int bias = (1 << (exponent_bits - 1)) - 1;
    if (exponent == (1u << exponent_bits) - 1)
        return fraction ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? (1 + part) * pow(2, (int)exponent - bias) : part * pow(2, 1 - bias));
}

static uint16_t store(enum safetensors_dtype dtype, double value) {
    uint16_t bits;
    safetensors_store(dtype, &value, 1, &bits);
    return bits;
}

static void every_small_float(enum safetensors_dtype dtype, int exponent_bits, int fraction_bits) {
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t bits = (uint16_t)i;
        struct safetensors_tensor tensor = {.dtype = dtype, .rank = 0, .bytes = &bits, .size = 2};
        double value, expected = formula(i, exponent_bits, fraction_bits);
        safetensors_values(&tensor, &value);
        if (memcmp(&value, &expected, sizeof value) != 0 && !(isnan(value) && isnan(expected)))
            fail_msg("%04x is read as %a, not %a", i, value, expected);
        uint16_t back = store(dtype, value);
        if (isnan(value) ? !isnan(formula(back, exponent_bits, fraction_bits)) : back != bits)
            fail_msg("%04x comes back as %04x", i, back);
    }
}

/* Between neighbours the nearer one, in the middle the even one; beyond the last half step infinity. */
static void every_rounding(enum safetensors_dtype dtype, int exponent_bits, int fraction_bits) {
    uint16_t infinity = (uint16_t)(((1u << exponent_bits) - 1) << fraction_bits);
    for (uint16_t low = 0; low < infinity; low++) {
        double a = formula(low, exponent_bits, fraction_bits);
        double step =
            a - (low ? formula(low - 1u, exponent_bits, fraction_bits) : -formula(1, exponent_bits, fraction_bits));
        double b = low + 1 < infinity ? formula(low + 1u, exponent_bits, fraction_bits) : a + step;
        double middle = a + (b - a) / 2;
        uint16_t even = low % 2 ? low + 1 : low;
        if (store(dtype, nextafter(middle, a)) != low || store(dtype, nextafter(middle, b)) != low + 1 ||
            store(dtype, middle) != even || store(dtype, -middle) != (even | 0x8000))
            fail_msg("%04x: the middle %a is rounded to %04x", low, middle, store(dtype, middle));
    }
    assert_int_equal(store(dtype, 1e300), infinity);
    assert_int_equal(store(dtype, 5e-324), 0);
    assert_int_equal(store(dtype, -5e-324), 0x8000);
}

static void halves_are_ieee_754(void **state) {
    (void)state;
    every_small_float(SAFETENSORS_F16, 5, 10);
    every_small_float(SAFETENSORS_BF16, 8, 7);
    every_rounding(SAFETENSORS_F16, 5, 10);
    every_rounding(SAFETENSORS_BF16, 8, 7);
}

/* As the processor rounds. */
static void singles_are_rounded(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        uint64_t bits = (uint64_t)random_bits(1, 1, i) << 32 | random_bits(1, 2, i);
        if (i % 2) /* exponents around those of float */
            bits = (bits & ~(UINT64_C(0x7ff) << 52)) | (uint64_t)(1023 - 160 + bits % 300) << 52;
        double value;
        memcpy(&value, &bits, sizeof value);
        float expected = (float)value, stored;
        safetensors_store(SAFETENSORS_F32, &value, 1, &stored);
        if (memcmp(&expected, &stored, sizeof stored) != 0 && !(isnan(expected) && isnan(stored)))
            fail_msg("%a is rounded to %a, not %a", value, (double)stored, (double)expected);
    }
}

/* ---- files ---- */

static char folder[] = "/tmp/safetensors-XXXXXX";
static char path[64];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/t.safetensors", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static const float weights[] = {1.5f, -0.0f, 3.4e38f, 1e-45f, 5, 6};
static const int64_t label[] = {-7};
static const struct safetensors_tensor tensors[] = {
    {"layer1.0.conv1.weight", SAFETENSORS_F32, 2, {3, 2}, weights, sizeof weights},
    {"empty", SAFETENSORS_F32, 1, {0}, NULL, 0},
    {"target", SAFETENSORS_I64, 0, {0}, label, sizeof label},
};
static const struct safetensors_text texts[] = {{"format", "pt"}, {"options", "{\"lr\":0.1,\"name\":\"\u00e9\\\"\"}"}};

static void reads_what_it_wrote(void **state) {
    (void)state;
    struct safetensors file;
    assert_int_equal(safetensors_write(path, tensors, COUNT(tensors), texts, COUNT(texts)), STATUS_OK);
    assert_int_equal(safetensors_read(path, &file), STATUS_OK);
    assert_int_equal(file.count, COUNT(tensors));
    assert_int_equal(file.metadata_count, COUNT(texts));
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_string_equal(safetensors_metadata(&file, texts[i].key), texts[i].value);
    for (size_t i = 0; i < COUNT(tensors); i++) {
        const struct safetensors_tensor *found = safetensors_find(&file, tensors[i].name);
        assert_non_null(found);
        assert_int_equal(found->dtype, tensors[i].dtype);
        assert_int_equal(found->rank, tensors[i].rank);
        assert_memory_equal(found->shape, tensors[i].shape, tensors[i].rank * sizeof found->shape[0]);
        assert_int_equal(found->size, tensors[i].size);
        if (found->size > 0)
            assert_memory_equal(found->bytes, tensors[i].bytes, (size_t)found->size);
        assert_int_equal(((const uint8_t *)found->bytes - (const uint8_t *)file.content) % 8, 0);
    }
    safetensors_destroy(&file);
}

static void refuses_to_write_nonsense(void **state) {
    (void)state;
    struct safetensors_tensor twice[] = {tensors[0], tensors[0]};
    assert_int_equal(safetensors_write(path, tensors, COUNT(tensors), NULL, 0), STATUS_OK);
    assert_int_equal(safetensors_write(path, twice, 2, NULL, 0), STATUS_USAGE);
    assert_non_null(strstr(status_message(), "layer1.0.conv1.weight"));
    assert_int_equal(safetensors_write("/nowhere/at/all.safetensors", tensors, 1, NULL, 0), STATUS_IO);
    assert_non_null(strstr(status_message(), "/nowhere/at/all"));
    struct safetensors file; /* the older file is as it was */
    assert_int_equal(safetensors_read(path, &file), STATUS_OK);
    assert_int_equal(file.count, COUNT(tensors));
    safetensors_destroy(&file);
}

static void a_missing_file_is_named(void **state) {
    (void)state;
    struct safetensors file;
    assert_int_equal(safetensors_read("/nowhere/x.safetensors", &file), STATUS_DATA);
    assert_non_null(strstr(status_message(), "/nowhere/x.safetensors"));
    safetensors_destroy(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_wrong_headers),   cmocka_unit_test(refuses_wrong_lengths),
        cmocka_unit_test(accepts_a_small_file),    cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(survives_damage),         cmocka_unit_test(converts_every_dtype),
        cmocka_unit_test(reads_what_it_wrote),     cmocka_unit_test(refuses_to_write_nonsense),
        cmocka_unit_test(a_missing_file_is_named), cmocka_unit_test(halves_are_ieee_754),
        cmocka_unit_test(singles_are_rounded),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

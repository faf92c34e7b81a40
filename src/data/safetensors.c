#include "data/safetensors.h"

#include "base/file.h"
#include "base/memory.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors holds little-endian numbers, and nothing here swaps bytes"
#endif

enum { HEADER_LIMIT = 100000000 };
#define SHOWN "%.95s" /* a name of the file's in a sentence */

static const char *const metadata_key = "__metadata__";

static const struct {
    const char *name;
    uint64_t size;
} dtypes[] = {
#define X(name, size) {#name, size},
    SAFETENSORS_DTYPES(X)
#undef X
};

/* ---- reading ---- */

static enum status refuse(const struct safetensors *file, const char *name, const char *what) {
    return fail(STATUS_DATA, "%s: tensor " SHOWN " %s", file->path, name, what);
}

static bool read_dtype(const json_t *value, enum safetensors_dtype *out) {
    for (size_t i = 0; i < COUNT(dtypes) && json_is_string(value); i++)
        if (strcmp(json_string_value(value), dtypes[i].name) == 0) {
            *out = (enum safetensors_dtype)i;
            return true;
        }
    return false;
}

static bool read_size(const json_t *value, uint64_t *out) {
    *out = (uint64_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

/* Shape and the bytes that it asks for. */
static enum status read_shape(const struct safetensors *file, const json_t *value, struct safetensors_tensor *tensor) {
    uint64_t size = dtypes[tensor->dtype].size, limit = UINT64_MAX;
    if (!json_is_array(value))
        return refuse(file, tensor->name, "has no shape");
    if (json_array_size(value) > SAFETENSORS_RANK)
        return refuse(file, tensor->name, "has more than 8 dimensions");
    tensor->rank = (uint32_t)json_array_size(value);
    for (uint32_t i = 0; i < tensor->rank; i++) {
        uint64_t *extent = &tensor->shape[i];
        if (!read_size(json_array_get(value, i), extent))
            return refuse(file, tensor->name, "has a dimension that is not a whole number");
        if (*extent > 0 && size > limit / *extent)
            return refuse(file, tensor->name, "has a shape of more than 2^64 bytes");
        size *= *extent;
    }
    tensor->size = size;
    return STATUS_OK;
}

static enum status read_offsets(const struct safetensors *file, const json_t *value, uint64_t data_size,
                                const uint8_t *data, struct safetensors_tensor *tensor) {
    uint64_t first, end;
    if (json_array_size(value) != 2 || !read_size(json_array_get(value, 0), &first) ||
        !read_size(json_array_get(value, 1), &end))
        return refuse(file, tensor->name, "has no data_offsets of two whole numbers");
    if (first > end || end > data_size)
        return fail(STATUS_DATA, "%s: tensor " SHOWN " lies at bytes %llu to %llu of %llu", file->path, tensor->name,
                    (unsigned long long)first, (unsigned long long)end, (unsigned long long)data_size);
    if (end - first != tensor->size)
        return fail(STATUS_DATA, "%s: tensor " SHOWN " has %llu bytes, but its shape asks for %llu", file->path,
                    tensor->name, (unsigned long long)(end - first), (unsigned long long)tensor->size);
    tensor->bytes = data + first;
    return STATUS_OK;
}

static enum status read_tensor(struct safetensors *file, const char *name, const json_t *entry, const uint8_t *data,
                               uint64_t data_size) {
    struct safetensors_tensor *tensor = &file->tensors[file->count];
    tensor->name = name;
    if (!json_is_object(entry))
        return refuse(file, name, "is not described by an object");
    if (!read_dtype(json_object_get(entry, "dtype"), &tensor->dtype))
        return refuse(file, name, "has no dtype that is known here");
    TRY(read_shape(file, json_object_get(entry, "shape"), tensor));
    TRY(read_offsets(file, json_object_get(entry, "data_offsets"), data_size, data, tensor));
    file->count++;
    return STATUS_OK;
}

static enum status read_metadata(struct safetensors *file, json_t *entry) {
    const char *key;
    json_t *value;
    if (!json_is_object(entry))
        return fail(STATUS_DATA, "%s: the metadata is not an object", file->path);
    TRY(memory_zeroed(json_object_size(entry), sizeof *file->metadata, &file->metadata));
    json_object_foreach(entry, key, value) {
        if (!json_is_string(value))
            return fail(STATUS_DATA, "%s: the metadata " SHOWN " is not a string", file->path, key);
        file->metadata[file->metadata_count++] = (struct safetensors_text){key, json_string_value(value)};
    }
    return STATUS_OK;
}

static int compare_place(const void *left, const void *right) {
    const struct safetensors_tensor *a = left, *b = right;
    if (a->bytes != b->bytes)
        return (const uint8_t *)a->bytes < (const uint8_t *)b->bytes ? -1 : 1;
    return (a->size > b->size) - (a->size < b->size);
}

/* Every byte belongs to exactly one tensor. */
static enum status check_cover(const struct safetensors *file, const uint8_t *data, uint64_t data_size) {
    uint64_t end = 0;
    for (size_t i = 0; i < file->count; i++) {
        uint64_t first = (uint64_t)((const uint8_t *)file->tensors[i].bytes - data);
        if (first != end)
            return refuse(file, file->tensors[i].name, first < end ? "overlaps another one" : "follows a gap");
        end = first + file->tensors[i].size;
    }
    if (end != data_size)
        return fail(STATUS_DATA, "%s: the last %llu bytes belong to no tensor", file->path,
                    (unsigned long long)(data_size - end));
    return STATUS_OK;
}

static enum status read_entries(struct safetensors *file, const uint8_t *data, uint64_t data_size) {
    json_t *header = file->header, *entry;
    const char *name;
    TRY(memory_zeroed(json_object_size(header), sizeof *file->tensors, &file->tensors));
    json_object_foreach(header, name, entry) {
        if (strcmp(name, metadata_key) == 0)
            TRY(read_metadata(file, entry));
        else
            TRY(read_tensor(file, name, entry, data, data_size));
    }
    qsort(file->tensors, file->count, sizeof *file->tensors, compare_place);
    return check_cover(file, data, data_size);
}

enum { LENGTH_BYTES = sizeof(uint64_t), START_BYTES = LENGTH_BYTES + 1 };

/* *length: of the header, by the first START_BYTES (or fewer) of `size` bytes. */
static enum status check_start(const char *path, const uint8_t *bytes, size_t size, uint64_t *length) {
    if (size < LENGTH_BYTES)
        return fail(STATUS_DATA, "%s: %zu bytes are too few for a safetensors file", path, size);
    memcpy(length, bytes, LENGTH_BYTES);
    if (*length > HEADER_LIMIT || *length > size - LENGTH_BYTES)
        return fail(STATUS_DATA, "%s: a header of %llu bytes does not fit (the file has %zu, the limit is %d)", path,
                    (unsigned long long)*length, size, HEADER_LIMIT);
    if (*length == 0 || bytes[LENGTH_BYTES] != '{')
        return fail(STATUS_DATA, "%s: the header is not a JSON object: no safetensors file", path);
    return STATUS_OK;
}

static enum status parse(struct safetensors *file, const uint8_t *bytes, size_t size) {
    uint64_t length = 0;
    json_error_t error;
    TRY(check_start(file->path, bytes, size, &length));
    const char *text = (const char *)bytes + LENGTH_BYTES;
    file->header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (!file->header)
        return fail(STATUS_DATA, "%s: the header is not JSON: " SHOWN " (byte %d)", file->path, error.text,
                    error.position);
    return read_entries(file, bytes + LENGTH_BYTES + length, size - LENGTH_BYTES - length);
}

enum status safetensors_parse(const char *path, const void *bytes, size_t size, struct safetensors *out) {
    memset(out, 0, sizeof *out);
    TRY(memory_zeroed(strlen(path) + 1, 1, &out->path));
    memcpy(out->path, path, strlen(path));
    enum status status = parse(out, bytes, size);
    if (status != STATUS_OK)
        safetensors_destroy(out);
    return status;
}

/* A large file of another kind is refused before all of it is read. What cannot be read is left to who reads it all. */
static enum status check_file(const char *path) {
    uint8_t start[START_BYTES];
    uint64_t length;
    struct stat about;
    FILE *file = stat(path, &about) == 0 && S_ISREG(about.st_mode) ? file_open(path) : NULL;
    bool known = file && fread(start, 1, sizeof start, file) == sizeof start;
    if (file)
        fclose(file);
    return known ? check_start(path, start, (size_t)about.st_size, &length) : STATUS_OK;
}

enum status safetensors_read(const char *path, struct safetensors *out) {
    uint8_t *bytes;
    size_t size;
    memset(out, 0, sizeof *out);
    TRY(check_file(path));
    TRY(file_read(path, SIZE_MAX / 2, &bytes, &size));
    enum status status = safetensors_parse(path, bytes, size, out);
    if (status == STATUS_OK)
        out->content = bytes;
    else
        free(bytes);
    return status;
}

void safetensors_destroy(struct safetensors *file) {
    json_decref(file->header);
    free(file->tensors);
    free(file->metadata);
    free(file->path);
    free(file->content);
    memset(file, 0, sizeof *file);
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name) {
    for (size_t i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

const char *safetensors_metadata(const struct safetensors *file, const char *key) {
    for (size_t i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].key, key) == 0)
            return file->metadata[i].value;
    return NULL;
}

/* ---- values ---- */

const char *safetensors_dtype_name(enum safetensors_dtype dtype) {
    return dtypes[dtype].name;
}

uint64_t safetensors_dtype_size(enum safetensors_dtype dtype) {
    return dtypes[dtype].size;
}

uint64_t safetensors_count(const struct safetensors_tensor *tensor) {
    return tensor->size / dtypes[tensor->dtype].size;
}

static double half_value(uint16_t bits) {
    int exponent = bits >> 10 & 31;
    double fraction = bits & 1023, sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 31)
        return fraction > 0 ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent == 0 ? ldexp(fraction, -24) : ldexp(fraction + 1024, exponent - 25));
}

static double bfloat_value(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return (double)value;
}

#define CONVERT(type, expression)                                                                                      \
    for (uint64_t i = 0; i < count; i++) {                                                                             \
        type value;                                                                                                    \
        memcpy(&value, bytes + i * sizeof value, sizeof value);                                                        \
        values[i] = expression;                                                                                        \
    }                                                                                                                  \
    break

void safetensors_values(const struct safetensors_tensor *tensor, double *values) {
    const uint8_t *bytes = tensor->bytes;
    uint64_t count = safetensors_count(tensor);
    switch (tensor->dtype) {
    case SAFETENSORS_F32:
        CONVERT(float, (double)value);
    case SAFETENSORS_F64:
        CONVERT(double, value);
    case SAFETENSORS_F16:
        CONVERT(uint16_t, half_value(value));
    case SAFETENSORS_BF16:
        CONVERT(uint16_t, bfloat_value(value));
    case SAFETENSORS_I8:
        CONVERT(int8_t, (double)value);
    case SAFETENSORS_I16:
        CONVERT(int16_t, (double)value);
    case SAFETENSORS_I32:
        CONVERT(int32_t, (double)value);
    case SAFETENSORS_I64:
        CONVERT(int64_t, (double)value);
    case SAFETENSORS_U8:
    case SAFETENSORS_BOOL:
        CONVERT(uint8_t, (double)value);
    case SAFETENSORS_U16:
        CONVERT(uint16_t, (double)value);
    case SAFETENSORS_U32:
        CONVERT(uint32_t, (double)value);
    case SAFETENSORS_U64:
        CONVERT(uint64_t, (double)value);
    }
}

bool safetensors_holds_floats(const struct safetensors_tensor *tensor) {
    return tensor->dtype == SAFETENSORS_F32 || tensor->dtype == SAFETENSORS_F64 || tensor->dtype == SAFETENSORS_F16 ||
           tensor->dtype == SAFETENSORS_BF16;
}

/*
 * The bits of the nearest number with so many bits of fraction and exponent (IEEE 754; ties go to the even one). The
 * fraction with its leading one, as a whole number, is added to the exponent before it: so a fraction that is rounded
 * up to the next power of two raises the exponent, and a denormal number, whose exponent is 0, has no leading one.
 */
static uint32_t narrow(double value, int fraction_bits, int exponent_bits) {
    int bias = (1 << (exponent_bits - 1)) - 1, exponent;
    uint32_t sign = signbit(value) ? UINT32_C(1) << (fraction_bits + exponent_bits) : 0;
    uint32_t infinity = ((UINT32_C(1) << exponent_bits) - 1) << fraction_bits;
    if (isnan(value))
        return sign | infinity | UINT32_C(1) << (fraction_bits - 1);
    if (isinf(value) || value == 0)
        return sign | (value == 0 ? 0 : infinity);
    frexp(value, &exponent); /* |value| < 2^exponent */
    exponent = MAX(exponent - 1, 1 - bias);
    if (exponent > bias)
        return sign | infinity;
    uint32_t fraction = (uint32_t)nearbyint(ldexp(fabs(value), fraction_bits - exponent));
    return sign | (((uint32_t)(exponent + bias - 1) << fraction_bits) + fraction);
}

void safetensors_store(enum safetensors_dtype dtype, const double *values, uint64_t count, void *bytes) {
    static const struct {
        int fraction_bits, exponent_bits;
    } forms[COUNT(dtypes)] = {[SAFETENSORS_F32] = {23, 8}, [SAFETENSORS_F16] = {10, 5}, [SAFETENSORS_BF16] = {7, 8}};
    size_t size = (size_t)dtypes[dtype].size;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t *place = (uint8_t *)bytes + i * size;
        if (dtype == SAFETENSORS_F64) {
            memcpy(place, &values[i], size);
        } else {
            uint32_t bits = narrow(values[i], forms[dtype].fraction_bits, forms[dtype].exponent_bits);
            memcpy(place, &bits, size); /* the low bytes come first */
        }
    }
}

char *safetensors_print_shape(const struct safetensors_tensor *tensor, char *text) {
    int length = sprintf(text, "[");
    for (uint32_t i = 0; i < tensor->rank; i++)
        length += sprintf(text + length, "%s%llu", i ? ", " : "", (unsigned long long)tensor->shape[i]);
    sprintf(text + length, "]");
    return text;
}

/* ---- writing ---- */

static json_t *describe(const struct safetensors_tensor *tensor, uint64_t offset) {
    json_t *shape = json_array();
    for (uint32_t i = 0; i < tensor->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", dtypes[tensor->dtype].name, "shape", shape, "data_offsets",
                     (json_int_t)offset, (json_int_t)(offset + tensor->size));
}

static enum status describe_all(const struct safetensors_tensor *tensors, size_t count,
                                const struct safetensors_text *metadata, size_t metadata_count, json_t *header) {
    uint64_t offset = 0;
    json_t *texts = json_object();
    int failures = json_object_set_new(header, metadata_key, texts);
    for (size_t i = 0; i < metadata_count; i++)
        failures |= json_object_set_new(texts, metadata[i].key, json_string(metadata[i].value));
    for (size_t i = 0; i < count; i++) {
        if (json_object_get(header, tensors[i].name))
            return fail(STATUS_USAGE, "two tensors of one file are called %s", tensors[i].name);
        failures |= json_object_set_new(header, tensors[i].name, describe(&tensors[i], offset));
        offset += tensors[i].size;
    }
    return failures ? fail(STATUS_MEMORY, "a name or text is not UTF-8, or out of host memory") : STATUS_OK;
}

/* The header's text, padded with spaces so that the bytes after it are aligned. Free with free(). */
static enum status print_header(const struct safetensors_tensor *tensors, size_t count,
                                const struct safetensors_text *metadata, size_t metadata_count, char **text,
                                uint64_t *length) {
    json_t *header = json_object();
    enum status status = describe_all(tensors, count, metadata, metadata_count, header);
    char *plain = status == STATUS_OK ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    if (status == STATUS_OK && !plain)
        status = fail(STATUS_MEMORY, "out of host memory for the header of %zu tensors", count);
    if (status == STATUS_OK) {
        *length = round_up(strlen(plain), 8);
        status = memory_zeroed(*length + 1, 1, text);
    }
    if (status == STATUS_OK)
        snprintf(*text, *length + 1, "%-*s", (int)*length, plain);
    free(plain);
    return status;
}

static uint8_t *append(uint8_t *place, const void *bytes, size_t size) {
    if (size)
        memcpy(place, bytes, size);
    return place + size;
}

enum status safetensors_pack(const struct safetensors_tensor *tensors, size_t count,
                             const struct safetensors_text *metadata, size_t metadata_count, uint8_t **bytes,
                             size_t *size) {
    char *header = NULL;
    uint64_t length = 0, data = 0;
    enum status status = print_header(tensors, count, metadata, metadata_count, &header, &length);
    for (size_t i = 0; i < count; i++)
        data += tensors[i].size;
    if (status == STATUS_OK)
        status = memory_zeroed((size_t)(sizeof length + length + data), 1, bytes);
    if (status == STATUS_OK) {
        uint8_t *place = append(*bytes, &length, sizeof length);
        place = append(place, header, (size_t)length);
        for (size_t i = 0; i < count; i++)
            place = append(place, tensors[i].bytes, (size_t)tensors[i].size);
        *size = (size_t)(place - *bytes);
    }
    free(header);
    return status;
}

enum status safetensors_write(const char *path, const struct safetensors_tensor *tensors, size_t count,
                              const struct safetensors_text *metadata, size_t metadata_count) {
    uint8_t *bytes;
    size_t size;
    TRY(safetensors_pack(tensors, count, metadata, metadata_count, &bytes, &size));
    return file_write_and_free(path, bytes, size);
}

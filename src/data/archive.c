/*
 * archive: pictures in a tar. One pass over its headers notes where each picture's bytes are; they are then read by
 * offset, in any order and from any thread.
 *
 * Labels are numbers in files beside the pictures, as WebDataset has them (000001.jpg, 000001.cls or 000001.json), or
 * else the names of the folders in which the pictures lie (cat/1.jpg, train/cat/1.jpg).
 */
#include "data/source.h"

#include "base/memory.h"

#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LABEL_BYTES = 1 << 20 }; /* of a .cls or .json file */

/* What a file beside a picture says. */
struct beside {
    char *key;
    uint32_t label;
};

struct scan {
    struct source *source;
    struct archive *archive;
    uint64_t size; /* of the whole archive */
    struct beside *labels;
    size_t label_count, label_capacity;
};

/* ---- labels ---- */

static bool parse_number(const uint8_t *bytes, size_t size, uint32_t *label) {
    size_t at = 0, digits = 0;
    uint64_t value = 0;
    while (at < size && isspace(bytes[at]))
        at++;
    for (; at < size && isdigit(bytes[at]) && value < SOURCE_CLASSES; at++, digits++)
        value = 10 * value + (uint64_t)(bytes[at] - '0');
    while (at < size && isspace(bytes[at]))
        at++;
    *label = (uint32_t)value;
    return at == size && digits > 0 && value < SOURCE_CLASSES;
}

static bool parse_json(const uint8_t *bytes, size_t size, uint32_t *label) {
    json_t *object = json_loadb((const char *)bytes, size, 0, NULL), *value = json_object_get(object, "cls");
    if (!value)
        value = json_object_get(object, "label");
    bool known = json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) < SOURCE_CLASSES;
    *label = known ? (uint32_t)json_integer_value(value) : 0;
    json_decref(object);
    return known;
}

static const char *ending(const char *name) {
    const char *slash = strrchr(name, '/'), *dot = strrchr(slash ? slash : name, '.');
    return dot ? dot : "";
}

bool archive_label(const char *name, const uint8_t *bytes, size_t size, uint32_t *label) {
    if (strcmp(ending(name), ".cls") == 0)
        return parse_number(bytes, size, label);
    return strcmp(ending(name), ".json") == 0 && parse_json(bytes, size, label);
}

/* Files of one sample have the same name up to the first dot behind the folders. */
static size_t key_length(const char *name) {
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    return (size_t)(base - name) + strcspn(base, ".");
}

static enum status add_label(struct scan *scan, const char *name, uint32_t label) {
    TRY(memory_grow(&scan->labels, &scan->label_capacity, scan->label_count + 1, sizeof *scan->labels));
    char *key = strndup(name, key_length(name));
    if (!key)
        return fail(STATUS_MEMORY, "out of memory for %zu labels", scan->label_count);
    scan->labels[scan->label_count++] = (struct beside){key, label};
    return STATUS_OK;
}

/* A .cls file that holds no number is an error; a .json file may hold other things than a label. */
static enum status read_label(struct scan *scan, const char *name, uint64_t size) {
    uint8_t *bytes;
    uint32_t label;
    bool must = strcmp(ending(name), ".cls") == 0;
    if (size > LABEL_BYTES)
        return must ? fail(STATUS_DATA, "%s: %s has %llu bytes, which is no label", scan->source->path, name,
                           (unsigned long long)size)
                    : STATUS_OK;
    TRY(memory_zeroed((size_t)size + 1, 1, &bytes));
    la_ssize_t got = archive_read_data(scan->archive, bytes, (size_t)size);
    bool known = got == (la_ssize_t)size && archive_label(name, bytes, (size_t)size, &label);
    free(bytes);
    if (known)
        return add_label(scan, name, label);
    return must ? fail(STATUS_DATA, "%s: %s should hold a class as a number from 0 to %d", scan->source->path, name,
                       SOURCE_CLASSES - 1)
                : STATUS_OK;
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(((const struct beside *)a)->key, ((const struct beside *)b)->key);
}

/* With labels beside any picture, every picture needs one. */
static enum status give_labels(struct scan *scan) {
    struct source *source = scan->source;
    if (scan->label_count == 0)
        return STATUS_OK;
    qsort(scan->labels, scan->label_count, sizeof *scan->labels, compare_keys);
    for (size_t i = 0; i < source->count; i++) {
        struct beside wanted = {strndup(source->items[i].name, key_length(source->items[i].name)), 0};
        if (!wanted.key)
            return fail(STATUS_MEMORY, "out of memory for a name");
        const struct beside *found =
            bsearch(&wanted, scan->labels, scan->label_count, sizeof *scan->labels, compare_keys);
        free(wanted.key);
        if (!found)
            return fail(STATUS_DATA, "%s: %s has no label beside it, others have", source->path, source->items[i].name);
        source->items[i].label = found->label;
    }
    return STATUS_OK;
}

/* Without them, every picture needs a folder. */
static enum status check_classes(const struct source *source) {
    for (size_t i = 0; i < source->count; i++)
        if (source->items[i].label == UINT32_MAX && source->items[i].class_length == 0)
            return fail(STATUS_DATA, "%s: %s lies in no folder and has no .cls or .json file with its class",
                        source->path, source->items[i].name);
    return STATUS_OK;
}

/* ---- entries ---- */

/* The last folder on the way is the class, unless it is a part; any folder may be the part. */
static void read_folders(const char *name, struct source_item *item) {
    const char *end;
    for (const char *part = name; (end = strchr(part, '/')) != NULL; part = end + 1) {
        size_t length = (size_t)(end - part);
        enum source_part named = source_part_named(part, length);
        if (named != SOURCE_NONE && item->part == SOURCE_NONE) {
            item->part = named;
            continue;
        }
        item->class_at = (uint32_t)(part - name);
        item->class_length = (uint32_t)length;
    }
}

static enum status add_picture(struct scan *scan, const char *name, uint64_t size) {
    struct source_item item = {.label = UINT32_MAX, .bytes = size};
    la_int64_t offset = archive_filter_bytes(scan->archive, 0);
    if (offset < 0 || (uint64_t)offset > scan->size || size > scan->size - (uint64_t)offset)
        return fail(STATUS_DATA, "%s: the end of %s is missing", scan->source->path, name);
    if (size > SOURCE_FILE_LIMIT)
        return fail(STATUS_DATA, "%s: %s has %llu bytes, more than the limit of %zu", scan->source->path, name,
                    (unsigned long long)size, SOURCE_FILE_LIMIT);
    item.offset = (uint64_t)offset;
    read_folders(name, &item);
    return source_add(scan->source, name, &item);
}

static enum status add_entry(struct scan *scan, struct archive_entry *entry) {
    const char *name = archive_entry_pathname(entry);
    la_int64_t size = archive_entry_size(entry);
    if (!name || size < 0 || archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
        return STATUS_OK;
    while (strncmp(name, "./", 2) == 0)
        name += 2;
    const char *slash = strrchr(name, '/');
    if ((slash ? slash[1] : name[0]) == '.' || strlen(name) > 4096)
        return STATUS_OK;
    if (source_is_picture(name) && archive_entry_sparse_count(entry) > 0)
        return fail(STATUS_DATA, "%s: %s is stored with holes, so it cannot be read by offset", scan->source->path,
                    name);
    if (source_is_picture(name))
        return add_picture(scan, name, (uint64_t)size);
    if (strcmp(ending(name), ".cls") == 0 || strcmp(ending(name), ".json") == 0)
        return read_label(scan, name, (uint64_t)size);
    return STATUS_OK;
}

static enum status scan_entries(struct scan *scan) {
    struct archive_entry *entry;
    int result;
    while ((result = archive_read_next_header(scan->archive, &entry)) == ARCHIVE_OK || result == ARCHIVE_WARN)
        TRY(add_entry(scan, entry));
    if (result != ARCHIVE_EOF)
        return fail(STATUS_DATA, "%s is no plain tar, or damaged (%s); unpack a compressed one first",
                    scan->source->path,
                    archive_error_string(scan->archive) ? archive_error_string(scan->archive) : "no reason is known");
    if (scan->source->count == 0)
        return fail(STATUS_DATA, "%s holds no pictures (.jpg, .jpeg, .png)", scan->source->path);
    TRY(give_labels(scan));
    return check_classes(scan->source);
}

static enum status scan_open(struct scan *scan) {
    archive_read_support_format_tar(scan->archive);
    if (archive_read_open_fd(scan->archive, scan->source->archive, 1 << 16) != ARCHIVE_OK)
        return fail(STATUS_DATA, "%s is no plain tar (%s); unpack a compressed one first", scan->source->path,
                    archive_error_string(scan->archive));
    return scan_entries(scan);
}

enum status archive_scan(struct source *source) {
    struct stat about;
    source->archive = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused below */
    if (source->archive < 0)
        return fail(errno == ENOENT ? STATUS_DATA : STATUS_IO, "%s: %s", source->path, strerror(errno));
    if (fstat(source->archive, &about) != 0 || !S_ISREG(about.st_mode))
        return fail(STATUS_DATA, "%s is no file that can be read by offset", source->path);
    struct scan scan = {.source = source, .archive = archive_read_new(), .size = (uint64_t)about.st_size};
    if (!scan.archive)
        return fail(STATUS_MEMORY, "out of memory to read %s", source->path);
    enum status status = scan_open(&scan);
    archive_read_free(scan.archive);
    for (size_t i = 0; i < scan.label_count; i++)
        free(scan.labels[i].key);
    free(scan.labels);
    return status;
}

#include "data/source.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum source_part source_part_named(const char *name, size_t length) {
    static const char *const names[SOURCE_PARTS] = {"", "train", "val", "validation", "test"};
    for (int part = SOURCE_TRAIN; part < SOURCE_PARTS; part++)
        if (strlen(names[part]) == length && strncmp(names[part], name, length) == 0)
            return (enum source_part)part;
    return SOURCE_NONE;
}

bool source_is_picture(const char *name) {
    static const char *const endings[] = {".jpg", ".jpeg", ".png"};
    const char *slash = strrchr(name, '/'), *dot = strrchr(slash ? slash : name, '.');
    for (size_t i = 0; dot && i < COUNT(endings); i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    return false;
}

enum status source_create(const char *path, struct source **out) {
    TRY(memory_zeroed(1, sizeof **out, out));
    (*out)->archive = -1;
    (*out)->path = strdup(path);
    pthread_mutex_init(&(*out)->lock, NULL);
    if ((*out)->path)
        return STATUS_OK;
    source_destroy(*out);
    *out = NULL;
    return fail(STATUS_MEMORY, "out of memory for the name of a folder");
}

static void free_item(struct source_item *item) {
    free(item->name);
    free(item->broken);
}

void source_destroy(struct source *source) {
    if (!source)
        return;
    for (size_t i = 0; i < source->count; i++)
        free_item(&source->items[i]);
    for (uint32_t k = 0; source->class_names && k < source->classes; k++)
        free(source->class_names[k]);
    if (source->archive >= 0)
        close(source->archive);
    pthread_mutex_destroy(&source->lock);
    free(source->class_names);
    free(source->thumbnails);
    free(source->uncached);
    free(source->items);
    free(source->path);
    free(source);
}

enum status source_add(struct source *source, const char *name, const struct source_item *item) {
    if (source->count == UINT32_MAX - 1)
        return fail(STATUS_DATA, "%s holds more than %u pictures", source->path, UINT32_MAX - 1);
    TRY(memory_grow(&source->items, &source->capacity, source->count + 1, sizeof *source->items));
    struct source_item *added = &source->items[source->count];
    *added = *item;
    added->name = strdup(name);
    if (!added->name)
        return fail(STATUS_MEMORY, "out of memory for the names of %zu pictures", source->count);
    source->count++;
    return STATUS_OK;
}

/* ---- arranging: parts ---- */

/* Frees the items for which `keep` says no. */
static void filter(struct source *source, bool (*keep)(const struct source_item *item, enum source_part part),
                   enum source_part part) {
    size_t kept = 0;
    for (size_t i = 0; i < source->count; i++) {
        if (keep(&source->items[i], part))
            source->items[kept++] = source->items[i];
        else
            free_item(&source->items[i]);
    }
    source->count = kept;
}

static bool is_in_part(const struct source_item *item, enum source_part part) {
    return item->part == part;
}

static bool is_used(const struct source_item *item, enum source_part test) {
    return item->part == SOURCE_TRAIN || item->part == test;
}

static bool has_label(const struct source_item *item, enum source_part part) {
    (void)part;
    return item->label != UINT32_MAX;
}

/* Leaves pictures of training and, where one is, of one test part. Without parts, everything becomes training. */
static enum status choose_parts(struct source *source, enum source_part *test) {
    size_t count[SOURCE_PARTS] = {0};
    for (size_t i = 0; i < source->count; i++)
        count[source->items[i].part]++;
    *test = SOURCE_NONE;
    for (int part = SOURCE_TEST; part >= SOURCE_VAL; part--)
        *test = count[part] ? (enum source_part)part : *test;
    if (count[SOURCE_TRAIN] == 0) { /* then these were only names of classes */
        *test = SOURCE_NONE;
        for (size_t i = 0; i < source->count; i++)
            source->items[i].part = SOURCE_TRAIN;
    }
    filter(source, is_used, *test == SOURCE_NONE ? SOURCE_TRAIN : *test);
    return source->count
               ? STATUS_OK
               : fail(STATUS_DATA, "%s holds no pictures (.jpg, .jpeg, .png) in folders of classes", source->path);
}

/* ---- arranging: classes ---- */

static int compare_classes(const struct source_item *a, const struct source_item *b) {
    if (a->label != b->label)
        return a->label < b->label ? -1 : 1;
    int order = memcmp(a->name + a->class_at, b->name + b->class_at, MIN(a->class_length, b->class_length));
    return order ? order : (a->class_length > b->class_length) - (a->class_length < b->class_length);
}

/* Training first, then by class, then by name. */
static int compare_items(const void *left, const void *right) {
    const struct source_item *a = left, *b = right;
    if ((a->part == SOURCE_TRAIN) != (b->part == SOURCE_TRAIN))
        return a->part == SOURCE_TRAIN ? -1 : 1;
    int order = compare_classes(a, b);
    return order ? order : strcmp(a->name, b->name);
}

static enum status add_class(struct source *source, size_t *capacity, const struct source_item *item) {
    if (source->classes == SOURCE_CLASSES)
        return fail(STATUS_DATA, "%s holds more than %d classes", source->path, SOURCE_CLASSES);
    TRY(memory_grow(&source->class_names, capacity, source->classes + 1, sizeof *source->class_names));
    char *name = strndup(item->name + item->class_at, item->class_length);
    if (!name)
        return fail(STATUS_MEMORY, "out of memory for the names of %u classes", source->classes);
    source->class_names[source->classes++] = name;
    return STATUS_OK;
}

/* The number of the class with this item's name; UINT32_MAX: there is none. */
static uint32_t find_class(const struct source *source, const struct source_item *item) {
    uint32_t first = 0, last = source->classes;
    while (first < last) {
        uint32_t middle = first + (last - first) / 2;
        const char *name = source->class_names[middle];
        struct source_item other = {
            .name = source->class_names[middle], .class_length = (uint32_t)strlen(name), .label = item->label};
        int order = compare_classes(item, &other);
        if (order == 0)
            return middle;
        *(order < 0 ? &last : &first) = middle + (order > 0);
    }
    return UINT32_MAX;
}

static void warn_of_unknown(const struct source *source) {
    const struct source_item *before = NULL;
    for (size_t i = 0; i < source->count; i++) {
        const struct source_item *item = &source->items[i];
        if (item->label == UINT32_MAX && (!before || compare_classes(before, item) != 0))
            log_warn("%s: the class %.*s has no training pictures; its other ones are left out", source->path,
                     (int)item->class_length, item->name + item->class_at);
        before = item->label == UINT32_MAX ? item : before;
    }
}

/* Items are sorted, training first. */
static enum status name_classes(struct source *source) {
    const struct source_item *before = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < source->count && source->items[i].part == SOURCE_TRAIN; i++) {
        if (!before || compare_classes(before, &source->items[i]) != 0)
            TRY(add_class(source, &capacity, &source->items[i]));
        before = &source->items[i];
    }
    for (size_t i = 0; i < source->count; i++)
        source->items[i].label = find_class(source, &source->items[i]);
    warn_of_unknown(source);
    filter(source, has_label, SOURCE_NONE);
    return STATUS_OK;
}

/* All labels are numbers already, or none. */
static enum status number_classes(struct source *source) {
    if (source->items[0].label == UINT32_MAX)
        return name_classes(source);
    for (size_t i = 0; i < source->count; i++)
        source->classes = MAX(source->classes, source->items[i].label + 1);
    return STATUS_OK;
}

/* ---- arranging: test part and order ---- */

/* Items [first, end) are one class, in the order of their names. */
static void cut_off_class(struct source *source, size_t first, size_t end) {
    size_t count = end - first;
    for (size_t i = 0; i < count; i++)
        if (i % 10 == 9 || (count >= 2 && count < 10 && i == count - 1))
            source->items[first + i].part = SOURCE_TEST;
}

static void cut_off_test(struct source *source) {
    for (size_t first = 0, end; first < source->count; first = end) {
        for (end = first; end < source->count && source->items[end].label == source->items[first].label;)
            end++;
        cut_off_class(source, first, end);
    }
}

static int compare_order(const void *left, const void *right) {
    const struct source_item *a = left, *b = right;
    return a->order != b->order ? (a->order < b->order ? -1 : 1) : strcmp(a->name, b->name);
}

/* FNV-1a alone hardly lets the last letters reach the upper bits: random_bits mixes them. */
static void mix(struct source *source) {
    for (size_t i = 0; i < source->count; i++) {
        struct source_item *item = &source->items[i];
        uint64_t hash = hash_bytes(HASH_START, item->name, strlen(item->name));
        item->order = random_bits((uint32_t)(hash >> 32), 0, (uint32_t)hash);
    }
    qsort(source->items, source->count, sizeof *source->items, compare_order);
}

enum status source_arrange(struct source *source, bool training) {
    enum source_part test;
    TRY(choose_parts(source, &test));
    qsort(source->items, source->count, sizeof *source->items, compare_items);
    TRY(number_classes(source));
    if (test == SOURCE_NONE)
        cut_off_test(source);
    filter(source, is_in_part, training ? SOURCE_TRAIN : test == SOURCE_NONE ? SOURCE_TEST : test);
    if (source->count == 0)
        return fail(STATUS_DATA, "%s holds no pictures to test with: none of its classes has two", source->path);
    mix(source);
    return STATUS_OK;
}

/* ---- reading ---- */

static enum status read_archived(const struct source *source, const struct source_item *item, uint8_t **bytes) {
    TRY(memory_zeroed((size_t)item->bytes, 1, bytes));
    for (uint64_t done = 0; done < item->bytes;) {
        ssize_t got = pread(source->archive, *bytes + done, (size_t)(item->bytes - done), (off_t)(item->offset + done));
        if (got > 0) {
            done += (uint64_t)got;
        } else if (got == 0 || errno != EINTR) {
            free(*bytes);
            *bytes = NULL;
            return fail(STATUS_IO, "%s", got == 0 ? "the archive has become shorter" : strerror(errno));
        }
    }
    return STATUS_OK;
}

/* The path of a picture's file, free with free(). */
static enum status path_of(const struct source *source, uint32_t index, char **path) {
    const char *name = source->items[index].name;
    size_t room = strlen(source->path) + strlen(name) + 2;
    TRY(memory_zeroed(room, 1, path));
    snprintf(*path, room, "%s%s%s", source->path, *source->path ? "/" : "", name);
    return STATUS_OK;
}

enum status source_read(const struct source *source, uint32_t index, uint8_t **bytes, size_t *size) {
    const struct source_item *item = &source->items[index];
    if (source->archive >= 0) {
        uint8_t *read;
        enum status status = read_archived(source, item, &read);
        if (status != STATUS_OK)
            return fail_prefix(status, "%s/%s", source->path, item->name);
        *bytes = read;
        *size = (size_t)item->bytes;
        return STATUS_OK;
    }
    char *path;
    TRY(path_of(source, index, &path));
    enum status status = file_read(path, SOURCE_FILE_LIMIT, bytes, size);
    free(path);
    return status;
}

/* The hash of a path that does not depend on the folder in which the program runs. */
static uint64_t hash_path(const char *path) {
    char current[4096];
    uint64_t hash = HASH_START;
    if (*path != '/' && getcwd(current, sizeof current))
        hash = hash_bytes(hash_bytes(hash, current, strlen(current)), "/", 1);
    return hash_bytes(hash, path, strlen(path));
}

enum status source_identify(const struct source *source, uint32_t index, struct thumbnail_key *key) {
    const struct source_item *item = &source->items[index];
    struct stat about;
    char *path;
    TRY(path_of(source, index, &path));
    bool archived = source->archive >= 0;
    bool known = (archived ? fstat(source->archive, &about) : stat(path, &about)) == 0;
    key->name = hash_path(path);
    free(path);
    if (!known)
        return fail(STATUS_DATA, "%s: %s", item->name, strerror(errno));
    key->size = archived ? item->bytes : (uint64_t)about.st_size;
    key->time = (uint64_t)about.st_mtim.tv_sec * 1000000000 + (uint64_t)about.st_mtim.tv_nsec;
    return STATUS_OK;
}

void source_note_uncached(struct source *source, const char *why) {
    pthread_mutex_lock(&source->lock);
    if (!source->uncached)
        source->uncached = strdup(why);
    pthread_mutex_unlock(&source->lock);
}

void source_tell_uncached(struct source *source) {
    pthread_mutex_lock(&source->lock);
    bool tell = source->uncached && !source->uncached_told;
    source->uncached_told |= tell;
    pthread_mutex_unlock(&source->lock);
    if (tell)
        log_warn("thumbnails cannot be kept, pictures are decoded each time: %s", source->uncached);
}

/* ---- broken pictures ---- */

void source_note_broken(struct source *source, uint32_t index, const char *why) {
    struct source_item *item = &source->items[index];
    pthread_mutex_lock(&source->lock);
    if (!item->broken)
        item->broken = strdup(why);
    pthread_mutex_unlock(&source->lock);
}

bool source_is_broken(struct source *source, uint32_t index) {
    pthread_mutex_lock(&source->lock);
    bool broken = source->items[index].broken != NULL;
    pthread_mutex_unlock(&source->lock);
    return broken;
}

enum status source_tell_broken(struct source *source, uint32_t index) {
    struct source_item *item = &source->items[index];
    char why[512] = "";
    pthread_mutex_lock(&source->lock);
    if (item->broken && !item->told)
        snprintf(why, sizeof why, "%s", item->broken);
    item->told = true;
    pthread_mutex_unlock(&source->lock);
    if (!*why)
        return STATUS_OK;
    if (source->broken_told == source->broken_limit)
        return fail(STATUS_DATA, "%s; so more than %u of %zu pictures are broken", why, source->broken_limit,
                    source->count);
    source->broken_told++;
    log_warn("%s; it is left out", why);
    return STATUS_OK;
}

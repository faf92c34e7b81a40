/* folder: finds the pictures of class folders, or any pictures below a folder. */
#include "data/source.h"

#include "base/log.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The folders on the way to where the walk is: a link to one of them would lead in circles. */
struct way {
    const struct way *before;
    dev_t device;
    ino_t inode;
    uint32_t depth;
};
enum { DEEPEST = 64 };

struct walk {
    struct source *source;
    const char *root;
    struct source_item item; /* what is added, but for its name */
    bool training;           /* the part that is wanted, and of which warnings tell */
};

/* "FOLDER/NAME", free with free(); an empty folder adds nothing. */
static enum status join(const char *folder, const char *name, char **path) {
    size_t room = strlen(folder) + strlen(name) + 2;
    TRY(memory_zeroed(room, 1, path));
    snprintf(*path, room, "%s%s%s", folder, *folder ? "/" : "", name);
    return STATUS_OK;
}

/* ---- the names in a folder ---- */

struct names {
    char **list;
    size_t count, capacity;
};

static void free_names(struct names *names) {
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i]);
    free(names->list);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status read_names(DIR *directory, const char *path, struct names *names) {
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (!entry)
            return errno ? fail(STATUS_IO, "%s: %s", path, strerror(errno)) : STATUS_OK;
        if (entry->d_name[0] == '.')
            continue;
        TRY(memory_grow(&names->list, &names->capacity, names->count + 1, sizeof *names->list));
        names->list[names->count] = strdup(entry->d_name);
        if (!names->list[names->count])
            return fail(STATUS_MEMORY, "out of memory for the names in %s", path);
        names->count++;
    }
}

/* What is not hidden, sorted. free_names is needed also after a failure. */
static enum status list_names(const char *path, struct names *names) {
    *names = (struct names){0};
    DIR *directory = opendir(*path ? path : ".");
    if (!directory)
        return fail(errno == ENOENT || errno == ENOTDIR ? STATUS_DATA : STATUS_IO, "%s: %s", path,
                    errno == ENOENT ? "there is no such folder" : strerror(errno));
    enum status status = read_names(directory, path, names);
    closedir(directory);
    if (status == STATUS_OK && names->count)
        qsort(names->list, names->count, sizeof *names->list, compare_names);
    return status;
}

/* ---- the walk ---- */

/* Whether `path` is a folder that is not on the way to itself; *here is then the way with it. */
static bool enter(const char *path, const struct way *way, struct way *here) {
    struct stat about;
    if (stat(*path ? path : ".", &about) != 0 || !S_ISDIR(about.st_mode))
        return false;
    for (const struct way *above = way; above; above = above->before)
        if (above->device == about.st_dev && above->inode == about.st_ino)
            return false;
    *here = (struct way){way, about.st_dev, about.st_ino, way ? way->depth + 1 : 0};
    return true;
}

static bool is_file(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

static enum status walk_folder(struct walk *walk, const char *below, const char *path, const struct way *way);

static enum status walk_entry(struct walk *walk, const char *below, const char *path, const struct way *way) {
    struct way here;
    if (source_is_picture(below) && is_file(path))
        return source_add(walk->source, below, &walk->item);
    if (!enter(path, way, &here))
        return STATUS_OK;
    if (here.depth == DEEPEST)
        return fail(STATUS_DATA, "%s: folders are nested more than %d deep", path, DEEPEST);
    return walk_folder(walk, below, path, &here);
}

static enum status walk_name(struct walk *walk, const char *below, const char *name, const struct way *way) {
    char *inner, *path = NULL;
    TRY(join(below, name, &inner));
    enum status status = join(walk->root, inner, &path);
    if (status == STATUS_OK)
        status = walk_entry(walk, inner, path, way);
    free(inner);
    free(path);
    return status;
}

/* Adds the pictures of `path`, which is ROOT/`below`, and of all folders in it; `way` ends there. */
static enum status walk_folder(struct walk *walk, const char *below, const char *path, const struct way *way) {
    struct names names;
    enum status status = list_names(path, &names);
    for (size_t i = 0; i < names.count && status == STATUS_OK; i++)
        status = walk_name(walk, below, names.list[i], way);
    free_names(&names);
    return status;
}

/* ---- classes ---- */

/* Both parts of a set are scanned for each of them; a warning for one is enough. */
static bool is_wanted(const struct walk *walk) {
    return walk->training == (walk->item.part == SOURCE_TRAIN || walk->item.part == SOURCE_NONE);
}

/* A folder `below` ROOT, which ends with `name`. */
static enum status add_class(struct walk *walk, const char *below, const char *path, const char *name,
                             const struct way *way) {
    struct way here;
    size_t before = walk->source->count;
    if (!enter(path, way, &here))
        return STATUS_OK;
    walk->item.class_at = (uint32_t)(strlen(below) - strlen(name));
    walk->item.class_length = (uint32_t)strlen(name);
    TRY(walk_folder(walk, below, path, &here));
    if (walk->source->count == before && is_wanted(walk))
        log_warn("%s holds no pictures (.jpg, .jpeg, .png): this class is left out", path);
    return STATUS_OK;
}

/* ROOT/`below`/`name`: a class, or a picture that lies beside them. */
static enum status add_entry(struct walk *walk, const char *below, const char *name, const struct way *way,
                             uint32_t *outside) {
    char *inner, *path = NULL;
    TRY(join(below, name, &inner));
    enum status status = join(walk->root, inner, &path);
    if (status == STATUS_OK && source_is_picture(name) && is_file(path))
        ++*outside;
    else if (status == STATUS_OK)
        status = add_class(walk, inner, path, name, way);
    free(inner);
    free(path);
    return status;
}

/* Every folder in `path`, which is ROOT/`below`, is a class. */
static enum status add_classes(struct walk *walk, const char *below, const char *path, const struct way *way) {
    struct names names;
    uint32_t outside = 0;
    enum status status = list_names(path, &names);
    for (size_t i = 0; i < names.count && status == STATUS_OK; i++)
        status = add_entry(walk, below, names.list[i], way, &outside);
    if (outside && status == STATUS_OK && is_wanted(walk))
        log_warn("%s: %u pictures beside the folders of the classes are left out", path, outside);
    free_names(&names);
    return status;
}

/* The classes in train, val, validation or test; *found: there is such a folder. */
static enum status add_part(struct walk *walk, const char *name, const struct way *way, bool *found) {
    char *path;
    struct way here;
    TRY(join(walk->root, name, &path));
    enum status status = STATUS_OK;
    *found = enter(path, way, &here);
    walk->item.part = source_part_named(name, strlen(name));
    if (*found)
        status = add_classes(walk, name, path, &here);
    free(path);
    return status;
}

enum status folder_scan(struct source *source, bool training) {
    static const char *const others[] = {"val", "validation", "test"};
    struct walk walk = {.source = source, .root = source->path, .item = {.label = UINT32_MAX}, .training = training};
    struct way root;
    bool divided, found;
    if (!enter(source->path, NULL, &root))
        return fail(STATUS_DATA, "%s: there is no such folder", source->path);
    TRY(add_part(&walk, "train", &root, &divided));
    for (size_t i = 0; i < COUNT(others) && divided; i++)
        TRY(add_part(&walk, others[i], &root, &found));
    walk.item.part = SOURCE_NONE;
    return divided ? STATUS_OK : add_classes(&walk, "", source->path, &root);
}

enum status folder_list(struct source *source, const char *path) {
    struct walk walk = {.source = source, .root = "", .item = {.label = UINT32_MAX}};
    struct way root;
    return enter(path, NULL, &root) ? walk_folder(&walk, path, path, &root) : STATUS_OK;
}

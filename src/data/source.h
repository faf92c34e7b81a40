/*
 * source: the pictures of a streamed data set: which files or parts of an archive they are, what class each one has,
 * and which of them turned out to be broken.
 *
 * Whoever scans a folder (folder.c) or an archive (archive.c) adds every picture with source_add; source_arrange then
 * chooses the part that is wanted, numbers the classes and puts the pictures in the order of the data set.
 */
#ifndef RVK_DATA_SOURCE_H
#define RVK_DATA_SOURCE_H

#include "data/thumbnails.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* A folder on the way to a picture says in which part it is. */
enum source_part { SOURCE_NONE, SOURCE_TRAIN, SOURCE_VAL, SOURCE_VALIDATION, SOURCE_TEST, SOURCE_PARTS };

/* The part that a folder of this name stands for; SOURCE_NONE for any other name. */
enum source_part source_part_named(const char *name, size_t length);

/* Whether the name ends with .jpg, .jpeg or .png, in letters of any case. */
bool source_is_picture(const char *name);

/* The largest number of classes, and the largest file that is read as one picture. */
enum { SOURCE_CLASSES = 65536 };
#define SOURCE_FILE_LIMIT ((size_t)1 << 28)

struct source_item {
    char *name;                      /* below the folder, or in the archive */
    uint32_t class_at, class_length; /* the part of the name that is its class */
    uint32_t label;                  /* UINT32_MAX: by its class's name */
    enum source_part part;
    uint64_t offset, bytes; /* of its file, in the archive */
    uint32_t order;         /* pictures are sorted by this, then by name */
    char *broken;           /* why it cannot be read, NULL: as far as is known it can. Guarded by the source's lock */
    bool told;
};

struct source {
    char *path;  /* of the folder or the archive; "": names of pictures are whole paths */
    int archive; /* its descriptor; -1: every picture is a file */
    struct source_item *items;
    size_t count, capacity;
    char **class_names; /* [classes]; NULL: the labels are numbers without names */
    uint32_t classes;
    uint32_t threads;      /* that decode; 0: one for each processor */
    uint32_t broken_limit; /* more broken pictures than this are an error */
    uint32_t broken_told;
    bool uncached_told;
    char *thumbnails; /* their folder; NULL: there are none */
    char *uncached;   /* why one could not be kept. Guarded by the lock */
    pthread_mutex_t lock;
};

/* An empty source. STATUS_MEMORY. */
CHECKED enum status source_create(const char *path, struct source **out);
void source_destroy(struct source *source); /* accepts NULL */

/* Adds a picture: its fields but for `name`, which is copied. */
CHECKED enum status source_add(struct source *source, const char *name, const struct source_item *item);

/*
 * Keeps the training part or the test part of what was added. The test part is what lies in val, validation or test
 * (the first of these that has pictures) beside train. Where there is no such thing, it is every tenth picture of each
 * class in the order of their names, or the last one of a class that has two to nine. Classes are those of the
 * training part in the order of their names; pictures of other classes are left out with a warning. The pictures then
 * get an order of their own, that of hashes of their names: any first N of them are of all classes, and a picture
 * more or less does not move the others.
 *
 * STATUS_DATA when nothing is left.
 */
CHECKED enum status source_arrange(struct source *source, bool training);

/*
 * Reads the file of picture `index`, free with free(). Any thread. STATUS_DATA, STATUS_IO and STATUS_MEMORY with the
 * picture's name.
 */
CHECKED enum status source_read(const struct source *source, uint32_t index, uint8_t **bytes, size_t *size);

/* Sets all of `key` but the shorter side. Any thread. STATUS_DATA, STATUS_MEMORY. */
CHECKED enum status source_identify(const struct source *source, uint32_t index, struct thumbnail_key *key);

/* Notes that a thumbnail could not be kept, any thread; warns of the first, once, one thread. */
void source_note_uncached(struct source *source, const char *why);
void source_tell_uncached(struct source *source);

/* Notes that picture `index` cannot be used, and asks whether that is known. Any thread. */
void source_note_broken(struct source *source, uint32_t index, const char *why);
bool source_is_broken(struct source *source, uint32_t index);

/* Warns of the broken picture `index`, once. STATUS_DATA when more than broken_limit were told. One thread. */
CHECKED enum status source_tell_broken(struct source *source, uint32_t index);

/* ---- who adds ---- */

/* All pictures of class folders below `source->path`, also in train, val, validation and test there. Warnings are about
 * the training part, or about the others. */
CHECKED enum status folder_scan(struct source *source, bool training);

/* Any pictures below the folder, in the order of their names, without classes. */
CHECKED enum status folder_list(struct source *source, const char *path);

/* All pictures of the tar `source->path`, which stays open. */
CHECKED enum status archive_scan(struct source *source);

/* Takes a label out of a .cls file (a number) or a .json file ("cls" or "label"); false: there is none. */
bool archive_label(const char *name, const uint8_t *bytes, size_t size, uint32_t *label);

#endif

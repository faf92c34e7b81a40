/*
 * thumbnails: a folder of pictures that were decoded and shrunk before, so that they do not have to be decoded again.
 *
 * An entry belongs to a file's name, size and time of change, and to the shorter side of what it holds; it holds the
 * pixels as they are, and a checksum. Entries are written to a temporary file and renamed, so that several processes
 * may share a folder. What is damaged or does not belong to the file is made again; nothing is ever removed.
 */
#ifndef RVK_DATA_THUMBNAILS_H
#define RVK_DATA_THUMBNAILS_H

#include "picture/picture.h"

/* What a picture is known by. */
struct thumbnail_key {
    uint64_t name;         /* hash of the path */
    uint64_t size;         /* of the file */
    uint64_t time;         /* its last change, in nanoseconds */
    uint64_t shorter_side; /* to which the picture is shrunk; smaller ones are as they were */
};

/*
 * The folder that "thumbnails" or "thumbnails:DIR" names, free with free(): the first is in the user's cache folder.
 * DIR is made if it is missing. STATUS_USAGE for another text, and when there is no cache folder; STATUS_IO,
 * STATUS_MEMORY.
 */
CHECKED enum status thumbnails_open(const char *spec, char **folder);

/* Whether the entry is there and sound; then *out is the picture, which the caller destroys. Any thread. */
bool thumbnail_load(const char *folder, const struct thumbnail_key *key, struct picture *out);

/* The same from the bytes of an entry. */
bool thumbnail_parse(const uint8_t *bytes, size_t size, const struct thumbnail_key *key, struct picture *out);

/* Shrinks the picture in its place. STATUS_DATA when its sides are too different, STATUS_MEMORY. */
CHECKED enum status thumbnail_shrink(struct picture *picture, uint32_t shorter_side);

/* Writes the entry. STATUS_IO and STATUS_MEMORY. Any thread. */
CHECKED enum status thumbnail_keep(const char *folder, const struct thumbnail_key *key, const struct picture *picture);

#endif

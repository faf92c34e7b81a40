#include "data/thumbnails.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC UINT64_C(0x31424d5448544b52) /* also tells the order of bytes */

/* An entry is these words and then the pixels. */
enum { WORD_MAGIC, WORD_NAME, WORD_SIZE, WORD_TIME, WORD_SIDE, WORD_WIDTH, WORD_HEIGHT, WORD_CHECKSUM, WORDS };

/* ---- the folder ---- */

static enum status make_folder(const char *path) {
    struct stat about;
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &about) == 0 && S_ISDIR(about.st_mode)))
        return STATUS_OK;
    return fail(STATUS_IO, "%s: cannot make this folder: %s", path, strerror(errno));
}

enum status thumbnails_open(const char *spec, char **folder) {
    static const char word[] = "thumbnails";
    bool plain = strcmp(spec, word) == 0,
         named = strncmp(spec, word, strlen(word)) == 0 && spec[strlen(word)] == ':' && spec[strlen(word) + 1];
    if (!plain && !named)
        return fail(STATUS_USAGE, "the cache must be thumbnails or thumbnails:DIR, not '%s'", spec);
    char *path = plain ? file_cache_path(word) : strdup(spec + strlen(word) + 1);
    if (!path)
        return fail(STATUS_USAGE, "there is no cache folder for thumbnails: name one, thumbnails:DIR");
    enum status status = make_folder(path);
    if (status != STATUS_OK)
        free(path);
    else
        *folder = path;
    return status;
}

/* FOLDER/xx/xxxxxxxxxxxxxxxx.rgb, free with free(); NULL when memory is short. 256 folders keep each of them small. */
static char *path_of(const char *folder, const struct thumbnail_key *key, bool make) {
    uint64_t hash = hash_bytes(HASH_START, key, sizeof *key);
    size_t room = strlen(folder) + 32;
    char *path = malloc(room);
    if (!path)
        return NULL;
    snprintf(path, room, "%s/%02x", folder, (unsigned)(hash >> 56));
    if (make)
        mkdir(path, 0777); /* if this fails, so does writing into it */
    snprintf(path, room, "%s/%02x/%016llx.rgb", folder, (unsigned)(hash >> 56), (unsigned long long)hash);
    return path;
}

/* ---- entries ---- */

static uint64_t checksum(const uint64_t words[WORDS], const uint8_t *pixels, size_t size) {
    return hash_bytes(hash_bytes(HASH_START, words, WORD_CHECKSUM * sizeof *words), pixels, size);
}

static void write_words(const struct thumbnail_key *key, const struct picture *picture, uint64_t words[WORDS]) {
    words[WORD_MAGIC] = MAGIC;
    words[WORD_NAME] = key->name;
    words[WORD_SIZE] = key->size;
    words[WORD_TIME] = key->time;
    words[WORD_SIDE] = key->shorter_side;
    words[WORD_WIDTH] = picture->width;
    words[WORD_HEIGHT] = picture->height;
    words[WORD_CHECKSUM] = checksum(words, picture->pixels, (size_t)3 * picture->width * picture->height);
}

/* The size of the picture if the words go with the key and the number of bytes. */
static bool check_words(const uint64_t words[WORDS], const struct thumbnail_key *key, size_t pixel_bytes) {
    uint64_t width = words[WORD_WIDTH], height = words[WORD_HEIGHT];
    return words[WORD_MAGIC] == MAGIC && words[WORD_NAME] == key->name && words[WORD_SIZE] == key->size &&
           words[WORD_TIME] == key->time && words[WORD_SIDE] == key->shorter_side && width > 0 && height > 0 &&
           width <= PICTURE_SIDE_LIMIT && height <= PICTURE_SIDE_LIMIT && 3 * width * height == pixel_bytes;
}

bool thumbnail_parse(const uint8_t *bytes, size_t size, const struct thumbnail_key *key, struct picture *out) {
    uint64_t words[WORDS];
    if (size < sizeof words)
        return false;
    memcpy(words, bytes, sizeof words);
    size_t pixel_bytes = size - sizeof words;
    if (!check_words(words, key, pixel_bytes) ||
        words[WORD_CHECKSUM] != checksum(words, bytes + sizeof words, pixel_bytes))
        return false;
    uint8_t *pixels = malloc(pixel_bytes);
    if (!pixels)
        return false;
    memcpy(pixels, bytes + sizeof words, pixel_bytes);
    *out = (struct picture){(uint32_t)words[WORD_WIDTH], (uint32_t)words[WORD_HEIGHT], pixels};
    return true;
}

bool thumbnail_load(const char *folder, const struct thumbnail_key *key, struct picture *out) {
    uint8_t *bytes;
    size_t size;
    char *path = path_of(folder, key, false);
    bool there = path && file_exists(path) &&
                 file_read(path, WORDS * sizeof(uint64_t) + 3 * PICTURE_PIXELS_LIMIT, &bytes, &size) == STATUS_OK;
    free(path);
    if (!there)
        return false;
    bool sound = thumbnail_parse(bytes, size, key, out);
    free(bytes);
    return sound;
}

enum status thumbnail_shrink(struct picture *picture, uint32_t shorter_side) {
    uint64_t shorter = MIN(picture->width, picture->height);
    if (shorter <= shorter_side)
        return STATUS_OK;
    /* As for evaluation, which then finds it at its size. */
    struct picture small = {.width = (uint32_t)(shorter_side * (uint64_t)picture->width / shorter),
                            .height = (uint32_t)(shorter_side * (uint64_t)picture->height / shorter)};
    struct box box = {0, 0, (float)picture->width, (float)picture->height};
    TRY(memory_zeroed((size_t)small.width * small.height, 3, &small.pixels));
    enum status status = picture_resize_crop(picture, box, small.width, small.height, small.pixels);
    if (status != STATUS_OK) {
        picture_destroy(&small);
        return status == STATUS_USAGE ? STATUS_DATA : status;
    }
    picture_destroy(picture);
    *picture = small;
    return STATUS_OK;
}

enum status thumbnail_keep(const char *folder, const struct thumbnail_key *key, const struct picture *picture) {
    uint64_t words[WORDS];
    char *path = path_of(folder, key, true);
    if (!path)
        return fail(STATUS_MEMORY, "out of memory for the name of a thumbnail");
    write_words(key, picture, words);
    const struct file_piece pieces[] = {{words, sizeof words},
                                        {picture->pixels, (size_t)3 * picture->width * picture->height}};
    enum status status = file_write_atomic(path, pieces, COUNT(pieces));
    free(path);
    return status;
}

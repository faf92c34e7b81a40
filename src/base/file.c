#define ZLIB_CONST
#include "base/file.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* Growing memory with a limit and one byte to spare for the final zero. */
struct block {
    uint8_t *bytes;
    size_t size, capacity, limit;
};

static enum status block_room(struct block *block) {
    if (block->size > block->limit)
        return fail(STATUS_DATA, "more than %zu bytes, the limit for this kind of file", block->limit);
    size_t need = MIN(MAX(block->size * 2, (size_t)65536), block->limit + 1);
    return memory_grow(&block->bytes, &block->capacity, MAX(need, block->capacity), 1);
}

/* Hands the bytes over, or frees them when `status` is a failure. */
static enum status block_finish(struct block *block, enum status status, uint8_t **bytes, size_t *size) {
    if (status == STATUS_OK)
        status = memory_grow(&block->bytes, &block->capacity, block->size + 1, 1);
    if (status != STATUS_OK) {
        free(block->bytes);
        return status;
    }
    block->bytes[block->size] = 0;
    *bytes = block->bytes;
    *size = block->size;
    return STATUS_OK;
}

static enum status read_all(int descriptor, struct block *block) {
    struct stat about;
    if (fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode)) {
        if ((uintmax_t)about.st_size > block->limit)
            return fail(STATUS_DATA, "%ju bytes, more than the limit of %zu for this kind of file",
                        (uintmax_t)about.st_size, block->limit);
        TRY(memory_grow(&block->bytes, &block->capacity, (size_t)about.st_size + 1, 1));
    }
    for (;;) {
        if (block->size == block->capacity || block->size > block->limit)
            TRY(block_room(block));
        ssize_t got = read(descriptor, block->bytes + block->size, block->capacity - block->size);
        if (got == 0)
            return STATUS_OK;
        if (got < 0 && errno != EINTR)
            return fail(errno == EISDIR ? STATUS_DATA : STATUS_IO, "%s", strerror(errno));
        block->size += got > 0 ? (size_t)got : 0;
    }
}

/* Opening does not wait for the other end of a pipe; reading then waits for one that there is. -1 with errno. */
static int open_at_once(const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor >= 0)
        fcntl(descriptor, F_SETFL, O_RDONLY);
    return descriptor;
}

FILE *file_open(const char *path) {
    int descriptor = open_at_once(path);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "rb") : NULL;
    if (!file && descriptor >= 0)
        close(descriptor);
    return file;
}

enum status file_read(const char *path, size_t limit, uint8_t **bytes, size_t *size) {
    int descriptor = open_at_once(path);
    if (descriptor < 0)
        return fail(errno == ENOENT || errno == ENOTDIR ? STATUS_DATA : STATUS_IO, "%s: %s", path, strerror(errno));
    struct block block = {.limit = MIN(limit, (size_t)SSIZE_MAX - 1)};
    enum status status = block_finish(&block, read_all(descriptor, &block), bytes, size);
    close(descriptor);
    return status == STATUS_OK ? STATUS_OK : fail_prefix(status, "%s", path);
}

/* A gzip file may hold several members, one after the other; bytes after the last are an error. */
static enum status inflate_all(z_stream *stream, const uint8_t *packed, size_t packed_size, struct block *block) {
    size_t taken = 0;
    stream->next_in = packed;
    for (;;) {
        if (block->size == block->capacity || block->size > block->limit)
            TRY(block_room(block));
        if (stream->avail_in == 0) {
            stream->avail_in = (uInt)MIN(packed_size - taken, (size_t)1 << 30);
            taken += stream->avail_in;
        }
        uInt room = (uInt)MIN(block->capacity - block->size, (size_t)1 << 30);
        stream->next_out = block->bytes + block->size;
        stream->avail_out = room;
        int code = inflate(stream, Z_NO_FLUSH);
        block->size += room - stream->avail_out;
        if (code == Z_STREAM_END && stream->avail_in == 0 && taken == packed_size)
            return block->size > block->limit ? block_room(block) : STATUS_OK;
        if (code == Z_STREAM_END)
            code = inflateReset(stream);
        if (code == Z_BUF_ERROR || (code == Z_OK && stream->avail_in == 0 && taken == packed_size && stream->avail_out))
            return fail(STATUS_DATA, "the gzip data ends too soon, after %zu of its bytes", packed_size);
        if (code == Z_MEM_ERROR)
            return fail(STATUS_MEMORY, "out of host memory while unpacking gzip data");
        if (code != Z_OK)
            return fail(STATUS_DATA, "the gzip data is damaged (%s)", stream->msg ? stream->msg : "no message");
    }
}

enum status file_unpack(const uint8_t *packed, size_t packed_size, size_t limit, uint8_t **bytes, size_t *size) {
    z_stream stream = {0};
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        return fail(STATUS_MEMORY, "out of host memory while unpacking gzip data");
    struct block block = {.limit = MIN(limit, (size_t)SSIZE_MAX - 1)};
    enum status status = block_finish(&block, inflate_all(&stream, packed, packed_size, &block), bytes, size);
    inflateEnd(&stream);
    return status;
}

enum status file_read_gz(const char *path, size_t limit, uint8_t **bytes, size_t *size) {
    uint8_t *packed;
    size_t packed_size;
    TRY(file_read(path, limit, &packed, &packed_size));
    if (packed_size < 2 || packed[0] != 0x1f || packed[1] != 0x8b) {
        *bytes = packed;
        *size = packed_size;
        return STATUS_OK;
    }
    enum status status = file_unpack(packed, packed_size, limit, bytes, size);
    free(packed);
    return status == STATUS_OK ? STATUS_OK : fail_prefix(status, "%s", path);
}

bool file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

/* Whether there is a folder `path` now. */
static bool make_folder(const char *path) {
    struct stat about;
    return mkdir(path, 0700) == 0 || (errno == EEXIST && stat(path, &about) == 0 && S_ISDIR(about.st_mode));
}

char *file_cache_path(const char *name) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *below = "";
    /* The XDG base directory specification: a relative path is to be ignored. */
    if (!cache || cache[0] != '/') {
        cache = home;
        below = "/.cache";
    }
    if (!cache || cache[0] != '/')
        return NULL;
    size_t size = strlen(cache) + strlen(name) + 32;
    char *path = malloc(size);
    if (!path)
        return NULL;
    snprintf(path, size, "%s%s", cache, below);
    bool made = make_folder(path);
    snprintf(path, size, "%s%s/resnet-vk", cache, below);
    if (!made || !make_folder(path)) {
        free(path);
        return NULL;
    }
    snprintf(path, size, "%s%s/resnet-vk/%s", cache, below, name);
    return path;
}

/*
 * file: whole files in, whole files out, and where the cache is.
 */
#ifndef RVK_BASE_FILE_H
#define RVK_BASE_FILE_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Reads all of `path` into *bytes (free with free(); one zero byte follows the *size bytes). More than `limit` bytes
 * are refused. A pipe that nobody writes to is empty, and not waited for. Outputs are untouched on failure: STATUS_DATA
 * when there is no such file, it is a folder or it is too large, STATUS_IO when it cannot be read, STATUS_MEMORY.
 */
CHECKED enum status file_read(const char *path, size_t limit, uint8_t **bytes, size_t *size);

/* The same; a file in gzip format (known by its first bytes) is unpacked, and `limit` counts unpacked bytes. */
CHECKED enum status file_read_gz(const char *path, size_t limit, uint8_t **bytes, size_t *size);

/* Unpacks a block in gzip format. STATUS_DATA when it is damaged, ends too soon or holds more than `limit` bytes. */
CHECKED enum status file_unpack(const uint8_t *packed, size_t packed_size, size_t limit, uint8_t **bytes, size_t *size);

bool file_exists(const char *path);

/* Opens a file to be read piece by piece, likewise without waiting. NULL with errno; close with fclose. */
FILE *file_open(const char *path);

struct file_piece {
    const void *bytes;
    size_t size;
};

/*
 * Replaces `path` by the pieces, one after the other: readers see the old file or the new one, never a part, also after
 * a crash. STATUS_IO on failure; the old file is then intact and nothing is left behind. A process that is killed
 * meanwhile leaves path.PID.NUMBER.resnet-vk.tmp, which the next write into that folder removes. A device or a pipe is
 * written to, not replaced; it is an error when nobody reads from the pipe.
 */
CHECKED enum status file_write_atomic(const char *path, const struct file_piece *pieces, size_t count);

/* The same for one block, which is then freed, also on failure. */
CHECKED enum status file_write_and_free(const char *path, void *bytes, size_t size);

/*
 * The path of file `name` in the user's cache folder ($XDG_CACHE_HOME/resnet-vk or ~/.cache/resnet-vk), which is made
 * if need be. Free with free(). NULL when there is no home or the folder cannot be made: go without a cache.
 */
char *file_cache_path(const char *name);

#endif

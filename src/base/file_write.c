/*
 * file_write: replaces a file as a whole.
 *
 * The new bytes go to a temporary file in the same folder, which then takes the name of the old one. Who writes a
 * temporary file holds a lock on it until it has its name, so one that nobody holds is what a killed process left; the
 * next write into the folder removes it.
 */
#include "base/file.h"

#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".resnet-vk.tmp"

/* ---- what killed processes left ---- */

/* The lock is on the file and not on the name, which a writer may have given to another file meanwhile. */
static bool is_same_file(int descriptor, int folder, const char *name) {
    struct stat held, named;
    return fstat(descriptor, &held) == 0 && S_ISREG(held.st_mode) &&
           fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && held.st_dev == named.st_dev &&
           held.st_ino == named.st_ino;
}

static void remove_unheld(int folder, const char *name) {
    int descriptor = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0)
        return;
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 && is_same_file(descriptor, folder, name))
        unlinkat(folder, name, 0);
    close(descriptor);
}

static void remove_leftovers(const char *folder) {
    DIR *directory = opendir(folder);
    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t length = strlen(entry->d_name), tail = strlen(SUFFIX);
        if (length > tail && strcmp(entry->d_name + length - tail, SUFFIX) == 0)
            remove_unheld(dirfd(directory), entry->d_name);
    }
    closedir(directory);
}

/* ---- writing ---- */

static enum status write_all(int descriptor, const struct file_piece *pieces, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t *bytes = pieces[i].bytes;
        for (size_t done = 0; done < pieces[i].size;) {
            ssize_t put = write(descriptor, bytes + done, pieces[i].size - done);
            if (put < 0 && errno != EINTR)
                return fail(STATUS_IO, "%s", strerror(errno));
            done += put > 0 ? (size_t)put : 0;
        }
    }
    /* Pipes and some file systems have no fsync (EINVAL); there is nothing better to do then. */
    return fsync(descriptor) == 0 || errno == EINVAL ? STATUS_OK : fail(STATUS_IO, "%s", strerror(errno));
}

/* False when another process took the file for a leftover before it was locked, and removed it. */
static bool lock(int descriptor) {
    struct stat about;
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0)
        return errno != EWOULDBLOCK; /* a file system without locks: nobody else can lock it either */
    return fstat(descriptor, &about) == 0 && about.st_nlink > 0;
}

/* Creates the first free name of path.PID.NUMBER.resnet-vk.tmp, and locks it. -1 with errno. */
static int open_temporary(const char *path, char *temporary, size_t size) {
    for (int number = 0; number < 1000; number++) {
        snprintf(temporary, size, "%s.%ld.%d" SUFFIX, path, (long)getpid(), number);
        int descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor < 0 && errno != EEXIST)
            return -1;
        if (descriptor >= 0 && lock(descriptor))
            return descriptor;
        if (descriptor >= 0)
            close(descriptor);
    }
    errno = EEXIST;
    return -1;
}

/* Makes the rename itself durable. A file system that cannot is no reason to fail: the file is whole either way. */
static void sync_folder(const char *folder) {
    int descriptor = open(folder, O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
}

/* The file is closed after it has its name: the lock ends there. */
static enum status replace(const char *path, char *temporary, size_t size, const struct file_piece *pieces,
                           size_t count) {
    int descriptor = open_temporary(path, temporary, size);
    if (descriptor < 0)
        return fail(STATUS_IO, "%s", strerror(errno));
    enum status status = write_all(descriptor, pieces, count);
    if (status == STATUS_OK && rename(temporary, path) != 0)
        status = fail(STATUS_IO, "%s", strerror(errno));
    if (status != STATUS_OK)
        unlink(temporary);
    close(descriptor);
    return status;
}

/* A device or a pipe, such as /dev/stdout: it is written to and stays what it is. */
static bool is_special(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode);
}

static enum status write_special(const char *path, const struct file_piece *pieces, size_t count) {
    int descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return fail(STATUS_IO, "%s", errno == ENXIO ? "nobody reads from this pipe" : strerror(errno));
    fcntl(descriptor, F_SETFL, O_WRONLY);
    enum status status = write_all(descriptor, pieces, count);
    close(descriptor);
    return status;
}

static enum status write_in_folder(const char *path, const struct file_piece *pieces, size_t count) {
    size_t size = strlen(path) + 64;
    char *room;
    TRY(memory_zeroed(size, 2, &room));
    char *folder = room, *temporary = room + size;
    const char *slash = strrchr(path, '/');
    snprintf(folder, size, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    remove_leftovers(folder);
    enum status status = replace(path, temporary, size, pieces, count);
    if (status == STATUS_OK)
        sync_folder(folder);
    free(room);
    return status;
}

enum status file_write_atomic(const char *path, const struct file_piece *pieces, size_t count) {
    enum status status = is_special(path) ? write_special(path, pieces, count) : write_in_folder(path, pieces, count);
    return status == STATUS_OK ? STATUS_OK : fail_prefix(status, "%s", path);
}

enum status file_write_and_free(const char *path, void *bytes, size_t size) {
    enum status status = file_write_atomic(path, &(struct file_piece){bytes, size}, 1);
    free(bytes);
    return status;
}

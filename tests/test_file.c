/* file: reading with limits, and writing that is all or nothing, whoever is killed meanwhile and whoever else writes.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static char folder[] = "/tmp/resnet-vk-test-file-XXXXXX";

static const char *path_of(const char *name) {
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static enum status put(const char *name, const void *bytes, size_t size) {
    return file_write_atomic(path_of(name), &(struct file_piece){bytes, size}, 1);
}

static void assert_says(const char *text) {
    if (!strstr(status_message(), text))
        fail_msg("\"%s\" does not say \"%s\"", status_message(), text);
}

static void assert_holds(const char *name, const char *text) {
    uint8_t *bytes;
    size_t size;
    assert_int_equal(file_read(path_of(name), 1 << 20, &bytes, &size), STATUS_OK);
    assert_string_equal((const char *)bytes, text);
    free(bytes);
}

/* Files in the folder whose names end with ".tmp". */
static int count_temporaries(void) {
    DIR *directory = opendir(folder);
    int count = 0;
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t length = strlen(entry->d_name);
        count += length > 4 && strcmp(entry->d_name + length - 4, ".tmp") == 0;
    }
    closedir(directory);
    return count;
}

static void writing_is_all_or_nothing(void **state) {
    (void)state;
    uint8_t *bytes;
    size_t size;
    assert_int_equal(put("file", "old", 3), STATUS_OK);
    const struct file_piece pieces[] = {{"ne", 2}, {"", 0}, {"wer", 3}};
    assert_int_equal(file_write_atomic(path_of("file"), pieces, 3), STATUS_OK);
    assert_holds("file", "newer");
    assert_int_equal(file_read(path_of("file"), 4, &bytes, &size), STATUS_DATA);
    assert_says("5 bytes, more than the limit of 4");
    assert_int_equal(unlink(path_of("file")), 0);
    assert_int_equal(file_read(path_of("file"), 4, &bytes, &size), STATUS_DATA);
    assert_int_equal(file_write_atomic(path_of("none/file"), pieces, 3), STATUS_IO);
    assert_says("none/file: No such file");
    mkdir(path_of("sub"), 0700);
    mkdir(path_of("sub/file"), 0700);
    assert_int_equal(file_write_atomic(path_of("sub/file"), pieces, 3), STATUS_IO);
    rmdir(path_of("sub/file"));
    assert_int_equal(rmdir(path_of("sub")), 0); /* nothing else was left in it */
}

/* A limit of the process stands for a full disk: the write comes to an end in the middle of the file. */
static void a_cut_write_leaves_the_old_file(void **state) {
    (void)state;
    static const char large[100000];
    struct rlimit small = {50000, 50000};
    assert_int_equal(put("file", "old", 3), STATUS_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        _exit(setrlimit(RLIMIT_FSIZE, &small) == 0 && put("file", large, sizeof large) == STATUS_IO &&
                      strstr(status_message(), "/file: File too large")
                  ? 0
                  : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_holds("file", "old");
    assert_int_equal(count_temporaries(), 0);
}

/* ---- temporary files of others ---- */

static int make_temporary(const char *name) {
    int descriptor = open(path_of(name), O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(descriptor >= 0);
    return descriptor;
}

static void leftovers_are_removed(void **state) {
    (void)state;
    close(make_temporary("other.77.0.resnet-vk.tmp"));
    close(make_temporary("foreign.77.0.tmp"));
    int held = make_temporary("held.77.0.resnet-vk.tmp");
    assert_int_equal(flock(held, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(mkfifo(path_of("pipe.resnet-vk.tmp"), 0600), 0);
    assert_int_equal(put("file", "new", 3), STATUS_OK);
    assert_false(file_exists(path_of("other.77.0.resnet-vk.tmp")));
    assert_true(file_exists(path_of("foreign.77.0.tmp")));
    assert_true(file_exists(path_of("held.77.0.resnet-vk.tmp")));
    assert_true(file_exists(path_of("pipe.resnet-vk.tmp")));
    close(held);
    assert_int_equal(put("file", "new", 3), STATUS_OK);
    assert_false(file_exists(path_of("held.77.0.resnet-vk.tmp")));
    unlink(path_of("foreign.77.0.tmp"));
    unlink(path_of("pipe.resnet-vk.tmp"));
    assert_int_equal(count_temporaries(), 0);
}

enum { WRITERS = 4, SIZE = 5000 };

/* Writes files of one letter until it is killed, at most for 10 s; the exit code 1 says that a write failed. */
static void write_endlessly(char letter) {
    char bytes[SIZE];
    memset(bytes, letter, sizeof bytes);
    alarm(10);
    while (put("shared", bytes, sizeof bytes) == STATUS_OK)
        ;
    fprintf(stderr, "writer %c: %s\n", letter, status_message());
    _exit(1);
}

/* Whether the file that all write is whole. */
static bool is_whole(void) {
    uint8_t *bytes;
    size_t size, same = 0;
    if (file_read(path_of("shared"), SIZE, &bytes, &size) != STATUS_OK)
        return false;
    while (same < size && bytes[same] == bytes[0])
        same++;
    free(bytes);
    return same == size && (size == 0 || size == SIZE);
}

/* Each writer takes the leftovers of all: a file that is just being written must not be taken for one. */
static void writers_do_not_disturb_each_other(void **state) {
    (void)state;
    pid_t writers[WRITERS];
    int torn = 0, failed = 0, status;
    assert_int_equal(put("shared", "", 0), STATUS_OK);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = fork();
        if (writers[i] == 0)
            write_endlessly((char)('a' + i));
    }
    for (uint64_t start = clock_ns(); clock_ns() - start < 1500000000;)
        torn += !is_whole();
    for (int i = 0; i < WRITERS; i++) {
        assert_true(writers[i] > 0);
        kill(writers[i], SIGKILL);
        assert_int_equal(waitpid(writers[i], &status, 0), writers[i]);
        failed += !WIFSIGNALED(status);
    }
    assert_int_equal(torn, 0);
    assert_int_equal(failed, 0);
    assert_int_equal(put("shared", "end", 3), STATUS_OK);
    assert_holds("shared", "end");
    assert_int_equal(count_temporaries(), 0);
}

/* ---- what is no file ---- */

static void endless_files_are_refused(void **state) {
    (void)state;
    uint8_t *bytes;
    size_t size;
    assert_int_equal(file_read("/dev/zero", 100000, &bytes, &size), STATUS_DATA);
    assert_says("/dev/zero: more than 100000 bytes");
}

static void devices_are_written_to(void **state) {
    (void)state;
    struct stat about;
    assert_int_equal(symlink("/dev/full", path_of("full")), 0);
    assert_int_equal(put("full", "text", 4), STATUS_IO);
    assert_says("full: No space left on device");
    assert_int_equal(symlink("/dev/null", path_of("null")), 0);
    assert_int_equal(put("null", "text", 4), STATUS_OK);
    assert_int_equal(lstat(path_of("null"), &about), 0);
    assert_true(S_ISLNK(about.st_mode));
}

/* ---- the cache ---- */

static void the_cache_is_where_xdg_says(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", path_of("cache"), 1);
    char *path = file_cache_path("pipelines");
    assert_string_equal(path, path_of("cache/resnet-vk/pipelines"));
    assert_true(file_exists(path_of("cache/resnet-vk")));
    free(path);
    setenv("XDG_CACHE_HOME", "relative", 1);
    setenv("HOME", folder, 1);
    path = file_cache_path("pipelines");
    assert_string_equal(path, path_of(".cache/resnet-vk/pipelines"));
    free(path);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_null(file_cache_path("pipelines"));
}

static void there_need_not_be_a_cache(void **state) {
    (void)state;
    setenv("XDG_CACHE_HOME", "/proc", 1); /* no folder can be made there, not even by root */
    assert_null(file_cache_path("pipelines"));
    setenv("XDG_CACHE_HOME", path_of("none/at/all"), 1);
    assert_null(file_cache_path("pipelines"));
    assert_int_equal(put("plain", "", 0), STATUS_OK);
    setenv("XDG_CACHE_HOME", path_of("plain"), 1);
    assert_null(file_cache_path("pipelines"));
    assert_int_equal(mkdir(path_of("half"), 0700), 0);
    assert_int_equal(put("half/resnet-vk", "", 0), STATUS_OK);
    setenv("XDG_CACHE_HOME", path_of("half"), 1);
    assert_null(file_cache_path("pipelines"));
    unsetenv("XDG_CACHE_HOME");
}

static int setup(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writing_is_all_or_nothing),   cmocka_unit_test(a_cut_write_leaves_the_old_file),
        cmocka_unit_test(leftovers_are_removed),       cmocka_unit_test(writers_do_not_disturb_each_other),
        cmocka_unit_test(endless_files_are_refused),   cmocka_unit_test(devices_are_written_to),
        cmocka_unit_test(the_cache_is_where_xdg_says), cmocka_unit_test(there_need_not_be_a_cache),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

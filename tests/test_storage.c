/*
 * Full disks, and homes that are missing, read-only, damaged or shared: what is asked for and cannot be written ends
 * the run with code 8 and the file's name, and what was there before is whole; a cache is never worth more than a
 * warning.
 */
#define _GNU_SOURCE /* unshare */
#include "base/file.h"
#include "train/checkpoint.h"

#include "program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files are written in the same way on every device: the reference needs no pipelines. */
#define TRAIN "train --device cpu "
#define SMALL "--model resnet8 --data generated:count=48,classes=4,size=8 --batch 16 --eval-batch 32 --epochs 1 "

static bool mounts; /* this process may mount file systems, where nobody else sees them */

static void write_text(const char *name, const char *text) {
    FILE *file = fopen(in_folder(name), "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* A run of one step in the folder `name`; there are two more. */
static void make_run(const char *name) {
    assert_int_equal(run(TRAIN SMALL "--steps 1 --out %s 2>&1", in_folder(name)), 0);
}

/* ---- bytes that must stay ---- */

struct copy {
    char path[160];
    uint8_t *bytes;
    size_t size;
};

static struct copy copy_file(const char *name) {
    struct copy copy;
    snprintf(copy.path, sizeof copy.path, "%s", in_folder(name));
    assert_int_equal(file_read(copy.path, 1 << 24, &copy.bytes, &copy.size), STATUS_OK);
    return copy;
}

/* The file is as it was, and nothing was left beside it. */
static void assert_unchanged(const struct copy *copy) {
    uint8_t *bytes;
    size_t size;
    char run_folder[160];
    assert_int_equal(file_read(copy->path, 1 << 24, &bytes, &size), STATUS_OK);
    assert_int_equal(size, copy->size);
    assert_memory_equal(bytes, copy->bytes, size);
    free(bytes);
    snprintf(run_folder, sizeof run_folder, "%.*s", (int)(strrchr(copy->path, '/') - copy->path), copy->path);
    DIR *directory = opendir(run_folder);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        assert_null(strstr(entry->d_name, ".tmp"));
    closedir(directory);
}

/* The same, and the run goes on from it. */
static void assert_intact(const struct copy *copy) {
    assert_unchanged(copy);
    assert_int_equal(run(TRAIN "--resume %s --steps 1 2>&1", copy->path), 0);
    free(copy->bytes);
}

/* ---- full disks ---- */

/* Each file of a run in turn is a device that is always full. */
static void test_every_file(void **state) {
    (void)state;
    static const char *const names[] = {"log.jsonl",        "log.csv",          "curve.svg",
                                        "best.safetensors", "last.safetensors", "epoch-0001.safetensors"};
    make_run("whole");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64], sentence[96];
        snprintf(path, sizeof path, "full-%zu", i);
        assert_int_equal(mkdir(in_folder(path), 0700), 0);
        snprintf(path, sizeof path, "full-%zu/%s", i, names[i]);
        assert_int_equal(symlink("/dev/full", in_folder(path)), 0);
        snprintf(sentence, sizeof sentence, "%s: No space left on device", path);
        int code = run(TRAIN "--resume %s --save-every 1 --out %s/full-%zu 2>&1 >/dev/null",
                       in_folder("whole/last.safetensors"), folder, i);
        expect(code, sentence);
        assert_int_equal(code, 8);
    }
    assert_int_equal(run("train " SMALL "--profile --trace /dev/full 2>&1 >/dev/null"), 8);
    expect(8, "/dev/full: No space left on device");
    struct copy last = copy_file("whole/last.safetensors");
    assert_intact(&last);
}

/* The limit on the size of files is below that of a checkpoint. */
static void test_limit(void **state) {
    (void)state;
    make_run("limited");
    struct copy last = copy_file("limited/last.safetensors");
    char line[512];
    snprintf(line, sizeof line, "ulimit -f 400; exec %s " TRAIN "--resume %s 2>&1 >/dev/null", PROGRAM, last.path);
    assert_int_equal(run_line(line), 8);
    expect(8, "limited/");
    expect(8, ".safetensors: File too large");
    assert_intact(&last);
}

/* Fills the file system of `name` until `rest` bytes are left; the filler is the file "filler" there. */
static void fill(const char *name, long rest) {
    char path[64];
    static const char block[4096];
    snprintf(path, sizeof path, "%s/filler", name);
    int descriptor = open(in_folder(path), O_WRONLY | O_CREAT, 0600);
    assert_true(descriptor >= 0);
    while (write(descriptor, block, sizeof block) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    off_t end = lseek(descriptor, 0, SEEK_END);
    assert_int_equal(ftruncate(descriptor, end - rest), 0);
    close(descriptor);
}

/* Mounts a file system of this size on the new folder `name`. */
static void mount_small(const char *name, const char *size) {
    assert_int_equal(mkdir(in_folder(name), 0700), 0);
    if (mount("none", in_folder(name), "tmpfs", 0, size) != 0)
        fail_msg("mount: %s", strerror(errno));
}

static void test_small_disk(void **state) {
    (void)state;
    if (!mounts)
        skip();
    mount_small("disk", "size=4m");
    make_run("disk/run");
    struct copy last = copy_file("disk/run/last.safetensors");
    fill("disk", 300000);
    assert_int_equal(run(TRAIN "--resume %s 2>&1 >/dev/null", last.path), 8);
    expect(8, "disk/run/last.safetensors: No space left on device");
    assert_int_equal(run(TRAIN SMALL "--out %s 2>&1 >/dev/null", in_folder("disk/second")), 8);
    expect(8, "disk/second/last.safetensors: No space left on device");
    fill("disk", 0);
    assert_int_equal(run(TRAIN SMALL "--out %s 2>&1 >/dev/null", in_folder("disk/third")), 8);
    expect(8, "disk/third/log.jsonl: No space left on device");
    /* The caches on the same disk are worth a warning; tune, which is there to fill one, fails. */
    setenv("XDG_CACHE_HOME", in_folder("disk"), 1);
    assert_int_equal(run("train " SMALL "2>&1 >/dev/null"), 0);
    expect(0, "warning: the pipeline cache was not written: ");
    expect(0, "No space left on device");
    assert_int_equal(run("tune --model resnet8 --batch 2 --size 8 --budget 5 2>&1 >/dev/null"), 8);
    expect(8, "No space left on device");
    setenv("XDG_CACHE_HOME", in_folder("cache"), 1);
    assert_int_equal(unlink(in_folder("disk/filler")), 0);
    assert_intact(&last);
}

#define ONE_CASE "verify --op add --shape 'a=1x2x3x5 b=1x2x3x5' --data exact "

/* A report that there was stays, whole; the answer of the verification is printed all the same. */
static void expect_no_report(const struct copy *copy, const char *before, const char *reason) {
    char line[1024], sentence[256];
    snprintf(line, sizeof line, "%s exec %s " ONE_CASE "--report %s 2>&1", before, PROGRAM, copy->path);
    snprintf(sentence, sizeof sentence, "%s: %s", copy->path, reason);
    int code = run_line(line);
    expect(code, sentence);
    expect(code, "passed, 0 failed");
    assert_int_equal(code, 8);
    assert_unchanged(copy);
}

static void test_report(void **state) {
    (void)state;
    static const char *const names[] = {"reports/report.md", "reports/report.json"};
    if (mounts)
        mount_small("reports", "size=1m");
    else
        assert_int_equal(mkdir(in_folder("reports"), 0700), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(run(ONE_CASE "--report %s 2>&1", in_folder(names[i])), 0);
        struct copy report = copy_file(names[i]);
        assert_true(report.size > 1000);
        expect_no_report(&report, "ulimit -f 1;", "File too large");
        if (mounts) {
            fill("reports", 0);
            expect_no_report(&report, "", "No space left on device");
            assert_int_equal(unlink(in_folder("reports/filler")), 0);
        }
        free(report.bytes);
    }
    assert_int_equal(run(ONE_CASE "--report /dev/full 2>&1"), 8);
    expect(8, "/dev/full: No space left on device");
}

/* What was there before stays, whole, and the sentence names the file. */
static void expect_no_product(const char *arguments, const struct copy *copy, const char *before, const char *reason) {
    char line[1024], sentence[256];
    snprintf(line, sizeof line, "%s exec %s %s %s 2>&1", before, PROGRAM, arguments, copy->path);
    snprintf(sentence, sizeof sentence, "resnet-vk: %s: %s\n", copy->path, reason);
    int code = run_line(line);
    expect(code, sentence);
    assert_int_equal(code, 8);
    assert_unchanged(copy);
}

/* Pages, tables and weights: what a command is asked to write for its user. */
static void test_products(void **state) {
    (void)state;
    static const struct {
        const char *name, *arguments; /* the latter end where the name follows */
    } products[] = {
        {"products/w.safetensors", "convert %s"},
        {"products/h.safetensors", "convert --dtype f16 %s"},
        {"products/w.onnx", "convert %s"},
        {"products/eval.html", "eval --device cpu --weights %s --html"},
        {"products/eval.csv", "eval --device cpu --weights %s --csv"},
        {"products/sheet.html", "predict --device cpu --weights %s --html"},
    };
    make_run("weights");
    if (mounts)
        mount_small("products", "size=2m");
    else
        assert_int_equal(mkdir(in_folder("products"), 0700), 0);
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        char arguments[256];
        snprintf(arguments, sizeof arguments, products[i].arguments, in_folder("weights/last.safetensors"));
        assert_int_equal(run("%s %s 2>&1", arguments, in_folder(products[i].name)), 0);
        struct copy product = copy_file(products[i].name);
        expect_no_product(arguments, &product, "ulimit -f 0;", "File too large");
        if (mounts) {
            fill("products", 0);
            expect_no_product(arguments, &product, "", "No space left on device");
            assert_int_equal(unlink(in_folder("products/filler")), 0);
        }
        free(product.bytes);
        assert_int_equal(unlink(product.path), 0);
    }
}

/* A line that a full disk cut off goes, and the next ones are whole. */
static void test_cut_log(void **state) {
    (void)state;
    make_run("cut");
    FILE *log = fopen(in_folder("cut/log.jsonl"), "a");
    assert_non_null(log);
    fputs("{\"event\":\"part\",\"ep", log);
    fclose(log);
    assert_int_equal(run(TRAIN "--resume %s 2>&1", in_folder("cut/last.safetensors")), 0);
    log = fopen(in_folder("cut/log.jsonl"), "r");
    assert_non_null(log);
    int epochs = 0;
    for (char line[8192]; fgets(line, sizeof line, log);) {
        json_t *json = json_loads(line, 0, NULL);
        if (!json)
            fail_msg("the log holds: %s", line);
        const char *event = json_string_value(json_object_get(json, "event"));
        epochs += event && strcmp(event, "epoch") == 0;
        json_decref(json);
    }
    fclose(log);
    assert_int_equal(epochs, 1);
}

/* ---- homes ---- */

static int count_notes(const char *environment) {
    char line[1024];
    int notes = 0;
    snprintf(line, sizeof line, "env -u XDG_CACHE_HOME %s %s " ONE_CASE "2>&1 >/dev/null", environment, PROGRAM);
    int code = run_line(line);
    if (code != 0)
        fail_msg("%s: exit code %d: %s", environment, code, output);
    for (const char *note = output; (note = strstr(note, "resnet-vk:")) != NULL; note++)
        notes++;
    return notes;
}

/* The program does its work in this environment, and says `expected` more than it says with a sound home. */
static void assert_works(const char *environment, int expected) {
    char sound[256];
    snprintf(sound, sizeof sound, "XDG_CACHE_HOME=%s", in_folder("cache"));
    int before = count_notes(sound), notes = count_notes(environment);
    if (notes != before + expected)
        fail_msg("%s: %d notes, not %d: %s", environment, notes, before + expected, output);
}

static void test_no_home(void **state) {
    (void)state;
    char text[256];
    assert_works("-u HOME", 0);
    assert_works("HOME=/nonexistent", 0);
    assert_works("HOME=/proc", 0); /* where even root can make nothing */
    assert_works("HOME=/dev/null", 0);
    snprintf(text, sizeof text, "HOME=/nonexistent XDG_CACHE_HOME=%s", in_folder("no/such/folder"));
    assert_works(text, 0);
    write_text("file", "");
    snprintf(text, sizeof text, "XDG_CACHE_HOME=%s", in_folder("file"));
    assert_works(text, 0);
    assert_int_equal(mkdir(in_folder("half"), 0700), 0);
    write_text("half/resnet-vk", "");
    snprintf(text, sizeof text, "XDG_CACHE_HOME=%s", in_folder("half"));
    assert_works(text, 0);
}

/* The folder "home": by the file system where this process may mount one, otherwise by the folder's mode. */
static void set_home_writable(bool writable) {
    if (mounts)
        assert_int_equal(mount("none", in_folder("home"), NULL, MS_REMOUNT | (writable ? 0 : MS_RDONLY), NULL), 0);
    else
        assert_int_equal(chmod(in_folder("home"), writable ? 0700 : 0500), 0);
}

static void test_read_only_home(void **state) {
    (void)state;
    char text[256];
    if (!mounts && geteuid() == 0)
        skip();
    if (mounts)
        mount_small("home", "size=4m");
    else
        assert_int_equal(mkdir(in_folder("home"), 0700), 0);
    set_home_writable(false);
    snprintf(text, sizeof text, "HOME=%s", in_folder("home"));
    assert_works(text, 0);
    /* One that holds a cache, damaged: it cannot be replaced. */
    set_home_writable(true);
    assert_int_equal(mkdir(in_folder("home/resnet-vk"), 0700), 0);
    write_text("home/resnet-vk/pipelines", "nonsense");
    if (!mounts)
        assert_int_equal(chmod(in_folder("home/resnet-vk"), 0500), 0);
    set_home_writable(false);
    snprintf(text, sizeof text, "XDG_CACHE_HOME=%s", in_folder("home"));
    assert_works(text, 1);
    expect(0, "the pipeline cache was not written");
    set_home_writable(true);
    if (!mounts)
        assert_int_equal(chmod(in_folder("home/resnet-vk"), 0700), 0);
}

static void test_damaged_cache(void **state) {
    (void)state;
    char text[256];
    snprintf(text, sizeof text, "XDG_CACHE_HOME=%s", in_folder("damaged"));
    assert_int_equal(mkdir(in_folder("damaged"), 0700), 0);
    assert_int_equal(mkdir(in_folder("damaged/resnet-vk"), 0700), 0);
    write_text("damaged/resnet-vk/pipelines", "RVKPIPE and then nonsense that is longer than the header of the file");
    assert_works(text, 0);
    struct copy replaced = copy_file("damaged/resnet-vk/pipelines");
    assert_memory_equal(replaced.bytes, "RVKPIPE", 8); /* the nonsense had a space there */
    free(replaced.bytes);
    assert_int_equal(chmod(replaced.path, 0), 0);
    assert_works(text, 0);
    assert_int_equal(unlink(replaced.path), 0);
    assert_int_equal(mkdir(replaced.path, 0700), 0);
    assert_works(text, 1);
    assert_int_equal(rmdir(replaced.path), 0);
}

/* Both start without a cache and write it; both are right, and what is left is sound. */
static void test_shared_cache(void **state) {
    (void)state;
    char line[2048];
    assert_int_equal(mkdir(in_folder("shared"), 0700), 0);
    setenv("XDG_CACHE_HOME", in_folder("shared"), 1);
    snprintf(line, sizeof line,
             "%s train " SMALL "--out %s/a >/dev/null 2>&1 & one=$!; %s train " SMALL
             "--out %s/b 2>&1 >/dev/null && wait $one",
             PROGRAM, folder, PROGRAM, folder);
    int code = run_line(line);
    if (code != 0 || strstr(output, "cache"))
        fail_msg("exit code %d: %s", code, output);
    struct copy a = copy_file("a/last.safetensors"), b = copy_file("b/last.safetensors");
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.bytes, b.bytes, a.size);
    free(a.bytes);
    free(b.bytes);
    assert_int_equal(run("train " SMALL "--verbose 2>&1 >/dev/null"), 0);
    expect(0, "shared/resnet-vk/pipelines is used");
    setenv("XDG_CACHE_HOME", in_folder("cache"), 1);
}

/* ---- set-up ---- */

static bool write_proc(const char *path, const char *text) {
    int descriptor = open(path, O_WRONLY);
    bool written = descriptor >= 0 && write(descriptor, text, strlen(text)) == (ssize_t)strlen(text);
    if (descriptor >= 0)
        close(descriptor);
    return written;
}

/* A name space of its own for mounts; without root that takes one for users too, where this user is root. */
static bool may_mount(void) {
    char users[64], groups[64];
    uid_t user = geteuid();
    snprintf(users, sizeof users, "0 %u 1", (unsigned)user);
    snprintf(groups, sizeof groups, "0 %u 1", (unsigned)getegid());
    if (unshare(user == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0)
        return false;
    if (user != 0 && !(write_proc("/proc/self/uid_map", users) && write_proc("/proc/self/setgroups", "deny") &&
                       write_proc("/proc/self/gid_map", groups)))
        return false;
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* Mesa maps a cache of its own into memory, which on a full disk ends in SIGBUS: it stays where it was. */
static void keep_cache_of_driver(void) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char path[512];
    snprintf(path, sizeof path, "%s%s", cache ? cache : home ? home : "/tmp", cache ? "" : "/.cache");
    setenv("MESA_SHADER_CACHE_DIR", path, 0);
}

static int setup(void **state) {
    keep_cache_of_driver();
    if (make_folder(state) != 0 || mkdir(in_folder("cache"), 0700) != 0)
        return -1;
    mounts = may_mount();
    if (!mounts)
        print_message("no file system can be mounted here (%s): the tests of small disks are left out\n",
                      strerror(errno));
    setenv("XDG_CACHE_HOME", in_folder("cache"), 1);
    return 0;
}

static int teardown(void **state) {
    if (mounts) {
        umount(in_folder("disk"));
        umount(in_folder("reports"));
        umount(in_folder("products"));
        umount(in_folder("home"));
    }
    return remove_folder(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_file),    cmocka_unit_test(test_limit),
        cmocka_unit_test(test_small_disk),    cmocka_unit_test(test_report),
        cmocka_unit_test(test_products),      cmocka_unit_test(test_cut_log),
        cmocka_unit_test(test_no_home),       cmocka_unit_test(test_read_only_home),
        cmocka_unit_test(test_damaged_cache), cmocka_unit_test(test_shared_cache),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

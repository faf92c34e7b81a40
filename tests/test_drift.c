/*
 * Nothing leaks and nothing drifts: memory, Vulkan objects and open files stay as they are over many steps and many
 * contexts, and contexts in different threads leave each other's bits alone (the preset tsan watches them for races).
 * TEST_STEPS: so many steps instead of 500.
 */
#include "vk_objects.h"

#include "test.h"

#include "resnet_vk.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* memory that was freed is kept for a while, and counted by others */
#else
enum { SANITIZED = 0 };
#endif

/*
 * What may come and go: a line of the log that is being written, and pages that the driver and its compiler map and
 * unmap (lavapipe, Mesa 22.3.6: up to 4 MiB for a while, on a floor that rose by 0.1 MiB in 60 contexts while the heap
 * stayed the same to the byte). So the lowest reading of the second half is held to the lowest of the first.
 */
enum { HEAP_SLACK = 16 * 1024, FLOOR_SLACK = 2048 * 1024 };

static char folder[] = "/tmp/test_drift_XXXXXX";

/* ---- what the process holds ---- */

struct holdings {
    long heap_bytes, resident_bytes, files, device_bytes;
    long objects[OBJECT_TYPES];
};

static long resident_bytes(void) {
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &pages, &resident), 2);
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

static long open_files(void) {
    long count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

/* Exactly what is allocated; 0 where the C library does not tell. */
static long heap_bytes(void) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    struct mallinfo2 heap = mallinfo2();
    return (long)(heap.uordblks + heap.hblkhd);
#else
    return 0;
#endif
}

static struct holdings hold(const struct rvk_context *context) {
    struct holdings now = {.heap_bytes = heap_bytes(), .files = open_files()};
    now.resident_bytes = SANITIZED ? 0 : resident_bytes();
    if (context)
        now.device_bytes = (long)rvk_get_counters(context).device_bytes;
    for (int i = 0; i < OBJECT_TYPES; i++)
        now.objects[i] = atomic_load(&vk_object_counts[i]);
    return now;
}

static void expect_at_most(const char *what, long before, long now, long slack, const char *since) {
    if (now > before + slack)
        fail_msg("%s: %ld, %ld %s", what, now, before, since);
}

/* Nothing has grown; what is resident is another matter, see struct level. */
static void compare(const struct holdings *before, const struct holdings *now, const char *since) {
    expect_at_most("open files", before->files, now->files, 0, since);
    expect_at_most("bytes on the device", before->device_bytes, now->device_bytes, 0, since);
    for (int i = 0; i < OBJECT_TYPES; i++)
        expect_at_most(vk_object_names[i], before->objects[i], now->objects[i], 0, since);
    expect_at_most("bytes in use on the heap", before->heap_bytes, now->heap_bytes, HEAP_SLACK, since);
}

/* The lowest resident bytes of the first and of the second half of the readings. */
struct level {
    long lowest[2];
};

static void level_add(struct level *level, const struct holdings *now, bool second) {
    long *lowest = &level->lowest[second];
    if (*lowest == 0 || now->resident_bytes < *lowest)
        *lowest = now->resident_bytes;
}

static void level_check(const struct level *level) {
    assert_true(SANITIZED || (level->lowest[0] > 0 && level->lowest[1] > 0));
    expect_at_most("least resident bytes", level->lowest[0], level->lowest[1], FLOOR_SLACK, "in the first half");
}

/* After the last device was closed. */
static struct holdings expect_nothing_left(void) {
    struct holdings now = hold(NULL);
    for (int i = 0; i < OBJECT_TYPES; i++)
        expect_at_most(vk_object_names[i], 0, now.objects[i], 0, "should be left of them");
    return now;
}

/* ---- many steps ---- */

enum { SETTLED = 100, EVERY = 10, EPOCHS = 64 };

struct watch {
    struct rvk_context *context;
    uint32_t steps, half;
    struct holdings settled, last;
    struct level level;
};

static void on_step(void *user, const struct rvk_progress *progress) {
    struct watch *watch = user;
    (void)progress;
    if (++watch->steps == SETTLED)
        watch->settled = hold(watch->context);
    if (watch->steps <= SETTLED || watch->steps % EVERY != 0)
        return;
    watch->last = hold(watch->context);
    level_add(&watch->level, &watch->last, watch->steps > watch->half);
    compare(&watch->settled, &watch->last, "after 100 steps");
}

static struct rvk_context *open_context(void) {
    struct rvk_context *context;
    if (rvk_open(&(struct rvk_open_options){.no_cache = true}, &context) != RVK_OK)
        fail_msg("%s", rvk_message());
    return context;
}

/* Epochs of 16 steps. */
static struct rvk_train_options small(uint32_t epochs) {
    return (struct rvk_train_options){
        .model = "resnet8",
        .data = "generated:count=80,classes=4,size=8",
        .batch = 4,
        .eval_batch = 16,
        .validation_split = 0.2,
        .epochs = epochs,
        .overwrite = true,
    };
}

static void train(struct rvk_context *context, const struct rvk_train_options *options) {
    struct rvk_train_result result;
    if (rvk_train(context, options, &result) != RVK_OK)
        fail_msg("%s", rvk_message());
}

static void steps(void **state) {
    (void)state;
    const char *text = getenv("TEST_STEPS");
    uint32_t count = text ? (uint32_t)strtoul(text, NULL, 10) : SANITIZED ? 150 : 500;
    long files = open_files();
    struct watch watch = {.context = open_context(), .half = (SETTLED + count) / 2};
    struct rvk_train_options options = small(EPOCHS);
    char data[64];
    /* Each epoch ends with validation, a checkpoint and the curve, which has as many points however long it is. */
    snprintf(data, sizeof data, "generated:count=%u,classes=4,size=8", (count / EPOCHS + 1) * 5);
    options.data = data;
    options.out = folder;
    options.save_steps = 7;
    options.on_step = on_step;
    options.user = &watch;
    train(watch.context, &options);
    level_check(&watch.level);
    assert_true(watch.steps >= count && watch.last.device_bytes > 0);
    assert_true(watch.last.objects[OBJECT_Pipeline] > 10 && watch.last.objects[OBJECT_CommandBuffer] > 4);
    rvk_close(watch.context);
    expect_at_most("open files", files, expect_nothing_left().files, 0, "before the device was opened");
    print_message("%u steps: heap %+ld, resident %+ld, device %+ld bytes, %+ld files since step 100\n", watch.steps,
                  watch.last.heap_bytes - watch.settled.heap_bytes, watch.level.lowest[1] - watch.level.lowest[0],
                  watch.last.device_bytes - watch.settled.device_bytes, watch.last.files - watch.settled.files);
}

/* ---- many contexts ---- */

/* The first two may leave behind what loader and driver make once. */
static void contexts(void **state) {
    (void)state;
    enum { CONTEXTS = SANITIZED ? 5 : 20, FIRST = 2 };
    struct holdings settled = {0}, now = {0};
    struct level level = {{0, 0}};
    struct rvk_train_options options = small(1);
    options.steps = 2;
    options.out = folder;
    for (int i = 0; i < CONTEXTS; i++) {
        struct rvk_context *context = open_context();
        train(context, &options);
        rvk_close(context);
        now = expect_nothing_left();
        if (i == FIRST - 1)
            settled = now;
        if (i < FIRST)
            continue;
        compare(&settled, &now, "after two contexts");
        level_add(&level, &now, i >= (FIRST + CONTEXTS) / 2);
    }
    level_check(&level);
    print_message("%d contexts: heap %+ld, resident %+ld bytes since the second\n", CONTEXTS,
                  now.heap_bytes - settled.heap_bytes, level.lowest[1] - level.lowest[0]);
}

/* ---- many threads ---- */

/* A context of its own in a thread of its own, with the user's caches; nothing of cmocka may be called there. */
struct run {
    struct rvk_train_options options;
    char out[64];
    enum rvk_status status;
    char message[256];
};

static void *run_alone(void *argument) {
    struct run *run = argument;
    struct rvk_train_result result;
    struct rvk_context *context;
    run->options.out = run->out;
    run->status = rvk_open(NULL, &context);
    if (run->status == RVK_OK)
        run->status = rvk_train(context, &run->options, &result);
    if (run->status != RVK_OK)
        snprintf(run->message, sizeof run->message, "%s", rvk_message());
    rvk_close(context);
    return NULL;
}

/* Two runs that have nothing in common. Their checkpoints go to OUT-0 and OUT-1. */
static void make_runs(struct run runs[2], const char *out) {
    for (int i = 0; i < 2; i++) {
        runs[i] = (struct run){.options = small(2)};
        snprintf(runs[i].out, sizeof runs[i].out, "%s/%s-%d", folder, out, i);
        runs[i].options.seed = (uint32_t)i + 1;
    }
    runs[1].options.style = "keras";
    runs[1].options.optimizer = "adam";
    runs[1].options.data = "generated:count=80,classes=7,size=12";
}

static size_t read_weights(const char *out, char *bytes, size_t size) {
    char path[128];
    snprintf(path, sizeof path, "%s/last.safetensors", out);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t length = fread(bytes, 1, size, file);
    fclose(file);
    assert_true(length > 100000 && length < size);
    return length;
}

/* Each run in a process of its own, before this one has done anything. */
static int run_solo(void **state) {
    (void)state;
    struct run solo[2];
    make_runs(solo, "solo");
    for (int i = 0; i < 2; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            run_alone(&solo[i]);
            _exit((int)solo[i].status);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
            return -1;
    }
    return 0;
}

static void threads(void **state) {
    (void)state;
    static char bytes[2][1 << 21];
    struct run solo[2], pair[2];
    pthread_t ids[2];
    make_runs(solo, "solo");
    make_runs(pair, "pair");
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, run_alone, &pair[i]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
        if (pair[i].status != RVK_OK)
            fail_msg("%s: %s", pair[i].out, pair[i].message);
    }
    for (int i = 0; i < 2; i++) {
        size_t size = read_weights(solo[i].out, bytes[0], sizeof bytes[0]);
        assert_int_equal(read_weights(pair[i].out, bytes[1], sizeof bytes[1]), size);
        if (memcmp(bytes[0], bytes[1], size) != 0)
            fail_msg("run %d has other bits beside another run than alone", i);
    }
}

/* The allocator's caches of each thread would count as memory in use. */
static void count_exactly(char **arguments) {
    if (getenv("GLIBC_TUNABLES"))
        return;
    setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1", 1);
    execv("/proc/self/exe", arguments);
}

static int remove_folder(void **state) {
    (void)state;
    char line[64];
    snprintf(line, sizeof line, "rm -r %s", folder);
    return system(line);
}

int main(int argc, char **argv) {
    (void)argc;
    count_exactly(argv);
    if (!mkdtemp(folder) || setenv("XDG_CACHE_HOME", folder, 1) != 0 || vk_objects_count() != STATUS_OK)
        return EXIT_FAILURE;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps),
        cmocka_unit_test(contexts),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, run_solo, remove_folder);
}

/*
 * kill -9 at random moments of a run that saves every other step: the checkpoint that is there is always whole, the run
 * goes on from it, no leftovers pile up, and in the end there are the bits of a run that nobody disturbed.
 *
 * Half of the rounds wait for the file that a checkpoint is being written to, and try to kill within it.
 * TEST_ROUNDS: kills, 10; more until one was within it.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "train/checkpoint.h"

#include "program.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LAST "last.safetensors"
enum { STEPS = 6, EPOCHS = 8, SAVE_STEPS = 2 };

static char run_folder[64], last[96], messages[64];
static uint32_t draws;

/* ---- the run ---- */

static pid_t start(void) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0)
        return child;
    bool resume = file_exists(last);
    if (!freopen("/dev/null", "w", stdout) || !freopen(messages, "w", stderr))
        _exit(99);
    if (resume)
        execl(PROGRAM, PROGRAM, "train", "--resume", last, "--save-steps", "2", (char *)NULL);
    execl(PROGRAM, PROGRAM, "train", "--model", "resnet8", "--data", "generated:count=96,classes=4,size=8", "--batch",
          "16", "--eval-batch", "32", "--epochs", "8", "--save-steps", "2", "--overwrite", "--out", run_folder,
          (char *)NULL);
    _exit(99);
}

/* True when it came to its end, false when it was killed. Nothing else may happen. */
static bool reap(pid_t child) {
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return false;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    uint8_t *text = NULL;
    size_t size;
    if (file_read(messages, 1 << 20, &text, &size) != STATUS_OK)
        fail_msg("status %#x", (unsigned)status);
    fail_msg("status %#x: %s", (unsigned)status, (const char *)text);
    return false;
}

/* ---- what is in its folder ---- */

/* Steps done by the checkpoint; 0: there is none. */
static uint32_t check_checkpoint(const char *path) {
    struct checkpoint checkpoint;
    if (!file_exists(path))
        return 0;
    if (checkpoint_open(path, &checkpoint) != STATUS_OK)
        fail_msg("%s", status_message());
    uint32_t done = checkpoint.state.epoch * STEPS + checkpoint.state.step;
    assert_true(checkpoint.has_state);
    assert_int_equal(checkpoint.state.step % SAVE_STEPS, 0);
    assert_int_equal(checkpoint.state.updates, done);
    checkpoint_close(&checkpoint);
    return done;
}

static bool is_temporary(const char *name) {
    const char *end = strstr(name, ".tmp");
    return end && end[4] == '\0';
}

static int count_temporaries(void) {
    DIR *directory = opendir(run_folder);
    int count = 0;
    if (!directory)
        return 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += is_temporary(entry->d_name);
    closedir(directory);
    return count;
}

/* Every line is whole, and no resumption went back behind the one before. */
static void check_log(void) {
    char path[96];
    double before = 0;
    snprintf(path, sizeof path, "%s/log.jsonl", run_folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (char line[8192]; fgets(line, sizeof line, file);) {
        json_t *json = json_loads(line, 0, NULL);
        const char *event = json_string_value(json_object_get(json, "event"));
        if (!event)
            fail_msg("the log holds: %s", line);
        if (strcmp(event, "resume") == 0) {
            double at = STEPS * json_number_value(json_object_get(json, "epoch")) +
                        json_number_value(json_object_get(json, "step"));
            assert_true(at >= before);
            before = at;
        }
        json_decref(json);
    }
    fclose(file);
}

static void assert_same(const char *a, const char *b) {
    uint8_t *left, *right;
    size_t left_size, right_size;
    assert_int_equal(file_read(a, 1 << 24, &left, &left_size), STATUS_OK);
    assert_int_equal(file_read(b, 1 << 24, &right, &right_size), STATUS_OK);
    assert_int_equal(left_size, right_size);
    if (memcmp(left, right, left_size) != 0)
        fail_msg("%s and %s differ", a, b);
    free(left);
    free(right);
}

/* Compares the finished run with the undisturbed one and clears its folder. */
static void finish_chain(void) {
    char line[160];
    assert_int_equal(check_checkpoint(last), EPOCHS * STEPS);
    assert_same(last, in_folder("undisturbed/" LAST));
    assert_same(in_folder("run/best.safetensors"), in_folder("undisturbed/best.safetensors"));
    assert_int_equal(count_temporaries(), 0);
    check_log();
    snprintf(line, sizeof line, "rm -r %s", run_folder);
    assert_int_equal(system(line), 0);
}

/* ---- moments ---- */

static void sleep_ns(uint64_t ns) {
    nanosleep(&(struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)}, NULL);
}

/* Below `limit`. */
static uint64_t draw(uint64_t limit) {
    return (uint64_t)((double)limit * random_uniform(7, 0, draws++));
}

static int open_watch(void) {
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    assert_true(watch >= 0);
    mkdir(run_folder, 0777);
    assert_true(inotify_add_watch(watch, run_folder, IN_CREATE) >= 0);
    return watch;
}

/* Returns when `saves` temporary files were made since the watch was opened; after 5 s, or at the run's end, anyway. */
static void wait_for_saves(int watch, int saves, pid_t child) {
    char events[4096] __attribute__((aligned(8)));
    struct pollfd poll_watch = {.fd = watch, .events = POLLIN};
    siginfo_t ended = {0};
    for (uint64_t end = clock_ns() + 5000000000; saves > 0 && clock_ns() < end && !ended.si_pid;) {
        poll(&poll_watch, 1, 50);
        ssize_t size = read(watch, events, sizeof events);
        for (ssize_t at = 0; at < size;) {
            const struct inotify_event *event = (const void *)(events + at);
            saves -= event->len && is_temporary(event->name);
            at += (ssize_t)(sizeof *event + event->len);
        }
        waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT);
    }
}

struct tally {
    int lives, kills, early, saving, chains;
};

/* One life of the run. It ends in its first part, shortly after a save, or within one. */
static void live(struct tally *tally) {
    static const uint64_t longest_ns[] = {400000000, 30000000, 500000, 1};
    uint32_t before = check_checkpoint(last), moment = (uint32_t)tally->lives++ % COUNT(longest_ns);
    int watch = open_watch();
    pid_t child = start();
    wait_for_saves(watch, moment == 0 ? 0 : 1 + (int)draw(12), child);
    sleep_ns(draw(longest_ns[moment]));
    close(watch);
    kill(child, SIGKILL);
    if (reap(child)) {
        finish_chain();
        tally->chains++;
        return;
    }
    uint32_t after = check_checkpoint(last);
    assert_true(after >= before);
    check_checkpoint(in_folder("run/best.safetensors"));
    int temporaries = count_temporaries();
    assert_in_range(temporaries, 0, 1);
    tally->kills++;
    tally->early += after == before;
    tally->saving += temporaries;
}

static void test_kill(void **state) {
    (void)state;
    const char *text = getenv("TEST_ROUNDS");
    int rounds = text ? atoi(text) : 10;
    struct tally tally = {0};
    while (tally.kills < rounds ||
           (tally.saving == 0 && tally.kills < 10 * rounds)) /* a write may last a millisecond */
        live(&tally);
    assert_true(reap(start()));
    finish_chain();
    print_message(
        "%d kills: %d while a file was written, %d before the first save; %d runs ended with the right bits\n",
        tally.kills, tally.saving, tally.early, tally.chains + 1);
    assert_true(tally.saving > 0);
}

/* The undisturbed run, which also fills the pipeline cache. */
static int setup(void **state) {
    char cache[96], line[128];
    if (make_folder(state) != 0)
        return -1;
    snprintf(cache, sizeof cache, "%s/cache", folder);
    if (mkdir(cache, 0700) != 0 || setenv("XDG_CACHE_HOME", cache, 1) != 0)
        return -1;
    snprintf(run_folder, sizeof run_folder, "%s/run", folder);
    snprintf(last, sizeof last, "%s/" LAST, run_folder);
    snprintf(messages, sizeof messages, "%s/messages", folder);
    snprintf(line, sizeof line, "mv -T %s %s", run_folder, in_folder("undisturbed"));
    return reap(start()) ? system(line) : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kill)};
    return cmocka_run_group_tests(tests, setup, remove_folder);
}

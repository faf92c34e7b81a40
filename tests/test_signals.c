/* What stops a training: signals, and a reader of its output that goes away. The state is saved whenever that is
 * possible.
 */
#include "program.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define GENERATED "generated:count=96,classes=4,size=16"

static void sleep_ms(long ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* Starts an endless training that saves into the folder `path`. With `nohup` SIGHUP is ignored from the start. */
static pid_t start(const char *device, const char *model, const char *path, bool nohup) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0)
        return child;
    if (nohup)
        signal(SIGHUP, SIG_IGN);
    if (freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr))
        execl(PROGRAM, PROGRAM, "train", "--device", device, "--model", model, "--data", GENERATED, "--batch", "16",
              "--epochs", "100000", "--out", path, (char *)NULL);
    _exit(99);
}

/* Waits until there is a line about `event` in the run's log. */
static void wait_for(const char *path, const char *event) {
    char name[128], text[1 << 14], word[32];
    snprintf(name, sizeof name, "%s/log.jsonl", path);
    snprintf(word, sizeof word, "\"event\":\"%s\"", event);
    for (int i = 0; i < 6000; i++) {
        FILE *file = fopen(name, "r");
        size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
        if (file)
            fclose(file);
        text[size] = 0;
        if (strstr(text, word))
            return;
        sleep_ms(10);
    }
    fail_msg("%s does not tell of an event %s", name, event);
}

/* Its status when it ends. */
static int reap(pid_t child) {
    int status;
    for (int i = 0; i < 3000; i++) {
        if (waitpid(child, &status, WNOHANG) == child)
            return status;
        sleep_ms(10);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    fail_msg("the run did not end");
    return status;
}

static void assert_resumes(const char *path) {
    assert_int_equal(run("train --device cpu --resume %s/last.safetensors --steps 1 --json 2>&1 >/dev/null", path), 0);
}

/* A run that is stopped by a signal saves, exits with `code`, and can be resumed. */
static void interrupt(const char *device, int number, int code) {
    char path[64];
    snprintf(path, sizeof path, "%s/stopped-%d", folder, number);
    pid_t child = start(device, "resnet8", path, false);
    wait_for(path, "epoch");
    assert_int_equal(kill(child, number), 0);
    int status = reap(child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
    wait_for(path, "stop");
    assert_resumes(path);
}

static void test_one_signal(void **state) {
    (void)state;
    interrupt("0", SIGINT, 130);
    interrupt("0", SIGTERM, 143);
    interrupt("cpu", SIGHUP, 143);
}

/* False when the first signal came between two steps, so that there was nothing to wait for. */
static bool stop_twice(const char *path) {
    char first[96];
    int status;
    snprintf(first, sizeof first, "%s/last.safetensors", path);
    pid_t child = start("cpu", "resnet110", path, false); /* steps of seconds */
    for (int i = 0; i < 6000 && access(first, F_OK) != 0; i++)
        sleep_ms(10);
    sleep_ms(300);
    assert_int_equal(kill(child, SIGINT), 0);
    sleep_ms(100);
    if (waitpid(child, &status, WNOHANG) == child) {
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 130);
        return false;
    }
    assert_int_equal(kill(child, SIGTERM), 0);
    status = reap(child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    return true;
}

/* The first signal waits for the end of the step; the second one, also another one, does not. */
static void test_two_signals(void **state) {
    (void)state;
    char path[64];
    bool stopped = false;
    for (int i = 0; i < 5 && !stopped; i++) {
        snprintf(path, sizeof path, "%s/twice-%d", folder, i);
        stopped = stop_twice(path);
    }
    assert_true(stopped);
    assert_resumes(path);
}

static void test_nohup(void **state) {
    (void)state;
    char path[64];
    int status;
    snprintf(path, sizeof path, "%s/nohup", folder);
    pid_t child = start("cpu", "resnet8", path, true);
    wait_for(path, "epoch");
    assert_int_equal(kill(child, SIGHUP), 0);
    sleep_ms(500);
    assert_int_equal(waitpid(child, &status, WNOHANG), 0);
    assert_int_equal(kill(child, SIGTERM), 0);
    status = reap(child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 143);
}

/* "... | head": the reader leaves after a line or two. */
static void test_reader_leaves(void **state) {
    (void)state;
    static const char *const forms[] = {"--json", ""};
    for (int i = 0; i < 2; i++) {
        char path[64], line[1024];
        snprintf(path, sizeof path, "%s/piped-%d", folder, i);
        snprintf(line, sizeof line,
                 "( %s train --device cpu --model resnet8 --data " GENERATED
                 " --batch 16 --epochs 60 --out %s %s 2>%s/messages; echo $? >%s/code ) | head -n 3; "
                 "cat %s/messages; exit $(cat %s/code)",
                 PROGRAM, path, forms[i], folder, folder, folder, folder);
        assert_int_equal(run_line(line), 8);
        expect(8, "the output could not be written: stopped in epoch ");
        wait_for(path, "stop");
        assert_resumes(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_signal), cmocka_unit_test(test_two_signals),
                                       cmocka_unit_test(test_nohup), cmocka_unit_test(test_reader_leaves)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

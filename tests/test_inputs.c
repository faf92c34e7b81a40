/*
 * What people give to commands by mistake: pipes that nobody writes to, huge files of nothing, files that may not be
 * read, streams that are closed. The answer is one sentence and the exit code that is documented, at once.
 */
#include "data/safetensors.h"

#include "pictures.h"

#include "program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define WEIGHTS "--device cpu --weights run/last.safetensors"
#define TRAIN "train --device cpu --model resnet8 --batch 8 --epochs 1 "

/* Runs the program in the folder, where names are short; in a shell that did `before`. */
static int run_here(const char *before, const char *arguments) {
    char line[1024];
    snprintf(line, sizeof line, "cd %s; %s timeout -k 1 20 %s %s 2>&1", folder, before, PROGRAM, arguments);
    return run_line(line);
}

/* Fails unless this is the answer, in one sentence behind warnings. */
static void expect_answer(const char *before, const char *arguments, int expected, const char *sentence) {
    int code = run_here(before, arguments), lines = 0;
    if (code != expected || !strstr(output, sentence))
        fail_msg("%s: exit code %d, not %d, or \"%s\" is not in: %s", arguments, code, expected, sentence, output);
    for (const char *at = output; (at = strstr(at, "resnet-vk: ")) != NULL; at++)
        lines += strncmp(at, "resnet-vk: warning: ", 20) != 0;
    assert_int_equal(lines, 1);
}

static int set_up(void **state) {
    char path[256];
    if (make_folder(state) != 0 || chmod(folder, 0755) != 0)
        return -1;
    for (uint32_t i = 0; i < 40; i++) {
        snprintf(path, sizeof path, "%s/data/%c/%u.png", folder, "ab"[i % 2], i / 2);
        write_picture(path, 8, 8, i % 2, i);
    }
    write_picture(in_folder("good.png"), 9, 9, 0, 1);
    if (mkfifo(in_folder("pipe.png"), 0600) != 0 || mkfifo(in_folder("pipe.safetensors"), 0600) != 0)
        return -1;
    return run_here("", TRAIN "--data folder:data --out run");
}

/* ---- pipes ---- */

static void test_pipes(void **state) {
    (void)state;
    static const char reason[] = "pipe.safetensors is a pipe or a device; weights are read from files only";
    expect_answer("", "predict pipe.png " WEIGHTS, 3, "warning: pipe.png: the file is empty; it is left out");
    expect_answer("", "predict --list pipe.png " WEIGHTS, 3, "the list of files is empty");
    expect_answer("", "predict good.png --device cpu --weights pipe.safetensors", 3, reason);
    expect_answer("", "eval --device cpu --weights pipe.safetensors", 3, reason);
    expect_answer("", TRAIN "--data folder:data --weights pipe.safetensors", 3, reason);
    expect_answer("", "train --device cpu --resume pipe.safetensors", 3, "0 bytes are too few");
    expect_answer("", "convert pipe.safetensors out.safetensors", 3, reason);
    expect_answer("", "convert run/last.safetensors pipe.safetensors", 8, ": nobody reads from this pipe");
    expect_answer("", "eval " WEIGHTS " --data tar:pipe.png", 3, "pipe.png is no file that can be read by offset");
    expect_answer("", "eval " WEIGHTS " --html pipe.png", 8, "pipe.png: nobody reads from this pipe");
    /* One that somebody writes to is waited for, and read to its end. */
    assert_int_equal(run_here("{ sleep 0.3; echo good.png; } |", "predict --list /dev/stdin --top 1 " WEIGHTS), 0);
    expect(0, "good.png  ");
}

/* ---- huge files ---- */

/* Nothing of them but the beginning is read. */
static void test_sparse(void **state) {
    (void)state;
    static const char *const names[] = {"s.safetensors", "s.pth", "s.json", "s.index.json", "s.jpg"};
    char arguments[256];
    struct rusage usage;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        write_file(in_folder(names[i]), "", 0);
        assert_int_equal(truncate(in_folder(names[i]), 1 << 30), 0);
        snprintf(arguments, sizeof arguments, "convert %s out.safetensors", names[i]);
        expect_answer("", arguments, 3, "the header is not a JSON object: no safetensors file");
        snprintf(arguments, sizeof arguments, "predict %s " WEIGHTS, names[i]);
        expect_answer("", arguments, 3, ": 1073741824 bytes, more than the limit");
        snprintf(arguments, sizeof arguments, "eval " WEIGHTS " --data tar:%s", names[i]);
        expect_answer("", arguments, 3, names[i]);
    }
    expect_answer("", "train --device cpu --resume s.safetensors", 3, "no safetensors file");
    expect_answer("", TRAIN "--data folder:data --model s.json", 3, "more than the limit of 65536");
    expect_answer("", "compare s.json --device cpu", 3, "more than the limit of 65536");
    assert_int_equal(getrusage(RUSAGE_CHILDREN, &usage), 0);
    assert_true(usage.ru_maxrss < 700000); /* KiB */
}

/* Only the header says that the picture is large. */
static void test_large_claim(void **state) {
    (void)state;
    static const uint8_t claim[] = {0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60, 8, 2, 0, 0, 0, 0x0F, 0xB0, 0xE2, 0x15};
    size_t size;
    uint8_t *bytes = encode_picture(".png", 8, 8, 0, 1, &size);
    memcpy(bytes + 16, claim, sizeof claim);
    write_file(in_folder("claim.png"), bytes, size);
    free(bytes);
    expect_answer("", "predict claim.png " WEIGHTS, 3, "warning: claim.png: the picture has 60000x60000 pixels");
}

/* ---- folders, permissions ---- */

static void test_folders(void **state) {
    (void)state;
    assert_int_equal(mkdir(in_folder("empty"), 0777), 0);
    assert_int_equal(mkdir(in_folder("data/a/folder.png"), 0777), 0); /* a folder in a class is part of it */
    assert_int_equal(mkfifo(in_folder("data/a/pipe.png"), 0600), 0);  /* is left out */
    expect_answer("", "predict empty " WEIGHTS, 3, "no pictures (.jpg, .jpeg, .png)");
    expect_answer("", "eval --data folder:empty " WEIGHTS, 3, "no pictures (.jpg, .jpeg, .png)");
    expect_answer("", TRAIN "--data folder:empty", 3, "no pictures (.jpg, .jpeg, .png)");
    assert_int_equal(run_here("", "compare resnet8 --device cpu --data folder:empty"), 3);
    expect(3, "no pictures (.jpg, .jpeg, .png)");
    expect_answer("", "convert empty out.safetensors", 3, "empty: Is a directory");
    expect_answer("", "convert run/last.safetensors empty.onnx/x.onnx", 8, "empty.onnx/x.onnx: No such file");
    expect_answer("", "eval " WEIGHTS " --html empty", 8, "empty: Is a directory");
    assert_int_equal(run_here("", "eval --training --data folder:data " WEIGHTS), 0);
    expect(0, " on 36 images");
}

static void test_permissions(void **state) {
    (void)state;
    const char *before = geteuid() == 0 ? "HOME=/nonexistent setpriv --reuid 65534 --clear-groups" : "";
    write_picture(in_folder("secret.png"), 9, 9, 0, 1);
    write_picture(in_folder("data/a/secret.png"), 8, 8, 0, 1);
    write_file(in_folder("secret.safetensors"), "nothing", 7);
    assert_int_equal(chmod(in_folder("secret.png"), 0), 0);
    assert_int_equal(chmod(in_folder("data/a/secret.png"), 0), 0);
    assert_int_equal(chmod(in_folder("secret.safetensors"), 0), 0);
    expect_answer(before, "predict secret.png " WEIGHTS, 3, "warning: secret.png: Permission denied; it is left out");
    expect_answer(before, "convert secret.safetensors out.safetensors", 8, "secret.safetensors: Permission denied");
    expect_answer(before, "convert run/last.safetensors out.safetensors", 8, ": Permission denied");
    expect_answer(before, "eval --training --data folder:data --broken 0 " WEIGHTS, 3,
                  "data/a/secret.png: Permission denied; so more than 0 of");
    assert_int_equal(run_here(before, "eval --training --data folder:data " WEIGHTS), 0);
    expect(0, "warning: data/a/secret.png: Permission denied; it is left out");
    assert_int_equal(unlink(in_folder("data/a/secret.png")), 0);
}

/* ---- streams ---- */

static bool is_json_lines(const char *path) {
    FILE *file = fopen(path, "r");
    bool sound = file != NULL;
    char line[1 << 14];
    while (sound && fgets(line, sizeof line, file)) {
        json_t *json = json_loads(line, 0, NULL);
        sound = json != NULL;
        json_decref(json);
    }
    if (file)
        fclose(file);
    return sound;
}

/* A file does not become the stream that was closed, in which warnings and results then land. */
static void test_closed_streams(void **state) {
    (void)state;
    write_file(in_folder("data/b/broken.png"), "no picture", 10);
    char line[512];
    snprintf(line, sizeof line, "cd %s; %s " TRAIN "--data folder:data --out closed 2>&- <&-", folder, PROGRAM);
    assert_int_equal(run_line(line), 0);
    assert_true(is_json_lines(in_folder("closed/log.jsonl")));
    snprintf(line, sizeof line, "cd %s; %s " TRAIN "--data folder:data --out closed2 2>&- >&-", folder, PROGRAM);
    assert_int_equal(run_line(line), 8);
    assert_true(is_json_lines(in_folder("closed2/log.jsonl")));
    assert_int_equal(unlink(in_folder("data/b/broken.png")), 0);
    snprintf(line, sizeof line, "cd %s; %s predict good.png " WEIGHTS " 2>&1 >&-", folder, PROGRAM);
    assert_int_equal(run_line(line), 8);
    expect(8, "resnet-vk: the output could not be written: stopped after 1 of 1 images\n");
    snprintf(line, sizeof line, "cd %s; %s predict - " WEIGHTS " 2>&1 <&-", folder, PROGRAM);
    assert_int_equal(run_line(line), 8);
    expect(8, "resnet-vk: standard input: Bad file descriptor\n");
}

/* ---- signals while something is waited for ---- */

/* Starts "convert --list" of many tensors into a pipe that nobody reads: it hangs in its output. */
static pid_t start_listing(const char *dtype, int output_pipe[2]) {
    enum { TENSORS = 3000 };
    static float value;
    static char names[TENSORS][32];
    static struct safetensors_tensor tensors[TENSORS];
    for (int i = 0; i < TENSORS; i++) {
        snprintf(names[i], sizeof names[i], "tensor.%d.weight", i);
        tensors[i] = (struct safetensors_tensor){
            .name = names[i], .dtype = SAFETENSORS_F32, .rank = 1, .shape = {1}, .bytes = &value, .size = sizeof value};
    }
    assert_int_equal(safetensors_write(in_folder("many.safetensors"), tensors, TENSORS, NULL, 0), STATUS_OK);
    assert_int_equal(pipe(output_pipe), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(output_pipe[1], STDOUT_FILENO);
        dup2(output_pipe[1], STDERR_FILENO);
        close(output_pipe[0]);
        execl(PROGRAM, PROGRAM, "convert", "--list", "--dtype", dtype, in_folder("many.safetensors"),
              in_folder("kept.safetensors"), (char *)NULL);
        _exit(99);
    }
    close(output_pipe[1]);
    return child;
}

/* Reads the pipe to its end; the last bytes are in `output`. */
static void drain(int pipe) {
    size_t length = 0;
    for (ssize_t got; (got = read(pipe, output + length, sizeof output - 1 - length)) > 0;)
        length += (size_t)got;
    output[length] = 0;
    close(pipe);
}

static void test_convert_stops(void **state) {
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++) {
        int pipe[2], status;
        write_file(in_folder("kept.safetensors"), "old", 3);
        pid_t child = start_listing(i ? "f16" : "keep", pipe);
        nanosleep(&(struct timespec){.tv_nsec = 700000000}, NULL);
        assert_int_equal(kill(child, signals[i]), 0);
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* it breaks off what is being written */
        drain(pipe[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), i ? 143 : 130);
        expect(130, "resnet-vk: stopped before anything was written\n");
        char line[256];
        snprintf(line, sizeof line, "cat %s; ls -A %s | grep -c tmp", in_folder("kept.safetensors"), folder);
        run_line(line);
        assert_string_equal(output, "old0\n");
    }
}

static void test_list_stops(void **state) {
    (void)state;
    char line[512];
    snprintf(line, sizeof line,
             "cd %s; sleep 3 | timeout --foreground --preserve-status -s INT 1 %s predict - " WEIGHTS " 2>&1", folder,
             PROGRAM);
    assert_int_equal(run_line(line), 130);
    expect(130, "resnet-vk: stopped while standard input was read\n");
    snprintf(line, sizeof line,
             "cd %s; yes | timeout --foreground --preserve-status -s TERM 1 %s predict - " WEIGHTS " 2>&1", folder,
             PROGRAM);
    assert_int_equal(run_line(line), 143);
    expect(143, "resnet-vk: stopped while standard input was read\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipes),         cmocka_unit_test(test_sparse),      cmocka_unit_test(test_large_claim),
        cmocka_unit_test(test_folders),       cmocka_unit_test(test_permissions), cmocka_unit_test(test_closed_streams),
        cmocka_unit_test(test_convert_stops), cmocka_unit_test(test_list_stops),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}

/* compare: runs like those of train, that go on, fail alone and are summed up. */
#include "base/file.h"
#include "base/memory.h"
#include "cli/compare.h"

#include "html.h"
#include "program.h"

#include <math.h>
#include <unistd.h>

#define DATA "--data generated:count=160,classes=4,size=8 --batch 16 --eval-batch 64 --no-cache "

/* ---- numbers ---- */

static void write_log(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "mkdir -p %s/%s", folder, name);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "%s/%s/log.jsonl", folder, name);
    assert_int_equal(file_write_atomic(path, &(struct file_piece){text, strlen(text)}, 1), STATUS_OK);
}

static struct compare_run read_log(const char *name) {
    struct compare_run run = {.model = name};
    snprintf(run.folder, sizeof run.folder, "%s/%s", folder, name);
    assert_int_equal(compare_read_log(&run), RVK_OK);
    return run;
}

#define EPOCH(n, train, validation)                                                                                    \
    "{\"event\":\"epoch\",\"epoch\":" #n ",\"train_loss\":1,\"train_accuracy\":" #train ",\"seconds\":2,"              \
    "\"validation_loss\":3,\"validation_accuracy\":" #validation "}\n"
#define TEST(accuracy) "{\"event\":\"test\",\"test_loss\":1,\"test_accuracy\":" #accuracy "}\n"

/* A resumed run repeats an epoch; a crash cut the last line off; nonsense is passed over. */
static void logs_are_read(void **state) {
    (void)state;
    write_log("a",
              "{\"event\":\"start\",\"trainable\":77}\n" EPOCH(1, 0.5, 0.25)
                  EPOCH(2, 0.75, 0.5) "{\"event\":\"resume\",\"trainable\":77}\n" EPOCH(
                      2, 0.875, 0.625) "[]\n3\nnonsense\n" EPOCH(0, 1, 1) EPOCH(4000000000, 1, 1) "{\"event\":\"epo");
    struct compare_run run = read_log("a");
    assert_int_equal(run.trainable, 77);
    assert_int_equal(run.count, 2);
    assert_true(run.epochs[0].train_error == 0.5 && run.epochs[0].validation_error == 0.75);
    assert_true(run.epochs[1].train_error == 0.125 && run.epochs[1].validation_error == 0.375);
    assert_false(run.tested);
    free(run.epochs);
    write_log("a", EPOCH(1, 0.5, 0.25) TEST(0.125));
    run = read_log("a");
    assert_true(run.tested && run.test_error == 0.875);
    free(run.epochs);
    run = read_log("missing");
    assert_int_equal(run.count, 0);
    write_log("b", EPOCH(1, 0.5, 0.25) TEST(0.125) "{\"event\":\"resume\"}\n"); /* more epochs were asked for */
    run = read_log("b");
    assert_false(run.tested);
    free(run.epochs);
}

/* Two finished runs and one that was stopped: means and deviations of the finished ones, worked out by hand. */
static void seeds_are_summed_up(void **state) {
    (void)state;
    write_log("1", EPOCH(1, 0.5, 0.75) EPOCH(2, 0.75, 0.5) TEST(0.5));
    write_log("2", EPOCH(1, 0.25, 0.25) EPOCH(2, 0.5, 0.75) TEST(0.25));
    write_log("3", EPOCH(1, 0, 0));
    struct compare_run runs[3] = {read_log("1"), read_log("2"), read_log("3")};
    struct comparison comparison = {.runs = runs, .network_count = 1, .seeds = 3, .epochs = 2};
    struct compare_network network;
    compare_sum_up(&comparison, 0, &network);
    assert_int_equal(network.tested, 2);
    assert_true(network.seconds == 10);
    assert_true(network.train.mean == 0.375 && fabs(network.train.deviation - sqrt(1.0 / 32)) < 1e-12);
    assert_true(network.validation.mean == 0.375);
    assert_true(network.best.mean == 0.25 && network.best.deviation == 0 && network.best.count == 2);
    assert_true(network.test.mean == 0.625);
    struct compare_epoch first = compare_mean_epoch(&comparison, 0, 0), second = compare_mean_epoch(&comparison, 0, 1);
    assert_true(first.train_error == 0.75 && fabs(first.validation_error - 2.0 / 3) < 1e-12);
    assert_true(second.train_error == 0.375);
    assert_false(compare_mean_epoch(&comparison, 0, 2).known);
    comparison.seeds = 1;
    comparison.runs = &runs[2];
    compare_sum_up(&comparison, 0, &network);
    assert_true(isnan(network.train.mean) && isnan(network.test.mean)); /* one epoch of two is no result */
    for (int i = 0; i < 3; i++)
        free(runs[i].epochs);
}

/* ---- runs ---- */

static void read_text(const char *name, char *text, size_t room) {
    char path[160];
    uint8_t *bytes;
    size_t size;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_read(path, 1 << 20, &bytes, &size), STATUS_OK);
    assert_true(size < room);
    memcpy(text, bytes, size + 1);
    free(bytes);
}

/* The hash of the weights after the last epoch, as the run's log has it. */
static void last_hash(const char *run, char hash[17]) {
    static char text[1 << 16];
    char name[64];
    snprintf(name, sizeof name, "%s/log.jsonl", run);
    read_text(name, text, sizeof text);
    const char *found = NULL;
    for (const char *at = text; (at = strstr(at, "\"weights_hash\":\"")) != NULL; at++)
        found = at;
    assert_non_null(found);
    snprintf(hash, 17, "%.16s", found + strlen("\"weights_hash\":\""));
}

static void expect_weights(const char *a, const char *b, bool same) {
    char hashes[2][17];
    last_hash(a, hashes[0]);
    last_hash(b, hashes[1]);
    assert_int_equal(strcmp(hashes[0], hashes[1]) == 0, same);
}

/* Each run is that of train with the same options; one that was begun goes on, finished ones are not repeated. */
static void runs_are_those_of_train(void **state) {
    (void)state;
    static char before[1 << 16], after[1 << 16];
    static const char options[] = DATA "--validation-split 0.1 --epochs 2 --lr 0.05";
    int code = run("compare plain8 resnet8 %s --out %s/twins --html %s/twins.html 2>&1", options, folder, folder);
    assert_int_equal(code, 0);
    expect(code, "plain8: the error of resnet8 is ");
    code = run("train --model resnet8 %s --out %s/alone 2>&1", options, folder);
    assert_int_equal(code, 0);
    expect_weights("twins/resnet8", "alone", true);
    static char page[1 << 18];
    read_text("twins.html", page, sizeof page);
    html_check(page);
    assert_non_null(strstr(page, "plain8, validation"));
    assert_non_null(strstr(page, "stroke-width:.8\""));

    /* a second seed, of which a run was begun */
    code = run("train --model plain8 %s --seed 2 --steps 5 --out %s/twins/plain8.seed2 2>&1", options, folder);
    assert_int_equal(code, 0);
    read_text("twins/plain8/log.jsonl", before, sizeof before);
    code = run("compare plain8 resnet8 %s --seeds 2 --out %s/twins --json 2>/dev/null", options, folder);
    assert_int_equal(code, 0);
    read_text("twins/plain8/log.jsonl", after, sizeof after);
    assert_string_equal(before, after);
    json_t *record = line_json(0), *runs = json_object_get(record, "runs");
    check_record(record, "compare", true);
    assert_int_equal(json_array_size(runs), 4);
    for (size_t i = 0; i < 4; i++) {
        json_t *one = json_array_get(runs, i);
        assert_true(json_is_true(json_object_get(one, "finished")));
        assert_int_equal(json_array_size(json_object_get(one, "epochs")), 2);
        assert_int_equal(json_integer_value(json_object_get(one, "seed")), 1 + i % 2);
    }
    json_decref(record);
    read_text("twins/plain8.seed2/log.jsonl", after, sizeof after);
    assert_non_null(strstr(after, "\"event\":\"resume\""));
    code = run("train --model plain8 %s --seed 2 --out %s/alone2 2>&1", options, folder);
    assert_int_equal(code, 0);
    expect_weights("twins/plain8.seed2", "alone2", true);
    expect_weights("twins/resnet8.seed2", "twins/resnet8", false);

    code = run("compare plain8 resnet8 %s --epochs 3 --out %s/twins 2>&1", options, folder);
    assert_int_equal(code, RVK_USAGE);
    expect(code, "begun with epochs 2, not 3; --overwrite begins anew");
}

static void a_failed_run_does_not_stop_the_others(void **state) {
    (void)state;
    int code = run("compare vgg11 plain8 " DATA "--epochs 1 --json 2>/dev/null"); /* VGG halves images five times */
    assert_int_equal(code, RVK_USAGE);
    json_t *record = line_json(0), *runs = json_object_get(record, "runs");
    json_t *first = json_array_get(runs, 0), *second = json_array_get(runs, 1);
    assert_int_equal(json_integer_value(json_object_get(first, "status")), RVK_USAGE);
    assert_non_null(
        strstr(json_string_value(json_object_get(first, "message")), "images of 8x8 pixels are too small for vgg11"));
    assert_true(json_is_false(json_object_get(first, "finished")));
    assert_true(json_is_true(json_object_get(second, "finished")));
    json_decref(record);
}

/* The first epoch is told, then the signal arrives: the run is saved, the next is not begun, and both go on later. */
static void a_signal_stops_and_the_same_command_goes_on(void **state) {
    (void)state;
    char line[1024];
    snprintf(line, sizeof line,
             "%s compare plain8 resnet8 " DATA "--epochs 400 --out %s/stopped >%s/told 2>&1 & pid=$!; "
             "while ! grep -q 'epoch 1/' %s/told; do sleep 0.05; done; kill -INT $pid; wait $pid; echo code $?; "
             "cat %s/told",
             PROGRAM, folder, folder, folder, folder);
    run_line(line);
    expect(0, "code 130");
    expect(0, "plain8: stopped in epoch");
    snprintf(line, sizeof line, "%s/stopped/resnet8", folder);
    assert_int_equal(access(line, F_OK), -1);
    snprintf(line, sizeof line, "%s/stopped/plain8/last.safetensors", folder);
    assert_int_equal(access(line, F_OK), 0);
}

static void wrong_commands_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *arguments, *sentence;
    } wrong[] = {
        {"", "takes the names of networks"},
        {"plain8 plain8", "plain8 is given twice"},
        {"plain8 resnet9", "depth must be 6n+2"},
        {"plain8 --model resnet8", "unknown option --model"},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        int code = run("compare %s --epochs 1 --device cpu 2>&1", wrong[i].arguments);
        assert_int_equal(code, RVK_USAGE);
        expect(code, wrong[i].sentence);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logs_are_read),
        cmocka_unit_test(seeds_are_summed_up),
        cmocka_unit_test(runs_are_those_of_train),
        cmocka_unit_test(a_failed_run_does_not_stop_the_others),
        cmocka_unit_test(a_signal_stops_and_the_same_command_goes_on),
        cmocka_unit_test(wrong_commands_are_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

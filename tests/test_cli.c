/* The program as users meet it: exit codes, help, sentences, and the shape of its JSON. */
#include "program.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int count_lines(void) {
    int lines = 0;
    for (const char *c = output; *c; c++)
        lines += *c == '\n';
    return lines;
}

/* ---- without a device ---- */

static void test_usage(void **state) {
    (void)state;
    assert_int_equal(run("2>/dev/null"), 2);
    assert_string_equal(output, "");
    assert_int_equal(run("2>&1"), 2);
    expect(2, "Usage: resnet-vk COMMAND");
    assert_int_equal(run("--help 2>/dev/null"), 0);
    expect(0, "Usage: resnet-vk COMMAND");
    assert_int_equal(run("--version"), 0);
    assert_string_equal(output, "resnet-vk " RVK_VERSION "\n");
    assert_int_equal(run("trian 2>&1"), 2);
    expect(2, "did you mean 'train'?");
    assert_int_equal(run("fly 2>&1"), 2);
    expect(2, "unknown command 'fly'");
}

static void test_help(void **state) {
    (void)state;
    static const char *const commands[] = {"train", "eval", "predict", "verify", "bench", "devices", "models"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char title[64];
        assert_int_equal(run("%s --nonsense --help 2>/dev/null", commands[i]), 0);
        snprintf(title, sizeof title, "resnet-vk %s: ", commands[i]);
        expect(0, title);
        expect(0, "--json");
    }
}

static void test_options(void **state) {
    (void)state;
    assert_int_equal(run("train --epochz 3 2>&1"), 2);
    assert_string_equal(output, "resnet-vk: unknown option --epochz; did you mean --epochs?\n");
    assert_int_equal(run("train --batch 0 2>&1"), 2);
    expect(2, "--batch must be auto or a whole number from 1 to 65536, not '0'");
    assert_int_equal(run("bench --phase both 2>&1"), 2);
    expect(2, "--phase must be one of train|infer, not 'both'");
    assert_int_equal(run("train --config /nonexistent 2>&1"), 3);
    assert_int_equal(run("train --print-config --lr 0.25 --batch 64 >%s/run.conf", folder), 0);
    assert_int_equal(run("train --config %s/run.conf --batch 32 --print-config", folder), 0);
    expect(0, "lr = 0.25  # config\n");
    expect(0, "batch = 32  # command line\n");
    expect(0, "momentum = 0.9  # config\n");
    assert_int_equal(setenv("RESNET_VK_BATCH", "16", 1), 0);
    assert_int_equal(run("train --config %s/run.conf --print-config", folder), 0);
    expect(0, "batch = 16  # environment\n");
    unsetenv("RESNET_VK_BATCH");
}

static void test_models(void **state) {
    (void)state;
    /* He et al., table 6: 0.27, 0.46, 0.66, 0.85 and 1.7 million. */
    static const struct {
        const char *name;
        double millions;
    } paper[] = {{"resnet20", 0.27}, {"resnet32", 0.46}, {"resnet44", 0.66}, {"resnet56", 0.85}, {"resnet110", 1.7}};
    assert_int_equal(run("models --json"), 0);
    json_t *json = line_json(0), *list = json_object_get(json, "models");
    check_record(json, "models", false);
    for (size_t i = 0; i < sizeof paper / sizeof *paper; i++) {
        bool found = false;
        for (size_t j = 0; j < json_array_size(list); j++) {
            json_t *model = json_array_get(list, j);
            double count = 1e-6 * (double)json_integer_value(json_object_get(model, "trainable"));
            if (strcmp(json_string_value(json_object_get(model, "model")), paper[i].name) != 0)
                continue;
            found = true;
            assert_true(count > 0.97 * paper[i].millions && count < 1.03 * paper[i].millions);
        }
        assert_true(found);
    }
    json_t *first = json_array_get(list, 0); /* for ImageNet */
    assert_string_equal(json_string_value(json_object_get(first, "model")), "resnet18");
    assert_int_equal(json_integer_value(json_object_get(first, "size")), 224);
    assert_int_equal(json_integer_value(json_object_get(first, "classes")), 1000);
    assert_int_equal(json_integer_value(json_object_get(first, "trainable")), 11689512);
    json_decref(json);
}

static void test_devices(void **state) {
    (void)state;
    assert_int_equal(run("devices --json"), 0);
    json_t *json = line_json(0), *list = json_object_get(json, "devices");
    check_record(json, "devices", false);
    assert_true(json_array_size(list) >= 1);
    assert_true(json_is_true(json_object_get(json_array_get(list, 0), "usable")));
    json_decref(json);
    assert_int_equal(run("bench --device 99 2>&1"), 4);
    assert_int_equal(setenv("VK_ICD_FILENAMES", "/nonexistent.json", 1), 0);
    assert_int_equal(setenv("VK_DRIVER_FILES", "/nonexistent.json", 1), 0);
    assert_int_equal(run("devices 2>&1"), 4);
    unsetenv("VK_ICD_FILENAMES");
    unsetenv("VK_DRIVER_FILES");
}

/* One name, one meaning: --limit is of the device; numbers of images have other names. */
static void test_limits(void **state) {
    (void)state;
    assert_int_equal(run("train --limit 10000 2>&1"), 2);
    expect(2, "not '10000'; how many images are used is said by --train-limit and --test-limit");
    assert_int_equal(run("verify --limit maxPushConstantSize=64 2>&1"), 2);
    expect(2, "no limit is called 'maxPushConstantSize'; did you mean maxPushConstantsSize?");
    assert_int_equal(run("verify --op relu --limit maxPushConstantsSize=1GiB 2>&1"), 2);
    expect(2, "maxPushConstantsSize=1073741824 is above what ");
    assert_int_equal(run("verify --op relu --limit maxComputeWorkGroupInvocations=63 2>&1"), 5);
    expect(5,
           "kernel relu: it needs 64 invocations in a workgroup, the device has 63 (maxComputeWorkGroupInvocations)");
    assert_int_equal(run("verify --op gather_batch --limit maxStorageBufferRange=1024 2>&1"), 5);
    expect(5, "resnet-vk: gather_batch images=9x6x7x3 "); /* the first case, which is not passed over */
    expect(5, ": it needs maxStorageBufferRange 1136 with these shapes, ");
    assert_int_equal(run("verify --help"), 0);
    expect(0, "maxComputeSharedMemorySize,");
    assert_int_equal(run("verify --op relu --json --limit maxComputeSharedMemorySize=16KiB --limit shaderInt64=off "
                         "2>/dev/null"),
                     0);
    json_t *json = line_json(0), *device = json_object_get(json, "device");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(device, "limits"), "maxComputeSharedMemorySize")), 16384);
    assert_true(json_integer_value(
                    json_object_get(json_object_get(device, "lowered_from"), "maxComputeSharedMemorySize")) > 16384);
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "options"), "limit")),
                        "maxComputeSharedMemorySize=16KiB,shaderInt64=off");
    json_decref(json);
    assert_int_equal(run("verify --op relu --limit minimum 2>&1"), 0);
    expect(0, "limits lowered: max");
}

static void test_files(void **state) {
    (void)state;
    assert_int_equal(run("eval 2>&1"), 2);
    expect(2, "eval needs --weights FILE");
    assert_int_equal(run("eval --weights /nonexistent.safetensors 2>&1"), 3);
    expect(3, "/nonexistent.safetensors");
    assert_int_equal(run("train --data nonsense 2>&1"), 2);
    assert_int_equal(run("train --data cifar10:/nonexistent 2>&1"), 3);
    assert_int_equal(run("train --model resnet21 --data generated 2>&1"), 2);
    expect(2, "6n+2");
    assert_int_equal(run("devices >/dev/full 2>/dev/null"), 8);
}

/* ---- with a device ---- */

static json_int_t values_verified(const char *size) {
    assert_int_equal(run("verify --model resnet8 --batch 2 --size %s --json", size), 0);
    json_t *json = line_json(0);
    json_int_t values = json_integer_value(json_object_get(json_object_get(json, "summary"), "values"));
    json_decref(json);
    return values;
}

static void test_verify(void **state) {
    (void)state;
    assert_true(values_verified("12") < values_verified("16"));
    assert_int_equal(run("verify --op relu --json"), 0);
    json_t *json = line_json(0), *cases = json_object_get(json, "cases");
    check_record(json, "verify", true);
    assert_true(json_array_size(cases) > 1);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "summary"), "failed")), 0);
    assert_string_equal(json_string_value(json_object_get(json_array_get(cases, 0), "op")), "relu");
    json_decref(json);
    assert_int_equal(run("verify --op rleu 2>&1"), 2);
    assert_int_equal(run("verify --op add --shape 'a=1x2x3x5 b=1x2x3x5' --data exact --seed 7"), 0);
    expect(0, "1 passed, 0 failed");
    /* unless a seed is asked for, random and hostile data come with two seeds, exact data with one */
    assert_int_equal(run("verify --op add --shape 'a=1x2x3x5 b=1x2x3x5'"), 0);
    expect(0, "5 passed, 0 failed");
    assert_int_equal(run("verify --op add --shape 'a=1x2x3x5 b=1x2x3x4' 2>&1"), 2);
}

#define GENERATED "--data generated:count=96,classes=4,size=16 --batch 16 --eval-batch 32"
#define SMALL "--model resnet8 " GENERATED

/* Lines of a file in the folder that hold `part`. */
static int file_lines(const char *name, const char *part) {
    char path[128], line[4096];
    int lines = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        lines += strstr(line, part) != NULL;
    fclose(file);
    return lines;
}

static void test_train(void **state) {
    (void)state;
    assert_int_equal(run("train " SMALL " --epochs 2 --validation-split 0.25 --out %s/run --json", folder), 0);
    assert_int_equal(count_lines(), 4);
    json_t *start = line_json(0), *epoch = line_json(2), *result = line_json(3);
    check_record(start, "train", true);
    assert_string_equal(json_string_value(json_object_get(start, "event")), "start");
    assert_int_equal(json_integer_value(json_object_get(start, "train_images")), 72);
    assert_int_equal(json_integer_value(json_object_get(start, "steps")), 4);
    assert_true(json_real_value(json_object_get(json_object_get(start, "options"), "lr")) == 0.1);
    assert_string_equal(json_string_value(json_object_get(epoch, "event")), "epoch");
    assert_int_equal(json_integer_value(json_object_get(epoch, "step")), 8);
    assert_true(json_is_real(json_object_get(epoch, "validation_accuracy")));
    assert_true(json_is_real(json_object_get(result, "test_accuracy")));
    json_t *growth = json_object_get(result, "growth_in_epoch");
    assert_true(json_is_object(growth));
    assert_int_equal(json_integer_value(json_object_get(growth, "allocations")), 0);
    assert_int_equal(json_integer_value(json_object_get(growth, "pipelines")), 0);
    assert_int_equal(json_integer_value(json_object_get(growth, "recordings")), 0);
    assert_int_equal(json_integer_value(json_object_get(growth, "device_bytes")), 0);
    json_decref(start);
    json_decref(epoch);
    json_decref(result);
    assert_int_equal(file_lines("run/log.jsonl", "\"event\":\"start\""), 1);
    assert_int_equal(file_lines("run/log.jsonl", "\"event\":\"epoch\""), 2);
    assert_int_equal(file_lines("run/log.jsonl", "\"test_accuracy\""), 1);
    assert_int_equal(file_lines("run/log.csv", ","), 3); /* heading, two epochs */
    assert_int_equal(run("train " SMALL " --out %s/run 2>&1", folder), 2);
    expect(2, "--resume");
    assert_int_equal(run("train --resume %s/run/last.safetensors --lr 0.3 2>&1", folder), 2);
    expect(2, "lr cannot be given with --resume");
}

/* Uses what test_train left. */
static void test_use(void **state) {
    (void)state;
    assert_int_equal(run("eval --weights %s/run/best.safetensors --json", folder), 0);
    json_t *json = line_json(0), *classes = json_object_get(json, "classes");
    check_record(json, "eval", true);
    assert_int_equal(json_array_size(classes), 4);
    json_int_t correct = 0, count = 0;
    for (size_t k = 0; k < 4; k++) {
        correct += json_integer_value(json_object_get(json_array_get(classes, k), "correct"));
        count += json_integer_value(json_object_get(json_array_get(classes, k), "count"));
    }
    assert_int_equal(count, json_integer_value(json_object_get(json, "count")));
    double accuracy = json_real_value(json_object_get(json, "accuracy"));
    assert_true(accuracy > (double)correct / (double)count - 1e-9 && accuracy < (double)correct / (double)count + 1e-9);
    json_decref(json);
    assert_int_equal(run("eval --weights %s/run/best.safetensors --data generated 2>&1", folder), 2);
    expect(2, "the model takes 16x16x3");
    assert_int_equal(run("predict --weights %s/run/best.safetensors --first 3 --count 2 --json", folder), 0);
    json = line_json(0);
    json_t *second = json_array_get(json_object_get(json, "predictions"), 1);
    assert_int_equal(json_integer_value(json_object_get(second, "index")), 4);
    double sum = 0;
    for (size_t k = 0; k < 4; k++)
        sum += json_real_value(json_array_get(json_object_get(second, "probabilities"), k));
    assert_true(sum > 0.9999 && sum < 1.0001);
    json_decref(json);
    assert_int_equal(run("predict --weights %s/run/best.safetensors --count 2 --pictures always", folder), 0);
    expect(0, "truly class ");
}

/* Uses what test_train left. What does not fit into memory is refused before the work starts, with what would fit. */
static void test_memory(void **state) {
    (void)state;
    assert_int_equal(run("train " SMALL " --batch auto --steps 1 --json"), 0);
    json_t *start = line_json(0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(start, "options"), "batch")), 96);
    json_decref(start);
    assert_int_equal(run("train " SMALL " --batch auto --print-config"), 0);
    expect(0, "batch = auto  # command line\n");
    static const char *const commands[] = {
        "train " SMALL " --eval-batch 8 --batch 96",
        "train " SMALL " --eval-batch 96",
        "bench --model resnet8 --size 16 --batch 96",
        "bench --model resnet8 --size 16 --batch 500 --phase infer",
        "tune --model resnet8 --size 16 --batch 96 --budget 0.1",
        "verify --model resnet8 --size 16 --batch 96",
        "eval --batch 96 --weights last",
        "predict --count 96 --weights last",
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char line[256];
        snprintf(line, sizeof line, "%s", commands[i]);
        char *weights = strstr(line, " last");
        if (weights)
            snprintf(weights, sizeof line - (size_t)(weights - line), " %s/run/last.safetensors", folder);
        if (run("%s --limit memoryHeapSize=5MiB 2>&1", line) != 5)
            fail_msg("%s did not exit with 5:\n%s", line, output);
        expect(5, "the largest batch that fits is ");
        expect(5, " MB are left on ");
    }
}

/* On a terminal a line says how far validation and the test are, and goes; elsewhere nothing does. */
static void test_evaluating(void **state) {
    (void)state;
    static const char *const commands[] = {"train --model resnet8", "compare resnet8"};
    for (int i = 0; i < 2; i++) {
        char line[1024];
        snprintf(line, sizeof line,
                 "script -qec '%s %s --device cpu --data generated:count=96,classes=4,size=32 --batch 8 --epochs 1 "
                 "--eval-batch 8 --validation-split 0.9 >%s/text' %s/terminal </dev/null >/dev/null 2>&1; "
                 "cat %s/terminal",
                 PROGRAM, commands[i], folder, folder, folder);
        assert_int_equal(run_line(line), 0);
        expect(0, i ? "\r\x1b[Krun 1/1 resnet8  validating  " : "\r\x1b[Kvalidating  ");
        expect(0, " of 87 images  ");
        expect(0, i ? "\r\x1b[Krun 1/1 resnet8  testing  " : "\r\x1b[Ktesting  ");
        expect(0, " of 96 images  ");
        expect(0, " s left\r\x1b[K");
        snprintf(line, sizeof line, "cat %s/text", folder);
        assert_int_equal(run_line(line), 0);
        assert_true(*output && !strchr(output, '\r'));
    }
    assert_int_equal(run("train " SMALL " --epochs 1 --validation-split 0.5 2>&1 >/dev/null"), 0);
    assert_null(strstr(output, "images"));
}

static void test_target(void **state) {
    (void)state;
    assert_int_equal(run("train " SMALL " --epochs 1 --target-accuracy 1 --lr 1e-9 2>&1"), 1);
    expect(1, "below the target");
}

static void test_nonfinite(void **state) {
    (void)state;
    assert_int_equal(run("train " SMALL " --epochs 4 --lr 1e6 --optimizer adamw 2>&1"), 7);
    expect(7, "non-finite in epoch ");
}

static void test_bench(void **state) {
    (void)state;
    static const char *const numbers[] = {"images_per_s", "gflops", "peak_bytes", "lower_bound_bytes"};
    assert_int_equal(run("bench --model resnet8 --batch 4 --size 16 --samples 5 --json"), 0);
    json_t *json = line_json(0), *ms = json_object_get(json, "ms");
    check_record(json, "bench", true);
    assert_string_equal(json_string_value(json_object_get(json, "phase")), "train");
    assert_string_equal(json_string_value(json_object_get(json, "precision")), "float32");
    assert_int_equal(json_array_size(json_object_get(ms, "samples")), 5);
    double median = json_real_value(json_object_get(ms, "median"));
    assert_true(median >= json_real_value(json_object_get(ms, "min")) &&
                median <= json_real_value(json_object_get(ms, "max")) && median > 0);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_true(json_number_value(json_object_get(json, numbers[i])) > 0);
    json_decref(json);
    assert_int_equal(run("bench --model resnet8 --batch 4 --phase infer --samples 5"), 0);
    expect(0, "images/s");
    expect(0, "32x32x3");
    assert_int_equal(run("bench --model resnet18 --batch 1 --size 32 --phase infer --samples 5"), 0);
    expect(0, "resnet18, infer, batch 1, 32x32x3");
}

static void test_profile(void **state) {
    (void)state;
    assert_int_equal(run("train " SMALL " --epochs 1 --profile --trace %s/trace.json", folder), 0);
    expect(0, "conv2d_backward_weight");
    expect(0, "pipelines");
    char path[64];
    snprintf(path, sizeof path, "%s/trace.json", folder);
    json_t *trace = json_load_file(path, 0, NULL);
    json_t *first = json_array_get(json_object_get(trace, "traceEvents"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "ph")), "X");
    assert_true(json_is_number(json_object_get(first, "dur")));
    json_decref(trace);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage),      cmocka_unit_test(test_help),      cmocka_unit_test(test_options),
        cmocka_unit_test(test_models),     cmocka_unit_test(test_devices),   cmocka_unit_test(test_limits),
        cmocka_unit_test(test_files),      cmocka_unit_test(test_verify),    cmocka_unit_test(test_train),
        cmocka_unit_test(test_use),        cmocka_unit_test(test_memory),    cmocka_unit_test(test_target),
        cmocka_unit_test(test_evaluating), cmocka_unit_test(test_nonfinite), cmocka_unit_test(test_bench),
        cmocka_unit_test(test_profile),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

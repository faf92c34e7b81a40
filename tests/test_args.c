/* args: precedence of the sources, ranges, sentences, near misses, and --print-config read back. */
#include "base/args.h"
#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct values {
    bool quiet;
    uint32_t batch;
    double rate;
    const char *config, *optimizer, *out, *skip;
};

static const struct option table[] = {
    {"quiet", OPTION_FLAG, offsetof(struct values, quiet), NULL, NULL, "say little", 0, 0},
    {"batch-size", OPTION_WHOLE, offsetof(struct values, batch), "N", "128", "images a step", 1, 4096},
    {"lr", OPTION_REAL, offsetof(struct values, rate), "X", "0.1", "learning rate", 0, 10},
    {"optimizer", OPTION_CHOICE, offsetof(struct values, optimizer), "sgd|adam|adamw", "sgd", "update rule", 0, 0},
    {"out", OPTION_TEXT, offsetof(struct values, out), "DIR", NULL, "folder", 0, 0},
    {"config", OPTION_TEXT, offsetof(struct values, config), "FILE", NULL, "options from a file", 0, 0},
    {"skip", OPTION_LIST, offsetof(struct values, skip), "NAME,...", NULL, "may be given again", 0, 0},
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};

static struct values values;
static const struct option_group groups[] = {{"Options", table, &values}, {NULL, NULL, NULL}};
static struct args args;

/* Parses a command line of words separated by single spaces. */
static enum status parse(const char *line) {
    static char copy[256];
    char *words[32];
    int count = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        words[count++] = word;
    args_destroy(&args);
    values = (struct values){0};
    return args_parse(&args, groups, count, words, "config");
}

static void refuses(const char *line, const char *sentence) {
    assert_int_equal(parse(line), STATUS_USAGE);
    assert_string_equal(status_message(), sentence);
}

static void write_text(char *path, const char *text) {
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void test_defaults(void **state) {
    (void)state;
    assert_int_equal(parse(""), STATUS_OK);
    assert_int_equal(values.batch, 128);
    assert_true(values.rate == 0.1);
    assert_string_equal(values.optimizer, "sgd");
    assert_null(values.out);
    assert_false(values.quiet);
    assert_int_equal(args_source(&args, "lr"), SOURCE_DEFAULT);
}

static void test_command_line(void **state) {
    (void)state;
    assert_int_equal(parse("--batch-size=7 --lr 1e-3 --optimizer adam --quiet --out x --batch-size 9"), STATUS_OK);
    assert_int_equal(values.batch, 9);
    assert_true(values.rate == 1e-3);
    assert_string_equal(values.optimizer, "adam");
    assert_string_equal(values.out, "x");
    assert_true(values.quiet);
    assert_int_equal(args_source(&args, "lr"), SOURCE_COMMAND_LINE);
    assert_int_equal(parse("--quiet=false"), STATUS_OK);
    assert_false(values.quiet);
}

static void test_refusals(void **state) {
    (void)state;
    refuses("--batch-size 0", "--batch-size must be a whole number from 1 to 4096, not '0'");
    refuses("--batch-size 4097", "--batch-size must be a whole number from 1 to 4096, not '4097'");
    refuses("--batch-size 99999999999999999999", "--batch-size must be a whole number from 1 to 4096, not "
                                                 "'99999999999999999999'");
    refuses("--batch-size -1", "--batch-size must be a whole number from 1 to 4096, not '-1'");
    refuses("--batch-size 12x", "--batch-size must be a whole number from 1 to 4096, not '12x'");
    refuses("--lr nan", "--lr must be a number from 0 to 10, not 'nan'");
    refuses("--lr 0.1.2", "--lr must be a number from 0 to 10, not '0.1.2'");
    refuses("--optimizer ada", "--optimizer must be one of sgd|adam|adamw, not 'ada'");
    refuses("--optimizer sgd|adam", "--optimizer must be one of sgd|adam|adamw, not 'sgd|adam'");
    refuses("--quiet=maybe", "--quiet must be true or false, not 'maybe'");
    refuses("--lr", "--lr needs a value (X)");
    refuses("-q", "unexpected argument '-q'; options start with --");
    refuses("--bacth-size 3", "unknown option --bacth-size; did you mean --batch-size?");
    refuses("--zebra", "unknown option --zebra; --help lists the options");
    refuses("--ou x", "unknown option --ou; did you mean --out?");
}

static void test_words(void **state) {
    (void)state;
    assert_int_equal(parse("--quiet"), STATUS_OK);
    assert_int_equal(args_refuse_words(&args), STATUS_OK);
    assert_int_equal(parse("a.png --batch-size 3 - b=c -- --lr -x --"), STATUS_OK);
    static const char *const words[] = {"a.png", "-", "b=c", "--lr", "-x", "--"};
    assert_int_equal(args.word_count, COUNT(words));
    for (size_t i = 0; i < COUNT(words); i++)
        assert_string_equal(args.words[i], words[i]);
    assert_int_equal(values.batch, 3);
    assert_int_equal(args_refuse_words(&args), STATUS_USAGE);
    assert_string_equal(status_message(), "unexpected argument 'a.png'; options start with --");
}

static void test_precedence(void **state) {
    (void)state;
    char path[] = "/tmp/test_args_XXXXXX", line[128];
    write_text(path, "# a comment\n\n  batch-size = 3 # three\nlr=0.5\noptimizer = adamw\n");
    setenv("RESNET_VK_LR", "0.25", 1);
    setenv("RESNET_VK_OPTIMIZER", "adam", 1);
    snprintf(line, sizeof line, "--optimizer sgd --config %s", path);
    assert_int_equal(parse(line), STATUS_OK);
    assert_int_equal(values.batch, 3);
    assert_int_equal(args_source(&args, "batch-size"), SOURCE_CONFIG);
    assert_true(values.rate == 0.25);
    assert_int_equal(args_source(&args, "lr"), SOURCE_ENVIRONMENT);
    assert_string_equal(values.optimizer, "sgd");
    setenv("RESNET_VK_BATCH_SIZE", "many", 1);
    refuses("", "RESNET_VK_BATCH_SIZE: batch-size must be a whole number from 1 to 4096, not 'many'");
    unsetenv("RESNET_VK_BATCH_SIZE");
    unsetenv("RESNET_VK_LR");
    unsetenv("RESNET_VK_OPTIMIZER");
    unlink(path);
}

/* A list grows within one source; a stronger source replaces it. */
static void test_list(void **state) {
    (void)state;
    char path[] = "/tmp/rvk-args-XXXXXX", line[64];
    assert_int_equal(parse("--skip a=1,b=2"), STATUS_OK);
    assert_string_equal(values.skip, "a=1,b=2");
    assert_int_equal(parse("--skip a=1 --quiet --skip=b=2 --skip c"), STATUS_OK);
    assert_string_equal(values.skip, "a=1,b=2,c");
    write_text(path, "skip = d=4\nskip = e\n");
    snprintf(line, sizeof line, "--config %s", path);
    assert_int_equal(parse(line), STATUS_OK);
    assert_string_equal(values.skip, "d=4,e");
    snprintf(line, sizeof line, "--config %s --skip a", path);
    assert_int_equal(parse(line), STATUS_OK);
    assert_string_equal(values.skip, "a");
    remove(path);
}

static void test_config_errors(void **state) {
    (void)state;
    static const char *const lines[][2] = {
        {"\nbatchsize = 3\n", "line 2: unknown option batchsize; did you mean batch-size?"},
        {"lr = x\n", "line 1: lr must be a number from 0 to 10, not 'x'"},
        {"lr\n", "line 1: expected 'name = value', not 'lr'"},
    };
    for (int i = 0; i < 3; i++) {
        char path[] = "/tmp/test_args_XXXXXX", line[128], sentence[256];
        write_text(path, lines[i][0]);
        snprintf(line, sizeof line, "--config %s", path);
        snprintf(sentence, sizeof sentence, "%s %s", path, lines[i][1]);
        refuses(line, sentence);
        unlink(path);
    }
    assert_int_equal(parse("--config /nonexistent/file"), STATUS_DATA);
}

/* What --print-config writes, read as a config file, gives the same values. */
static void test_print_config(void **state) {
    (void)state;
    char path[] = "/tmp/test_args_XXXXXX", line[128], text[1024] = "";
    write_text(path, "");
    assert_int_equal(parse("--batch-size 5 --out here --quiet"), STATUS_OK);
    FILE *file = fopen(path, "w+");
    assert_non_null(file);
    args_print(&args, (const char *const[]){"config", NULL}, file);
    rewind(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    assert_non_null(strstr(text, "batch-size = 5  # command line\n"));
    assert_non_null(strstr(text, "lr = 0.1  # default\n"));
    assert_null(strstr(text, "config"));
    snprintf(line, sizeof line, "--config %s", path);
    assert_int_equal(parse(line), STATUS_OK);
    assert_int_equal(values.batch, 5);
    assert_string_equal(values.out, "here");
    assert_true(values.quiet);
    unlink(path);
}

static void test_help(void **state) {
    (void)state;
    char text[2048] = "";
    FILE *file = tmpfile();
    assert_non_null(file);
    args_help(groups, file);
    rewind(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    for (const struct option *option = table; option->name; option++)
        assert_non_null(strstr(text, option->name));
    assert_non_null(strstr(text, "--batch-size N              images a step [128]\n"));
}

static void test_nearest(void **state) {
    (void)state;
    static const char *const words[] = {"train", "eval", "predict", "verify", NULL};
    assert_string_equal(args_nearest("tarin", words), "train");
    assert_string_equal(args_nearest("evla", words), "eval");
    assert_string_equal(args_nearest("verfy", words), "verify");
    assert_null(args_nearest("paint", words));
    assert_null(args_nearest("x", words));
    assert_null(args_nearest("", words));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),     cmocka_unit_test(test_command_line), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_precedence),   cmocka_unit_test(test_list),         cmocka_unit_test(test_config_errors),
        cmocka_unit_test(test_print_config), cmocka_unit_test(test_help),         cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_words),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    args_destroy(&args);
    return failed;
}

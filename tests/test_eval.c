/* eval: counts from answers, and the same numbers in text, JSON, CSV and page; names of classes may be anything. */
#include "api/internal.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/eval_report.h"

#include "html.h"
#include "program.h"

#include <math.h>

static char *file_text;

/* The file's text, until the next call. */
static char *load(const char *name) {
    uint8_t *bytes;
    size_t size;
    assert_int_equal(file_read(in_folder(name), 1 << 24, &bytes, &size), STATUS_OK);
    free(file_text);
    file_text = (char *)bytes;
    assert_int_equal(strlen(file_text), size);
    return file_text;
}

/* ---- CSV ---- */

/* Takes the next field off *text as RFC 4180 has it; true: another one follows in the line. */
static bool csv_field(char **text, char *field, size_t room) {
    size_t length = 0;
    bool quoted = **text == '"';
    for (*text += quoted; **text && (quoted || !strchr(",\n", **text)); (*text)++) {
        if (quoted && **text == '"' && *++*text != '"')
            break; /* the closing one; it was passed */
        assert_true(length + 1 < room);
        field[length++] = **text;
    }
    field[length] = 0;
    assert_true(**text == ',' || **text == '\n');
    return *(*text)++ == ',';
}

enum { MOST = 64 };

struct table {
    char name[MOST][128];
    uint32_t classes, images[MOST], matrix[MOST][MOST];
    double recall[MOST], precision[MOST];
};

static uint32_t csv_number(char **text, bool more) {
    char field[32], *end;
    assert_true(csv_field(text, field, sizeof field) == more);
    unsigned long value = strtoul(field, &end, 10);
    assert_true(*field && !*end);
    return (uint32_t)value;
}

static double csv_share(char **text) {
    char field[32];
    assert_true(csv_field(text, field, sizeof field));
    return *field ? strtod(field, NULL) : (double)NAN;
}

static void read_csv(const char *name, struct table *table) {
    char *text = load(name), field[128];
    static const char *const headings[] = {"class", "name", "images", "recall", "precision"};
    *table = (struct table){0};
    for (size_t i = 0; i < COUNT(headings); i++) {
        assert_true(csv_field(&text, field, sizeof field));
        assert_string_equal(field, headings[i]);
    }
    for (bool more = true; more; table->classes++) {
        more = csv_field(&text, field, sizeof field);
        assert_int_equal(strtoul(field, NULL, 10), table->classes);
    }
    assert_in_range(table->classes, 1, MOST);
    for (uint32_t row = 0; row < table->classes; row++) {
        assert_int_equal(csv_number(&text, true), row);
        assert_true(csv_field(&text, table->name[row], sizeof table->name[row]));
        table->images[row] = csv_number(&text, true);
        table->recall[row] = csv_share(&text);
        table->precision[row] = csv_share(&text);
        for (uint32_t column = 0; column < table->classes; column++)
            table->matrix[row][column] = csv_number(&text, column + 1 < table->classes);
    }
    assert_int_equal(*text, 0);
}

/* ---- from answers ---- */

/* Class 0: two right, one taken for 1. Class 1: one right, three taken for 0. Class 2: none. Class 3: taken for 1. */
static const struct rvk_answer answers[] = {
    {.label = 0, .best = 0},
    {.label = 0, .best = 1, .rank = 1},
    {.label = 1, .best = 0, .rank = 1},
    {.label = 1, .best = 0, .rank = 2},
    {.label = 3, .best = 1, .rank = 3},
    {.label = 1, .best = 1},
    {.label = 1, .best = 0, .rank = 1},
    {.label = 0, .best = 0},
    {.label = UINT32_MAX, .best = 2}, /* a picture that could not be read */
    {.label = 2, .best = UINT32_MAX},
};

static void test_counts(void **state) {
    (void)state;
    struct confusion confusion;
    struct confused pairs[8];
    assert_int_equal(confusion_create(answers, COUNT(answers), 4, &confusion), RVK_OK);
    assert_int_equal(confusion.images, 8);
    assert_int_equal(confusion_at(&confusion, 1, 0), 3);
    assert_int_equal(confusion_at(&confusion, 0, 1), 1);
    assert_int_equal(confusion.truly[1], 4);
    assert_int_equal(confusion.answered[1], 3);
    assert_true(confusion_recall(&confusion, 0) == 2 / 3.0);
    assert_true(confusion_precision(&confusion, 0) == 2 / 5.0);
    assert_true(isnan(confusion_recall(&confusion, 2)) && isnan(confusion_precision(&confusion, 2)));
    assert_true(confusion_recall(&confusion, 3) == 0 && isnan(confusion_precision(&confusion, 3)));
    assert_int_equal(confusion_worst(&confusion, pairs, 8), 3);
    assert_true(pairs[0].truly == 1 && pairs[0].answered == 0 && pairs[0].count == 3);
    assert_true(pairs[1].truly == 0 && pairs[1].answered == 1 && pairs[1].count == 1);
    assert_true(pairs[2].truly == 3 && pairs[2].answered == 1 && pairs[2].count == 1);
    assert_int_equal(confusion_worst(&confusion, pairs, 2), 2);
    assert_true(pairs[1].truly == 0 && pairs[1].answered == 1);
    confusion_destroy(&confusion);
}

#define HOSTILE "a,\"b\"\r\n</td><script>'&\x1b[2J\xFF"

static const char *names[] = {HOSTILE, "=1+1", "tabby", "caf\xC3\xA9"};

static void make_report(struct rvk_data *data, struct eval_report *report) {
    *data = (struct rvk_data){.set = {.classes = 4}};
    *report = (struct eval_report){.weights = HOSTILE, .spec = HOSTILE, .data = data, .top = 2, .top_accuracy = 0.75};
    report->names = names;
    report->all = (struct rvk_evaluation){.loss = 1.5, .accuracy = 0.375, .count = 8};
    assert_int_equal(confusion_create(answers, COUNT(answers), 4, &report->confusion), RVK_OK);
}

static void test_csv(void **state) {
    (void)state;
    struct rvk_data data;
    struct eval_report report;
    static struct table table;
    make_report(&data, &report);
    assert_int_equal(eval_report_csv(&report, in_folder("hostile.csv")), RVK_OK);
    read_csv("hostile.csv", &table);
    assert_int_equal(table.classes, 4);
    assert_string_equal(table.name[0], HOSTILE);
    assert_string_equal(table.name[2], "tabby");
    assert_int_equal(table.matrix[1][0], 3);
    assert_int_equal(table.images[1], 4);
    assert_true(fabs(table.precision[0] - 0.4) < 1e-6 && isnan(table.recall[2]));
    assert_int_equal(eval_report_csv(&report, "/nonexistent/a.csv"), RVK_IO);
    confusion_destroy(&report.confusion);
}

static void test_page(void **state) {
    (void)state;
    struct rvk_data data;
    struct eval_report report;
    make_report(&data, &report);
    assert_int_equal(eval_report_html(&report, in_folder("hostile.html")), RVK_OK);
    const char *page = load("hostile.html");
    html_check(page);
    assert_null(strstr(page, "<script"));
    assert_non_null(strstr(page, "title=\"3 of 4 =1+1 taken for a,&quot;b&quot;"));
    assert_non_null(strstr(page, "<dt>top-2 accuracy</dt><dd>75.00 %</dd>"));
    assert_non_null(strstr(page, "caf\xC3\xA9"));
    assert_non_null(strstr(page, ">tabby<"));
    assert_null(strstr(page, "nan"));
    confusion_destroy(&report.confusion);
}

/* Unit squares of a matrix that is too large for numbers: every cell with an image is there once. */
static void test_map(void **state) {
    (void)state;
    enum { CLASSES = 50, RIGHT = 1000 }; /* of class 0, where the one mistake is the palest shade */
    struct rvk_answer many[3 * CLASSES + RIGHT] = {0};
    const char *none[CLASSES];
    struct rvk_data data = {.set = {.classes = CLASSES}};
    struct eval_report report = {.weights = "w", .spec = "s", .data = &data, .names = none, .top = 5};
    for (uint32_t k = 0; k < CLASSES; k++)
        none[k] = "";
    for (uint32_t i = 0; i < 3 * CLASSES; i++)
        many[i] = (struct rvk_answer){.label = i % CLASSES, .best = i < 2 * CLASSES ? i % CLASSES : (i + 7) % CLASSES};
    assert_int_equal(confusion_create(many, COUNT(many), CLASSES, &report.confusion), RVK_OK);
    assert_int_equal(eval_report_html(&report, in_folder("map.html")), RVK_OK);
    const char *page = load("map.html");
    html_check(page);
    for (uint32_t k = 0; k < CLASSES; k++) {
        char own[32], other[32];
        snprintf(own, sizeof own, "M%u %uh1v1h-1z", k, k);
        snprintf(other, sizeof other, "M%u %uh1v1h-1z", (k + 7) % CLASSES, k);
        assert_non_null(strstr(page, own));
        assert_non_null(strstr(page, other));
    }
    int cells = 0;
    for (const char *at = page; (at = strstr(at, "h1v1h-1z")) != NULL; at++)
        cells++;
    assert_int_equal(cells, 2 * CLASSES);
    confusion_destroy(&report.confusion);
}

/* Pictures of wrong answers, the most confident one first; the right one is not there. */
static void test_mistakes(void **state) {
    (void)state;
    enum { IMAGES = 5 };
    uint8_t pixels[IMAGES * 2 * 2] = {0};
    struct rvk_answer some[IMAGES] = {{0, 1, 1, 0.6F, 0.4F},
                                      {1, 0, 2, 0.9F, 0.05F},
                                      {0, 0, 0, 1.0F, 1.0F},
                                      {1, 2, 1, 0.7F, 0.3F},
                                      {UINT32_MAX, 0, 3, 0.99F, 0}};
    struct rvk_data data = {.set = {.count = IMAGES, .height = 2, .width = 2, .channels = 1, .classes = 3}};
    struct eval_report report = {.weights = "w", .spec = "s", .data = &data, .answers = some, .answer_count = IMAGES};
    report.names = names;
    data.set.images = pixels;
    assert_int_equal(confusion_create(some, IMAGES, 3, &report.confusion), RVK_OK);
    assert_int_equal(eval_report_html(&report, in_folder("mistakes.html")), RVK_OK);
    const char *page = load("mistakes.html");
    html_check(page);
    const char *first = strstr(page, "<p>image 1</p>"), *second = strstr(page, "<p>image 3</p>");
    const char *third = strstr(page, "<p>image 0</p>");
    assert_true(first && second && third && first < second && second < third);
    assert_null(strstr(page, "<p>image 2</p>"));
    assert_null(strstr(page, "<p>image 4</p>"));
    assert_non_null(strstr(page, "<b class=\"wrong\" style=\"width:90.0%\">"));
    assert_non_null(strstr(page, "data:image/jpeg;base64,/9j/")); /* FF D8 FF */
    confusion_destroy(&report.confusion);
}

/* ---- the program ---- */

static json_int_t whole(json_t *object, const char *name) {
    assert_true(json_is_integer(json_object_get(object, name)));
    return json_integer_value(json_object_get(object, name));
}

/* Compares JSON and CSV cell by cell, and both with the totals. */
static void compare(json_t *json, const struct table *table) {
    json_t *classes = json_object_get(json, "classes"), *cells = json_object_get(json, "confusion");
    json_int_t images = 0, right = 0, listed = 0;
    for (size_t i = 0; i < json_array_size(cells); i++) {
        json_int_t cell[3];
        assert_int_equal(json_unpack(json_array_get(cells, i), "[I, I, I]", &cell[0], &cell[1], &cell[2]), 0);
        assert_int_equal(table->matrix[cell[0]][cell[1]], cell[2]);
        listed += cell[2];
    }
    for (uint32_t row = 0; row < table->classes; row++) {
        json_t *class = json_array_get(classes, row);
        json_int_t sum = 0;
        for (uint32_t column = 0; column < table->classes; column++)
            sum += table->matrix[row][column];
        assert_int_equal(sum, table->images[row]);
        assert_int_equal(sum, whole(class, "count"));
        assert_int_equal(table->matrix[row][row], whole(class, "correct"));
        images += sum, right += table->matrix[row][row];
    }
    assert_int_equal(images, whole(json, "count"));
    assert_int_equal(images, listed);
    assert_true(fabs(json_real_value(json_object_get(json, "accuracy")) - (double)right / (double)images) < 1e-9);
}

#define DATA "generated:count=96,classes=4,size=8"
#define EVAL "eval --device cpu --weights %s/run/last.safetensors"

static double top_accuracy(int top) {
    assert_int_equal(run(EVAL " --count 50 --top %d --json 2>/dev/null", folder, top), 0);
    json_t *json = line_json(0);
    double accuracy = json_real_value(json_object_get(json, "top_accuracy"));
    if (top == 1)
        assert_true(fabs(accuracy - json_real_value(json_object_get(json, "accuracy"))) < 1e-9);
    json_decref(json);
    return accuracy;
}

static void test_program(void **state) {
    (void)state;
    static struct table table;
    assert_int_equal(run("train --device cpu --model resnet8 --data " DATA
                         " --batch 16 --epochs 1 --out %s/run 2>/dev/null",
                         folder),
                     0);
    assert_int_equal(run(EVAL " --csv %s/m.csv --html %s/m.html --json 2>/dev/null", folder, folder, folder), 0);
    json_t *json = line_json(0);

    read_csv("m.csv", &table);
    assert_int_equal(table.classes, 4);
    compare(json, &table);
    assert_int_equal(whole(json, "count"), 96);
    assert_int_equal(whole(json, "top"), 5);
    assert_true(json_real_value(json_object_get(json, "top_accuracy")) == 1); /* of 4 classes */
    json_decref(json);
    html_check(load("m.html"));
    double one = top_accuracy(1), two = top_accuracy(2), three = top_accuracy(3);
    assert_true(one <= two && two <= three && top_accuracy(4) == 1);
    assert_int_equal(run(EVAL " --count 50 --top 2 2>/dev/null", folder), 0);
    expect(0, " on 50 images, top-2 ");
    expect(0, "true class \\ answer            0    1    2    3\n");
    assert_int_equal(run(EVAL " --csv /nonexistent/m.csv 2>&1", folder), 8);
    expect(8, "/nonexistent/m.csv");
}

/* On a terminal a line says how far it is, and goes; elsewhere nothing does. */
static void test_progress(void **state) {
    (void)state;
    char line[512];
    snprintf(line, sizeof line, "script -qec '%s " EVAL " --batch 16 >%s/text' %s/terminal </dev/null >/dev/null 2>&1",
             PROGRAM, folder, folder, folder);
    assert_int_equal(run_line(line), 0);
    const char *terminal = load("terminal");
    assert_non_null(strstr(terminal, "\r\x1b[K16 of 96 images  "));
    assert_non_null(strstr(terminal, " images/s  "));
    assert_non_null(strstr(terminal, " s left\r\x1b[K"));
    assert_null(strchr(load("text"), '\r'));
    assert_int_equal(run(EVAL " --batch 16 2>&1 >/dev/null", folder), 0);
    assert_null(strstr(output, " of 96 images"));
}

/* A signal ends the evaluation between two batches; what was there before stays. */
static void test_interrupt(void **state) {
    (void)state;
    static const char *const signals[] = {"INT", "TERM"};
    for (int i = 0; i < 2; i++) {
        char line[1024];
        snprintf(line, sizeof line,
                 "echo old >%s/kept.html; timeout --foreground --preserve-status -s %s 2 %s " EVAL
                 " --data generated:count=100000,classes=4,size=8 --batch 1 --html %s/kept.html --json 2>&1",
                 folder, signals[i], PROGRAM, folder, folder);
        assert_int_equal(run_line(line), i ? 143 : 130);
        expect(130, "resnet-vk: stopped after ");
        expect(130, " of 100000 images\n");
        assert_string_equal(load("kept.html"), "old\n");
    }
}

static int tear_down(void **state) {
    free(file_text);
    return remove_folder(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),   cmocka_unit_test(test_csv),       cmocka_unit_test(test_page),
        cmocka_unit_test(test_map),      cmocka_unit_test(test_mistakes),  cmocka_unit_test(test_program),
        cmocka_unit_test(test_progress), cmocka_unit_test(test_interrupt),
    };
    return cmocka_run_group_tests(tests, make_folder, tear_down);
}

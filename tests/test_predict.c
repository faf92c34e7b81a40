/* predict FILE...: lines, JSON and contact sheets for pictures, lists of them, broken ones among them, and Ctrl-C. */
#include "pictures.h"

#include "html.h"
#include "program.h"

#include <math.h>

enum { CLASSES = 3, PICTURES = 7, SIDE = 8 };

static const char *const class_names[CLASSES] = {"a,<i>&\"b'", "n02123045", "plain"};

#define WEIGHTS "--device cpu --weights %s/run/last.safetensors"

/* A model that knows the classes by the names of their folders, and pictures of other shapes to show it. */
static int set_up(void **state) {
    char path[160];
    if (make_folder(state) != 0)
        return -1;
    for (uint32_t i = 0; i < 24; i++) {
        snprintf(path, sizeof path, "%s/data/%s/%u.png", folder, class_names[i % CLASSES], i);
        write_picture(path, SIDE, SIDE, i % CLASSES, i);
    }
    for (uint32_t i = 0; i < PICTURES; i++) {
        snprintf(path, sizeof path, "%s/shown/%s%u <&>.%s", folder, i % 2 ? "sub/" : "", i, i % 3 ? "jpg" : "png");
        write_picture(path, 10 + 3 * i, 20, i, 100 + i);
    }
    return run(
        "train --device cpu --model resnet8 --data folder:%s/data --batch 8 --epochs 1 --out %s/run >%s/log 2>&1",
        folder, folder, folder);
}

static int count_lines(void) {
    int lines = 0;
    for (const char *c = output; *c; c++)
        lines += *c == '\n';
    return lines;
}

/* ---- text and JSON ---- */

static void test_lines(void **state) {
    (void)state;
    assert_int_equal(run("predict %s/shown " WEIGHTS " 2>/dev/null", folder, folder), 0);
    assert_int_equal(count_lines(), PICTURES);
    size_t column = 0;
    for (char *line = output, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        *end = 0;
        const char *percent = strchr(line, '%');
        assert_memory_equal(line, folder, strlen(folder));
        assert_non_null(percent);
        assert_true(column == 0 || column == (size_t)(percent - line)); /* aligned */
        column = (size_t)(percent - line);
        assert_non_null(strstr(line, "% tabby")); /* a synset by its name */
        assert_non_null(strstr(line, class_names[0]));
        assert_non_null(strstr(line, "% plain"));
    }
    assert_int_equal(run("predict %s/shown " WEIGHTS " --top 1 --first 2 --count 3 2>/dev/null", folder, folder), 0);
    assert_int_equal(count_lines(), 3);
    assert_null(strchr(output, ','));
}

static const char *text_of(json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

static double probability(json_t *picture, size_t place, json_int_t *class_index) {
    json_t *item = json_array_get(json_object_get(picture, "top"), place);
    *class_index = json_integer_value(json_object_get(item, "class"));
    return json_number_value(json_object_get(item, "probability"));
}

/* The events between start and result, which the caller releases. */
static void read_pictures(json_t *pictures[PICTURES]) {
    json_t *start = line_json(0), *result = line_json(PICTURES + 1);
    assert_int_equal(count_lines(), PICTURES + 2);
    assert_string_equal(text_of(start, "command"), "predict");
    assert_string_equal(text_of(start, "event"), "start");
    assert_int_equal(json_integer_value(json_object_get(start, "pictures")), PICTURES);
    assert_string_equal(text_of(result, "event"), "result");
    assert_int_equal(json_integer_value(json_object_get(result, "pictures")), PICTURES);
    assert_int_equal(json_integer_value(json_object_get(result, "broken")), 0);
    for (int i = 0; i < PICTURES; i++)
        pictures[i] = line_json(1 + i);
    json_decref(start);
    json_decref(result);
}

/* However many pictures make a batch, the same is said of each. */
static void test_json(void **state) {
    (void)state;
    json_t *one[PICTURES], *many[PICTURES];
    assert_int_equal(run("predict %s/shown " WEIGHTS " --json --batch 1 2>/dev/null", folder, folder), 0);
    read_pictures(one);
    assert_int_equal(run("predict %s/shown " WEIGHTS " --json --batch 4 2>/dev/null", folder, folder), 0);
    read_pictures(many);
    for (int i = 0; i < PICTURES; i++) {
        double sum = 0, before = 1;
        assert_string_equal(text_of(one[i], "file"), text_of(many[i], "file"));
        assert_int_equal(json_array_size(json_object_get(one[i], "top")), CLASSES);
        for (size_t place = 0; place < CLASSES; place++) {
            json_int_t class_index[2];
            double p = probability(one[i], place, &class_index[0]), q = probability(many[i], place, &class_index[1]);
            assert_int_equal(class_index[0], class_index[1]);
            assert_true(fabs(p - q) < 1e-6 && p <= before);
            sum += p, before = p;
        }
        assert_true(fabs(sum - 1) < 1e-5);
        json_decref(one[i]);
        json_decref(many[i]);
    }
}

/* ---- what cannot be read ---- */

/* Fails unless exactly the line of this event is about the file. */
static void expect_event(int line, const char *event, const char *file) {
    json_t *json = line_json(line);
    assert_string_equal(text_of(json, "event"), event);
    if (!strstr(text_of(json, "file"), file))
        fail_msg("event %d is about %s, not %s", line, text_of(json, "file"), file);
    assert_true((json_object_get(json, "message") != NULL) == (strcmp(event, "broken") == 0));
    json_decref(json);
}

static void test_broken(void **state) {
    (void)state;
    write_picture(in_folder("mixed/1.png"), 9, 9, 0, 1);
    write_file(in_folder("mixed/2.jpg"), "\xFF\xD8\xFF\xE0 no picture", 15);
    write_picture(in_folder("mixed/3.jpg"), 30, 30, 1, 3);
    write_file(in_folder("mixed/4.png"), "", 0);
    assert_int_equal(run("predict %s/mixed /nonexistent/5.png " WEIGHTS " --batch 2 --html %s/mixed.html 2>&1", folder,
                         folder, folder),
                     3);
    expect(3, "/mixed/2.jpg: ");
    expect(3, "/mixed/4.png: ");
    expect(3, "/nonexistent/5.png: ");
    expect(3, "/mixed/1.png   ");
    expect(3, "/mixed/3.jpg   ");
    expect(3, "resnet-vk: 3 of 5 pictures could not be read\n");
    assert_int_equal(run("predict %s/mixed /nonexistent/5.png " WEIGHTS " --json 2>/dev/null", folder, folder), 3);
    expect_event(1, "picture", "/mixed/1.png");
    expect_event(2, "broken", "/mixed/2.jpg");
    expect_event(3, "picture", "/mixed/3.jpg");
    expect_event(4, "broken", "/mixed/4.png");
    json_t *result = line_json(5);
    assert_int_equal(json_integer_value(json_object_get(result, "status")), 3);
    assert_int_equal(json_integer_value(json_object_get(result, "pictures")), 2);
    assert_int_equal(json_integer_value(json_object_get(result, "broken")), 3);
    json_decref(result);
    assert_int_equal(run("predict /nonexistent/5.png " WEIGHTS " 2>&1", folder), 3);
    expect(3, "none of the 1 files exists");
}

/* ---- how they are read ---- */

/* Of the four pictures in "mixed" two are broken, and the fifth is not there. */
static void test_limit(void **state) {
    (void)state;
    static const struct {
        uint32_t broken;
        const char *sentence;
    } cases[] = {
        {3, "resnet-vk: 3 of 5 pictures could not be read\n"},
        {2, "/mixed/4.png: "},
        {2, "; so more than 1 of 4 pictures are broken\n"},
        {1, "; so more than 0 of 4 pictures are broken\n"},
        {0, "resnet-vk: 1 files do not exist, more than --broken 0\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(run("predict %s/mixed /nonexistent/5.png " WEIGHTS " --batch 1 --broken %u 2>&1", folder,
                             folder, cases[i].broken),
                         3);
        expect(3, cases[i].sentence);
    }
}

/* The same lines with and without thumbnails, which are there afterwards. */
static void test_cache(void **state) {
    (void)state;
    char line[256];
    assert_int_equal(run("predict %s/shown " WEIGHTS " 2>/dev/null", folder, folder), 0);
    char *plain = strdup(output);
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(
            run("predict %s/shown " WEIGHTS " --cache thumbnails:%s/cache 2>/dev/null", folder, folder, folder), 0);
        assert_string_equal(output, plain);
        snprintf(line, sizeof line, "find %s/cache -name '*.rgb' | wc -l", folder);
        assert_int_equal(run_line(line), 0);
        assert_int_equal(strtol(output, NULL, 10), PICTURES);
    }
    free(plain);
}

/* ---- lists ---- */

static void test_lists(void **state) {
    (void)state;
    write_picture(in_folder("list/two\nlines.png"), 9, 9, 0, 1);
    write_picture(in_folder("list/plain.png"), 9, 9, 0, 1);
    assert_int_equal(run("predict - " WEIGHTS " --top 1 2>/dev/null <<'END'\n%s\r\n\n%s\nEND\n", folder,
                         in_folder("list/plain.png"), in_folder("shown")),
                     0);
    assert_int_equal(count_lines(), 1 + PICTURES);
    assert_memory_equal(output, in_folder("list/plain.png"), strlen(in_folder("list/plain.png")));
    char line[1024];
    snprintf(line, sizeof line,
             "find %s/list -name '*.png' -print0 | sort -z | %s predict --list - --null --top 1 " WEIGHTS
             " 2>/dev/null",
             folder, PROGRAM, folder);
    assert_int_equal(run_line(line), 0);
    assert_int_equal(count_lines(), 2);
    expect(0, "/list/two?lines.png"); /* a name does not end a line */
    assert_int_equal(run("predict --list %s/none " WEIGHTS " 2>&1", folder, folder), 3);
    expect(3, "/none: No such file");
    assert_int_equal(run("predict --list - " WEIGHTS " 2>&1 </dev/null", folder), 3);
    expect(3, "the list of files is empty");
    assert_int_equal(run("predict --list - " WEIGHTS " 2>&1 </dev/zero", folder), 3); /* which has no end */
    expect(3, "standard input holds a zero byte: lists whose names end with one need --null");
}

/* ---- the contact sheet ---- */

static int count_of(const char *text, const char *part) {
    int count = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

static char *read_page(const char *name) {
    uint8_t *bytes;
    size_t size;
    assert_int_equal(file_read(in_folder(name), 1 << 24, &bytes, &size), STATUS_OK);
    html_check((char *)bytes);
    return (char *)bytes;
}

static void test_page(void **state) {
    (void)state;
    assert_int_equal(run("predict %s/shown " WEIGHTS " --html %s/page.html 2>/dev/null", folder, folder, folder), 0);
    char *page = read_page("page.html");
    assert_int_equal(count_of(page, "<li>"), PICTURES);
    assert_int_equal(count_of(page, "<img src=\"data:image/jpeg;base64,/9j/"), PICTURES);
    assert_int_equal(count_of(page, "class=\"bar\""), PICTURES * CLASSES);
    assert_int_equal(count_of(page, "<span>a,&lt;i&gt;&amp;&quot;b&#39;</span>"), PICTURES);
    assert_non_null(strstr(page, "/shown/sub/1 &lt;&amp;&gt;.jpg</p>"));
    free(page);
    page = read_page("mixed.html"); /* of test_broken */
    assert_int_equal(count_of(page, "<li>"), 4);
    assert_int_equal(count_of(page, "<img"), 2);
    assert_int_equal(count_of(page, "cannot be read"), 2);
    free(page);
    assert_int_equal(run("predict --count 4 " WEIGHTS " --html %s/data.html 2>/dev/null", folder, folder), 2);
    assert_int_equal(run("predict --count 2 " WEIGHTS " --html %s/data.html 2>/dev/null", folder, folder), 0);
    page = read_page("data.html"); /* images of a data set, with their true classes */
    assert_int_equal(count_of(page, "<img"), 2);
    assert_int_equal(count_of(page, ".png: "), 2);
    free(page);
    assert_int_equal(run("predict --count 3 " WEIGHTS " --json 2>/dev/null", folder), 0);
    json_t *json = line_json(0), *last = json_array_get(json_object_get(json, "predictions"), 2);
    const char *class_name = class_names[json_integer_value(json_object_get(last, "label"))];
    assert_memory_equal(text_of(last, "file"), class_name, strlen(class_name));
    assert_int_equal(json_array_size(json_object_get(last, "probabilities")), CLASSES);
    json_decref(json);
    assert_int_equal(run("predict %s/shown " WEIGHTS " --html /nonexistent/a.html 2>&1", folder, folder), 8);
}

/* ---- classes by their names ---- */

/* Of the training pictures of a folder: how many there are of each of the model's classes, and how many were right. */
static void evaluate(const char *name, json_int_t counts[CLASSES], json_int_t right[CLASSES]) {
    assert_int_equal(run("eval --training --data folder:%s/%s " WEIGHTS " --json --html %s/eval.html 2>/dev/null",
                         folder, name, folder, folder),
                     0);
    json_t *json = line_json(0), *classes = json_object_get(json, "classes");
    assert_int_equal(json_array_size(classes), CLASSES);
    for (size_t k = 0; k < CLASSES; k++) {
        json_t *class = json_array_get(classes, k);
        counts[k] = json_integer_value(json_object_get(class, "count"));
        right[k] = json_integer_value(json_object_get(class, "correct"));
    }
    json_decref(json);
}

/* Two of the three classes, which have the numbers 0 and 1 there, are those of their names. */
static void test_names(void **state) {
    (void)state;
    json_int_t counts[2][CLASSES], right[2][CLASSES];
    char line[512];
    snprintf(line, sizeof line,
             "cd %s; mkdir part; cp -r data/n02123045 data/plain part; cp -r part more; "
             "cp -r part other; cp -r data/plain more/unknown; mv other/plain other/unknown",
             folder);
    assert_int_equal(run_line(line), 0);
    evaluate("data", counts[0], right[0]);
    evaluate("part", counts[1], right[1]);
    char *page = read_page("eval.html"); /* a picture of each mistake, by its file */
    assert_int_equal(count_of(page, "<img src=\"data:image/jpeg;base64,/9j/"), 14 - right[1][1] - right[1][2]);
    assert_int_equal(count_of(page, ".png</p>"), 14 - right[1][1] - right[1][2]);
    free(page);
    assert_int_equal(counts[1][0], 0);
    for (int k = 1; k < CLASSES; k++) {
        assert_int_equal(counts[1][k], 7);
        assert_int_equal(counts[1][k], counts[0][k]);
        assert_int_equal(right[1][k], right[0][k]);
    }
    assert_int_equal(
        run("predict --data folder:%s/part --training " WEIGHTS " --json --count 14 2>/dev/null", folder, folder), 0);
    json_t *json = line_json(0), *list = json_object_get(json, "predictions");
    json_int_t same = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        json_int_t label = json_integer_value(json_object_get(item, "label"));
        assert_memory_equal(text_of(item, "file"), class_names[label], strlen(class_names[label]));
        same += label == json_integer_value(json_object_get(item, "prediction"));
    }
    assert_int_equal(same, right[0][1] + right[0][2]);
    json_decref(json);
    assert_int_equal(run("eval --data folder:%s/other " WEIGHTS " 2>&1", folder, folder), 2);
    assert_int_equal(run("eval --data folder:%s/more " WEIGHTS " 2>&1", folder, folder), 0);
    expect(0, "have other names than the model's");
    assert_int_equal(run("predict --data folder:%s/other " WEIGHTS " --count 2 2>/dev/null", folder, folder), 0);
    expect(0, "truly unknown  (wrong)");
    expect(0, "truly tabby");
}

/* ---- stopping, usage ---- */

/* Results come while pictures are still to be done, and a signal ends the program between two of them. */
static void test_interrupt(void **state) {
    (void)state;
    char line[1024];
    write_file(in_folder("kept.html"), "old", 3);
    snprintf(line, sizeof line,
             "cd %s; yes mixed/1.png | head -n 50000 | timeout --foreground --preserve-status -s INT 2 %s predict - "
             "--batch 1 --json --html kept.html " WEIGHTS " >lines 2>messages",
             folder, PROGRAM, folder);
    assert_int_equal(run_line(line), 130);
    snprintf(line, sizeof line, "cd %s; tail -n 1 lines; wc -l <lines; tail -n 1 messages; cat kept.html", folder);
    assert_int_equal(run_line(line), 0);
    expect(130, "\nresnet-vk: stopped after ");
    expect(130, " of 50000 images\nold");
    json_t *result = line_json(0);
    long lines = strtol(strchr(output, '\n'), NULL, 10);
    assert_string_equal(text_of(result, "event"), "result");
    assert_int_equal(json_integer_value(json_object_get(result, "status")), 130);
    assert_int_equal(json_integer_value(json_object_get(result, "pictures")), lines - 2);
    assert_in_range(lines, 3, 50000);
    json_decref(result);
}

static void test_usage(void **state) {
    (void)state;
    assert_int_equal(run("predict %s/shown 2>&1", folder), 2);
    expect(2, "predict needs --weights FILE");
    assert_int_equal(run("predict %s/shown --data generated " WEIGHTS " 2>&1", folder, folder), 2);
    expect(2, "files or --data, not both");
    assert_int_equal(run("predict %s/shown --first %d " WEIGHTS " 2>&1", folder, PICTURES, folder), 2);
    expect(2, "is behind the last of 7 pictures");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines), cmocka_unit_test(test_json),  cmocka_unit_test(test_broken),
        cmocka_unit_test(test_limit), cmocka_unit_test(test_cache), cmocka_unit_test(test_lists),
        cmocka_unit_test(test_page),  cmocka_unit_test(test_names), cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_usage),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}

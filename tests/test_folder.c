/* folder: which pictures of folders and tars are found, in which part, with which class and in which order. */
#include "data/dataset.h"
#include "data/source.h"
#include "data/view.h"

#include "base/log.h"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#include "pictures.h"

#include "folder.h"

static char warnings[4096];

static void keep_warning(void *context, enum log_level level, const char *message) {
    (void)context, (void)level;
    snprintf(warnings + strlen(warnings), sizeof warnings - strlen(warnings), "%s\n", message);
}

static void expect_text(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void touch(const char *format, const char *name) {
    char path[512], all[1024];
    snprintf(path, sizeof path, format, name);
    snprintf(all, sizeof all, "%s/%s", folder, path);
    write_file(all, "?", 1);
}

static struct dataset open_set(const char *kind, const char *name, bool training) {
    char spec[512];
    struct dataset set;
    warnings[0] = 0;
    snprintf(spec, sizeof spec, "%s:%s/%s", kind, folder, name);
    if (dataset_load(spec, training, &set) != STATUS_OK)
        fail_msg("%s: %s", spec, status_message());
    return set;
}

static void refuse_set(const char *kind, const char *name, enum status expected, const char *part) {
    char spec[512];
    struct dataset set;
    snprintf(spec, sizeof spec, "%s:%s/%s", kind, folder, name);
    assert_int_equal(dataset_load(spec, true, &set), expected);
    assert_null(set.source);
    expect_text(status_message(), part);
}

/* The number of the picture `name`; UINT32_MAX: there is none. */
static uint32_t find(const struct dataset *set, const char *name) {
    for (uint32_t i = 0; i < set->count; i++)
        if (strcmp(set->source->items[i].name, name) == 0)
            return i;
    return UINT32_MAX;
}

static void expect_label(const struct dataset *set, const char *name, uint32_t label) {
    uint32_t index = find(set, name);
    if (index == UINT32_MAX)
        fail_msg("%s was not found", name);
    assert_int_equal(set->labels[index], label);
}

/* ---- folders ---- */

static void parts_beside_each_other_are_taken(void **state) {
    (void)state;
    static const char *const names[] = {"train/bee/1.jpg",  "train/bee/2.PNG", "train/ant/deep/er/3.jpeg",
                                        "val/ant/4.JPG",    "val/wasp/5.jpg",  "test/ant/6.jpg",
                                        "train/bee/.7.jpg", "train/bee/8.txt", "train/9.jpg"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        touch("parts/%s", names[i]);
    touch("parts/%s", "train/empty/.hidden.jpg");
    struct dataset set = open_set("folder", "parts", true);
    expect_text(warnings, "/parts/train/empty holds no pictures (.jpg, .jpeg, .png): this class is left out");
    expect_text(warnings, "/parts/train: 1 pictures beside the folders of the classes are left out");
    assert_int_equal(set.count, 3);
    assert_int_equal(set.classes, 2);
    assert_string_equal(set.class_names[0], "ant");
    assert_string_equal(set.class_names[1], "bee");
    expect_label(&set, "train/bee/1.jpg", 1);
    expect_label(&set, "train/bee/2.PNG", 1);
    expect_label(&set, "train/ant/deep/er/3.jpeg", 0);
    dataset_destroy(&set);
    set = open_set("folder", "parts", false); /* of val and test, val */
    expect_text(warnings, "the class wasp has no training pictures");
    assert_null(strstr(warnings, "train/empty")); /* once was enough */
    assert_int_equal(set.count, 1);
    expect_label(&set, "val/ant/4.JPG", 0);
    dataset_destroy(&set);
}

/* Every tenth of a class, the last of a small one, none of a single one; and always the same. */
static void a_test_part_is_cut_off(void **state) {
    (void)state;
    char name[32];
    for (int i = 0; i < 25; i++) {
        snprintf(name, sizeof name, "large/%02d.jpg", i);
        touch("whole/%s", name);
        if (i < 4)
            snprintf(name, sizeof name, "small/%02d.jpg", i), touch("whole/%s", name);
    }
    touch("whole/%s", "single/0.jpg");
    struct dataset training = open_set("folder", "whole", true), test = open_set("folder", "whole", false);
    assert_int_equal(training.count, 23 + 3 + 1);
    assert_int_equal(test.count, 2 + 1);
    expect_label(&test, "large/09.jpg", 0);
    expect_label(&test, "large/19.jpg", 0);
    expect_label(&test, "small/03.jpg", 2);
    expect_label(&training, "single/0.jpg", 1);
    for (uint32_t i = 0; i < test.count; i++)
        assert_int_equal(find(&training, test.source->items[i].name), UINT32_MAX);
    dataset_destroy(&training);
    dataset_destroy(&test);
}

/* Classes are mixed; a picture more does not change the order of the others. */
static void the_order_is_one_of_its_own(void **state) {
    (void)state;
    char name[32];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "train/%c/%03d.jpg", "abcd"[i % 4], i);
        touch("order/%s", name);
    }
    struct dataset before = open_set("folder", "order", true);
    uint32_t changes = 0, of_class[4] = {0};
    for (uint32_t i = 0; i < 40; i++) {
        of_class[before.labels[i]]++;
        changes += before.labels[i] != before.labels[i + 1];
    }
    for (int k = 0; k < 4; k++)
        assert_in_range(of_class[k], 4, 18); /* of 40, 10 on average */
    assert_in_range(changes, 20, 40);
    touch("order/%s", "train/b/more.jpg");
    struct dataset after = open_set("folder", "order", true);
    uint32_t more = find(&after, "train/b/more.jpg");
    assert_int_equal(after.count, before.count + 1);
    for (uint32_t i = 0; i < before.count; i++)
        assert_string_equal(before.source->items[i].name, after.source->items[i + (i >= more)].name);
    dataset_destroy(&before);
    dataset_destroy(&after);
}

/* Links are followed, but not to a folder on the way. */
static void links_do_not_lead_in_circles(void **state) {
    (void)state;
    char target[128], link[128];
    touch("links/%s", "a/1.jpg");
    touch("links/%s", "b/2.jpg");
    touch("elsewhere/%s", "3.jpg");
    snprintf(link, sizeof link, "%s/links/a/up", folder);
    assert_int_equal(symlink("..", link), 0);
    snprintf(link, sizeof link, "%s/links/a/self", folder);
    assert_int_equal(symlink(".", link), 0);
    snprintf(link, sizeof link, "%s/links/b/nowhere.jpg", folder);
    assert_int_equal(symlink("missing", link), 0);
    snprintf(link, sizeof link, "%s/links/c", folder);
    snprintf(target, sizeof target, "%s/elsewhere", folder);
    assert_int_equal(symlink(target, link), 0);
    struct dataset set = open_set("folder", "links", true);
    assert_int_equal(set.count, 3);
    expect_label(&set, "c/3.jpg", 2);
    dataset_destroy(&set);
}

static void what_is_wrong_with_a_folder_is_said(void **state) {
    (void)state;
    char path[128];
    refuse_set("folder", "missing", STATUS_DATA, "/missing: there is no such folder");
    snprintf(path, sizeof path, "%s/nothing", folder);
    mkdir(path, 0777);
    refuse_set("folder", "nothing", STATUS_DATA,
               "/nothing holds no pictures (.jpg, .jpeg, .png) in folders of classes");
    touch("locked/%s", "a/1.jpg");
    snprintf(path, sizeof path, "%s/locked/a", folder);
    chmod(path, 0);
    if (access(path, R_OK) != 0) /* root may read anything */
        refuse_set("folder", "locked", STATUS_IO, "/locked/a: Permission denied");
    chmod(path, 0777);
}

static void single_files_and_folders_are_listed(void **state) {
    (void)state;
    char paths[3][128];
    const char *list[3] = {paths[0], paths[1], paths[2]};
    struct dataset set;
    touch("list/%s", "b.jpg");
    touch("list/%s", "a/1.png");
    touch("list/%s", "a/.2.png");
    snprintf(paths[0], sizeof paths[0], "%s/list/b.jpg", folder);
    snprintf(paths[1], sizeof paths[1], "%s/list", folder);
    snprintf(paths[2], sizeof paths[2], "%s/list/none.jpg", folder);
    assert_int_equal(dataset_list(list, 2, &set), STATUS_OK);
    assert_int_equal(set.count, 3);
    assert_int_equal(set.classes, 0);
    assert_int_equal(set.labels[0], UINT32_MAX);
    assert_string_equal(set.source->items[0].name, paths[0]);
    expect_text(set.source->items[1].name, "/list/a/1.png");
    expect_text(set.source->items[2].name, "/list/b.jpg");
    dataset_destroy(&set);
    assert_int_equal(dataset_list(list, 3, &set), STATUS_DATA);
    expect_text(status_message(), "/list/none.jpg: there is no such file or folder");
}

/* ---- tars ---- */

struct entry {
    const char *name, *text; /* text NULL: a picture of that name */
};

static void write_tar(const char *name, const struct entry *entries, size_t count) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    struct archive *tar = archive_write_new();
    archive_write_set_format_pax_restricted(tar);
    assert_int_equal(archive_write_open_filename(tar, path), ARCHIVE_OK);
    for (uint32_t i = 0; i < count; i++) {
        size_t size = entries[i].text ? strlen(entries[i].text) : 0;
        uint8_t *picture = entries[i].text ? NULL : encode_picture(entries[i].name, 20 + i, 30, i, i, &size);
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, entries[i].name);
        archive_entry_set_size(entry, (la_int64_t)size);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        assert_int_equal(archive_write_header(tar, entry), ARCHIVE_OK);
        assert_int_equal(archive_write_data(tar, picture ? (const void *)picture : entries[i].text, size), size);
        archive_entry_free(entry);
        free(picture);
    }
    assert_int_equal(archive_write_free(tar), ARCHIVE_OK);
}

#define WRITE_TAR(name, ...)                                                                                           \
    write_tar(name, (const struct entry[]){__VA_ARGS__},                                                               \
              sizeof((const struct entry[]){__VA_ARGS__}) / sizeof(struct entry))

/* Every picture's bytes are at their offset: each has a width of its own. */
static void expect_width(const struct dataset *set, const char *name, uint32_t width) {
    uint8_t *bytes;
    size_t size;
    struct picture picture;
    uint32_t index = find(set, name);
    assert_int_not_equal(index, UINT32_MAX);
    assert_int_equal(source_read(set->source, index, &bytes, &size), STATUS_OK);
    assert_int_equal(picture_decode(bytes, size, 0, &picture), STATUS_OK);
    assert_int_equal(picture.width, width);
    picture_destroy(&picture);
    free(bytes);
}

static void tars_with_folders_are_read_by_offset(void **state) {
    (void)state;
    static const char long_name[] = "x/train/cat/a_name_that_is_much_longer_than_the_hundred_bytes_of_an_old_header_"
                                    "of_a_tar_which_needs_a_header_of_its_own.png";
    WRITE_TAR("folders.tar", {"./x/train/dog/1.jpg", NULL}, {long_name, NULL}, {"x/notes.txt", "hello"},
              {"x/val/cat/3.png", NULL}, {"x/train/dog/.4.png", NULL});
    struct dataset set = open_set("tar", "folders.tar", true);
    assert_int_equal(set.count, 2);
    assert_int_equal(set.classes, 2);
    expect_label(&set, "x/train/dog/1.jpg", 1);
    expect_label(&set, long_name, 0);
    expect_width(&set, "x/train/dog/1.jpg", 20);
    expect_width(&set, long_name, 21);
    dataset_destroy(&set);
    set = open_set("tar", "folders.tar", false);
    expect_label(&set, "x/val/cat/3.png", 0);
    expect_width(&set, "x/val/cat/3.png", 23);
    dataset_destroy(&set);
}

static void labels_may_lie_beside_the_pictures(void **state) {
    (void)state;
    WRITE_TAR("web.tar", {"000001.cls", " 3\n"}, {"000001.jpg", NULL}, {"000002.seg.png", NULL},
              {"000002.json", "{\"label\": 0, \"more\": [1]}"}, {"000003.cls", "1"}, {"000003.png", NULL});
    struct dataset set = open_set("tar", "web.tar", true);
    assert_int_equal(set.count, 3); /* one of each class */
    assert_int_equal(set.classes, 4);
    assert_null(set.class_names);
    expect_label(&set, "000001.jpg", 3);
    expect_label(&set, "000002.seg.png", 0);
    expect_label(&set, "000003.png", 1);
    expect_width(&set, "000003.png", 25);
    dataset_destroy(&set);
}

static void what_is_wrong_with_a_tar_is_said(void **state) {
    (void)state;
    char line[512];
    refuse_set("tar", "missing.tar", STATUS_DATA, "missing.tar: No such file");
    WRITE_TAR("some.tar", {"1.cls", "1"}, {"1.jpg", NULL}, {"2.jpg", NULL});
    refuse_set("tar", "some.tar", STATUS_DATA, "some.tar: 2.jpg has no label beside it, others have");
    WRITE_TAR("none.tar", {"1.jpg", NULL});
    refuse_set("tar", "none.tar", STATUS_DATA, "none.tar: 1.jpg lies in no folder and has no .cls or .json file");
    WRITE_TAR("word.tar", {"1.jpg", NULL}, {"1.cls", "cat"});
    refuse_set("tar", "word.tar", STATUS_DATA, "1.cls should hold a class as a number from 0 to 65535");
    WRITE_TAR("large.tar", {"1.jpg", NULL}, {"1.cls", "65536"});
    refuse_set("tar", "large.tar", STATUS_DATA, "1.cls should hold a class");
    WRITE_TAR("empty.tar", {"a/readme", "nothing"});
    refuse_set("tar", "empty.tar", STATUS_DATA, "empty.tar holds no pictures");
    snprintf(line, sizeof line,
             "cd %s && gzip -k folders.tar && head -c 1300 folders.tar >cut.tar && head -c 3000 "
             "folders.tar >short.tar",
             folder);
    assert_int_equal(system(line), 0);
    refuse_set("tar", "folders.tar.gz", STATUS_DATA, "unpack a compressed one first");
    refuse_set("tar", "cut.tar", STATUS_DATA, "the end of x/train/dog/1.jpg is missing");
    refuse_set("tar", "short.tar", STATUS_DATA, "short.tar");
}

/* ---- views ---- */

static void the_size_is_that_of_the_pictures_or_the_usual_one(void **state) {
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/same", folder);
    write_tree(path, 2, 12, 24);
    snprintf(path, sizeof path, "%s/other", folder);
    write_tree(path, 2, 12, 0);
    struct dataset same = open_set("folder", "same", true), other = open_set("folder", "other", true);
    assert_int_equal(dataset_choose_size(&same, 0, 32), STATUS_OK);
    assert_int_equal(same.height, 24);
    assert_true(same.whole);
    assert_int_equal(dataset_choose_size(&same, 16, 32), STATUS_OK);
    assert_int_equal(same.width, 16);
    assert_false(same.whole);
    assert_int_equal(dataset_choose_size(&other, 0, 32), STATUS_OK);
    assert_int_equal(other.height, 32);
    assert_false(other.whole);
    dataset_destroy(&same);
    dataset_destroy(&other);
    assert_int_equal(dataset_load("generated:count=4", true, &other), STATUS_OK);
    assert_int_equal(dataset_choose_size(&other, 32, 0), STATUS_OK);
    assert_int_equal(dataset_choose_size(&other, 64, 0), STATUS_USAGE);
    dataset_destroy(&other);
}

static void pictures_of_the_size_are_taken_as_they_are(void **state) {
    (void)state;
    uint8_t pixels[3 * 24 * 24], expected[3 * 24 * 24];
    struct dataset set = open_set("folder", "same", true);
    uint32_t index = find(&set, "b/002.png"); /* the fifth that was written */
    struct view view = {.size = 24, .whole = true};
    assert_int_equal(view_picture(set.source, index, &view, pixels), STATUS_OK);
    draw_picture(24, 24, 1, 5, expected);
    assert_memory_equal(pixels, expected, sizeof expected);
    view.whole = false; /* the middle 24/27 of it, enlarged */
    assert_int_equal(view_picture(set.source, index, &view, pixels), STATUS_OK);
    assert_memory_not_equal(pixels, expected, sizeof expected);
    struct picture whole = {24, 24, expected};
    uint8_t evaluated[3 * 24 * 24];
    assert_int_equal(picture_evaluation(&whole, 27, 24, evaluated), STATUS_OK);
    assert_memory_equal(pixels, evaluated, sizeof evaluated);
    dataset_destroy(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_beside_each_other_are_taken),
        cmocka_unit_test(a_test_part_is_cut_off),
        cmocka_unit_test(the_order_is_one_of_its_own),
        cmocka_unit_test(links_do_not_lead_in_circles),
        cmocka_unit_test(what_is_wrong_with_a_folder_is_said),
        cmocka_unit_test(single_files_and_folders_are_listed),
        cmocka_unit_test(tars_with_folders_are_read_by_offset),
        cmocka_unit_test(labels_may_lie_beside_the_pictures),
        cmocka_unit_test(what_is_wrong_with_a_tar_is_said),
        cmocka_unit_test(the_size_is_that_of_the_pictures_or_the_usual_one),
        cmocka_unit_test(pictures_of_the_size_are_taken_as_they_are),
    };
    log_set(keep_warning, NULL);
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

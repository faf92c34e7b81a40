/* curve: the picture that is drawn from a log, with coordinates worked out by hand. */
#include "base/file.h"
#include "train/curve.h"

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define START                                                                                                          \
    "{\"event\":\"start\",\"model\":\"resnet20\",\"train_images\":1000,\"steps\":10,\"epoch\":0,\"step\":0,"           \
    "\"device\":{\"name\":\"card\"},\"options\":{\"data\":\"cifar10:/a&b<c\",\"batch\":100}}\n"
#define EPOCH(epoch, loss, accuracy)                                                                                   \
    "{\"event\":\"epoch\",\"epoch\":" #epoch ",\"train_loss\":" #loss ",\"train_accuracy\":" #accuracy "}\n"
#define VALIDATED(epoch, loss, accuracy, validation_loss, validation_accuracy)                                         \
    "{\"event\":\"epoch\",\"epoch\":" #epoch ",\"train_loss\":" #loss ",\"train_accuracy\":" #accuracy                 \
    ",\"validation_loss\":" #validation_loss ",\"validation_accuracy\":" #validation_accuracy "}\n"
#define PART(epochs, loss, accuracy)                                                                                   \
    "{\"event\":\"part\",\"epochs\":" #epochs ",\"train_loss\":" #loss ",\"train_accuracy\":" #accuracy "}\n"
#define TEST(loss, accuracy) "{\"event\":\"test\",\"test_loss\":" #loss ",\"test_accuracy\":" #accuracy "}\n"

static char folder[64], path[96];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/resnet-vk-curve-XXXXXX");
    snprintf(path, sizeof path, "%s/curve.svg", mkdtemp(folder));
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    char log[96];
    snprintf(log, sizeof log, "%s/log.jsonl", folder);
    unlink(log);
    unlink(path);
    return rmdir(folder);
}

/* The picture of a log, free with free(); NULL when there is none. */
static char *draw(const char *log) {
    char name[96];
    uint8_t *bytes;
    size_t size;
    snprintf(name, sizeof name, "%s/log.jsonl", folder);
    assert_int_equal(file_write_atomic(name, &(struct file_piece){log, strlen(log)}, 1), STATUS_OK);
    assert_int_equal(curve_write(folder), STATUS_OK);
    if (!file_exists(path))
        return NULL;
    assert_int_equal(file_read(path, 1 << 20, &bytes, &size), STATUS_OK);
    return (char *)bytes;
}

static void holds(const char *picture, const char *part) {
    if (!strstr(picture, part))
        fail_msg("the picture does not hold %s:\n%s", part, picture);
}

/* A panel is 308 wide and 190 high, the left one from (54, 110), the right one from (430, 110). */
static void test_lines(void **state) {
    (void)state;
    char *picture = draw(START VALIDATED(1, 2, 0.5, 1.5, 0.6) VALIDATED(2, 1, 0.7, 1.25, 0.65) TEST(1.5, 0.55));
    holds(picture, "<path class=\"t\" d=\"M208.0 110.0L362.0 300.0\"/>"); /* loss 2 to 1 on an axis from 1 to 2 */
    holds(picture, "<path class=\"v\" d=\"M208.0 205.0L362.0 252.5\"/>");
    holds(picture, "<path class=\"t\" d=\"M584.0 300.0L738.0 110.0\"/>"); /* 50 % to 70 % */
    holds(picture, "<path class=\"v\" d=\"M584.0 205.0L738.0 157.5\"/>");
    holds(picture, "<path class=\"x\" d=\"M362.0 200.0l"); /* the upper corner of the diamond at 205 */
    holds(picture, ">training 1.000</text>");
    holds(picture, ">validation 65.0</text>");
    holds(picture, ">test 55.0</text>");
    holds(picture, ">loss (nats)</text>");
    holds(picture, ">accuracy (%)</text>");
    free(picture);
}

static void test_text_is_escaped(void **state) {
    (void)state;
    char *picture = draw(START EPOCH(1, 2, 0.5));
    holds(picture, ">resnet20 on cifar10:/a&amp;b&lt;c</text>");
    holds(picture, "1000 training images, batch 100");
    assert_null(strstr(picture, "b<c"));
    assert_null(strstr(picture, "nan"));
    holds(picture, "<circle class=\"c\""); /* a lonely point */
    free(picture);
}

/* Parts of epochs draw the line where there are some, but not where there are too many. */
static void test_parts(void **state) {
    (void)state;
    char *picture = draw(START PART(0.5, 3, 0.2) PART(1, 1, 0.4) EPOCH(1, 2, 0.3));
    holds(picture, "<path class=\"t\" d=\"M208.0 110.0L362.0 300.0\"/>");
    holds(picture, ">training 2.000</text>");
    free(picture);
    char *log = calloc(300, sizeof PART(0.000, 3, 0.2) + 1), *end = log;
    assert_non_null(log);
    end += sprintf(end, "%s", START);
    for (int i = 1; i <= 250; i++)
        end += sprintf(end, "{\"event\":\"part\",\"epochs\":%.3f,\"train_loss\":1,\"train_accuracy\":0}\n", i / 125.0);
    sprintf(end, "%s", EPOCH(1, 2, 0.5) EPOCH(2, 1, 0.7));
    picture = draw(log);
    holds(picture, "<path class=\"t\" d=\"M208.0 110.0L362.0 300.0\"/>");
    free(picture);
    free(log);
}

/* A run that goes on from an earlier checkpoint replaces what came after it. */
static void test_resume(void **state) {
    (void)state;
    char *picture = draw(START EPOCH(1, 2, 0.5) EPOCH(2, 9, 0.1) EPOCH(3, 9, 0.1) TEST(
        9, 0.1) "{\"event\":\"resume\",\"model\":\"resnet20\",\"epoch\":1,\"step\":5,\"steps\":10}\n" PART(1.7, 1, 0.7)
                             EPOCH(2, 1, 0.7));
    assert_null(strstr(picture, ">10</text>")); /* no axis up to the loss of 9 */
    assert_null(strstr(picture, "class=\"x\""));
    free(picture);
    picture = draw(START EPOCH(1, 2, 0.5) EPOCH(
        2, 9, 0.1) "{\"event\":\"resume\",\"model\":\"resnet20\",\"epoch\":1,\"step\":0,\"steps\":10}\n" EPOCH(2, 1,
                                                                                                               0.7));
    holds(picture, "<path class=\"t\" d=\"M208.0 110.0L362.0 300.0\"/>");
    free(picture);
}

static void test_damaged_log(void **state) {
    (void)state;
    char *picture = draw(START EPOCH(1, 2, 0.5) EPOCH(2, 1, 0.7) "{\"event\":\"epoch\",\"epoch\":3,\"train_lo");
    holds(picture, "<path class=\"t\" d=\"M208.0 110.0L362.0 300.0\"/>");
    free(picture);
    picture = draw("{\"event\":\"epoch\"}\n[1]\n\n{\"event\":5}\n" EPOCH(1, 1, 1));
    holds(picture, "</svg>");
    free(picture);
}

static void test_no_epoch(void **state) {
    (void)state;
    assert_null(draw(START PART(0.5, 3, 0.2)));
    assert_null(draw(""));
    assert_int_equal(curve_write("/nonexistent"), STATUS_DATA);
}

int main(void) {
#define TEST_IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_lines),  TEST_IN_FOLDER(test_text_is_escaped), TEST_IN_FOLDER(test_parts),
        TEST_IN_FOLDER(test_resume), TEST_IN_FOLDER(test_damaged_log),     TEST_IN_FOLDER(test_no_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

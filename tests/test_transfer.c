/*
 * Fine-tuning on a folder of pictures: Fashion-MNIST's ten classes as PNG files of 64 x 64 pixels, with the weights of
 * a network that saw other pictures of the first five classes only.
 *
 * With TEST_IMAGES=6000 the network is ResNet-18, and one epoch of so many pictures must reach 80 % on a thousand
 * others; the same epoch without those weights is told beside it. Otherwise a small network sees a few pictures.
 */
#include "resnet_vk.h"

#include "base/memory.h"
#include "data/dataset.h"

#include "folder.h"
#include "pictures.h"

enum { SIDE = 64, BORDER = 2 /* of zeros, around 28 x 28 pixels */, FIRST_CLASSES = 5 };

static struct rvk_context *context;
static uint32_t images = 80; /* to fine-tune with */
static bool whole;

static int begin(void **state) {
    const char *count = getenv("TEST_IMAGES");
    struct rvk_open_options options = {.device = getenv("TEST_DEVICE"), .no_cache = true};
    whole = count != NULL;
    images = whole ? (uint32_t)strtoul(count, NULL, 10) : images;
    if (rvk_open(&options, &context) != RVK_OK)
        fail_msg("%s", rvk_message());
    return make_folder(state);
}

static int end(void **state) {
    rvk_close(context);
    return remove_folder(state);
}

/* ---- pictures ---- */

static void write_image(const struct dataset *data, uint32_t index, const char *part) {
    const uint32_t inner = data->height - 2 * BORDER;
    const uint8_t *image = data->images + (size_t)index * data->height * data->width;
    struct picture picture = {data->width, data->height, malloc((size_t)3 * data->width * data->height)};
    uint8_t scaled[3 * SIDE * SIDE];
    char path[256];
    size_t size;
    assert_non_null(picture.pixels);
    for (uint32_t i = 0; i < data->height * data->width; i++)
        memset(picture.pixels + (size_t)3 * i, image[i], 3);
    struct box box = {BORDER, BORDER, (float)(BORDER + inner), (float)(BORDER + inner)};
    assert_int_equal(picture_resize_crop(&picture, box, SIDE, SIDE, scaled), STATUS_OK);
    picture_destroy(&picture);
    void *bytes = encode_png(SIDE, SIDE, scaled, &size);
    snprintf(path, sizeof path, "%s/%s/%u/%05u.png", folder, part, data->labels[index], index);
    write_file(path, bytes, size);
    free(bytes);
}

/* Of images [first, ...) the first `count` whose class is below `classes`. */
static void write_images(const char *part, bool training, uint32_t first, uint32_t count, uint32_t classes) {
    struct dataset data;
    if (dataset_load("fashion-mnist", training, &data) != STATUS_OK)
        fail_msg("%s", status_message());
    assert_true(data.channels == 1);
    for (uint32_t i = first; i < data.count && count > 0; i++)
        if (data.labels[i] < classes) {
            write_image(&data, i, part);
            count--;
        }
    dataset_destroy(&data);
    assert_int_equal(count, 0);
}

/* ---- runs ---- */

struct outcome {
    struct rvk_train_result result;
    uint32_t classes, replaced;
    uint64_t frozen;
};

static void on_start(void *user, const struct rvk_run *run) {
    struct outcome *outcome = user;
    outcome->classes = run->classes;
    outcome->replaced = run->replaced_classes;
    outcome->frozen = run->frozen;
}

static struct outcome train(const char *what, struct rvk_train_options options) {
    struct outcome outcome;
    options.batch = whole ? 32 : 16;
    options.eval_batch = 32;
    options.optimizer = "adamw";
    options.learning_rate = 0.001;
    options.schedule = "onecycle";
    options.augment = "flip";
    options.epochs = 1;
    options.on_start = on_start;
    options.user = &outcome;
    if (rvk_train(context, &options, &outcome.result) != RVK_OK)
        fail_msg("%s: %s", what, rvk_message());
    print_message("%s: %u classes, %llu steps in %.0f s, test accuracy %.4f\n", what, outcome.classes,
                  (unsigned long long)outcome.result.steps, outcome.result.seconds, outcome.result.test_accuracy);
    return outcome;
}

static void weights_of_five_classes_serve_ten(void **state) {
    (void)state;
    char first_data[64], data[64], first[64], weights[128];
    write_images("first/train", true, images, images / 2, FIRST_CLASSES);
    write_images("first/val", false, images / 6, images / 12, FIRST_CLASSES);
    write_images("all/train", true, 0, images, 10);
    write_images("all/val", false, 0, images / 6, 10);
    snprintf(first_data, sizeof first_data, "folder:%s/first", folder);
    snprintf(data, sizeof data, "folder:%s/all", folder);
    snprintf(first, sizeof first, "%s/run", folder);
    snprintf(weights, sizeof weights, "%s/last.safetensors", first);
    const char *model = whole ? "resnet18" : "resnet8";

    struct outcome outcome =
        train("five classes", (struct rvk_train_options){.model = model, .data = first_data, .out = first});
    assert_int_equal(outcome.classes, FIRST_CLASSES);
    struct outcome tuned =
        train("fine-tuned",
              (struct rvk_train_options){.data = data, .weights = weights, .freeze_until = whole ? NULL : "layer2"});
    assert_int_equal(tuned.classes, 10);
    assert_int_equal(tuned.replaced, FIRST_CLASSES);
    assert_true((tuned.frozen > 0) == !whole);
    if (!whole)
        return;
    struct outcome scratch = train("from scratch", (struct rvk_train_options){.model = model, .data = data});
    assert_true(scratch.result.steps == tuned.result.steps);
    assert_true(tuned.result.test_accuracy >= 0.8);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(weights_of_five_classes_serve_ten)};
    return cmocka_run_group_tests(tests, begin, end);
}

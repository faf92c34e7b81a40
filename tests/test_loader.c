/* loader: batches of streamed sets do not depend on threads; broken pictures; training and evaluation on them. */
#include "data/loader.h"
#include "data/safetensors.h"
#include "resnet_vk.h"

#include "base/log.h"
#include "base/memory.h"
#include "faults.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pictures.h"

#include "folder.h"

enum { SIZE = 8, COUNT_OF_TREE = 44, BATCH = 8 };

static char warnings[8192];

static void keep_warning(void *context, enum log_level level, const char *message) {
    (void)context, (void)level;
    snprintf(warnings + strlen(warnings), sizeof warnings - strlen(warnings), "%s\n", message);
}

static uint32_t warning_count(void) {
    uint32_t count = 0;
    for (const char *c = warnings; *c; c++)
        count += *c == '\n';
    return count;
}

static const char *path_of(const char *name) {
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *spec_of(const char *name) {
    static char spec[256];
    snprintf(spec, sizeof spec, "folder:%s/%s", folder, name);
    return spec;
}

static int make_trees(void **state) {
    if (make_folder(state) != 0)
        return -1;
    write_tree(path_of("sound"), 4, COUNT_OF_TREE, 0);
    write_tree(path_of("broken"), 4, COUNT_OF_TREE, 0);
    write_file(path_of("broken/a/001.jpg"), "", 0);
    write_file(path_of("broken/c/002.png"), "no picture", 10);
    return 0;
}

static struct dataset open_set(const char *name, uint32_t threads) {
    struct dataset set;
    if (dataset_load(spec_of(name), true, &set) != STATUS_OK)
        fail_msg("%s", status_message());
    set.source->threads = threads;
    assert_int_equal(dataset_choose_size(&set, SIZE, 0), STATUS_OK);
    return set;
}

/* ---- batches ---- */

static struct loader *make_loader(const struct dataset *set) {
    struct loader *loader;
    assert_int_equal(loader_create(set, BATCH, SIZE, &loader), STATUS_OK);
    return loader;
}

/* What loader_next should give for place `place`: the picture alone, seen by nobody else. */
static void expect_image(const struct dataset *set, const struct loader_pass *pass, uint32_t index,
                         const struct loader_batch *batch, uint32_t place) {
    uint8_t expected[3 * SIZE * SIZE];
    assert_int_equal(view_picture(set->source, index, &pass->view, expected), STATUS_OK);
    assert_memory_equal(batch->images + place * sizeof expected, expected, sizeof expected);
    assert_int_equal(batch->labels[place], set->labels[index]);
}

/* Also when a pass begins later, or another one had begun. */
static void batches_do_not_depend_on_threads(void **state) {
    (void)state;
    static const uint32_t threads[] = {1, 4, 13};
    uint32_t order[120];
    for (uint32_t i = 0; i < COUNT(order); i++)
        order[i] = i * 7 % 40;
    for (size_t t = 0; t < COUNT(threads); t++) {
        struct dataset set = open_set("sound", threads[t]);
        struct loader *loader = make_loader(&set);
        struct loader_batch batch;
        const struct loader_pass pass = {
            .order = order,
            .count = 115,
            .stand_ins = 40,
            .view = {.size = SIZE, .augment = &picture_augment_defaults, .seed = 3, .epoch = (uint32_t)t}};
        assert_int_equal(set.count, 40);
        loader_start(loader, &pass, 0);
        assert_int_equal(loader_next(loader, &batch), STATUS_OK);
        for (uint32_t first = 0; first < 15; first += 7) {
            loader_start(loader, &pass, first);
            for (uint32_t b = first; b < 15; b++) {
                assert_int_equal(loader_at(loader), b);
                assert_int_equal(loader_next(loader, &batch), STATUS_OK);
                assert_int_equal(batch.count, b == 14 ? 3 : BATCH);
                for (uint32_t i = 0; i < batch.count; i++) {
                    assert_int_equal(batch.indices[i], order[b * BATCH + i]);
                    expect_image(&set, &pass, order[b * BATCH + i], &batch, i);
                }
            }
            assert_int_equal(loader_next(loader, &batch), STATUS_USAGE);
        }
        loader_destroy(loader);
        dataset_destroy(&set);
    }
}

/* Threads run ahead by the buffers there are, and no further: what they would overwrite is still in use. */
static void a_batch_stays_until_the_next_one(void **state) {
    (void)state;
    struct dataset set = open_set("sound", 4);
    struct loader *loader;
    struct loader_batch batch;
    uint8_t kept[3 * SIZE * SIZE];
    uint32_t order[200]; /* more than there are buffers */
    const struct loader_pass pass = {.order = order, .count = COUNT(order), .view = {.size = SIZE}};
    for (uint32_t i = 0; i < COUNT(order); i++)
        order[i] = i % 40;
    assert_int_equal(loader_create(&set, 1, SIZE, &loader), STATUS_OK);
    for (int round = 0; round < 3; round++) {
        loader_start(loader, &pass, 0);
        for (uint32_t i = 0; i < COUNT(order); i++) {
            assert_int_equal(loader_next(loader, &batch), STATUS_OK);
            memcpy(kept, batch.images, sizeof kept);
            if (i % 10 == 0)
                nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
            assert_memory_equal(kept, batch.images, sizeof kept);
            expect_image(&set, &pass, order[i], &batch, 0);
        }
    }
    loader_destroy(loader);
    dataset_destroy(&set);
}

/* ---- broken pictures ---- */

static uint32_t broken_numbers(const struct dataset *set, uint32_t numbers[2]) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->count; i++)
        if (strcmp(set->source->items[i].name, "a/001.jpg") == 0 ||
            strcmp(set->source->items[i].name, "c/002.png") == 0)
            numbers[count++] = i;
    return count;
}

/* In training the next sound picture takes the place, with its label; elsewhere it stays empty. Each is told once. */
static void broken_pictures_are_named_and_replaced(void **state) {
    (void)state;
    for (int replaced = 0; replaced < 2; replaced++) {
        struct dataset set = open_set("broken", 3);
        struct loader *loader = make_loader(&set);
        struct loader_batch batch;
        uint32_t bad[2];
        const struct loader_pass pass = {
            .count = set.count, .stand_ins = replaced ? set.count : 0, .view = {.size = SIZE}};
        assert_int_equal(broken_numbers(&set, bad), 2);
        warnings[0] = 0;
        for (int round = 0; round < 2; round++) {
            loader_start(loader, &pass, 0);
            for (uint32_t i = 0; i < set.count; i++) {
                if (i % BATCH == 0)
                    assert_int_equal(loader_next(loader, &batch), STATUS_OK);
                bool broken = i == bad[0] || i == bad[1];
                uint32_t other = (i + 1) % set.count == bad[1] ? (i + 2) % set.count : (i + 1) % set.count;
                assert_int_equal(batch.indices[i % BATCH], broken && !replaced ? UINT32_MAX : i);
                if (!broken || replaced)
                    expect_image(&set, &pass, broken ? other : i, &batch, i % BATCH);
                else
                    assert_int_equal(batch.labels[i % BATCH], UINT32_MAX);
            }
        }
        assert_int_equal(warning_count(), 2);
        assert_non_null(strstr(warnings, "/broken/a/001.jpg: "));
        assert_non_null(strstr(warnings, "/broken/c/002.png: "));
        loader_destroy(loader);
        dataset_destroy(&set);
    }
}

static void too_many_broken_pictures_are_an_error(void **state) {
    (void)state;
    struct dataset set = open_set("broken", 2);
    struct loader *loader = make_loader(&set);
    struct loader_batch batch;
    enum status status = STATUS_OK;
    const struct loader_pass pass = {.count = set.count, .stand_ins = set.count, .view = {.size = SIZE}};
    set.source->broken_limit = 1;
    loader_start(loader, &pass, 0);
    for (uint32_t b = 0; b < set.count / BATCH && status == STATUS_OK; b++)
        status = loader_next(loader, &batch);
    assert_int_equal(status, STATUS_DATA);
    if (!strstr(status_message(), "so more than 1 of 40 pictures are broken"))
        fail_msg("%s", status_message());
    loader_destroy(loader);
    dataset_destroy(&set);
}

static void a_sample_leaves_broken_pictures_out(void **state) {
    (void)state;
    struct dataset set = open_set("broken", 2), sample;
    uint32_t bad[2], next = 0;
    assert_int_equal(broken_numbers(&set, bad), 2);
    assert_int_equal(dataset_sample(&set, set.count, &sample), STATUS_OK);
    assert_int_equal(sample.count, set.count - 2);
    for (uint32_t i = 0; i < set.count; i++)
        if (i != bad[0] && i != bad[1])
            assert_int_equal(sample.labels[next++], set.labels[i]);
    dataset_destroy(&sample);
    dataset_destroy(&set);
}

static void the_rate_of_the_loader_alone_is_measured(void **state) {
    (void)state;
    struct rvk_data_rate rate;
    const struct rvk_data_rate_options options = {
        .size = SIZE, .batch = BATCH, .seconds = 0.1, .data = {.decode_threads = 3}};
    assert_int_equal(rvk_measure_data(spec_of("sound"), &options, &rate), RVK_OK);
    assert_int_equal(rate.threads, 3);
    assert_int_equal(rate.size, SIZE);
    assert_true(rate.seconds >= 0.1 && rate.seconds < 5 && rate.images > 40);
    assert_true(fabs(rate.images_per_s * rate.seconds - rate.images) < 1e-6 * rate.images);
    assert_int_equal(rvk_measure_data("generated", &options, &rate), RVK_USAGE);
}

/* ---- training ---- */

static struct rvk_context *context;

static enum rvk_status train(const char *name, const struct rvk_train_options *more, struct rvk_train_result *result) {
    struct rvk_train_options options = *more;
    options.model = "resnet8";
    options.data = spec_of(name);
    options.size = SIZE;
    options.batch = BATCH;
    options.epochs = 2;
    options.learning_rate = 0.02;
    options.validation_split = 0.2;
    options.seed = more->seed ? more->seed : 5;
    return rvk_train(context, &options, result);
}

static uint64_t hash_of(const char *name, const struct rvk_train_options *options) {
    struct rvk_train_result result;
    if (train(name, options, &result) != RVK_OK)
        fail_msg("%s", rvk_message());
    assert_true(result.waited >= 0 && result.waited <= 1);
    assert_true(result.last.epoch < 2 || (result.last.validated && result.last.waited <= 1));
    return result.weights_hash;
}

static void the_weights_do_not_depend_on_threads_or_interruptions(void **state) {
    (void)state;
    char out[256], last[300];
    struct rvk_train_result result;
    snprintf(out, sizeof out, "%s/run", folder);
    snprintf(last, sizeof last, "%s/last.safetensors", out);
    struct rvk_train_options options = {.decode_threads = 1, .augment = "crop,flip,shift"};
    uint64_t expected = hash_of("sound", &options);
    options.decode_threads = 4;
    options.steps = 3;
    options.save_steps = 2;
    options.out = out;
    assert_int_not_equal(hash_of("sound", &options), expected);
    const struct rvk_train_options resumed = {.resume = last, .steps = 3};
    assert_int_equal(rvk_train(context, &resumed, &result), RVK_OK);
    assert_int_equal(rvk_train(context, &(struct rvk_train_options){.resume = last}, &result), RVK_OK);
    assert_true(result.weights_hash == expected);
    assert_true(result.tested);
}

/* In an epoch, between two checkpoints: the pictures of the lost steps are loaded again. */
static void a_lost_device_does_not_change_the_weights(void **state) {
    (void)state;
    if (getenv("TEST_VALIDATION") || getenv("TEST_DEVICE")) /* the faults are those of a driver */
        skip();
    const struct rvk_train_options options = {.augment = "crop,flip", .save_steps = 3};
    uint64_t expected = hash_of("sound", &options);
    warnings[0] = 0;
    faults_set(FAULT_SUBMIT, 50, 50, VK_ERROR_DEVICE_LOST);
    uint64_t hash = hash_of("sound", &options);
    faults_clear();
    assert_true(hash == expected);
    assert_non_null(strstr(warnings, "the device is opened again"));
}

/* The weights in FROM, so sure of the second of two classes that the loss of a picture of the first is infinite. */
static void write_sure_weights(const char *from, const char *to) {
    static const float bias[] = {-3e38f, 3e38f};
    struct safetensors file;
    assert_int_equal(safetensors_read(from, &file), STATUS_OK);
    for (size_t i = 0; i < file.count; i++)
        if (strcmp(file.tensors[i].name, "fc.bias") == 0) {
            assert_int_equal(file.tensors[i].size, sizeof bias);
            file.tensors[i].bytes = bias;
        }
    assert_int_equal(safetensors_write(to, file.tensors, file.count, file.metadata, file.metadata_count), STATUS_OK);
    safetensors_destroy(&file);
}

/* Of no other batch the loss is infinite, so it is loaded again: when later ones are loaded already, and when it is the
 * last of the epoch and the inputs of the one before it lie in the next place. */
static void the_picture_that_makes_the_loss_infinite_is_found(void **state) {
    (void)state;
    char out[256], name[64], sentence[128];
    struct rvk_train_result result;
    write_picture(path_of("odd/train/a/000.png"), 40, 40, 0, 0);
    for (uint32_t i = 1; i < 60; i++) {
        snprintf(name, sizeof name, "odd/train/b/%03u.png", i);
        write_picture(path_of(name), 40, 40, 1, i);
    }
    write_tree(path_of("odd/val"), 2, 4, 40);
    snprintf(out, sizeof out, "%s", in_folder("odd/run"));
    assert_int_equal(train("odd", &(struct rvk_train_options){.out = out, .steps = 1}, &result), RVK_OK);
    write_sure_weights(in_folder("odd/run/last.safetensors"), in_folder("sure.safetensors"));
    for (int last = 0; last < 2; last++) {
        const struct rvk_train_options options = {
            .weights = in_folder("sure.safetensors"), .augment = "crop,flip", .seed = last ? 2 : 5};
        assert_int_equal(train("odd", &options, &result), RVK_NONFINITE);
        snprintf(sentence, sizeof sentence, "step %d: the first is loss of softmax_cross_entropy in loss: inf (value 7",
                 last ? 6 : 2);
        if (!strstr(rvk_message(), sentence))
            fail_msg("%s", rvk_message());
    }
}

static void the_weights_depend_on_changes(void **state) {
    (void)state;
    static const char *const changes[] = {"none", "crop", "flip", "crop,flip,jitter", "rand"};
    uint64_t hashes[COUNT(changes)];
    for (size_t i = 0; i < COUNT(changes); i++)
        hashes[i] = hash_of("sound", &(struct rvk_train_options){.augment = changes[i], .steps = 2});
    for (size_t i = 0; i < COUNT(hashes); i++)
        for (size_t j = 0; j < i; j++)
            assert_true(hashes[i] != hashes[j]);
    struct rvk_train_result result;
    assert_int_equal(train("broken", &(struct rvk_train_options){.broken = RVK_BROKEN_NONE}, &result), RVK_DATA);
    assert_non_null(strstr(rvk_message(), "so more than 0 of 40 pictures are broken"));
}

static void what_does_not_fit_is_refused(void **state) {
    (void)state;
    static const struct {
        struct rvk_train_options options;
        const char *part;
    } cases[] = {
        {{.data = "generated", .size = 16}, "only pictures of folder:DIR or tar:FILE can get a size"},
        {{.data = "generated", .augment = "flip,crop"}, "cropping, jitter and policies are for pictures"},
        {{.augment = "flip,turn"}, "some of shift, flip, crop, jitter and rand with commas between, not 'flip,turn'"},
        {{.augment = "both,crop"}, "not 'both,crop'"},
        {{.augment = ""}, NULL}, /* the default */
        {{.cache = "everything"}, "the cache must be thumbnails or thumbnails:DIR, not 'everything'"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rvk_train_options options = cases[i].options;
        struct rvk_train_result result;
        options.model = "resnet8";
        options.data = options.data ? options.data : spec_of("sound");
        options.size = options.size ? options.size : strcmp(options.data, "generated") == 0 ? 0 : SIZE;
        options.batch = BATCH;
        options.steps = 1;
        assert_int_equal(rvk_train(context, &options, &result), cases[i].part ? RVK_USAGE : RVK_OK);
        if (cases[i].part && !strstr(rvk_message(), cases[i].part))
            fail_msg("%s", rvk_message());
    }
}

/* ---- thumbnails ---- */

/* Every picture of a set, as for evaluation; `training`: as for training. */
static uint8_t *view_all(struct dataset *set, bool training) {
    uint8_t *images = calloc(set->count, 3 * SIZE * SIZE);
    const struct view view = {.size = SIZE, .augment = training ? &picture_augment_defaults : NULL};
    assert_non_null(images);
    for (uint32_t i = 0; i < set->count; i++)
        assert_int_equal(view_picture(set->source, i, &view, images + (size_t)i * 3 * SIZE * SIZE), STATUS_OK);
    return images;
}

static void expect_views(struct dataset *set, bool training, const uint8_t *expected) {
    uint8_t *images = view_all(set, training);
    assert_memory_equal(images, expected, (size_t)set->count * 3 * SIZE * SIZE);
    free(images);
}

/* The number of entries in the cache folder, of which each matches `pattern` of find. */
static int count_entries(const char *pattern) {
    char line[512];
    snprintf(line, sizeof line, "exit $(find %s/cache -type f %s | wc -l)", folder, pattern);
    int status = system(line);
    return WEXITSTATUS(status);
}

static void run_in_cache(const char *command) {
    char line[512];
    snprintf(line, sizeof line, "cd %s/cache && %s", folder, command);
    assert_int_equal(system(line), 0);
}

static void thumbnails_give_the_same_evaluation(void **state) {
    (void)state;
    char spec[300];
    struct dataset plain = open_set("sound", 1), cached = open_set("sound", 1);
    snprintf(spec, sizeof spec, "thumbnails:%s/cache", folder);
    assert_int_equal(thumbnails_open(spec, &cached.source->thumbnails), STATUS_OK);
    uint8_t *expected = view_all(&plain, false), *crops = view_all(&plain, true);
    expect_views(&cached, false, expected); /* made */
    assert_int_equal(count_entries(""), 40);
    run_in_cache("find . -type f -exec touch -d 2001-01-01 {} +");
    expect_views(&cached, false, expected); /* read */
    assert_int_equal(count_entries("-not -newermt 2002-01-01"), 40);
    uint8_t *small_crops = view_all(&cached, true);
    assert_memory_not_equal(small_crops, crops, (size_t)plain.count * 3 * SIZE * SIZE);
    expect_views(&cached, true, small_crops);
    assert_int_equal(count_entries("-not -newermt 2002-01-01"), 40);
    free(small_crops);
    free(crops);
    free(expected);
    dataset_destroy(&plain);
    dataset_destroy(&cached);
}

/* A damaged entry, one of an older file, and one that cannot be written. */
static void thumbnails_are_made_again(void **state) {
    (void)state;
    char spec[300];
    struct dataset plain = open_set("sound", 1), cached = open_set("sound", 1);
    snprintf(spec, sizeof spec, "thumbnails:%s/cache", folder);
    assert_int_equal(thumbnails_open(spec, &cached.source->thumbnails), STATUS_OK);
    uint8_t *expected = view_all(&plain, false);
    run_in_cache("for f in $(find . -type f | head -30); do n=$((n + 1)); "
                 "if [ $((n % 3)) = 0 ]; then : >$f; elif [ $((n % 3)) = 1 ]; then truncate -s -1 $f; "
                 "else printf X | dd of=$f bs=1 seek=$((n + 64)) conv=notrunc 2>/dev/null; fi; done");
    expect_views(&cached, false, expected);
    run_in_cache("find . -type f -exec touch -d 2001-01-01 {} +");
    expect_views(&cached, false, expected);
    assert_int_equal(count_entries("-not -newermt 2002-01-01"), 40); /* all are sound again */
    const char *name = cached.source->items[0].name;
    char path[300];
    snprintf(path, sizeof path, "sound/%s", name);
    write_picture(path_of(path), 50, 50, 3, 1234);
    free(expected);
    expected = view_all(&plain, false);
    expect_views(&cached, false, expected);
    free(cached.source->thumbnails);
    cached.source->thumbnails = strdup(path_of("run/none"));
    warnings[0] = 0;
    expect_views(&cached, false, expected);
    source_tell_uncached(cached.source);
    source_tell_uncached(cached.source);
    assert_int_equal(warning_count(), 1);
    assert_non_null(strstr(warnings, "thumbnails cannot be kept"));
    free(expected);
    dataset_destroy(&plain);
    dataset_destroy(&cached);
}

/* In a process of its own: whether all images are the expected ones, read by threads that share the cache. */
static bool reads_in_cache(const uint8_t *expected) {
    char spec[300];
    bool same = true;
    struct dataset set = open_set("sound", 3);
    struct loader *loader = make_loader(&set);
    struct loader_batch batch;
    const struct loader_pass pass = {.count = set.count, .view = {.size = SIZE}};
    snprintf(spec, sizeof spec, "thumbnails:%s/cache", folder);
    same = thumbnails_open(spec, &set.source->thumbnails) == STATUS_OK;
    loader_start(loader, &pass, 0);
    for (uint32_t done = 0; same && done < set.count; done += batch.count) {
        same = loader_next(loader, &batch) == STATUS_OK &&
               memcmp(batch.images, expected, (size_t)batch.count * 3 * SIZE * SIZE) == 0;
        expected += same ? (size_t)batch.count * 3 * SIZE * SIZE : 0;
    }
    loader_destroy(loader);
    dataset_destroy(&set);
    return same && warnings[0] == 0;
}

/* Two processes that begin together on an empty cache: neither gets other images, and what they leave is sound. */
static void processes_share_thumbnails(void **state) {
    (void)state;
    struct dataset plain = open_set("sound", 1);
    uint8_t *expected = view_all(&plain, false);
    warnings[0] = 0;
    for (int round = 0; round < 5; round++) {
        int gate[2], status;
        run_in_cache("rm -rf ./*");
        assert_int_equal(pipe(gate), 0);
        for (int i = 0; i < 2; i++)
            if (fork() == 0) {
                char go;
                close(gate[1]);
                _exit(read(gate[0], &go, 1) == 0 && reads_in_cache(expected) ? 0 : 1);
            }
        close(gate[0]);
        close(gate[1]); /* both go on here */
        for (int i = 0; i < 2; i++) {
            assert_true(wait(&status) > 0);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
        assert_int_equal(count_entries(""), 40);
        run_in_cache("find . -type f -exec touch -d 2001-01-01 {} +");
        assert_true(reads_in_cache(expected));
        assert_int_equal(count_entries("-not -newermt 2002-01-01 -name '*.rgb'"), 40); /* nothing was made again */
    }
    free(expected);
    dataset_destroy(&plain);
}

/* ---- a trained model ---- */

static void pictures_are_evaluated_and_predicted(void **state) {
    (void)state;
    char last[300], paths[3][256];
    const char *list[] = {paths[0], paths[1], paths[2]};
    struct rvk_model *model;
    struct rvk_data *data, *pictures;
    struct rvk_evaluation all;
    struct rvk_answer answers[COUNT_OF_TREE];
    float probabilities[3][4], again[4];
    uint8_t pixels[3 * SIZE * SIZE];
    snprintf(last, sizeof last, "%s/run/last.safetensors", folder);
    assert_int_equal(rvk_load_model(context, last, &(struct rvk_load_options){.batch = 7}, &model), RVK_OK);
    assert_int_equal(rvk_open_data(spec_of("broken"), true, &data), RVK_OK);
    assert_true(rvk_get_data_info(data).streamed);
    assert_null(rvk_image(data, 0));
    assert_int_equal(rvk_evaluate(model, data, 0, 0, &all, answers), RVK_OK);
    assert_int_equal(all.count, 38);
    uint32_t right = 0, empty = 0;
    for (uint32_t i = 0; i < 40; i++) {
        right += answers[i].rank == 0;
        empty += answers[i].label == UINT32_MAX;
        assert_true(answers[i].label == UINT32_MAX || answers[i].label == rvk_label(data, i));
    }
    assert_int_equal(empty, 2);
    assert_true(fabs(all.accuracy - right / 38.0) < 1e-6);

    snprintf(paths[0], sizeof paths[0], "%s/sound/b/003.jpg", folder);
    snprintf(paths[1], sizeof paths[1], "%s/broken/c/002.png", folder);
    snprintf(paths[2], sizeof paths[2], "%s/sound/b/003.jpg", folder);
    assert_int_equal(rvk_open_pictures(list, 3, NULL, &pictures), RVK_OK);
    assert_string_equal(rvk_image_name(pictures, 2), paths[2]);
    assert_null(rvk_image_name(pictures, 3));
    assert_int_equal(rvk_label(pictures, 0), UINT32_MAX);
    assert_int_equal(rvk_predict(model, pictures, 0, 0, probabilities[0]), RVK_OK);
    assert_memory_equal(probabilities[0], probabilities[2], sizeof probabilities[0]);
    assert_true(fabs((double)(probabilities[0][0] + probabilities[0][1] + probabilities[0][2] + probabilities[0][3]) -
                     1) < 1e-5);
    for (int k = 0; k < 4; k++)
        assert_true(isnan(probabilities[1][k]));
    for (uint32_t i = 0; i < 40; i++) /* the same picture of the data set */
        if (strcmp(rvk_image_name(data, i), "b/003.jpg") == 0) {
            assert_int_equal(rvk_predict(model, data, i, 1, again), RVK_OK);
            assert_memory_equal(again, probabilities[0], sizeof again);
        }
    assert_int_equal(rvk_evaluate(model, pictures, 0, 0, &all, NULL), RVK_USAGE);
    assert_int_equal(rvk_read_picture(pictures, 0, SIZE, pixels), RVK_OK);
    assert_int_equal(rvk_read_picture(pictures, 1, SIZE, pixels), RVK_DATA);
    assert_int_equal(rvk_read_picture(pictures, 3, SIZE, pixels), RVK_USAGE);
    assert_int_equal(rvk_read_picture(pictures, 0, 0, pixels), RVK_USAGE);
    rvk_close_data(pictures);
    rvk_close_data(data);
    rvk_free_model(model);
}

static int set_up(void **state) {
    const struct rvk_open_options options = {
        .device = getenv("TEST_DEVICE"), .no_self_test = true, .validation = getenv("TEST_VALIDATION") != NULL};
    log_set(keep_warning, NULL);
    if (!options.validation && !options.device && faults_install() != STATUS_OK)
        return -1;
    return make_trees(state) == 0 && rvk_open(&options, &context) == RVK_OK ? 0 : -1;
}

static int tear_down(void **state) {
    uint64_t messages = rvk_get_counters(context).validation_messages;
    rvk_close(context);
    return remove_folder(state) == 0 && messages == 0 ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_do_not_depend_on_threads),
        cmocka_unit_test(a_batch_stays_until_the_next_one),
        cmocka_unit_test(broken_pictures_are_named_and_replaced),
        cmocka_unit_test(too_many_broken_pictures_are_an_error),
        cmocka_unit_test(a_sample_leaves_broken_pictures_out),
        cmocka_unit_test(the_rate_of_the_loader_alone_is_measured),
        cmocka_unit_test(the_weights_do_not_depend_on_threads_or_interruptions),
        cmocka_unit_test(a_lost_device_does_not_change_the_weights),
        cmocka_unit_test(the_picture_that_makes_the_loss_infinite_is_found),
        cmocka_unit_test(the_weights_depend_on_changes),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(thumbnails_give_the_same_evaluation),
        cmocka_unit_test(thumbnails_are_made_again),
        cmocka_unit_test(processes_share_thumbnails),
        cmocka_unit_test(pictures_are_evaluated_and_predicted),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

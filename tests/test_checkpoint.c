/* Checkpoints: what is saved comes back bit by bit, in PyTorch's layouts; a file that does not fit is refused by name.
 */
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "train/checkpoint.h"
#include "train/parameters.h"

#include "device.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OK(expression)                                                                                                 \
    do {                                                                                                               \
        if ((expression) != STATUS_OK)                                                                                 \
            fail_msg("%s: %s", #expression, status_message());                                                         \
    } while (0)

struct fixture {
    struct test_device d;
    struct model model;
    char folder[32], path[64], other[64];
};

static int setup(void **state) {
    struct fixture *f = *state = calloc(1, sizeof *f);
    const struct model_options options = {
        .name = "resnet8b", .style = STYLE_KERAS, .filters = 6, .height = 8, .width = 9, .channels = 1, .classes = 7};
    test_device_open(&f->d, NULL);
    OK(model_create(&options, &f->model));
    snprintf(f->folder, sizeof f->folder, "/tmp/checkpoint-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    snprintf(f->path, sizeof f->path, "%s/a.safetensors", f->folder);
    snprintf(f->other, sizeof f->other, "%s/b.safetensors", f->folder);
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    unlink(f->path);
    unlink(f->other);
    rmdir(f->folder);
    model_destroy(&f->model);
    test_device_close(&f->d);
    free(f);
    return 0;
}

/* ---- values ---- */

static void fill_root(const struct fixture *f, const char *root, uint32_t seed) {
    for (size_t i = 0; i < f->model.count; i++) {
        uint64_t count = shape_count(f->model.parameters[i].shape);
        double *file = malloc(count * sizeof *file);
        assert_non_null(file);
        for (uint64_t k = 0; k < count; k++)
            file[k] = k == 0 ? -0.0 : k == 1 ? 0x1p-140 : random_normal(seed, (uint32_t)i, (uint32_t)k);
        OK(parameters_write(&f->model, f->d.store, root, i, file));
        free(file);
    }
}

static void fill_store(const struct fixture *f, enum optimizer optimizer, enum normalization normalization) {
    const double scale = 3.5;
    double mean[72];
    for (int i = 0; i < 72; i++)
        mean[i] = i + 0.25;
    fill_root(f, "parameters", 1);
    for (const char *const *root = optimizer_values(optimizer); *root; root++)
        fill_root(f, *root, (uint32_t)(*root)[10]);
    struct shape shape = normalization == NORMALIZATION_PIXEL ? shape4(1, 8, 9, 1) : shape_vector(1);
    OK(values_write(f->d.store, "normalize.mean", shape_count(shape) * 16, 0, shape, mean));
    OK(values_write(f->d.store, "normalize.scale", 16, 0, shape_vector(1), &scale));
}

static void expect_same_root(struct store *a, struct store *b, const char *root, uint64_t bytes) {
    char *left = malloc(bytes), *right = malloc(bytes);
    assert_true(left && right);
    OK(store_read(a, root, 0, left, bytes));
    OK(store_read(b, root, 0, right, bytes));
    if (memcmp(left, right, bytes) != 0)
        fail_msg("%s differs", root);
    free(left);
    free(right);
}

static const char *const training = "{\"lr\": 0.1, \"schedule\": \"onecycle\"}";

static void check_round_trip(struct fixture *f, enum optimizer optimizer, enum normalization normalization) {
    const struct checkpoint_state saved = {.epoch = 7,
                                           .step = 41,
                                           .updates = 10000000000,
                                           .seed = 0xFFFFFFFF,
                                           .optimizer = optimizer,
                                           .options = training};
    struct store *fresh;
    struct checkpoint checkpoint;
    struct model model;
    fill_store(f, optimizer, normalization);
    OK(checkpoint_save(f->path, &f->model, f->d.store, &saved, normalization));
    OK(checkpoint_open(f->path, &checkpoint));
    assert_true(checkpoint.has_state);
    OK(model_create(&checkpoint.model, &model));
    assert_string_equal(model.name, "resnet8b");
    assert_int_equal(model.count, f->model.count);
    assert_int_equal(model.parameter_bytes, f->model.parameter_bytes);
    assert_memory_equal(&model.options.height, &f->model.options.height, 5 * sizeof(uint32_t));
    assert_int_equal(model.options.style, STYLE_KERAS);
    assert_int_equal(checkpoint.state.epoch, 7);
    assert_int_equal(checkpoint.state.step, 41);
    assert_true(checkpoint.state.updates == saved.updates);
    assert_int_equal(checkpoint.state.seed, saved.seed);
    assert_int_equal(checkpoint.state.optimizer, optimizer);
    assert_string_equal(checkpoint.state.options, training);
    assert_int_equal(checkpoint.normalization, normalization);

    OK(store_create(f->d.device, &fresh));
    OK(checkpoint_load(&checkpoint, &model, fresh, CHECKPOINT_ALL));
    expect_same_root(f->d.store, fresh, "parameters", model.parameter_bytes);
    expect_same_root(f->d.store, fresh, "statistics", model.statistic_bytes);
    for (const char *const *root = optimizer_values(optimizer); *root; root++)
        expect_same_root(f->d.store, fresh, *root, model.parameter_bytes);
    expect_same_root(f->d.store, fresh, "normalize.mean", normalization == NORMALIZATION_PIXEL ? 72 * 16 : 16);
    expect_same_root(f->d.store, fresh, "normalize.scale", 16);
    store_destroy(fresh);
    model_destroy(&model);
    checkpoint_close(&checkpoint);
}

static void sgd_comes_back_bit_by_bit(void **state) {
    check_round_trip(*state, OPTIMIZER_SGD, NORMALIZATION_CHANNEL);
}

static void adamw_comes_back_bit_by_bit(void **state) {
    check_round_trip(*state, OPTIMIZER_ADAMW, NORMALIZATION_PIXEL);
}

static uint64_t hash_now(const struct fixture *f) {
    const struct checkpoint_state state = {.optimizer = OPTIMIZER_SGD};
    uint8_t *bytes;
    size_t size;
    OK(checkpoint_pack(&f->model, f->d.store, &state, NORMALIZATION_CHANNEL, &bytes, &size));
    uint64_t hash = checkpoint_weights_hash(&f->model, bytes);
    free(bytes);
    return hash;
}

/* The tensors of the file, in the order of the model, give the hash; the optimizer's do not change it. */
static void the_hash_is_that_of_the_weights(void **state) {
    struct fixture *f = *state;
    const struct checkpoint_state saved = {.optimizer = OPTIMIZER_SGD};
    struct safetensors file;
    uint64_t hash = HASH_START, weights;
    fill_store(f, OPTIMIZER_SGD, NORMALIZATION_CHANNEL);
    OK(checkpoint_save(f->path, &f->model, f->d.store, &saved, NORMALIZATION_CHANNEL));
    OK(safetensors_read(f->path, &file));
    for (size_t i = 0; i < f->model.count; i++) {
        const struct safetensors_tensor *tensor = safetensors_find(&file, f->model.parameters[i].name);
        assert_non_null(tensor);
        hash = hash_bytes(hash, tensor->bytes, tensor->size);
    }
    safetensors_destroy(&file);
    weights = hash_now(f);
    assert_true(weights == hash);
    size_t bias = (size_t)model_find(&f->model, "fc.bias");
    size_t last = (size_t)model_find(&f->model, "layer3.0.bn2.running_var");
    double values[24] = {0};
    OK(parameters_write(&f->model, f->d.store, "optimizer.velocity", bias, values));
    assert_true(hash_now(f) == weights);
    OK(parameters_read(&f->model, f->d.store, "parameters", last, values));
    values[23] += 0x1p-20;
    OK(parameters_write(&f->model, f->d.store, "parameters", last, values));
    assert_true(hash_now(f) != weights);
}

static void files_have_the_layout_of_pytorch(void **state) {
    struct fixture *f = *state;
    const struct checkpoint_state saved = {.optimizer = OPTIMIZER_SGD};
    struct safetensors file;
    char text[SAFETENSORS_SHAPE_TEXT];
    fill_store(f, OPTIMIZER_SGD, NORMALIZATION_PIXEL);
    OK(checkpoint_save(f->path, &f->model, f->d.store, &saved, NORMALIZATION_PIXEL));
    OK(safetensors_read(f->path, &file));
    static const char *const shapes[][2] = {
        {"layer2.0.conv1.weight", "[12, 6, 3, 3]"},
        {"layer2.0.downsample.0.weight", "[12, 6, 1, 1]"},
        {"fc.weight", "[7, 24]"},
        {"bn1.running_var", "[6]"},
        {"optimizer.velocity.layer2.0.conv1.weight", "[12, 6, 3, 3]"},
        {"normalize.mean", "[8, 9, 1]"},
        {"normalize.scale", "[1]"},
    };
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const struct safetensors_tensor *tensor = safetensors_find(&file, shapes[i][0]);
        assert_non_null(tensor);
        assert_string_equal(safetensors_print_shape(tensor, text), shapes[i][1]);
    }
    assert_null(safetensors_find(&file, "optimizer.velocity.bn1.running_mean"));
    assert_string_equal(safetensors_metadata(&file, "resnet_vk.model"), "resnet8b");
    safetensors_destroy(&file);
}

static void initial_values_reach_the_store(void **state) {
    struct fixture *f = *state;
    size_t index = (size_t)model_find(&f->model, "layer1.0.conv2.weight");
    const struct parameter *parameter = &f->model.parameters[index];
    enum { ALL = 3 * 3 * 6 * 6 };
    double expected[ALL], got[ALL];
    OK(parameters_initialize(&f->model, 3, f->d.store));
    model_initial(&f->model, index, 3, expected);
    OK(values_read(f->d.store, "parameters", parameter->offset, parameter->shape, got));
    for (int i = 0; i < ALL; i++)
        assert_true(got[i] == (double)(float)expected[i]);
    size_t variance = (size_t)model_find(&f->model, "bn1.running_var");
    OK(parameters_read(&f->model, f->d.store, "parameters", variance, got));
    assert_true(got[0] == 1 && got[5] == 1);
}

/* ---- files that do not fit ---- */

/* A checkpoint at f->path, its tensors in *file, and a copy of their list that may be changed (and hold two more). */
static struct safetensors_tensor *save_and_read(struct fixture *f, struct safetensors *file) {
    const struct checkpoint_state saved = {.optimizer = OPTIMIZER_SGD, .options = training};
    fill_store(f, OPTIMIZER_SGD, NORMALIZATION_CHANNEL);
    OK(checkpoint_save(f->path, &f->model, f->d.store, &saved, NORMALIZATION_CHANNEL));
    OK(safetensors_read(f->path, file));
    struct safetensors_tensor *list = calloc(file->count + 2, sizeof *list);
    assert_non_null(list);
    memcpy(list, file->tensors, file->count * sizeof *list);
    return list;
}

static size_t place(const struct safetensors *file, const char *name) {
    const struct safetensors_tensor *tensor = safetensors_find(file, name);
    assert_non_null(tensor);
    return (size_t)(tensor - file->tensors);
}

/* The file at f->other is refused with a sentence that holds `sentence`, and nothing is written. */
static void expect_refusal(struct fixture *f, enum checkpoint_part part, const char *sentence) {
    struct checkpoint checkpoint;
    struct store *fresh;
    char byte;
    OK(store_create(f->d.device, &fresh));
    OK(checkpoint_open(f->other, &checkpoint));
    assert_int_equal(checkpoint_load(&checkpoint, &f->model, fresh, part), STATUS_DATA);
    assert_non_null(strstr(status_message(), f->other));
    if (!strstr(status_message(), sentence))
        fail_msg("\"%s\" does not say \"%s\"", status_message(), sentence);
    assert_int_equal(store_bytes(fresh), 0);
    assert_int_not_equal(store_read(fresh, "parameters", 0, &byte, 1), STATUS_OK);
    store_destroy(fresh);
    checkpoint_close(&checkpoint);
}

static void tensors_that_do_not_fit_are_named(void **state) {
    struct fixture *f = *state;
    struct safetensors file;
    struct safetensors_tensor *list = save_and_read(f, &file), kept;
    size_t i = place(&file, "layer2.0.conv1.weight"), n = file.count;

    kept = list[i];
    list[i].name = "layer9.0.conv1.weight";
    OK(safetensors_write(f->other, list, n, file.metadata, file.metadata_count));
    expect_refusal(f, CHECKPOINT_WEIGHTS, "resnet8b has no tensor layer9.0.conv1.weight");
    list[i] = list[n - 1];
    OK(safetensors_write(f->other, list, n - 1, file.metadata, file.metadata_count));
    expect_refusal(f, CHECKPOINT_WEIGHTS, "there is no tensor layer2.0.conv1.weight, which resnet8b has");
    list[i] = kept;
    list[i].shape[0] = 6;
    list[i].shape[1] = 12;
    OK(safetensors_write(f->other, list, n, file.metadata, file.metadata_count));
    expect_refusal(f, CHECKPOINT_WEIGHTS,
                   "layer2.0.conv1.weight has the shape [6, 12, 3, 3], but resnet8b takes [12, 6,");
    list[i] = kept;
    list[i].dtype = SAFETENSORS_I32;
    OK(safetensors_write(f->other, list, n, file.metadata, file.metadata_count));
    expect_refusal(f, CHECKPOINT_WEIGHTS, "layer2.0.conv1.weight does not hold floating-point numbers");
    list[i] = kept;
    i = place(&file, "optimizer.velocity.fc.bias");
    list[i] = list[n - 1];
    OK(safetensors_write(f->other, list, n - 1, file.metadata, file.metadata_count));
    expect_refusal(f, CHECKPOINT_ALL, "there is no tensor optimizer.velocity.fc.bias");
    free(list);
    safetensors_destroy(&file);
}

/* Weights as PyTorch would give them: no metadata, float64, a count of batches. */
static void foreign_weights_can_be_loaded_but_not_resumed(void **state) {
    struct fixture *f = *state;
    struct safetensors file;
    struct checkpoint checkpoint;
    struct store *fresh;
    const int64_t batches = 12;
    struct safetensors_tensor *list = save_and_read(f, &file);
    size_t count = 0, bias = place(&file, "fc.bias");
    double wide[7], got[7];
    safetensors_values(&file.tensors[bias], wide);
    for (size_t i = 0; i < file.count; i++)
        if (strncmp(file.tensors[i].name, "optimizer.", 10) != 0 &&
            strncmp(file.tensors[i].name, "normalize.", 10) != 0)
            list[count++] = file.tensors[i];
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, "fc.bias") == 0) {
            list[i].dtype = SAFETENSORS_F64;
            list[i].bytes = wide;
            list[i].size = sizeof wide;
        }
    list[count++] = (struct safetensors_tensor){
        .name = "bn1.num_batches_tracked", .dtype = SAFETENSORS_I64, .bytes = &batches, .size = sizeof batches};
    OK(safetensors_write(f->other, list, count, NULL, 0));
    OK(store_create(f->d.device, &fresh));
    OK(checkpoint_open(f->other, &checkpoint));
    assert_false(checkpoint.has_state);
    assert_null(checkpoint.model.name);
    assert_int_equal(checkpoint.normalization, NORMALIZATION_NONE);
    OK(checkpoint_load(&checkpoint, &f->model, fresh, CHECKPOINT_WEIGHTS));
    expect_same_root(f->d.store, fresh, "parameters", f->model.parameter_bytes);
    OK(parameters_read(&f->model, fresh, "parameters", (size_t)model_find(&f->model, "fc.bias"), got));
    assert_memory_equal(got, wide, sizeof wide);
    checkpoint_close(&checkpoint);
    store_destroy(fresh);
    expect_refusal(f, CHECKPOINT_ALL, "cannot be resumed");
    free(list);
    safetensors_destroy(&file);
}

static void damaged_metadata_is_refused(void **state) {
    struct fixture *f = *state;
    static const char *const wrong[][2] = {
        {"resnet_vk.epoch", "-1"},
        {"resnet_vk.epoch", "4294967296"},
        {"resnet_vk.seed", "1x"},
        {"resnet_vk.updates", ""},
        {"resnet_vk.updates", "99999999999999999999"},
        {"resnet_vk.style", "caffe"},
        {"resnet_vk.optimizer", "lion"},
    };
    struct safetensors file;
    free(save_and_read(f, &file));
    for (size_t i = 0; i < COUNT(wrong); i++)
        for (size_t k = 0; k < file.metadata_count; k++) {
            struct safetensors_text kept = file.metadata[k];
            struct checkpoint checkpoint;
            if (strcmp(kept.key, wrong[i][0]) != 0)
                continue;
            file.metadata[k].value = wrong[i][1];
            OK(safetensors_write(f->other, file.tensors, file.count, file.metadata, file.metadata_count));
            assert_int_equal(checkpoint_open(f->other, &checkpoint), STATUS_DATA);
            assert_non_null(strstr(status_message(), wrong[i][0]));
            assert_null(checkpoint.file.tensors);
            file.metadata[k] = kept;
        }
    safetensors_destroy(&file);
}

static void another_model_is_refused(void **state) {
    struct fixture *f = *state;
    struct safetensors file;
    struct checkpoint checkpoint;
    struct model deeper;
    free(save_and_read(f, &file));
    safetensors_destroy(&file);
    OK(checkpoint_open(f->path, &checkpoint));
    checkpoint.model.name = "resnet14b";
    OK(model_create(&checkpoint.model, &deeper));
    assert_int_equal(checkpoint_load(&checkpoint, &deeper, f->d.store, CHECKPOINT_WEIGHTS), STATUS_DATA);
    assert_non_null(strstr(status_message(), "there is no tensor layer1.1.conv1.weight, which resnet14b has"));
    model_destroy(&deeper);
    checkpoint_close(&checkpoint);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sgd_comes_back_bit_by_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(adamw_comes_back_bit_by_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(the_hash_is_that_of_the_weights, setup, teardown),
        cmocka_unit_test_setup_teardown(files_have_the_layout_of_pytorch, setup, teardown),
        cmocka_unit_test_setup_teardown(initial_values_reach_the_store, setup, teardown),
        cmocka_unit_test_setup_teardown(tensors_that_do_not_fit_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_weights_can_be_loaded_but_not_resumed, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_metadata_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(another_model_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

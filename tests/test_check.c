/* The comparison with another program: a file written from the float64 references of a step of the Keras style, whose
 * convolutions have biases before normalizations, agrees; every kind of wrong number in it is found. */
#include "data/safetensors.h"
#include "train/check.h"

#include "device.h"
#include "networks.h"

#include <unistd.h>

enum { BATCH = 3, CLASSES = 5, SIZE = 8, TENSORS = 256 };

struct file {
    struct safetensors_tensor tensors[TENSORS];
    char names[TENSORS][96];
    size_t count;
};

struct fixture {
    struct test_device d;
    struct model model;
    struct file file;
    char folder[32], path[64];
};

/* ---- the file ---- */

/* Appends a tensor and returns its values. */
static double *append(struct file *file, const char *prefix, const char *name, uint32_t rank, const uint64_t shape[4]) {
    assert_true(file->count < TENSORS);
    struct safetensors_tensor *tensor = &file->tensors[file->count];
    char *full = file->names[file->count++];
    snprintf(full, sizeof file->names[0], "%s%s%s", prefix, *name ? "." : "", name);
    *tensor = (struct safetensors_tensor){.name = full, .dtype = SAFETENSORS_F64, .rank = rank, .size = 8};
    for (uint32_t i = 0; i < rank; i++) {
        tensor->shape[i] = shape[i];
        tensor->size *= shape[i];
    }
    double *values = malloc(tensor->size);
    assert_non_null(values);
    tensor->bytes = values;
    return values;
}

struct values {
    double *at;
    size_t count;
};

static struct values find(const struct fixture *f, const char *name) {
    size_t i = 0;
    while (i < f->file.count && strcmp(f->file.names[i], name) != 0)
        i++;
    if (i == f->file.count)
        fail_msg("there is no %s", name);
    return (struct values){(double *)(uintptr_t)f->file.tensors[i].bytes, f->file.tensors[i].size / 8};
}

static double norm_of(const struct fixture *f, const char *name) {
    struct values values = find(f, name);
    double sum = 0;
    for (size_t i = 0; i < values.count; i++)
        sum += values.at[i] * values.at[i];
    return sqrt(sum);
}

static void append_parameter(struct fixture *f, const struct evaluation *evaluation, size_t index, tensor_id value,
                             const char *prefix) {
    const struct parameter *parameter = &f->model.parameters[index];
    uint64_t shape[4];
    uint32_t rank = parameter_file_shape(parameter, shape);
    double *dense = evaluation_values(evaluation, value);
    parameter_to_file(parameter, dense, append(&f->file, prefix, parameter->name, rank, shape));
    free(dense);
}

static void append_state(struct fixture *f, const struct evaluation *evaluation, const struct network *network,
                         const char *trained, const char *statistic) {
    for (size_t i = 0; i < f->model.count; i++)
        append_parameter(f, evaluation, i, network->values[i],
                         f->model.parameters[i].class == PARAMETER_STATISTIC ? statistic : trained);
}

static void append_images(struct fixture *f, const struct evaluation *evaluation, tensor_id images, const char *name) {
    double *dense = evaluation_values(evaluation, images), *file, *from = dense;
    file = append(&f->file, name, "", 4, (const uint64_t[4]){BATCH, 3, SIZE, SIZE});
    for (size_t n = 0; n < BATCH; n++)
        for (size_t pixel = 0; pixel < SIZE * SIZE; pixel++)
            for (size_t c = 0; c < 3; c++)
                file[(n * 3 + c) * SIZE * SIZE + pixel] = *from++;
    free(dense);
}

static void append_logits(struct fixture *f, const struct evaluation *evaluation, tensor_id logits, const char *name) {
    evaluation_get(evaluation, logits, append(&f->file, name, "", 2, (const uint64_t[4]){BATCH, CLASSES}));
}

/* ---- the step that the file tells of ---- */

/* Numbers that float32 holds, so that both sides start from the same. */
static void set_state(const struct fixture *f, struct evaluation *evaluation, const struct network *network) {
    for (size_t i = 0; i < f->model.count; i++) {
        const struct parameter *p = &f->model.parameters[i];
        double *values = malloc(shape_count(p->shape) * sizeof *values);
        assert_non_null(values);
        model_initial(&f->model, i, 5, values);
        for (uint64_t k = 0; k < shape_count(p->shape); k++) {
            bool kernel = p->class == PARAMETER_CONVOLUTION || p->class == PARAMETER_DENSE;
            double moved = kernel ? 0 : 0.2 * fabs(random_normal(6, (uint32_t)i, (uint32_t)k));
            values[k] = (double)(float)(values[k] + moved);
        }
        evaluation_set(evaluation, network->values[i], values);
        free(values);
    }
}

static void set_batch(struct evaluation *evaluation, const struct step *step) {
    double images[BATCH * SIZE * SIZE * 3];
    for (uint32_t i = 0; i < COUNT(images); i++)
        images[i] = (double)(float)random_normal(3, 0, i);
    evaluation_set(evaluation, step->x, images);
    for (uint32_t i = 0; i < BATCH; i++)
        evaluation_at(evaluation, step->target)[i] = i;
}

static void record_training(struct fixture *f) {
    struct step_options options = small_options(STEP_TRAIN);
    options.batch = BATCH;
    options.keep_input_gradient = true;
    struct step step = make_step(&f->model, &options);
    struct evaluation evaluation;
    evaluation_create(&evaluation, &step.graph);
    set_state(f, &evaluation, &step.network);
    set_batch(&evaluation, &step);
    evaluation_at(&evaluation, step.hyper)[0] = 0.125;
    append_state(f, &evaluation, &step.network, "param", "buffer");
    append_images(f, &evaluation, step.x, "input");
    evaluation_get(&evaluation, step.target, append(&f->file, "target", "", 1, (const uint64_t[4]){BATCH}));
    evaluation_run(&evaluation, step.graph.node_count);
    append_logits(f, &evaluation, step.logits, "logits_train");
    *append(&f->file, "loss_train", "", 1, (const uint64_t[4]){1}) =
        evaluation_at(&evaluation, step.metrics)[0] / BATCH;
    append_images(f, &evaluation, step.dx, "grad_input");
    for (size_t i = 0; i < f->model.count; i++)
        if (step.gradients[i] != TENSOR_NONE)
            append_parameter(f, &evaluation, i, step.gradients[i], "grad");
    append_state(f, &evaluation, &step.network, "after", "after_buffer");
    evaluation_destroy(&evaluation);
    step_destroy(&step);
}

static void record_evaluation(struct fixture *f) {
    struct step_options options = small_options(STEP_EVALUATE);
    options.batch = BATCH;
    struct step step = make_step(&f->model, &options);
    struct evaluation evaluation;
    evaluation_create(&evaluation, &step.graph);
    set_state(f, &evaluation, &step.network);
    set_batch(&evaluation, &step);
    evaluation_run(&evaluation, step.graph.node_count);
    append_logits(f, &evaluation, step.logits, "logits_eval");
    evaluation_destroy(&evaluation);
    step_destroy(&step);
}

static int setup(void **state) {
    struct fixture *f = *state = calloc(1, sizeof *f);
    test_device_open(&f->d, NULL);
    f->model =
        MODEL(.name = "resnet8", .style = STYLE_KERAS, .filters = 4, .height = SIZE, .width = SIZE, .classes = CLASSES);
    snprintf(f->folder, sizeof f->folder, "/tmp/check-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    snprintf(f->path, sizeof f->path, "%s/step.safetensors", f->folder);
    record_training(f);
    record_evaluation(f);
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < f->file.count; i++)
        free((void *)(uintptr_t)f->file.tensors[i].bytes);
    unlink(f->path);
    rmdir(f->folder);
    model_destroy(&f->model);
    test_device_close(&f->d);
    free(f);
    return 0;
}

/* ---- the comparison ---- */

static char failed[96];

static void report(void *user, const struct verify_result *result) {
    (void)user;
    if (result->outcome == VERIFY_FAILED)
        snprintf(failed, sizeof failed, "%s%s%s", result->op, *result->shape ? "." : "", result->shape);
}

static enum status compare(struct fixture *f, enum model_style style, struct verify_summary *summary) {
    static const struct safetensors_text metadata[] = {{"lr", "0.125"}, {"momentum", "0.9"}, {"weight_decay", "0"}};
    struct model_options options = {.name = "resnet8", .style = style, .filters = 4};
    if (safetensors_write(f->path, f->file.tensors, f->file.count, metadata, COUNT(metadata)) != STATUS_OK)
        fail_msg("%s", status_message());
    struct store *store;
    assert_int_equal(store_create(f->d.device, &store), STATUS_OK);
    failed[0] = '\0';
    enum status status = check_against(store, &options, f->path, &(struct verify_options){.report = report}, summary);
    store_destroy(store);
    return status;
}

/* Changes one number of a tensor: exactly this tensor must be found. */
static void expect_found(struct fixture *f, const char *name, double change) {
    struct verify_summary summary;
    struct values values = find(f, name);
    double *last = &values.at[values.count - 1], kept = *last;
    *last += change;
    assert_int_equal(compare(f, STYLE_KERAS, &summary), STATUS_MISMATCH);
    *last = kept;
    assert_int_equal(summary.failed, 1);
    assert_string_equal(failed, name);
}

static void the_true_numbers_agree(void **state) {
    struct fixture *f = *state;
    struct verify_summary summary;
    if (compare(f, STYLE_KERAS, &summary) != STATUS_OK)
        fail_msg("%s; %s", status_message(), failed);
    assert_int_equal(summary.failed, 0);
    assert_int_equal(summary.passed, f->file.count - f->model.count - 2); /* all but the state before and the batch */
}

/* The witness is one: behind a normalization a bias has no gradient but rounding, behind none it has. */
static void gradients_of_biases_vanish_before_normalizations(void **state) {
    struct fixture *f = *state;
    assert_true(norm_of(f, "grad.layer2.0.conv1.bias") < 1e-12 * norm_of(f, "grad.layer2.0.conv1.weight"));
    assert_true(norm_of(f, "grad.layer2.0.downsample.0.bias") > 0.1 * norm_of(f, "grad.layer2.0.downsample.0.weight"));
}

static void wrong_numbers_are_found(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = {"logits_eval",   "logits_train",      "loss_train",
                                        "grad_input",    "grad.conv1.weight", "grad.layer2.0.downsample.0.bias",
                                        "grad.bn1.bias", "grad.fc.bias",      "after_buffer.layer3.0.bn2.running_var"};
    for (size_t i = 0; i < COUNT(names); i++)
        expect_found(f, names[i], 2e-3 * norm_of(f, names[i]));
    expect_found(f, "grad.conv1.bias", 1e-3 * norm_of(f, "grad.conv1.weight"));
    expect_found(f, "after.conv1.bias", 1e-3 * 0.125 * norm_of(f, "grad.conv1.weight"));
    expect_found(f, "after.fc.weight", 1e-3 * 0.125 * norm_of(f, "grad.fc.weight"));
}

/* The penalty of 1e-4 |w|^2 moves a kernel by 2e-4 lr w; a file without that is found where
 * the gradient is not much larger than the kernel. */
static void the_penalty_is_in_the_update(void **state) {
    struct fixture *f = *state;
    struct verify_summary summary;
    struct values after = find(f, "after.layer3.0.conv1.weight");
    const double *before = find(f, "param.layer3.0.conv1.weight").at,
                 *gradient = find(f, "grad.layer3.0.conv1.weight").at;
    double kept[3 * 3 * 8 * 16];
    assert_int_equal(after.count, COUNT(kept));
    memcpy(kept, after.at, sizeof kept);
    for (size_t i = 0; i < COUNT(kept); i++) {
        double moved = before[i] - 0.125 * (gradient[i] + 2e-4 * before[i]);
        assert_true(fabs(kept[i] - moved) < 1e-9);
        after.at[i] = before[i] - 0.125 * gradient[i];
    }
    assert_int_equal(compare(f, STYLE_KERAS, &summary), STATUS_MISMATCH);
    memcpy(after.at, kept, sizeof kept);
    assert_string_equal(failed, "after.layer3.0.conv1.weight");
}

static void a_file_of_another_network_is_refused(void **state) {
    struct fixture *f = *state;
    struct verify_summary summary;
    assert_int_equal(compare(f, STYLE_TORCH, &summary), STATUS_DATA);
    assert_non_null(strstr(status_message(), "resnet8 has no conv1.bias"));
    f->file.names[0][0] = 'q'; /* param.conv1.weight */
    assert_int_equal(compare(f, STYLE_KERAS, &summary), STATUS_DATA);
    f->file.names[0][0] = 'p';
    assert_non_null(strstr(status_message(), "has no tensor param.conv1.weight"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_true_numbers_agree),
        cmocka_unit_test(gradients_of_biases_vanish_before_normalizations),
        cmocka_unit_test(wrong_numbers_are_found),
        cmocka_unit_test(the_penalty_is_in_the_update),
        cmocka_unit_test(a_file_of_another_network_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

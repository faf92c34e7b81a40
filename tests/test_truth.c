/*
 * truth: one step of narrow networks of every family against what PyTorch computes in float64 from the same weights and
 * images, which a formula gives (network_truth.py has it too). A tensor is compared through its sum with random signs.
 */
#include "train/parameters.h"

#include "device.h"
#include "network_truth.h"
#include "networks.h"

#include <string.h>

/*
 * Of L2 norms, as in train/check_file.c. With random signs the errors of a tensor, of L2 norm e, add up to a number
 * whose mean square is e^2: in one of 16,000 sums it is over 4 e (normal distribution), and there are 1,500 here.
 */
static const double gate_forward = 2e-5, gate_gradient = 2e-4, deviations = 4;

/* ---- weights and images ---- */

static uint32_t stream(const char *name) {
    uint32_t value = 2166136261;
    for (; *name; name++)
        value = (value ^ (unsigned char)*name) * 16777619;
    return value;
}

static double uniform(uint32_t seed, uint32_t stream, uint64_t index) {
    return 2 * random_uniform(seed, stream, (uint32_t)index) - 1;
}

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* Values lie within `scale` of `middle`; `inputs`: elements of a kernel for each of its outputs. */
static void find_range(const char *name, uint32_t rank, double inputs, double *middle, double *scale) {
    *middle = 0, *scale = 0.25;
    if (rank > 1)
        *scale = exp2(rint(log2(sqrt(6 / inputs))));
    else if (ends_with(name, "bn3.weight")) /* keeps rounding errors from growing with the depth */
        *middle = 0.25, *scale = 0.125;
    else if (ends_with(name, "weight") || ends_with(name, "running_var"))
        *middle = 1, *scale = 0.5;
}

static void write_parameters(const struct model *model, uint32_t seed, struct store *store) {
    assert_int_equal(parameters_initialize(model, 0, store), STATUS_OK);
    for (size_t p = 0; p < model->count; p++) {
        const struct parameter *parameter = &model->parameters[p];
        uint64_t count = shape_count(parameter->shape), extents[4];
        uint32_t rank = parameter_file_shape(parameter, extents), from = stream(parameter->name);
        double *file = malloc(count * sizeof *file), middle, scale;
        assert_non_null(file);
        find_range(parameter->name, rank, (double)(count / extents[0]), &middle, &scale);
        for (uint64_t i = 0; i < count; i++)
            file[i] = middle + scale * uniform(seed, from, i);
        assert_int_equal(parameters_write(model, store, "parameters", p, file), STATUS_OK);
        free(file);
    }
}

/* Where element (n, h, w, c) of dense images lies in a file's [n, c, h, w]. */
static uint64_t file_index(struct shape shape, uint64_t i) {
    uint64_t c = i % shape.d[C], w = i / shape.d[C] % shape.d[W], h = i / shape.d[C] / shape.d[W] % shape.d[H];
    uint64_t n = i / shape.d[C] / shape.d[W] / shape.d[H];
    return ((n * shape.d[C] + c) * shape.d[H] + h) * shape.d[W] + w;
}

static void write_batch(const struct step *step, struct plan *plan, uint32_t seed) {
    const struct tensor *x = &step->graph.tensors[step->x];
    uint64_t count = shape_count(x->shape);
    double *dense = malloc(count * sizeof *dense), target[BATCH];
    assert_non_null(dense);
    for (uint64_t i = 0; i < count; i++)
        dense[i] = 2 * uniform(seed, stream("input"), file_index(x->shape, i));
    tensor_store(x, dense, plan_input(plan, step->x));
    free(dense);
    for (uint32_t i = 0; i < BATCH; i++)
        target[i] = i % CLASSES;
    tensor_store(&step->graph.tensors[step->target], target, plan_input(plan, step->target));
}

/* ---- comparison ---- */

struct run {
    const struct truth *truth;
    struct model model;
    struct store *store;
    size_t at; /* in the numbers */
    int wrong;
};

static void compare(struct run *run, const char *what, double ours, double allowed) {
    assert_true(run->at < run->truth->count);
    double theirs = run->truth->numbers[run->at++];
    if (fabs(ours - theirs) <= allowed)
        return;
    print_error("%s: %s is %.9g, PyTorch has %.9g; allowed is %.2g\n", run->truth->network, what, ours, theirs,
                allowed);
    run->wrong++;
}

static double norm(const double *values, uint64_t count) {
    double sum = 0;
    for (uint64_t i = 0; i < count; i++)
        sum += values[i] * values[i];
    return sqrt(sum);
}

/* The sum with random signs, which depend on the place in a file; `allowed` is the L2 norm of the errors. */
static void compare_sum(struct run *run, const char *name, const double *file, uint64_t count, double allowed) {
    double sum = 0;
    uint32_t signs = stream(name);
    for (uint64_t i = 0; i < count; i++)
        sum += random_bits(run->truth->seed + 1, signs, (uint32_t)i) % 2 ? -file[i] : file[i];
    compare(run, name, sum, deviations * allowed);
}

static void compare_logits(struct run *run, const struct step *step, struct plan *plan, const char *what) {
    double logits[BATCH * CLASSES];
    tensor_load(&step->graph.tensors[step->logits], plan_output(plan, step->logits), logits);
    for (size_t i = 0; i < COUNT(logits); i++)
        compare(run, what, logits[i], gate_forward * norm(logits, COUNT(logits)));
}

static void compare_image_gradient(struct run *run, const struct step *step, struct plan *plan) {
    const struct tensor *dx = &step->graph.tensors[step->dx];
    uint64_t count = shape_count(dx->shape);
    double *both = malloc(2 * count * sizeof *both);
    assert_non_null(both);
    tensor_load(dx, plan_output(plan, step->dx), both);
    for (uint64_t i = 0; i < count; i++)
        both[count + file_index(dx->shape, i)] = both[i];
    compare_sum(run, "input", both + count, count, gate_gradient * norm(both, count));
    free(both);
}

static double *read_parameter(const struct run *run, const char *root, size_t index, uint64_t *count) {
    *count = shape_count(run->model.parameters[index].shape);
    double *file = malloc(*count * sizeof *file);
    assert_non_null(file);
    assert_int_equal(parameters_read(&run->model, run->store, root, index, file), STATUS_OK);
    return file;
}

/* The bias of a convolution before a normalization has no gradient but rounding errors of the size of its kernel's. */
static double norm_beside(const struct run *run, const char *name) {
    char kernel[128];
    uint64_t count;
    snprintf(kernel, sizeof kernel, "%.*sweight", (int)(strlen(name) - strlen("bias")), name);
    int index = ends_with(name, ".bias") ? model_find(&run->model, kernel) : -1;
    if (index < 0 || run->model.parameters[index].class != PARAMETER_CONVOLUTION)
        return 0;
    double *file = read_parameter(run, "gradients", (size_t)index, &count), size = norm(file, count);
    free(file);
    return size;
}

static void compare_parameter(struct run *run, size_t index) {
    const struct parameter *parameter = &run->model.parameters[index];
    bool statistic = parameter->class == PARAMETER_STATISTIC;
    uint64_t count;
    double *file = read_parameter(run, statistic ? "statistics" : "gradients", index, &count);
    double allowed = statistic ? gate_forward * norm(file, count)
                               : gate_gradient * (norm(file, count) + norm_beside(run, parameter->name));
    compare_sum(run, parameter->name, file, count, allowed);
    free(file);
}

static void compare_parameters(struct run *run) {
    for (const char *last = "", *next; last; last = next) { /* in the order of their names */
        size_t index = 0;
        next = NULL;
        for (size_t p = 0; p < run->model.count; p++) {
            const char *name = run->model.parameters[p].name;
            if (strcmp(name, last) > 0 && (!next || strcmp(name, next) < 0))
                next = name, index = p;
        }
        if (next)
            compare_parameter(run, index);
    }
}

/* ---- the two steps ---- */

static void run_step(struct run *run, enum step_kind kind) {
    struct step_options options = small_options(kind);
    options.batch = BATCH;
    options.keep_logits = true;
    options.keep_input_gradient = kind == STEP_TRAIN;
    struct step step = make_step(&run->model, &options);
    struct plan *plan;
    if (plan_create(run->store, &step.graph, NULL, &plan) != STATUS_OK)
        fail_msg("%s", status_message());
    write_parameters(&run->model, run->truth->seed, run->store);
    write_batch(&step, plan, run->truth->seed);
    if (kind == STEP_TRAIN)
        step_hyper(&step.options, 0.125, 0, plan_input(plan, step.hyper));
    if (plan_submit(plan) != STATUS_OK || plan_collect(plan) != STATUS_OK)
        fail_msg("%s", status_message());
    compare_logits(run, &step, plan, kind == STEP_TRAIN ? "logits of training" : "logits");
    if (kind == STEP_TRAIN) {
        double loss = (double)*(const float *)plan_output(plan, step.metrics) / BATCH;
        compare(run, "loss", loss, gate_forward * fabs(loss));
        compare_image_gradient(run, &step, plan);
        compare_parameters(run);
    }
    plan_destroy(plan);
    step_destroy(&step);
}

static void steps_are_pytorchs(void **state) {
    struct test_device d;
    int wrong = 0;
    (void)state;
    test_device_open(&d, NULL);
    for (size_t i = 0; i < COUNT(truths); i++) {
        struct run run = {.truth = &truths[i]};
        run.model = MODEL(.name = truths[i].network, .filters = truths[i].filters, .height = truths[i].size,
                          .width = truths[i].size, .classes = CLASSES);
        assert_int_equal(store_create(d.device, &run.store), STATUS_OK);
        run_step(&run, STEP_EVALUATE);
        run_step(&run, STEP_TRAIN);
        assert_int_equal(run.at, truths[i].count);
        wrong += run.wrong;
        store_destroy(run.store);
        model_destroy(&run.model);
    }
    test_device_close(&d);
    assert_int_equal(wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_are_pytorchs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

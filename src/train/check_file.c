/* check: one training step against what another program wrote. */
#include "train/check.h"

#include "base/clock.h"
#include "base/memory.h"
#include "data/safetensors.h"
#include "exec/plan.h"
#include "ir/bound.h"
#include "model/family.h"
#include "train/parameters.h"
#include "train/step.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Gates on |ours - theirs| / |theirs| in the L2 norm: ResNet-20 comes within 1e-6 forward and 5e-6 in gradients. One
 * ReLU whose input rounds to the other sign is seen as some 1e-3 in every gradient before it: such states are no
 * witness.
 */
static const double gate_forward = 2e-5, gate_gradient = 2e-4;

struct witness {
    struct safetensors file;
    struct model model;
    struct store *store;
    double rate, momentum, weight_decay;
    double gate_forward;
    const struct verify_options *verify;
    struct verify_summary *summary;
};

/*
 * Without shortcuts nothing carries the signal past a layer, and rounding errors grow: 1.21 times for each convolution,
 * normalization and relu, as measured in PyTorch. What L layers that each add an error of e make of it is e
 * sqrt(sum over k < L of 1.21^(2k)): 17 e for VGG-16. Winograd's F(4x4, 3x3) has e = 1.4e-6 for 64 channels and 4e-6
 * for 512 (numpy, float32), which a layer may have here on average; a direct sum has a fifth of it. Where a deep
 * network would need more than the gate of gradients, a file is no witness of it.
 */
static double find_gate(const struct model *model) {
    double sum = 0, power = 1;
    for (size_t i = 0; i < model->count && model->family->shortcut == SHORTCUT_NONE; i++)
        if (model->parameters[i].class == PARAMETER_CONVOLUTION) {
            sum += power;
            power *= 1.21 * 1.21;
        }
    return fmin(fmax(gate_forward, 4e-6 * sqrt(sum)), gate_gradient);
}

/* ---- the file ---- */

/* The tensor PREFIX.NAME, which must hold `count` values. */
static enum status find(const struct witness *witness, const char *prefix, const char *name, uint64_t count,
                        const struct safetensors_tensor **out) {
    char full[160];
    snprintf(full, sizeof full, "%s%s%s", prefix, *name ? "." : "", name);
    *out = safetensors_find(&witness->file, full);
    if (!*out)
        return fail(STATUS_DATA, "%s has no tensor %s", witness->file.path, full);
    if (safetensors_count(*out) != count)
        return fail(STATUS_DATA, "%s: %s holds %llu values, not %llu", witness->file.path, full,
                    (unsigned long long)safetensors_count(*out), (unsigned long long)count);
    return STATUS_OK;
}

/* Its values, in a new array. */
static enum status read_values(const struct witness *witness, const char *prefix, const char *name, uint64_t count,
                               double **values) {
    const struct safetensors_tensor *tensor;
    TRY(find(witness, prefix, name, count, &tensor));
    TRY(memory_zeroed(count, sizeof **values, values));
    safetensors_values(tensor, *values);
    return STATUS_OK;
}

static double number(const struct witness *witness, const char *key, double otherwise) {
    const char *text = safetensors_metadata(&witness->file, key);
    return text ? strtod(text, NULL) : otherwise;
}

static bool is_statistic(const struct parameter *parameter) {
    return parameter->class == PARAMETER_STATISTIC;
}

/* The file may not hold parameters that the model does not have. */
static enum status check_names(const struct witness *witness) {
    static const char *const prefixes[] = {"param.", "buffer."};
    for (size_t i = 0; i < witness->file.count; i++)
        for (size_t k = 0; k < COUNT(prefixes); k++) {
            const char *name = witness->file.tensors[i].name;
            size_t length = strlen(prefixes[k]);
            if (strncmp(name, prefixes[k], length) == 0 && model_find(&witness->model, name + length) < 0)
                return fail(STATUS_DATA, "%s: %s has no %s", witness->file.path, witness->model.name, name + length);
        }
    return STATUS_OK;
}

static enum status check_parameters(const struct witness *witness) {
    static const char *const of_statistic[] = {"buffer", "after_buffer", NULL};
    static const char *const of_weight[] = {"param", "grad", "after", NULL};
    const struct safetensors_tensor *tensor;
    for (size_t p = 0; p < witness->model.count; p++) {
        const struct parameter *parameter = &witness->model.parameters[p];
        const char *const *prefix = is_statistic(parameter) ? of_statistic : of_weight;
        for (; *prefix; prefix++)
            TRY(find(witness, *prefix, parameter->name, shape_count(parameter->shape), &tensor));
    }
    return STATUS_OK;
}

static enum status check_target(const struct witness *witness, uint32_t batch) {
    double *labels;
    uint32_t classes = witness->model.options.classes, good = 0;
    TRY(read_values(witness, "target", "", batch, &labels));
    while (good < batch && labels[good] >= 0 && labels[good] < classes)
        good++;
    double wrong = good < batch ? labels[good] : 0;
    free(labels);
    return good == batch ? STATUS_OK
                         : fail(STATUS_DATA, "%s: label %u of target is %g, not one of 0 to %u", witness->file.path,
                                good, wrong, classes - 1);
}

/* Everything that will be read, before anything is computed. */
static enum status check(const struct witness *witness, uint32_t batch) {
    const struct model_options *image = &witness->model.options;
    uint64_t pixels = (uint64_t)image->channels * image->height * image->width;
    const struct {
        const char *name;
        uint64_t count;
    } tensors[] = {
        {"input", batch * pixels},
        {"grad_input", batch * pixels},
        {"logits_eval", (uint64_t)batch * image->classes},
        {"logits_train", (uint64_t)batch * image->classes},
        {"loss_train", 1},
    };
    const struct safetensors_tensor *tensor;
    for (size_t i = 0; i < COUNT(tensors); i++)
        TRY(find(witness, tensors[i].name, "", tensors[i].count, &tensor));
    TRY(check_target(witness, batch));
    TRY(check_names(witness));
    return check_parameters(witness);
}

static enum status load_state(struct witness *witness) {
    const struct model *model = &witness->model;
    TRY(parameters_initialize(model, 0, witness->store));
    for (size_t p = 0; p < model->count; p++) {
        const struct parameter *parameter = &model->parameters[p];
        double *values;
        TRY(read_values(witness, is_statistic(parameter) ? "buffer" : "param", parameter->name,
                        shape_count(parameter->shape), &values));
        enum status status = parameters_write(model, witness->store, "parameters", p, values);
        free(values);
        TRY(status);
    }
    return STATUS_OK;
}

/* ---- comparison ---- */

/* [n,c,h,w] of the file <-> [n,h,w,c] of the device. */
static void to_device_order(struct shape shape, const double *file, double *dense) {
    for (uint32_t n = 0, i = 0; n < shape.d[N]; n++)
        for (uint32_t h = 0; h < shape.d[H]; h++)
            for (uint32_t w = 0; w < shape.d[W]; w++)
                for (uint32_t c = 0; c < shape.d[C]; c++)
                    dense[i++] = file[(((size_t)n * shape.d[C] + c) * shape.d[H] + h) * shape.d[W] + w];
}

static double norm(const double *values, uint64_t count) {
    double sum = 0;
    for (uint64_t i = 0; values && i < count; i++)
        sum += values[i] * values[i];
    return sqrt(sum);
}

/* Takes `theirs` from `ours` in place; the L2 norm of what is left may be `allowed`. */
static void compare(struct witness *witness, const char *what, const char *name, double *ours, const double *theirs,
                    uint64_t count, double allowed) {
    for (uint64_t i = 0; i < count; i++)
        ours[i] -= theirs[i];
    double difference = norm(ours, count);
    struct verify_result result = {.op = what, .form = "", .shape = name, .kind = DATA_RANDOM, .values = count};
    result.worst = difference == 0 ? 0 : difference / allowed;
    result.outcome = difference <= allowed ? VERIFY_PASSED : VERIFY_FAILED;
    if (result.outcome == VERIFY_FAILED) {
        snprintf(result.failure, sizeof result.failure, "the L2 norm of the difference is %.3g, allowed is %.3g",
                 difference, allowed);
        witness->summary->failed++;
    } else {
        witness->summary->passed++;
    }
    witness->summary->values += count;
    if (witness->verify->report)
        witness->verify->report(witness->verify->user, &result);
}

/* A value of the step against the file's tensor `name`; images are turned into the device's order. */
static enum status compare_output(struct witness *witness, struct plan *plan, const struct step *step, tensor_id id,
                                  const char *name, double gate) {
    const struct tensor *tensor = &step->graph.tensors[id];
    uint64_t count = shape_count(tensor->shape);
    double *theirs, *both;
    TRY(read_values(witness, name, "", count, &theirs));
    enum status status = memory_zeroed(2 * count, sizeof *both, &both);
    if (status == STATUS_OK) {
        tensor_load(tensor, plan_output(plan, id), both);
        to_device_order(tensor->shape, theirs, both + count);
        compare(witness, name, "", both, both + count, count, gate * norm(both + count, count));
    }
    free(both);
    free(theirs);
    return status;
}

static enum status compare_loss(struct witness *witness, struct plan *plan, const struct step *step) {
    double *theirs, ours = (double)*(const float *)plan_output(plan, step->metrics) / step->options.batch;
    TRY(read_values(witness, "loss_train", "", 1, &theirs));
    compare(witness, "loss_train", "", &ours, theirs, 1, witness->gate_forward * fabs(*theirs));
    free(theirs);
    return STATUS_OK;
}

/* L2 norm of PREFIX.NAME in the file; with `base`, of its change since BASE.NAME. */
static enum status measure(const struct witness *witness, const char *prefix, const char *base, size_t p,
                           double *size) {
    const struct parameter *parameter = &witness->model.parameters[p];
    uint64_t count = shape_count(parameter->shape);
    double *values = NULL, *before = NULL;
    enum status status = read_values(witness, prefix, parameter->name, count, &values);
    if (status == STATUS_OK && base)
        status = read_values(witness, base, parameter->name, count, &before);
    for (uint64_t i = 0; status == STATUS_OK && before && i < count; i++)
        values[i] -= before[i];
    if (status == STATUS_OK)
        *size = norm(values, count);
    free(values);
    free(before);
    return status;
}

/* The convolution kernel that parameter `p` is the bias of, or -1. */
static int kernel_of_bias(const struct model *model, size_t p) {
    const char *name = model->parameters[p].name, *field = strrchr(name, '.');
    char kernel[sizeof model->parameters[p].name + sizeof "weight"];
    if (strcmp(field, ".bias") != 0)
        return -1;
    snprintf(kernel, sizeof kernel, "%.*s.weight", (int)(field - name), name);
    int index = model_find(model, kernel);
    return index >= 0 && model->parameters[index].class == PARAMETER_CONVOLUTION ? index : -1;
}

/*
 * With `base` both sides were rounded when they were added to values of its size. Before a normalization the bias of a
 * convolution has the gradient 0: what programs find there are rounding errors of a sum that cancels, for resnet20v2
 * and 24 images 1e-6 of the kernel's gradient here and 4e-5 in TensorFlow. So the gate of a bias includes its
 * kernel.
 */
static enum status find_allowed(const struct witness *witness, size_t p, const char *prefix, const char *base,
                                double gate, double *allowed) {
    double size, before = 0, beside = 0;
    int kernel = kernel_of_bias(&witness->model, p);
    TRY(measure(witness, prefix, base, p, &size));
    if (base)
        TRY(measure(witness, base, NULL, p, &before));
    if (kernel >= 0)
        TRY(measure(witness, prefix, base, (size_t)kernel, &beside));
    *allowed = gate * (size + beside) + 2 * UNIT_ROUNDOFF * before;
    return STATUS_OK;
}

/* Parameter `p` of `root` against PREFIX.NAME. With `base`, the gate is on the change since BASE.NAME. */
static enum status compare_parameter(struct witness *witness, const char *root, size_t p, const char *prefix,
                                     const char *base, double gate) {
    const struct parameter *parameter = &witness->model.parameters[p];
    uint64_t count = shape_count(parameter->shape);
    double *theirs = NULL, *ours = NULL, allowed = 0;
    enum status status = find_allowed(witness, p, prefix, base, gate, &allowed);
    if (status == STATUS_OK)
        status = read_values(witness, prefix, parameter->name, count, &theirs);
    if (status == STATUS_OK)
        status = memory_zeroed(count, sizeof *ours, &ours);
    if (status == STATUS_OK)
        status = parameters_read(&witness->model, witness->store, root, p, ours);
    if (status == STATUS_OK)
        compare(witness, prefix, parameter->name, ours, theirs, count, allowed);
    free(theirs);
    free(ours);
    return status;
}

/* ---- the two steps ---- */

static enum status write_batch(struct witness *witness, struct plan *plan, const struct step *step) {
    const struct tensor *x = &step->graph.tensors[step->x];
    uint64_t count = shape_count(x->shape);
    double *file, *dense, *labels;
    TRY(read_values(witness, "input", "", count, &file));
    enum status status = memory_zeroed(count, sizeof *dense, &dense);
    if (status == STATUS_OK) {
        to_device_order(x->shape, file, dense);
        tensor_store(x, dense, plan_input(plan, step->x));
    }
    free(dense);
    free(file);
    TRY(status);
    TRY(read_values(witness, "target", "", step->options.batch, &labels));
    tensor_store(&step->graph.tensors[step->target], labels, plan_input(plan, step->target));
    free(labels);
    return STATUS_OK;
}

static enum status run(struct witness *witness, struct plan *plan, const struct step *step) {
    TRY(write_batch(witness, plan, step));
    if (step->options.kind == STEP_TRAIN)
        step_hyper(&step->options, witness->rate, 0, plan_input(plan, step->hyper));
    TRY(plan_submit(plan));
    return plan_collect(plan);
}

static enum status compare_evaluation(struct witness *witness, struct plan *plan, const struct step *step) {
    return compare_output(witness, plan, step, step->logits, "logits_eval", witness->gate_forward);
}

static enum status compare_training(struct witness *witness, struct plan *plan, const struct step *step) {
    TRY(compare_output(witness, plan, step, step->logits, "logits_train", witness->gate_forward));
    TRY(compare_loss(witness, plan, step));
    TRY(compare_output(witness, plan, step, step->dx, "grad_input", gate_gradient));
    for (size_t p = 0; p < witness->model.count; p++)
        if (is_statistic(&witness->model.parameters[p])) {
            TRY(compare_parameter(witness, "statistics", p, "after_buffer", NULL, witness->gate_forward));
        } else {
            TRY(compare_parameter(witness, "gradients", p, "grad", NULL, gate_gradient));
            TRY(compare_parameter(witness, "parameters", p, "after", "param", gate_gradient));
        }
    return STATUS_OK;
}

static enum status run_step(struct witness *witness, enum step_kind kind, uint32_t batch,
                            enum status (*compare_with)(struct witness *, struct plan *, const struct step *)) {
    struct step_options options;
    struct step step;
    struct plan *plan = NULL;
    step_options_default(&options);
    options.kind = kind;
    options.batch = batch;
    options.momentum = witness->momentum;
    options.weight_decay = witness->weight_decay;
    options.decay = DECAY_ALL;
    options.keep_logits = true;
    options.keep_input_gradient = kind == STEP_TRAIN;
    enum status status = step_create(&witness->model, &options, &step);
    if (status == STATUS_OK)
        status = plan_create(witness->store, &step.graph, NULL, &plan);
    if (status == STATUS_OK)
        status = load_state(witness);
    if (status == STATUS_OK)
        status = run(witness, plan, &step);
    if (status == STATUS_OK)
        status = compare_with(witness, plan, &step);
    plan_destroy(plan);
    step_destroy(&step);
    return status;
}

/* Of this rank and with values. */
static bool has_shape(const struct safetensors_tensor *tensor, uint32_t rank) {
    bool sound = tensor->rank == rank;
    for (uint32_t i = 0; i < tensor->rank; i++)
        sound = sound && tensor->shape[i] >= 1 && tensor->shape[i] <= UINT32_MAX;
    return sound;
}

static enum status open(struct witness *witness, const struct model_options *options, const char *path,
                        uint32_t *batch) {
    TRY(safetensors_read(path, &witness->file));
    const struct safetensors_tensor *input = safetensors_find(&witness->file, "input");
    const struct safetensors_tensor *logits = safetensors_find(&witness->file, "logits_train");
    if (!input || !logits || !has_shape(input, 4) || !has_shape(logits, 2))
        return fail(STATUS_DATA, "%s has no tensors input [n,c,h,w] and logits_train [n,classes]", path);
    struct model_options sized = *options;
    *batch = (uint32_t)input->shape[0];
    sized.channels = (uint32_t)input->shape[1];
    sized.height = (uint32_t)input->shape[2];
    sized.width = (uint32_t)input->shape[3];
    sized.classes = (uint32_t)logits->shape[1];
    witness->rate = number(witness, "lr", 0.1);
    witness->momentum = number(witness, "momentum", 0.9);
    witness->weight_decay = number(witness, "weight_decay", 1e-4);
    TRY(model_create(&sized, &witness->model));
    witness->gate_forward = find_gate(&witness->model);
    return check(witness, *batch);
}

enum status check_against(struct store *store, const struct model_options *options, const char *path,
                          const struct verify_options *verify, struct verify_summary *summary) {
    uint64_t start = clock_ns();
    struct witness witness = {.store = store, .verify = verify, .summary = summary};
    uint32_t batch = 0;
    *summary = (struct verify_summary){0};
    enum status status = open(&witness, options, path, &batch);
    if (status == STATUS_OK)
        status = run_step(&witness, STEP_EVALUATE, batch, compare_evaluation);
    if (status == STATUS_OK)
        status = run_step(&witness, STEP_TRAIN, batch, compare_training);
    model_destroy(&witness.model);
    safetensors_destroy(&witness.file);
    summary->seconds = 1e-9 * (double)(clock_ns() - start);
    if (status == STATUS_OK && summary->failed)
        return fail(STATUS_MISMATCH, "%u of %u tensors differ from %s", summary->failed,
                    summary->failed + summary->passed, path);
    return status;
}

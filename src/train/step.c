#include "train/step.h"

#include "base/memory.h"
#include "ir/absorb.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void step_options_default(struct step_options *options) {
    *options = (struct step_options){.batch = 128,
                                     .accumulate = 1,
                                     .momentum = 0.9,
                                     .beta1 = 0.9,
                                     .beta2 = 0.999,
                                     .epsilon = 1e-8,
                                     .layer_decay = 1,
                                     .head_rate = 1};
}

static void mark_output(struct graph *graph, tensor_id id, const char *name) {
    if (id >= graph->tensor_count)
        return;
    graph->tensors[id].role = TENSOR_OUTPUT;
    snprintf(graph->tensors[id].name, sizeof graph->tensors[id].name, "%s", name);
}

/* ---- images and labels ---- */

static void take_inputs(const struct model *model, struct step *step) {
    const struct model_options *image = &model->options;
    uint32_t batch = step->options.batch;
    step->x = graph_tensor(&step->graph, "x", DTYPE_F32, shape4(batch, image->height, image->width, image->channels),
                           TENSOR_INPUT);
    if (step->options.kind != STEP_PREDICT)
        step->target = graph_tensor(&step->graph, "target", DTYPE_U32, shape_vector(batch), TENSOR_INPUT);
}

static tensor_id data_value(struct step *step, const char *name, enum dtype dtype, struct shape shape) {
    char full[64];
    const char *set = step->options.set;
    snprintf(full, sizeof full, "%s%s%s", set ? set : "", set ? "." : "", name);
    return graph_tensor(&step->graph, full, dtype, shape, step->options.direct ? TENSOR_INPUT : TENSOR_PERSISTENT);
}

static void gather(const struct model *model, struct step *step) {
    const struct step_options *options = &step->options;
    const struct model_options *image = &model->options;
    struct graph *graph = &step->graph;
    uint32_t h = image->height, w = image->width, c = image->channels;
    struct shape mean_shape = options->mean_per_pixel ? shape4(1, h, w, c) : shape_vector(c);

    tensor_id images = data_value(step, "images", DTYPE_U8, shape4(options->image_count, h, w, c));
    tensor_id labels = data_value(step, "labels", DTYPE_U32, shape_vector(options->image_count));
    tensor_id mean = graph_tensor(graph, "normalize.mean", DTYPE_F32, mean_shape, TENSOR_PERSISTENT);
    tensor_id scale = graph_tensor(graph, "normalize.scale", DTYPE_F32, shape_vector(c), TENSOR_PERSISTENT);
    step->images = options->direct ? images : TENSOR_NONE;
    step->labels = options->direct ? labels : TENSOR_NONE;
    step->indices = graph_tensor(graph, "indices", DTYPE_U32, shape_vector(options->batch), TENSOR_INPUT);
    step->clock = graph_tensor(graph, "clock", DTYPE_U32, shape_vector(4), TENSOR_INPUT);
    graph_scope(graph, "data");
    step->x = graph_apply(graph, "gather_batch", OPERANDS(images, labels, step->indices, step->clock, mean, scale),
                          ATTRIBUTES({"shift", options->shift}, {"flip", options->flip}, {"nearest", options->nearest},
                                     {"direct", options->direct}));
    step->target = graph_output(graph, 1);
}

/* Replaces x and target by those of mixed images. */
static void mix(struct step *step) {
    struct graph *graph = &step->graph;
    step->mixture = graph_tensor(graph, "mixture", DTYPE_U32, shape_vector(MIXTURE_WORDS), TENSOR_INPUT);
    step->x = graph_apply(graph, "mix", OPERANDS(step->x, step->target, step->mixture), NULL);
    step->target = graph_output(graph, 1);
}

/* ---- loss ---- */

static tensor_id penalty(const struct model *model, struct step *step) {
    if (model->l2 <= 0)
        return TENSOR_ABSENT;
    tensor_id kernels = graph_view(&step->graph, "convolution kernels", step->network.parameters, 0,
                                   shape_vector((uint32_t)(model->convolution_bytes / 4)));
    return graph_apply(&step->graph, "l2_penalty", OPERANDS(kernels), ATTRIBUTES({"scale", model->l2}));
}

/* Returns the loss of each image, [1,1,1,n]. */
static tensor_id measure(const struct model *model, struct step *step) {
    struct graph *graph = &step->graph;
    graph_scope(graph, "loss");
    tensor_id loss = graph_apply(graph, "softmax_cross_entropy", OPERANDS(step->network.logits, step->target),
                                 ATTRIBUTES({"smoothing", step->options.smoothing}));
    tensor_id correct = graph_output(graph, 1);
    step->metrics = graph_apply(graph, "batch_metrics", OPERANDS(loss, correct, penalty(model, step)), NULL);
    mark_output(graph, step->metrics, "metrics");
    return loss;
}

/* ---- gradients ---- */

/* The trained values, and x where its gradient is asked for; returns their number. */
static size_t list_wanted(const struct model *model, const struct step *step, tensor_id *wanted) {
    size_t count = 0;
    for (size_t i = 0; i < model->count; i++)
        if (model_trains(model, i))
            wanted[count++] = step->network.values[i];
    if (step->options.keep_input_gradient)
        wanted[count++] = step->x;
    return count;
}

static tensor_id trained_root(const struct model *model, struct graph *graph, const char *name) {
    return graph_tensor(graph, name, DTYPE_F32, shape_vector((uint32_t)(model->trained_bytes / 4)), TENSOR_PERSISTENT);
}

/* Puts the gradients into one root. It is persistent: the gaps between its values are zero for ever, so an optimizer
 * may run over the whole. */
static tensor_id place_gradients(const struct model *model, struct step *step, const tensor_id *found) {
    struct graph *graph = &step->graph;
    tensor_id root = trained_root(model, graph, "gradients");
    for (size_t i = 0; i < model->count; i++)
        if (model_trains(model, i))
            step->gradients[i] = graph_place(graph, *found++, root, model->parameters[i].trained_offset);
    if (step->options.keep_input_gradient) {
        step->dx = *found;
        mark_output(graph, step->dx, "dx");
    }
    return root;
}

/* Appends the backward nodes of the mean loss of all batches that make an update; returns the root of the gradients. */
static tensor_id differentiate(const struct model *model, struct step *step, tensor_id loss) {
    struct graph *graph = &step->graph;
    uint32_t batch = step->options.batch;
    double weight = 1.0 / ((double)batch * step->options.accumulate);
    tensor_id *wanted = malloc(2 * (model->count + 1) * sizeof *wanted), root = TENSOR_NONE;
    if (!wanted)
        return graph_fail(graph, STATUS_MEMORY, "out of host memory for the gradients of %zu parameters", model->count);
    tensor_id *found = wanted + model->count + 1;
    size_t count = list_wanted(model, step, wanted);
    graph_scope(graph, "loss");
    tensor_id share = graph_apply(graph, "fill", OPERANDS(TENSOR_NONE),
                                  ATTRIBUTES({"value", weight}, {"d0", 1}, {"d1", 1}, {"d2", 1}, {"d3", batch}));
    graph_gradient(graph, loss, share, wanted, count, found);
    if (graph->status == STATUS_OK)
        root = place_gradients(model, step, found);
    free(wanted);
    return root;
}

/* ---- update ---- */

const char *const *optimizer_values(enum optimizer optimizer) {
    static const char *const velocity[] = {"optimizer.velocity", NULL};
    static const char *const moments[] = {"optimizer.m", "optimizer.v", NULL};
    return optimizer == OPTIMIZER_SGD ? velocity : moments;
}

void step_hyper(const struct step_options *options, double learning_rate, uint64_t batch, float hyper[4]) {
    memset(hyper, 0, 4 * sizeof *hyper);
    hyper[0] = (float)learning_rate;
    hyper[3] = (float)(options->accumulate - 1 - batch % options->accumulate);
    if (options->optimizer == OPTIMIZER_SGD)
        return;
    double t = (double)(batch / options->accumulate) + 1;
    hyper[1] = (float)(1 / (1 - pow(options->beta1, t)));
    hyper[2] = (float)(1 / (1 - pow(options->beta2, t)));
}

/* So many bytes of the flat values, with what they have in common. */
struct range {
    uint64_t first, trained_first, bytes; /* in the parameters, and in values of what is trained only */
    double decay, lr_scale;
};

/* One node for a range: roots are parameters, gradients and the optimizer's state. */
static void update_range(struct step *step, const tensor_id *roots, tensor_id gate, struct range range) {
    const struct step_options *options = &step->options;
    struct graph *graph = &step->graph;
    tensor_id part[4];
    for (int i = 0; i < 4; i++)
        part[i] =
            roots[i] == TENSOR_NONE || graph->status != STATUS_OK
                ? TENSOR_NONE
                : graph_view(graph, graph->tensors[roots[i]].name, roots[i], i == 0 ? range.first : range.trained_first,
                             shape_vector((uint32_t)(range.bytes / 4)));
    if (options->optimizer == OPTIMIZER_SGD)
        graph_apply(graph, "sgd", OPERANDS(part[0], part[1], part[2], step->hyper, gate),
                    ATTRIBUTES({"momentum", options->momentum}, {"weight_decay", range.decay},
                               {"nesterov", options->nesterov}, {"lr_scale", range.lr_scale}));
    else
        graph_apply(graph, "adam", OPERANDS(part[0], part[1], part[2], part[3], step->hyper, gate),
                    ATTRIBUTES({"beta1", options->beta1}, {"beta2", options->beta2}, {"epsilon", options->epsilon},
                               {"weight_decay", range.decay}, {"lr_scale", range.lr_scale},
                               {"decoupled", options->optimizer == OPTIMIZER_ADAMW && options->weight_decay > 0}));
}

/* The penalty l2 * sum w^2 of the loss has the gradient 2 * l2 * w, which is a weight decay of 2 * l2. */
static double decay_of(const struct model *model, const struct step_options *options, enum parameter_class class) {
    double given = options->weight_decay;
    if (class == PARAMETER_CONVOLUTION)
        return given + 2 * model->l2;
    if (class == PARAMETER_DENSE)
        return options->decay <= DECAY_KERNELS ? given : 0;
    return options->decay == DECAY_ALL ? given : 0;
}

static struct range range_of(const struct model *model, const struct step_options *options, size_t index) {
    const struct parameter *parameter = &model->parameters[index];
    const struct tensor tensor = {.dtype = DTYPE_F32, .shape = parameter->shape};
    uint32_t head = model->parameters[model->count - 1].group, distance = head - parameter->group;
    return (struct range){
        .first = parameter->offset,
        .trained_first = parameter->trained_offset,
        .bytes = round_up(tensor_bytes(&tensor), TENSOR_ALIGNMENT),
        .decay = decay_of(model, options, parameter->class),
        .lr_scale = distance ? pow(options->layer_decay, distance) : options->head_rate,
    };
}

/* Neighbours that have everything in common are updated together. Of a class, the parameters lie in the order of the
 * list, and so do the classes. */
static void update_parameters(const struct model *model, struct step *step, const tensor_id *roots, tensor_id gate) {
    struct range range = {0};
    for (int class = PARAMETER_CONVOLUTION; class < PARAMETER_STATISTIC; class ++)
        for (size_t i = model->frozen; i < model->count; i++) {
            if ((int)model->parameters[i].class != class)
                continue;
            struct range next = range_of(model, &step->options, i);
            if (range.first + range.bytes == next.first && range.decay == next.decay &&
                range.lr_scale == next.lr_scale) {
                range.bytes += next.bytes;
                continue;
            }
            if (range.bytes)
                update_range(step, roots, gate, range);
            range = next;
        }
    update_range(step, roots, gate, range);
}

/* The gradients of the batches so far; with one batch an update they are what there is. */
static tensor_id sum_gradients(struct step *step, tensor_id gradients) {
    struct graph *graph = &step->graph;
    if (step->options.accumulate == 1)
        return gradients;
    tensor_id sum = graph_tensor(graph, "gradients.sum", DTYPE_F32, graph_shape(graph, gradients), TENSOR_PERSISTENT);
    return graph_apply(graph, "accumulate", OPERANDS(sum, gradients, step->hyper),
                       ATTRIBUTES({"count", step->options.accumulate}));
}

static void optimize(const struct model *model, struct step *step, tensor_id gradients) {
    struct graph *graph = &step->graph;
    step->hyper = graph_tensor(graph, "hyper", DTYPE_F32, shape_vector(4), TENSOR_INPUT);
    graph_scope(graph, "update");
    tensor_id roots[4] = {step->network.parameters, sum_gradients(step, gradients), TENSOR_NONE, TENSOR_NONE};
    const char *const *names = optimizer_values(step->options.optimizer);
    for (int i = 0; names[i]; i++)
        roots[2 + i] = trained_root(model, graph, names[i]);
    tensor_id gate = graph_tensor(graph, "gate", DTYPE_F32, shape_vector(1), TENSOR_PERSISTENT);
    gate = graph_apply(graph, "latch", OPERANDS(gate, step->metrics), NULL);
    update_parameters(model, step, roots, gate);
}

/* ---- the step ---- */

static void build(const struct model *model, struct step *step) {
    struct graph *graph = &step->graph;
    const struct step_options *options = &step->options;
    tensor_id loss = TENSOR_NONE;
    if (options->image_count > 0)
        gather(model, step);
    else
        take_inputs(model, step);
    if (options->kind == STEP_TRAIN && options->image_count > 0 && mixture_is_used(&options->mixture))
        mix(step);
    step->network.clock = step->clock;
    step->network.indices = step->indices;
    step->network.freeze_norm = options->freeze_norm;
    step->network.folded = options->folded;
    graph->recompute = options->recompute;
    model_forward(model, graph, step->x, options->kind == STEP_TRAIN, &step->network);
    step->logits = step->network.logits;
    if (options->keep_logits)
        mark_output(graph, step->logits, "logits");
    if (options->kind == STEP_PREDICT) {
        step->probabilities = graph_apply(graph, "softmax", OPERANDS(step->logits), NULL);
        mark_output(graph, step->probabilities, "probabilities");
    } else {
        loss = measure(model, step);
    }
    step->forward_nodes = graph->node_count;
    if (options->kind == STEP_TRAIN) {
        optimize(model, step, differentiate(model, step, loss));
        absorb_nodes(graph);
    } else {
        graph_hoist(graph);
    }
    graph_scope(graph, "%s", "");
}

static enum status check(const struct model *model, const struct step_options *options) {
    if (options->batch < 1)
        return fail(STATUS_USAGE, "a batch needs at least one image");
    if (options->direct && options->image_count != options->batch)
        return fail(STATUS_USAGE, "a streamed batch of %u images needs as many, not %u", options->batch,
                    options->image_count);
    if (options->folded && options->kind == STEP_TRAIN)
        return fail(STATUS_USAGE, "folded weights cannot be trained");
    if (options->accumulate < 1)
        return fail(STATUS_USAGE, "an update needs at least one batch");
    if (options->keep_input_gradient && (options->kind != STEP_TRAIN || options->image_count > 0))
        return fail(STATUS_USAGE, "the gradient of the images exists only in training from direct inputs");
    if (options->optimizer == OPTIMIZER_ADAMW && options->weight_decay > 0 && model->l2 > 0)
        return fail(STATUS_USAGE,
                    "the keras style already has its penalty in the loss: adamw cannot add a weight "
                    "decay of %g to it (take adam, or a weight decay of 0)",
                    options->weight_decay);
    return STATUS_OK;
}

static void clear(struct step *step) {
    memset(step, 0, sizeof *step);
    step->images = step->labels = step->indices = step->clock = step->hyper = step->x = step->target = TENSOR_NONE;
    step->mixture = TENSOR_NONE;
    step->metrics = step->probabilities = step->logits = step->dx = TENSOR_NONE;
}

static enum status make_ids(const struct model *model, bool training, struct step *step) {
    TRY(memory_zeroed(model->count, sizeof(tensor_id), &step->network.values));
    if (!training)
        return STATUS_OK;
    TRY(memory_zeroed(model->count, sizeof(tensor_id), &step->gradients));
    for (size_t i = 0; i < model->count; i++)
        step->gradients[i] = TENSOR_NONE;
    return STATUS_OK;
}

enum status step_create(const struct model *model, const struct step_options *options, struct step *out) {
    clear(out);
    TRY(check(model, options));
    out->options = *options;
    graph_create(&out->graph);
    enum status status = make_ids(model, options->kind == STEP_TRAIN, out);
    if (status == STATUS_OK) {
        build(model, out);
        status = graph_status(&out->graph);
    }
    out->options.set = NULL;
    if (status != STATUS_OK)
        step_destroy(out);
    return status;
}

void step_destroy(struct step *step) {
    graph_destroy(&step->graph);
    free(step->network.values);
    free(step->gradients);
    clear(step);
}

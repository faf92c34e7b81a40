#include "model/model.h"

#include "base/memory.h"
#include "model/description.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const model_names[] = {"resnet18",
                                   "resnet34",
                                   "resnet50",
                                   "resnet101",
                                   "resnet152",
                                   "wide_resnet50_2",
                                   "wide_resnet101_2",
                                   "resnext50_32x4d",
                                   "resnext101_32x8d",
                                   "resnext101_64x4d",
                                   "seresnet18",
                                   "seresnet34",
                                   "seresnet50",
                                   "seresnet101",
                                   "seresnet152",
                                   "resnet50v1",
                                   "vgg11",
                                   "vgg13",
                                   "vgg16",
                                   "vgg19",
                                   "vgg11_bn",
                                   "vgg13_bn",
                                   "vgg16_bn",
                                   "vgg19_bn",
                                   "resnet20",
                                   "resnet32",
                                   "resnet44",
                                   "resnet56",
                                   "resnet110",
                                   "resnet20a",
                                   "resnet20b",
                                   "resnet29v2",
                                   "resnet56v2",
                                   "plain20",
                                   "plain56",
                                   "plain29v2",
                                   "vgg16c",
                                   "vgg19c",
                                   "vgg16c_bn",
                                   "vgg19c_bn",
                                   NULL};

static const char *const style_names[] = {[STYLE_TORCH] = "torch", [STYLE_KERAS] = "keras"};

const char *model_style_name(enum model_style style) {
    return style_names[style];
}

enum status model_style_find(const char *name, enum model_style *out) {
    for (size_t i = 0; i < COUNT(style_names); i++)
        if (strcmp(style_names[i], name) == 0) {
            *out = (enum model_style)i;
            return STATUS_OK;
        }
    return fail(STATUS_USAGE, "there is no style called %s (there are torch and keras)", name);
}

/* ---- names ---- */

static bool parse_name(const char *name, const struct model_family *family, unsigned long *depth) {
    size_t length = strlen(family->prefix);
    if (strncmp(name, family->prefix, length) != 0 || name[length] < '1' || name[length] > '9')
        return false;
    char *end;
    *depth = strtoul(name + length, &end, 10);
    return strcmp(end, family->suffix) == 0;
}

enum { DEPTH_LIMIT = 9999 };

static enum status set_depth(struct model *model, const struct model_family *family, unsigned long depth) {
    if (family->depth) {
        model->family = family;
        memcpy(model->blocks, family->blocks, sizeof model->blocks);
        return STATUS_OK;
    }
    uint32_t unit = 3 * family->layers_per_block;
    if (depth < unit + 2 || (depth - 2) % unit != 0)
        return fail(STATUS_USAGE, "%s%s depth must be %un+2 (%s)%s, not %lu", family->prefix,
                    *family->suffix == 'v' ? " v2" : "", unit,
                    unit == 6 ? "20, 32, 44, 56, 110, ..." : "20, 29, 56, 110, 164, ...",
                    *family->prefix == 'r' && !*family->suffix ? " or 18, 34, 50, 101, 152 (ImageNet)" : "", depth);
    if (depth > DEPTH_LIMIT)
        return fail(STATUS_USAGE, "%s: the depth is limited to %d", model->name, DEPTH_LIMIT);
    model->family = family;
    for (int stage = 0; stage < 3; stage++)
        model->blocks[stage] = (uint32_t)(depth - 2) / unit;
    return STATUS_OK;
}

static enum status find_family(struct model *model, const char *name) {
    unsigned long depth;
    if (snprintf(model->name, sizeof model->name, "%s", name) < (int)sizeof model->name)
        for (const struct model_family *family = model_families; family->prefix; family++)
            if (parse_name(name, family, &depth) && (family->depth == 0 || family->depth == depth))
                return set_depth(model, family, depth);
    return fail(STATUS_USAGE,
                "there is no model called %.40s (there are resnet18, 34, 50, 101, 152, resnet50v1, 101v1, 152v1, "
                "wide_resnet50_2, 101_2, resnext50_32x4d, resnext101_32x8d, 101_64x4d, seresnet18, 34, 50, 101, 152, "
                "vgg11, 13, 16, 19, also with _bn, for "
                "ImageNet; vgg16c, vgg19c, also with _bn; resnetD, "
                "resnetDa, resnetDb, resnetDc and plainD with D = 6n+2; resnetDv2 and plainDv2 with D = 9n+2)",
                name);
}

/* What a description says, under the name that it gives itself. */
static enum status take_description(struct model *model, const char *name) {
    struct description description;
    TRY(description_read(name, &description));
    model->description = description.text;
    TRY(memory_zeroed(1, sizeof *model->own, &model->own));
    *model->own = description.family;
    model->family = model->own;
    memcpy(model->blocks, description.blocks, sizeof model->blocks);
    memcpy(model->name, description.name, sizeof model->name);
    return STATUS_OK;
}

/* ---- parameters ---- */

static void set_defaults(struct model *model, const struct model_options *given) {
    struct model_options *options = &model->options;
    bool keras = given->style == STYLE_KERAS, large = model->family->large;
    *options = *given;
    options->name = NULL; /* a pointer to a name of the caller, or into *model, would not outlive a copy */
    options->height = given->height ? given->height : large ? 224 : 32;
    options->width = given->width ? given->width : large ? 224 : 32;
    options->channels = given->channels ? given->channels : 3;
    options->classes = given->classes ? given->classes : large ? 1000 : 10;
    options->filters = given->filters           ? given->filters
                       : model->family->filters ? model->family->filters
                       : model->family->depth   ? 64
                                                : 16;
    if (given->initializer == INITIALIZER_STYLE)
        options->initializer = keras ? INITIALIZER_HE_TRUNCATED : INITIALIZER_HE_FAN_OUT;
    model->l2 = keras ? 1e-4 : 0;
}

static uint64_t stored_bytes(const struct parameter *parameter) {
    struct tensor tensor = {.dtype = DTYPE_F32, .shape = parameter->shape};
    return round_up(tensor_bytes(&tensor), TENSOR_ALIGNMENT);
}

/* Gives every parameter of a class its place, from byte `offset` on; returns the end. */
static uint64_t place_class(struct model *model, enum parameter_class class, uint64_t offset) {
    for (size_t i = 0; i < model->count; i++) {
        struct parameter *parameter = &model->parameters[i];
        if (parameter->class != class)
            continue;
        parameter->offset = offset;
        offset += stored_bytes(parameter);
        *(class == PARAMETER_STATISTIC ? &model->untrained : &model->trainable) += shape_count(parameter->shape);
    }
    return offset;
}

static void place_parameters(struct model *model) {
    model->convolution_bytes = place_class(model, PARAMETER_CONVOLUTION, 0);
    model->kernel_bytes = place_class(model, PARAMETER_DENSE, model->convolution_bytes);
    model->parameter_bytes = place_class(model, PARAMETER_VECTOR, model->kernel_bytes);
    model->statistic_bytes = place_class(model, PARAMETER_STATISTIC, 0);
}

/* The same order, without what is frozen. */
static void place_trained(struct model *model) {
    model->trained_bytes = 0;
    for (int class = PARAMETER_CONVOLUTION; class < PARAMETER_STATISTIC; class ++)
        for (size_t i = model->frozen; i < model->count; i++)
            if ((int)model->parameters[i].class == class) {
                model->parameters[i].trained_offset = model->trained_bytes;
                model->trained_bytes += stored_bytes(&model->parameters[i]);
            }
}

static double sum_multiply_adds(const struct graph *graph) {
    double sum = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        struct call call;
        graph_call(graph, i, &call);
        sum += call.op->multiply_adds ? call.op->multiply_adds(&call) : 0;
    }
    return sum;
}

static enum status list_parameters(struct model *model) {
    struct graph graph;
    struct builder builder = {.model = model, .listing = model, .graph = &graph};
    const struct model_options *options = &model->options;
    graph_create(&graph);
    tensor_id image = graph_tensor(&graph, "x", DTYPE_F32,
                                   shape4(1, options->height, options->width, options->channels), TENSOR_INPUT);
    model->family->forward(&builder, image);
    enum status status = graph_status(&graph);
    if (status == STATUS_OK)
        model->multiply_adds = sum_multiply_adds(&graph);
    graph_destroy(&graph);
    return status;
}

enum status model_create(const struct model_options *options, struct model *out) {
    memset(out, 0, sizeof *out);
    if (!options->name)
        return fail(STATUS_USAGE, "a model needs a name");
    if (options->filters > 4096)
        return fail(STATUS_USAGE, "%s: the first convolution may have at most 4096 filters, not %u", options->name,
                    options->filters);
    enum status status =
        description_is(options->name) ? take_description(out, options->name) : find_family(out, options->name);
    if (status == STATUS_OK) {
        set_defaults(out, options);
        status = list_parameters(out);
    }
    if (status != STATUS_OK) {
        model_destroy(out);
        return status;
    }
    place_parameters(out);
    place_trained(out);
    return STATUS_OK;
}

void model_destroy(struct model *model) {
    free(model->parameters);
    free(model->description);
    free(model->own);
    memset(model, 0, sizeof *model);
}

const char *model_text(const struct model *model) {
    return model->description ? model->description : model->name;
}

int model_find(const struct model *model, const char *name) {
    for (size_t i = 0; i < model->count; i++)
        if (strcmp(model->parameters[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* Length of LAYER in LAYER.FIELD. */
static size_t layer_length(const struct parameter *parameter) {
    return (size_t)(strrchr(parameter->name, '.') - parameter->name);
}

size_t model_head(const struct model *model) {
    const struct parameter *last = &model->parameters[model->count - 1];
    size_t first = model->count - 1, length = layer_length(last) + 1; /* with the dot */
    while (first > 0 && strncmp(model->parameters[first - 1].name, last->name, length) == 0)
        first--;
    return first;
}

enum status model_freeze(struct model *model, size_t first) {
    if (first > model_head(model))
        return fail(STATUS_USAGE, "%s has nothing left to train when %zu of its %zu values are frozen", model->name,
                    first, model->count);
    model->frozen = first;
    place_trained(model);
    return STATUS_OK;
}

bool model_trains(const struct model *model, size_t index) {
    return index >= model->frozen && model->parameters[index].class != PARAMETER_STATISTIC;
}

/* "conv1, bn1, layer1, ..., fc" */
static void list_parts(const struct model *model, char *text, size_t size) {
    const char *before = "";
    size_t used = 0, length = 0;
    for (size_t i = 0; i < model->count && used < size; i++) {
        const char *name = model->parameters[i].name;
        if (length && strncmp(name, before, length) == 0 && name[length] == '.')
            continue;
        before = name;
        length = strcspn(name, ".");
        used += (size_t)snprintf(text + used, size - used, "%s%.*s", i ? ", " : "", (int)length, name);
    }
}

enum status model_find_layer(const struct model *model, const char *layer, size_t *first) {
    char parts[256];
    size_t length = strlen(layer);
    for (size_t i = 0; i < model->count && length; i++) {
        const char *name = model->parameters[i].name;
        if (strncmp(name, layer, length) == 0 && name[length] == '.' && length <= layer_length(&model->parameters[i])) {
            *first = i;
            return STATUS_OK;
        }
    }
    list_parts(model, parts, sizeof parts);
    return fail(STATUS_USAGE, "%s has no layer %.40s; there are %s, or a layer in one of these, such as %.*s",
                model->name, layer, parts, (int)layer_length(&model->parameters[model_head(model) / 2]),
                model->parameters[model_head(model) / 2].name);
}

/* ---- the graph ---- */

static tensor_id flat(struct graph *graph, const char *name, uint64_t bytes) {
    return graph_tensor(graph, name, DTYPE_F32, shape_vector((uint32_t)(bytes / 4)), TENSOR_PERSISTENT);
}

static bool fits(const struct model *model, struct graph *graph, tensor_id x) {
    const struct model_options *options = &model->options;
    struct shape shape = graph_shape(graph, x);
    if (shape_equal(shape, shape4(shape.d[N], options->height, options->width, options->channels)))
        return true;
    graph_fail(graph, STATUS_USAGE, "%s takes images of %ux%ux%u (height, width, channels), not %ux%ux%u", model->name,
               options->height, options->width, options->channels, shape.d[H], shape.d[W], shape.d[C]);
    return false;
}

void model_forward(const struct model *model, struct graph *graph, tensor_id x, bool training,
                   struct network *network) {
    struct builder builder = {.model = model, .graph = graph, .network = network, .training = training};
    for (size_t i = 0; i < model->count; i++)
        network->values[i] = TENSOR_NONE;
    network->parameters = flat(graph, "parameters", model->parameter_bytes);
    network->statistics = model->statistic_bytes ? flat(graph, "statistics", model->statistic_bytes) : TENSOR_NONE;
    network->logits = fits(model, graph, x) ? model->family->forward(&builder, x) : TENSOR_NONE;
    graph_scope(graph, "%s", "");
}

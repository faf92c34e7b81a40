/* Fine-tuning: what is frozen costs nothing backward and keeps its bits, layers learn at their own rates, and weights
 * of an earlier run are a better start than chance. */
#include "resnet_vk.h"

#include "base/memory.h"
#include "data/safetensors.h"
#include "exec/schedule.h"
#include "ir/graph.h"

#include <stdlib.h>
#include <unistd.h>

#include "networks.h"

/* ---- graphs ---- */

static bool starts(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

/* Freezes what is before `until`; NULL: nothing. */
static void freeze(struct model *model, const char *until) {
    size_t first = 0;
    if ((until && model_find_layer(model, until, &first) != STATUS_OK) || model_freeze(model, first) != STATUS_OK)
        fail_msg("%s", status_message());
}

static struct step frozen_step(struct model *model, const char *until, bool freeze_norm) {
    struct step_options options = small_options(STEP_TRAIN);
    freeze(model, until);
    options.freeze_norm = freeze_norm;
    return make_step(model, &options);
}

/* Bytes of temporaries that a step needs at least. */
static uint64_t least_bytes(const struct step *step) {
    struct block *blocks = calloc(step->graph.tensor_count, sizeof *blocks);
    assert_non_null(blocks);
    schedule_lifetimes(&step->graph, blocks);
    uint64_t bytes = schedule_lower_bound(blocks, step->graph.tensor_count);
    free(blocks);
    return bytes;
}

/* Nodes of a frozen part stand in the forward pass only, without a batch's statistics. */
static void expect_nothing_backward(const struct step *step, const char *const trained[]) {
    for (size_t i = 0; i < step->graph.node_count; i++) {
        const struct node *node = &step->graph.nodes[i];
        bool statistics =
            starts(node->op->name, "batch_norm_statistics") || starts(node->op->name, "batch_norm_update");
        bool backward = i >= step->forward_nodes || strcmp(node->op->name, "batch_norm") == 0; /* which is folded */
        bool own = !*node->scope || starts(node->scope, "loss") || starts(node->scope, "update");
        for (const char *const *name = trained; *name; name++)
            own |= starts(node->scope, *name);
        if ((statistics || backward) && !own)
            fail_msg("%s of %s is there", node->op->name, node->scope);
    }
}

static void a_frozen_part_costs_nothing_backward(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet18", .filters = 8, .height = 64, .width = 64);
    struct step all = frozen_step(&model, NULL, false), top = frozen_step(&model, "layer4", false),
                head = frozen_step(&model, "fc", false);
    expect_nothing_backward(&top, (const char *const[]){"layer4", "avgpool", "fc", NULL});
    expect_nothing_backward(&head, (const char *const[]){"fc", NULL});
    assert_true(least_bytes(&top) < least_bytes(&all) / 2);
    assert_true(head.graph.node_count < top.graph.node_count && top.graph.node_count < all.graph.node_count);
    size_t first;
    assert_int_equal(model_find_layer(&model, "layer4", &first), STATUS_OK);
    for (size_t i = 0; i < model.count; i++)
        assert_true((top.gradients[i] == TENSOR_NONE) ==
                    (i < first || model.parameters[i].class == PARAMETER_STATISTIC));
    step_destroy(&all);
    step_destroy(&top);
    step_destroy(&head);
    model_destroy(&model);
}

/* The optimizer's node that updates the parameter, or NULL. */
static const struct node *find_update(const struct step *step, const struct parameter *parameter) {
    const struct node *found = NULL;
    for (size_t i = step->forward_nodes; i < step->graph.node_count; i++) {
        const struct node *node = &step->graph.nodes[i];
        uint64_t first;
        if (op_attribute_index(node->op, "lr_scale") < 0)
            continue;
        graph_root(&step->graph, node->in[0], &first);
        if (parameter->offset < first || parameter->offset >= first + tensor_bytes(&step->graph.tensors[node->in[0]]))
            continue;
        assert_null(found);
        found = node;
    }
    return found;
}

static bool has_node(const struct step *step, const char *op, const char *scope) {
    for (size_t i = 0; i < step->graph.node_count; i++)
        if (strcmp(step->graph.nodes[i].op->name, op) == 0 && strcmp(step->graph.nodes[i].scope, scope) == 0)
            return true;
    return false;
}

/* No statistic lies between what is frozen and what is not, unlike before a block: a limit that is off by one shows. */
static void a_convolution_alone_can_be_frozen(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet8", .filters = 4, .height = 16, .width = 16);
    struct step step = frozen_step(&model, "bn1", false);
    assert_int_equal(model.frozen, 1);
    for (size_t i = 0; i < model.count; i++)
        assert_true((step.gradients[i] == TENSOR_NONE) == (i < 1 || model.parameters[i].class == PARAMETER_STATISTIC));
    assert_null(find_update(&step, &model.parameters[0]));
    assert_non_null(find_update(&step, &model.parameters[1]));
    assert_true(has_node(&step, "batch_norm_statistics", "bn1"));
    assert_int_equal(model.trained_bytes,
                     model.parameter_bytes - round_up(sizeof(float) * 3 * 4 * 9, TENSOR_ALIGNMENT));
    step_destroy(&step);
    model_destroy(&model);
}

/* Random values, also of running statistics, which are the same in every graph of the model. */
static void set_values(struct evaluation *evaluation, const struct model *model, const struct step *step) {
    for (size_t i = 0; i < model->count; i++) {
        double *values = evaluation_values(evaluation, step->network.values[i]);
        model_initial(model, i, 5, values);
        for (uint32_t k = 0; k < model->parameters[i].shape.d[3] && model->parameters[i].initial == INITIAL_CONSTANT;
             k++)
            values[k] += 0.5 * random_uniform(6, (uint32_t)i, k);
        evaluation_set(evaluation, step->network.values[i], values);
        free(values);
    }
    double *x = evaluation_values(evaluation, step->x);
    for (uint32_t i = 0; i < shape_count(graph_shape(&step->graph, step->x)); i++)
        x[i] = random_normal(7, 0, i);
    evaluation_set(evaluation, step->x, x);
    free(x);
    for (uint32_t i = 0; i < step->options.batch; i++)
        evaluation_at(evaluation, step->target)[i] = i;
}

static void expect_same(const struct model *model, size_t index, const struct evaluation *a, tensor_id x,
                        const struct evaluation *b, tensor_id y) {
    double *expected = evaluation_values(a, x), *got = evaluation_values(b, y), largest = 0;
    uint64_t count = shape_count(graph_shape(a->graph, x));
    for (uint64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(expected[i]));
    assert_true(largest > 0);
    for (uint64_t i = 0; i < count; i++)
        if (fabs(expected[i] - got[i]) > 1e-9 * largest)
            fail_msg("%s: %s at %llu is %.12g, frozen %.12g", model->name, model->parameters[index].name,
                     (unsigned long long)i, expected[i], got[i]);
    free(expected);
    free(got);
}

/* With the same (running) statistics everywhere, a frozen part changes no gradient of what is still trained. */
static void check_gradients(const char *name, const char *until) {
    struct model model = MODEL(.name = name, .filters = 4, .height = 16, .width = 16, .classes = 5);
    struct step whole = frozen_step(&model, NULL, true), part = frozen_step(&model, until, true);
    struct evaluation a, b;
    evaluation_create(&a, &whole.graph);
    evaluation_create(&b, &part.graph);
    set_values(&a, &model, &whole);
    set_values(&b, &model, &part);
    evaluation_run(&a, whole.graph.node_count); /* hyper is zero: the update changes nothing */
    evaluation_run(&b, part.graph.node_count);
    size_t first = 0, compared = 0;
    assert_int_equal(model_find_layer(&model, until, &first), STATUS_OK);
    for (size_t i = 0; i < model.count; i++) {
        if (model.parameters[i].class == PARAMETER_STATISTIC || i < first)
            continue;
        expect_same(&model, i, &a, whole.gradients[i], &b, part.gradients[i]);
        compared++;
    }
    assert_true(first > 0 && compared > 1);
    evaluation_destroy(&a);
    evaluation_destroy(&b);
    step_destroy(&whole);
    step_destroy(&part);
    model_destroy(&model);
}

static void freezing_changes_no_other_gradient(void **state) {
    (void)state;
    check_gradients("resnet8b", "layer2");
    check_gradients("resnet8", "layer3.0.conv2"); /* within a block: what its shortcut computes is constant, too */
    check_gradients("resnet11v2", "layer3");
    check_gradients("resnet18", "layer4.1");
    check_gradients("plain8", "fc");
}

static void unknown_layers_are_named(void **state) {
    (void)state;
    static const char *const wrong[] = {"layer5", "", "fc.weight", "layer4.1.conv", "layer4.", "conv"};
    struct model model = MODEL(.name = "resnet18"), vgg = MODEL(.name = "vgg16c_bn");
    size_t first = 99;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(model_find_layer(&model, wrong[i], &first), STATUS_USAGE);
        assert_int_equal(first, 99);
    }
    assert_non_null(strstr(status_message(), "there are conv1, bn1, layer1, layer2, layer3, layer4, fc, or"));
    assert_int_equal(model_find_layer(&vgg, "features.1", &first), STATUS_OK);
    assert_string_equal(vgg.parameters[first].name, "features.1.weight");
    assert_string_equal(vgg.parameters[model_head(&vgg)].name, "classifier.weight");
    assert_int_equal(model_freeze(&model, model_head(&model) + 1), STATUS_USAGE);
    assert_int_equal(model.frozen, 0);
    model_destroy(&model);
    model_destroy(&vgg);
}

/* ---- rates ---- */

/* `parts`: what the names of each part's parameters start with, from the stem to the head. */
static void check_rates(const char *name, const char *const *parts, int count, const char *until,
                        enum optimizer optimizer) {
    struct model model = MODEL(.name = name, .filters = 4, .height = 32, .width = 32);
    struct step_options options = small_options(STEP_TRAIN);
    freeze(&model, until);
    options.optimizer = optimizer;
    options.weight_decay = 0.01;
    options.decay = DECAY_KERNELS;
    options.layer_decay = 0.5;
    options.head_rate = 8;
    struct step step = make_step(&model, &options);
    for (size_t i = 0; i < model.count; i++) {
        const struct parameter *parameter = &model.parameters[i];
        if (parameter->class == PARAMETER_STATISTIC)
            continue;
        const struct node *node = find_update(&step, parameter);
        int part = count - 1;
        while (part > 0 && !starts(parameter->name, parts[part]))
            part--;
        double scale = part == count - 1 ? 8 : pow(0.5, count - 1 - part);
        assert_true((node == NULL) == (i < model.frozen));
        if (!node)
            continue;
        if (node_attr(node, "lr_scale") != scale)
            fail_msg("%s of %s learns at %g, not %g", parameter->name, name, node_attr(node, "lr_scale"), scale);
        assert_true(node_attr(node, "weight_decay") == (parameter->class == PARAMETER_VECTOR ? 0 : 0.01));
    }
    step_destroy(&step);
    model_destroy(&model);
}

static void each_part_learns_at_its_rate(void **state) {
    (void)state;
    static const char *const large[] = {"", "layer1.", "layer2.", "layer3.", "layer4.", "fc."};
    static const char *const small[] = {"", "layer1.", "layer2.", "layer3.", "fc."};
    check_rates("resnet18", large, 6, NULL, OPTIMIZER_SGD);
    check_rates("resnet18", large, 6, "layer2.1", OPTIMIZER_ADAMW);
    check_rates("resnet8a", small, 5, "bn1", OPTIMIZER_ADAM);
}

static uint32_t group_of(const struct model *model, const char *name) {
    int index = model_find(model, name);
    assert_true(index >= 0);
    return model->parameters[index].group;
}

static void parts_of_other_networks(void **state) {
    (void)state;
    struct model vgg = MODEL(.name = "vgg16c"), two = MODEL(.name = "resnet11v2");
    assert_int_equal(group_of(&vgg, "features.2.bias"), 0);
    assert_int_equal(group_of(&vgg, "features.5.weight"), 1);
    assert_int_equal(group_of(&vgg, "features.28.weight"), 4);
    assert_int_equal(group_of(&vgg, "classifier.weight"), 5);
    assert_int_equal(group_of(&two, "bn1.weight"), 0);
    assert_int_equal(group_of(&two, "layer3.0.conv3.weight"), 3);
    assert_int_equal(group_of(&two, "bn2.weight"), 4); /* after the last stage */
    assert_int_equal(group_of(&two, "fc.bias"), 4);
    model_destroy(&vgg);
    model_destroy(&two);
}

/* ---- runs ---- */

static struct rvk_context *context;
static char folder[] = "/tmp/test_finetune_XXXXXX";
static char first_run[128]; /* the weights of a run on eight classes, of which later ones are made */

static struct rvk_train_options options_for(const char *data) {
    return (struct rvk_train_options){
        .data = data, .augment = "none", .batch = 16, .eval_batch = 64, .epochs = 1, .learning_rate = 0.05};
}

static struct rvk_train_result train(const struct rvk_train_options *options) {
    struct rvk_train_result result;
    if (rvk_train(context, options, &result) != RVK_OK)
        fail_msg("%s", rvk_message());
    return result;
}

static int begin(void **state) {
    (void)state;
    struct rvk_open_options open = {
        .device = getenv("TEST_DEVICE"), .no_cache = true, .validation = getenv("TEST_VALIDATION") != NULL};
    if (rvk_open(&open, &context) != RVK_OK || !mkdtemp(folder))
        fail_msg("%s", rvk_message());
    struct rvk_train_options options = options_for("generated:count=320,classes=8,size=8,seed=1");
    char out[64];
    snprintf(out, sizeof out, "%s/first", folder);
    snprintf(first_run, sizeof first_run, "%s/last.safetensors", out);
    options.model = "resnet8";
    options.epochs = 3;
    options.learning_rate = 0.1;
    options.out = out;
    train(&options);
    return 0;
}

static int end(void **state) {
    (void)state;
    char line[64];
    assert_int_equal(rvk_get_counters(context).validation_messages, 0);
    rvk_close(context);
    snprintf(line, sizeof line, "rm -r %s", folder);
    return system(line);
}

/* Like in pretrained weights: other patterns, fewer of them. */
static const char other_classes[] = "generated:count=96,classes=4,size=8,seed=2";

/* Trains with the options into a folder of its own and opens what came out; `path` is that of the file. */
static struct safetensors train_and_read(struct rvk_train_options *options, const char *name, char path[128]) {
    char out[64];
    struct safetensors file;
    snprintf(out, sizeof out, "%s/%s", folder, name);
    snprintf(path, 128, "%s/last.safetensors", out);
    options->out = out;
    train(options);
    assert_int_equal(safetensors_read(path, &file), STATUS_OK);
    return file;
}

enum change { SAME, CHANGED, RESHAPED };

static enum change compare(const struct safetensors *before, const struct safetensors *after, const char *name) {
    const struct safetensors_tensor *a = safetensors_find(before, name), *b = safetensors_find(after, name);
    assert_true(a && b);
    if (a->size != b->size)
        return RESHAPED;
    return memcmp(a->bytes, b->bytes, a->size) == 0 ? SAME : CHANGED;
}

static bool is_statistic(const char *name) {
    return strstr(name, "running_") != NULL;
}

/* What the file that training began with becomes of each tensor; the last layer is new in any case. */
static void expect_changes(const struct safetensors *after, size_t first_trained, bool statistics_change) {
    struct model model = MODEL(.name = "resnet8", .classes = 8);
    struct safetensors before;
    assert_int_equal(safetensors_read(first_run, &before), STATUS_OK);
    for (size_t i = 0; i < model.count; i++) {
        const char *name = model.parameters[i].name;
        enum change expected = starts(name, "fc.")  ? RESHAPED
                               : i < first_trained  ? SAME
                               : is_statistic(name) ? (statistics_change ? CHANGED : SAME)
                                                    : CHANGED;
        enum change found = compare(&before, after, name);
        if (found != expected)
            fail_msg("%s: %d, not %d", name, found, expected);
    }
    assert_int_equal(compare(&before, after, "normalize.mean"), SAME);
    assert_int_equal(compare(&before, after, "normalize.scale"), SAME);
    safetensors_destroy(&before);
    model_destroy(&model);
}

static void on_start(void *user, const struct rvk_run *run) {
    assert_string_equal(run->model, "resnet8");
    *(struct rvk_run *)user = *run;
}

static void what_is_frozen_keeps_its_bits(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet8");
    size_t first;
    assert_int_equal(model_find_layer(&model, "layer2.0.conv2", &first), STATUS_OK);
    struct rvk_train_options options = options_for(other_classes);
    options.weights = first_run;
    options.freeze_until = "layer2.0.conv2";
    options.layer_decay = 0.5;
    char path[128];
    struct safetensors file = train_and_read(&options, "frozen", path);
    expect_changes(&file, first, true);
    safetensors_destroy(&file);
    struct rvk_run run;
    options.freeze_until = "bn1";
    options.on_start = on_start;
    options.user = &run;
    file = train_and_read(&options, "convolution", path);
    assert_int_equal(run.frozen, 3 * 16 * 9);
    expect_changes(&file, 1, true);
    assert_null(safetensors_find(&file, "optimizer.velocity.conv1.weight"));
    assert_non_null(safetensors_find(&file, "optimizer.velocity.bn1.weight"));
    safetensors_destroy(&file);
    options.on_start = NULL;
    options.freeze_until = NULL;
    options.freeze_norm = true;
    options.optimizer = "adam";
    options.learning_rate = 0.001;
    file = train_and_read(&options, "norm", path);
    expect_changes(&file, 0, false);
    safetensors_destroy(&file);
    model_destroy(&model);
}

static void images_are_normalized_as_the_weights_say_or_as_asked(void **state) {
    (void)state;
    struct safetensors before, after;
    char path[128];
    struct rvk_train_options options = options_for(other_classes);
    options.weights = first_run;
    options.normalize = "channel";
    options.steps = 1;
    assert_int_equal(safetensors_read(first_run, &before), STATUS_OK);
    after = train_and_read(&options, "channel", path);
    assert_int_equal(compare(&before, &after, "normalize.mean"), CHANGED);
    safetensors_destroy(&after);
    options.normalize = "pixel";
    after = train_and_read(&options, "pixel", path);
    assert_int_equal(compare(&before, &after, "normalize.mean"), RESHAPED);
    safetensors_destroy(&after);
    /* and on: weights whose mean is one of pixels, which the resumed run keeps */
    char pixel[128];
    snprintf(pixel, sizeof pixel, "%s", path);
    options.normalize = NULL;
    options.weights = pixel;
    after = train_and_read(&options, "pixels", path);
    struct safetensors pixels;
    assert_int_equal(safetensors_read(pixel, &pixels), STATUS_OK);
    assert_int_equal(compare(&pixels, &after, "normalize.mean"), SAME);
    safetensors_destroy(&after);
    safetensors_destroy(&pixels);
    safetensors_destroy(&before);
    struct rvk_train_options resume = {.resume = path, .steps = 1};
    assert_int_equal(train(&resume).steps, 2);
    options.weights = NULL;
    options.normalize = "weights";
    options.out = NULL;
    struct rvk_train_result result;
    assert_int_equal(rvk_train(context, &options, &result), RVK_USAGE);
}

/* The same steps on the same images: earlier weights help, though they are those of other classes. */
static void earlier_weights_are_a_better_start(void **state) {
    (void)state;
    struct rvk_run run;
    struct rvk_train_options options = options_for(other_classes);
    options.on_start = on_start;
    options.user = &run;
    options.model = "resnet8";
    struct rvk_train_result scratch = train(&options);
    assert_int_equal(run.replaced_classes, 0);
    options.model = NULL; /* the weights say it */
    options.weights = first_run;
    options.freeze_until = "layer2";
    struct rvk_train_result tuned = train(&options);
    assert_int_equal(run.replaced_classes, 8);
    assert_int_equal(run.classes, 4);
    assert_int_equal(run.frozen, 3 * 16 * 9 + 2 * 16 + 2 * (16 * 16 * 9 + 2 * 16));
    assert_int_equal(scratch.steps, tuned.steps);
    if (!(tuned.test_loss < 0.7 * scratch.test_loss))
        fail_msg("the loss is %g with earlier weights, %g without", tuned.test_loss, scratch.test_loss);
}

/* With as many classes as before the whole file is taken, last layer included. */
static void the_last_layer_stays_when_it_fits(void **state) {
    (void)state;
    struct rvk_run run;
    struct rvk_train_options options = options_for("generated:count=320,classes=8,size=8,seed=1");
    options.weights = first_run;
    options.learning_rate = 1e-12;
    options.freeze_norm = true;
    options.on_start = on_start;
    options.user = &run;
    struct rvk_train_result result = train(&options);
    assert_int_equal(run.replaced_classes, 0);
    assert_true(result.test_accuracy == 1);
}

/* A file as another program writes it: weights of a network with half as many filters as usual, and nothing else. */
static void write_narrow_weights(const char *path) {
    struct model model = MODEL(.name = "resnet8", .filters = 8, .classes = 6);
    struct safetensors_tensor *tensors = calloc(model.count, sizeof *tensors);
    float *values = malloc(8 * (size_t)model.trainable * sizeof *values);
    assert_true(tensors && values);
    for (uint32_t i = 0; i < 8 * model.trainable; i++)
        values[i] = 0.1f * (float)random_normal(1, 2, i);
    for (size_t i = 0; i < model.count; i++) {
        const struct parameter *parameter = &model.parameters[i];
        uint64_t bytes = sizeof(float) * shape_count(parameter->shape);
        tensors[i] = (struct safetensors_tensor){
            .name = parameter->name, .dtype = SAFETENSORS_F32, .bytes = values + 4 * i, .size = bytes};
        tensors[i].rank = parameter_file_shape(parameter, tensors[i].shape);
        if (strstr(parameter->name, "running_var"))
            tensors[i].bytes = memset(values + 4 * (model.trainable + 4 * i), 0x3f, bytes); /* positive */
    }
    assert_int_equal(safetensors_write(path, tensors, model.count, NULL, 0), STATUS_OK);
    free(values);
    free(tensors);
    model_destroy(&model);
}

/* Also resumed, the network is as narrow as its weights; its images are normalized as is usual for ImageNet. */
static void weights_of_another_program_say_how_wide_they_are(void **state) {
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/narrow.safetensors", folder);
    write_narrow_weights(path);
    struct rvk_train_options options = options_for(other_classes);
    char begun[128];
    options.model = "resnet8";
    options.weights = path;
    options.steps = 1;
    struct safetensors file = train_and_read(&options, "narrow", begun);
    const struct safetensors_tensor *mean = safetensors_find(&file, "normalize.mean");
    const struct safetensors_tensor *first = safetensors_find(&file, "conv1.weight");
    double means[3];
    assert_true(mean && safetensors_count(mean) == 3 && first && first->shape[0] == 8);
    safetensors_values(mean, means);
    assert_true(fabs(means[0] - 255 * 0.485) < 1e-3 && fabs(means[2] - 255 * 0.406) < 1e-3);
    safetensors_destroy(&file);
    struct rvk_train_options resume = {.resume = begun, .steps = 1};
    assert_int_equal(train(&resume).steps, 2);
}

static void wrong_weights_are_refused(void **state) {
    (void)state;
    char out[64];
    snprintf(out, sizeof out, "%s/refused", folder);
    const struct {
        const char *model, *data, *until;
        enum rvk_status status;
        const char *sentence;
    } wrong[] = {
        {"resnet14", other_classes, NULL, RVK_DATA, "missing: layer1.1.conv1.weight"},
        {NULL, "generated:count=96,classes=4,size=8,channels=1", NULL, RVK_DATA, "conv1.weight"},
        {NULL, other_classes, "layer4", RVK_USAGE, "has no layer layer4; there are conv1, bn1, layer1, layer2, layer3"},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct rvk_train_options options = options_for(wrong[i].data);
        struct rvk_train_result result;
        options.model = wrong[i].model;
        options.weights = first_run;
        options.freeze_until = wrong[i].until;
        options.out = out;
        assert_int_equal(rvk_train(context, &options, &result), wrong[i].status);
        if (!strstr(rvk_message(), wrong[i].sentence))
            fail_msg("%s", rvk_message());
        assert_int_equal(access(out, F_OK), -1); /* nothing was begun */
    }
}

int main(void) {
    const struct CMUnitTest graphs[] = {
        cmocka_unit_test(a_frozen_part_costs_nothing_backward), cmocka_unit_test(a_convolution_alone_can_be_frozen),
        cmocka_unit_test(freezing_changes_no_other_gradient),   cmocka_unit_test(unknown_layers_are_named),
        cmocka_unit_test(each_part_learns_at_its_rate),         cmocka_unit_test(parts_of_other_networks),
    };
    const struct CMUnitTest runs[] = {
        cmocka_unit_test(what_is_frozen_keeps_its_bits),
        cmocka_unit_test(images_are_normalized_as_the_weights_say_or_as_asked),
        cmocka_unit_test(earlier_weights_are_a_better_start),
        cmocka_unit_test(the_last_layer_stays_when_it_fits),
        cmocka_unit_test(weights_of_another_program_say_how_wide_they_are),
        cmocka_unit_test(wrong_weights_are_refused),
    };
    int failed = cmocka_run_group_tests(graphs, NULL, NULL);
    return failed ? failed : cmocka_run_group_tests(runs, begin, end);
}

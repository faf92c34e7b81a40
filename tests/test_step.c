/* Step graphs: padding and folding, where gradients lie, what weight decay applies to, and the gradient of whole
 * networks held to central differences in float64. */
#include "networks.h"

/* ---- graphs ---- */

static const struct node *find_node(const struct graph *graph, const char *op, const char *scope) {
    for (size_t i = 0; i < graph->node_count; i++)
        if (strcmp(graph->nodes[i].op->name, op) == 0 && (!scope || strcmp(graph->nodes[i].scope, scope) == 0))
            return &graph->nodes[i];
    return NULL;
}

/* Nodes of an op, only those with attribute `name` at `value` when a name is given. */
static size_t count_nodes(const struct graph *graph, const char *op, const char *name, double value) {
    size_t count = 0;
    for (size_t i = 0; i < graph->node_count; i++)
        count += strcmp(graph->nodes[i].op->name, op) == 0 && (!name || node_attr(&graph->nodes[i], name) == value);
    return count;
}

static void expect_padding(const char *scope, enum model_style style, uint32_t height, uint32_t width, int top,
                           int bottom, int left, int right) {
    struct model model = MODEL(.name = "resnet8", .style = style, .height = height, .width = width);
    struct step_options options = small_options(STEP_TRAIN);
    struct step step = make_step(&model, &options);
    const struct node *node = find_node(&step.graph, "conv2d", scope);
    assert_non_null(node);
    assert_true(node_attr(node, "pad_top") == top && node_attr(node, "pad_bottom") == bottom);
    assert_true(node_attr(node, "pad_left") == left && node_attr(node, "pad_right") == right);
    struct shape y = graph_shape(&step.graph, node->out[0]);
    uint32_t stride = (uint32_t)node_attr(node, "stride_h");
    struct shape x = graph_shape(&step.graph, node->in[0]);
    assert_int_equal(y.d[H], ceil_div(x.d[H], stride));
    assert_int_equal(y.d[W], ceil_div(x.d[W], stride));
    step_destroy(&step);
    model_destroy(&model);
}

static void same_padding_puts_the_odd_pixel_after(void **state) {
    (void)state;
    expect_padding("layer2.0.conv1", STYLE_TORCH, 8, 7, 1, 1, 1, 1);
    expect_padding("layer2.0.conv1", STYLE_KERAS, 8, 7, 0, 1, 1, 1);
    expect_padding("layer1.0.conv1", STYLE_KERAS, 8, 7, 1, 1, 1, 1);
    expect_padding("layer2.0.downsample.0", STYLE_KERAS, 8, 7, 0, 0, 0, 0);
    expect_padding("layer3.0.conv1", STYLE_KERAS, 2, 6, 1, 1, 1, 1); /* of 1x3 */
}

/* Only in training, where there are images by number; and the gradient drops the same values. */
static void dropout_knows_image_and_epoch(void **state) {
    (void)state;
    struct model model = MODEL(.name = "vgg11", .filters = 4);
    for (int kind = STEP_TRAIN; kind <= STEP_PREDICT; kind++) {
        struct step_options options = small_options((enum step_kind)kind);
        options.image_count = 10;
        struct step step = make_step(&model, &options);
        size_t each = kind == STEP_TRAIN ? 2 : 0; /* forward and backward */
        assert_int_equal(count_nodes(&step.graph, "dropout", "layer", 0), each);
        assert_int_equal(count_nodes(&step.graph, "dropout", "layer", 1), each);
        for (size_t i = 0; i < step.graph.node_count; i++) {
            const struct node *node = &step.graph.nodes[i];
            if (strcmp(node->op->name, "dropout") == 0)
                assert_true(node->in[1] == step.clock && node->in[2] == step.indices);
        }
        step_destroy(&step);
    }
    model_destroy(&model);
}

/* The maximum pooling of the ImageNet networks is padded as their convolutions are. */
static void expect_stem(enum model_style style, int before, int after, int pool_before, int pool_after) {
    struct model model = MODEL(.name = "resnet18", .style = style, .filters = 4);
    struct step_options options = small_options(STEP_PREDICT);
    struct step step = make_step(&model, &options);
    const struct node *conv = find_node(&step.graph, "conv2d", "conv1"),
                      *pool = find_node(&step.graph, "max_pool", "maxpool");
    assert_true(node_attr(conv, "stride_h") == 2 && node_attr(conv, "stride_w") == 2 && node_attr(conv, "relu") == 1);
    assert_true(node_attr(conv, "pad_top") == before && node_attr(conv, "pad_bottom") == after);
    assert_true(node_attr(pool, "kernel_h") == 3 && node_attr(pool, "kernel_w") == 3);
    assert_true(node_attr(pool, "stride_h") == 2 && node_attr(pool, "stride_w") == 2);
    assert_true(node_attr(pool, "pad_top") == pool_before && node_attr(pool, "pad_bottom") == pool_after);
    assert_true(node_attr(pool, "pad_left") == pool_before && node_attr(pool, "pad_right") == pool_after);
    assert_true(shape_equal(graph_shape(&step.graph, pool->out[0]), shape4(3, 56, 56, 4)));
    step_destroy(&step);
    model_destroy(&model);
}

static void stems_of_imagenet_networks(void **state) {
    (void)state;
    expect_stem(STYLE_TORCH, 3, 3, 1, 1);
    expect_stem(STYLE_KERAS, 2, 3, 0, 1);
}

/* "v1.5": the 3x3 convolution of a bottleneck has the stride. */
static void bottlenecks_stride_in_their_middle(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet50", .filters = 4, .height = 64, .width = 64);
    struct step_options options = small_options(STEP_PREDICT);
    struct step step = make_step(&model, &options);
    assert_true(node_attr(find_node(&step.graph, "conv2d", "layer2.0.conv1"), "stride_h") == 1);
    assert_true(node_attr(find_node(&step.graph, "conv2d", "layer2.0.conv2"), "stride_h") == 2);
    assert_true(node_attr(find_node(&step.graph, "conv2d", "layer2.0.downsample.0"), "stride_h") == 2);
    assert_true(node_attr(find_node(&step.graph, "conv2d", "layer1.0.downsample.0"), "stride_h") == 1);
    assert_int_equal(count_nodes(&step.graph, "conv2d", "stride_h", 2), 1 + 3 * 2);
    step_destroy(&step);
    model_destroy(&model);
}

static void numbers_of_the_styles(void **state) {
    (void)state;
    struct model torch = MODEL(.name = "resnet8"), keras = MODEL(.name = "resnet8", .style = STYLE_KERAS);
    struct step_options options = small_options(STEP_TRAIN);
    struct step a = make_step(&torch, &options), b = make_step(&keras, &options);
    const struct node *update = find_node(&a.graph, "batch_norm_update", "bn1");
    double count = 3 * 32 * 32;
    assert_true(node_attr(update, "momentum") == 0.1 && node_attr(update, "correction") == count / (count - 1));
    assert_true(node_attr(find_node(&a.graph, "batch_norm", "bn1"), "epsilon") == 1e-5);
    assert_null(find_node(&a.graph, "l2_penalty", NULL));
    update = find_node(&b.graph, "batch_norm_update", "bn1");
    assert_true(node_attr(update, "momentum") == 0.01 && node_attr(update, "correction") == 1);
    assert_true(node_attr(find_node(&b.graph, "batch_norm", "bn1"), "epsilon") == 1e-3);
    assert_true(node_attr(find_node(&b.graph, "l2_penalty", NULL), "scale") == 1e-4);
    step_destroy(&a);
    step_destroy(&b);
    model_destroy(&torch);
    model_destroy(&keras);
}

/* Without training every normalization of version 1 is folded away; in version 2 those before the additions stay. */
static void inference_folds_normalization(void **state) {
    (void)state;
    struct model one = MODEL(.name = "resnet20b"), two = MODEL(.name = "resnet20v2");
    struct step_options options = small_options(STEP_PREDICT);
    struct step a = make_step(&one, &options), b = make_step(&two, &options);
    assert_int_equal(count_nodes(&a.graph, "batch_norm", NULL, 0), 0);
    assert_int_equal(count_nodes(&a.graph, "batch_norm_fold", NULL, 0), 21);
    assert_int_equal(count_nodes(&a.graph, "conv2d", "relu", 1), 19);
    assert_int_equal(count_nodes(&b.graph, "batch_norm", "relu", 1), 6);
    assert_int_equal(count_nodes(&b.graph, "batch_norm_fold", NULL, 0), 13);
    assert_int_equal(count_nodes(&b.graph, "conv2d", "relu", 1), 13);
    assert_int_equal(count_nodes(&b.graph, "conv2d", "relu", 0), 6 + 3);
    assert_int_equal(a.metrics, TENSOR_NONE);
    assert_int_equal(a.graph.tensors[a.probabilities].role, TENSOR_OUTPUT);
    step_destroy(&a);
    step_destroy(&b);
    model_destroy(&one);
    model_destroy(&two);
}

static void padded_shortcuts_stay_in_the_middle(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet8a");
    struct step_options options = small_options(STEP_PREDICT);
    struct step step = make_step(&model, &options);
    const struct node *node = find_node(&step.graph, "shortcut_pad", "layer2.0.downsample");
    assert_true(node_attr(node, "stride") == 2 && node_attr(node, "before") == 8 && node_attr(node, "after") == 8);
    assert_int_equal(count_nodes(&step.graph, "shortcut_pad", "before", 16), 1);
    step_destroy(&step);
    model_destroy(&model);
}

static void expect_persistent_names_once(const struct graph *graph) {
    for (tensor_id t = 0; t < graph->tensor_count; t++)
        for (tensor_id u = 0; u < t; u++)
            if (graph->tensors[t].base == TENSOR_NONE && graph->tensors[u].base == TENSOR_NONE &&
                graph->tensors[t].role == TENSOR_PERSISTENT && graph->tensors[u].role == TENSOR_PERSISTENT &&
                strcmp(graph->tensors[t].name, graph->tensors[u].name) == 0)
                fail_msg("%s is there twice", graph->tensors[t].name);
}

static void gradients_lie_like_parameters(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet20b", .channels = 1);
    struct step_options options = small_options(STEP_TRAIN);
    options.image_count = 10;
    options.set = "train";
    options.mean_per_pixel = true;
    struct step step = make_step(&model, &options);
    const struct graph *graph = &step.graph;
    expect_persistent_names_once(graph);
    tensor_id root = graph_root(graph, step.gradients[0], NULL);
    assert_string_equal(graph->tensors[root].name, "gradients");
    assert_string_equal(graph->tensors[find_node(graph, "gather_batch", NULL)->in[0]].name, "train.images");
    for (size_t i = 0; i < model.count; i++) {
        uint64_t offset = 1, value_offset = 2;
        graph_root(graph, step.network.values[i], &value_offset);
        assert_int_equal(value_offset, model.parameters[i].offset);
        assert_string_equal(graph->tensors[step.network.values[i]].name, model.parameters[i].name);
        if (model.parameters[i].class == PARAMETER_STATISTIC) {
            assert_int_equal(step.gradients[i], TENSOR_NONE);
            continue;
        }
        assert_int_equal(graph_root(graph, step.gradients[i], &offset), root);
        assert_int_equal(offset, model.parameters[i].offset);
        assert_true(shape_equal(graph_shape(graph, step.gradients[i]), model.parameters[i].shape));
    }
    step_destroy(&step);
    model_destroy(&model);
}

/* ---- updates ---- */

struct range {
    uint64_t first, bytes;
    double decay;
};

static void expect_updates(enum model_style style, const struct step_options *options, const struct range *ranges,
                           size_t count) {
    struct model model = MODEL(.name = "resnet8", .style = style);
    struct step step = make_step(&model, options);
    size_t found = 0;
    tensor_id gate = TENSOR_NONE;
    for (size_t i = step.forward_nodes; i < step.graph.node_count; i++) {
        const struct node *node = &step.graph.nodes[i];
        if (strcmp(node->op->name, "latch") == 0) {
            assert_int_equal(node->in[1], step.metrics);
            gate = node->out[0];
        }
        if (op_input_index(node->op, "gate") < 0)
            continue;
        assert_in_range(found, 0, count - 1);
        uint64_t last = ranges[found].bytes ? ranges[found].bytes : model.parameter_bytes - ranges[found].first;
        for (int operand = 0; operand < (options->optimizer == OPTIMIZER_SGD ? 3 : 4); operand++) {
            uint64_t offset;
            graph_root(&step.graph, node->in[operand], &offset);
            assert_int_equal(offset, ranges[found].first);
            assert_int_equal(tensor_bytes(&step.graph.tensors[node->in[operand]]), last);
        }
        assert_true(node_attr(node, "weight_decay") == ranges[found].decay);
        assert_true(gate != TENSOR_NONE && node->in[op_input_index(node->op, "gate")] == gate);
        found++;
    }
    assert_int_equal(found, count);
    step_destroy(&step);
    model_destroy(&model);
}

static void weight_decay_applies_to_its_classes(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet8"), keras = MODEL(.name = "resnet8", .style = STYLE_KERAS);
    struct step_options options = small_options(STEP_TRAIN);
    options.weight_decay = 5e-4;
    expect_updates(STYLE_TORCH, &options, &(struct range){0, 0, 5e-4}, 1);
    options.decay = DECAY_KERNELS;
    expect_updates(STYLE_TORCH, &options, (struct range[]){{0, model.kernel_bytes, 5e-4}, {model.kernel_bytes, 0, 0}},
                   2);
    options.decay = DECAY_CONVOLUTIONS;
    expect_updates(STYLE_TORCH, &options,
                   (struct range[]){{0, model.convolution_bytes, 5e-4}, {model.convolution_bytes, 0, 0}}, 2);
    options.weight_decay = 0;
    expect_updates(STYLE_TORCH, &options, &(struct range){0, 0, 0}, 1);
    options.optimizer = OPTIMIZER_ADAM; /* the penalty of the keras style: its gradient is 2e-4 w */
    expect_updates(STYLE_KERAS, &options,
                   (struct range[]){{0, keras.convolution_bytes, 2e-4}, {keras.convolution_bytes, 0, 0}}, 2);
    model_destroy(&model);
    model_destroy(&keras);
}

static void nonsense_steps_are_refused(void **state) {
    (void)state;
    struct model keras = MODEL(.name = "resnet8", .style = STYLE_KERAS);
    struct step_options options = small_options(STEP_TRAIN);
    struct step step;
    options.batch = 0;
    assert_int_equal(step_create(&keras, &options, &step), STATUS_USAGE);
    options = small_options(STEP_EVALUATE);
    options.keep_input_gradient = true;
    assert_int_equal(step_create(&keras, &options, &step), STATUS_USAGE);
    options = small_options(STEP_TRAIN);
    options.optimizer = OPTIMIZER_ADAMW;
    options.weight_decay = 0.1;
    assert_int_equal(step_create(&keras, &options, &step), STATUS_USAGE);
    assert_non_null(strstr(status_message(), "adamw"));
    step_destroy(&step);
    model_destroy(&keras);
}

static void hyper_corrects_the_bias_of_adam(void **state) {
    (void)state;
    struct step_options options;
    float hyper[4];
    step_options_default(&options);
    step_hyper(&options, 0.1, 7, hyper);
    assert_true(hyper[0] == 0.1f && hyper[1] == 0 && hyper[3] == 0);
    options.optimizer = OPTIMIZER_ADAMW;
    step_hyper(&options, 0.1, 0, hyper);
    assert_true(fabs((double)hyper[1] - 10) < 1e-5 && fabs((double)hyper[2] - 1000) < 1e-3);
    step_hyper(&options, 0.1, 1, hyper);
    assert_true(fabs((double)hyper[1] - 1 / 0.19) < 1e-5);
}

/* ---- numbers, in float64 ---- */

/* Initial values, with gammas, betas and biases moved away from 1 and 0. */
static void set_parameters(struct evaluation *evaluation, const struct model *model, const struct network *network) {
    for (size_t i = 0; i < model->count; i++) {
        const struct parameter *p = &model->parameters[i];
        double *values = malloc(shape_count(p->shape) * sizeof *values);
        assert_non_null(values);
        model_initial(model, i, 5, values);
        for (uint64_t k = 0; k < shape_count(p->shape) && p->class == PARAMETER_VECTOR; k++)
            values[k] += 0.3 * random_normal(6, (uint32_t)i, (uint32_t)k);
        evaluation_set(evaluation, network->values[i], values);
        free(values);
    }
}

static void set_batch(struct evaluation *evaluation, const struct step *step, uint32_t classes) {
    evaluation_randomize(evaluation, step->x, 3);
    for (uint32_t i = 0; i < step->options.batch && step->target != TENSOR_NONE; i++)
        evaluation_at(evaluation, step->target)[i] = random_below(9, 0, i, classes);
}

/* The mean loss of the batch, and the number whose gradient the backward nodes compute. */
static double mean_loss(struct evaluation *evaluation, const struct step *step) {
    evaluation_run(evaluation, step->forward_nodes);
    return evaluation_at(evaluation, step->metrics)[0] / step->options.batch;
}

/* A few elements of the gradient against central differences of the loss. */
static void expect_gradient(struct evaluation *evaluation, const struct step *step, const char *name, tensor_id value,
                            const double *gradient, uint64_t count) {
    const double small = 1e-6;
    double largest = 0;
    for (uint64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(gradient[i]));
    assert_true(largest > 0);
    for (uint32_t draw = 0; draw < 3; draw++) {
        uint64_t index = random_below(value, 4, draw, (uint32_t)count);
        double *values = evaluation_values(evaluation, value), side[2], kept = values[index];
        for (int i = 0; i < 2; i++) {
            values[index] = kept + (i ? small : -small);
            evaluation_set(evaluation, value, values);
            side[i] = mean_loss(evaluation, step);
        }
        values[index] = kept;
        evaluation_set(evaluation, value, values);
        free(values);
        double expected = (side[1] - side[0]) / (2 * small);
        if (fabs(gradient[index] - expected) > 1e-4 * fabs(expected) + 1e-6 * largest + 1e-8)
            fail_msg("gradient of %s at %llu: %.9g, by differences %.9g", name, (unsigned long long)index,
                     gradient[index], expected);
    }
}

static void check_gradients(struct model_options model_options, bool freeze_norm) {
    struct model model = create(model_options);
    struct step_options options = small_options(STEP_TRAIN);
    options.smoothing = 0.1;
    options.freeze_norm = freeze_norm;
    options.keep_input_gradient = true;
    struct step step = make_step(&model, &options);
    struct evaluation evaluation;
    evaluation_create(&evaluation, &step.graph);
    set_parameters(&evaluation, &model, &step.network);
    set_batch(&evaluation, &step, 5);
    evaluation_run(&evaluation, step.graph.node_count); /* hyper is zero: the update changes nothing */
    for (size_t i = 0; i <= model.count; i++) {
        tensor_id gradient = i < model.count ? step.gradients[i] : step.dx;
        if (gradient == TENSOR_NONE)
            continue;
        double *values = evaluation_values(&evaluation, gradient);
        bool normalized_away = i < model.count && model.parameters[i].initial == INITIAL_CONSTANT &&
                               strstr(model.parameters[i].name, "conv") && !strstr(model.parameters[i].name, "conv3");
        if (!normalized_away) /* a bias before a normalization has the gradient 0 */
            expect_gradient(&evaluation, &step, i < model.count ? model.parameters[i].name : "x",
                            i < model.count ? step.network.values[i] : step.x, values,
                            shape_count(graph_shape(&step.graph, gradient)));
        free(values);
    }
    evaluation_destroy(&evaluation);
    step_destroy(&step);
    model_destroy(&model);
}

static void gradients_of_whole_networks(void **state) {
    (void)state;
    static const char *const names[] = {"resnet8", "resnet8a", "resnet8b", "plain8", "resnet11v2", "plain11v2"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct model_options small = {.name = names[i], .filters = 4, .height = 8, .width = 8, .classes = 5};
        check_gradients(small, false);
        small.style = STYLE_KERAS;
        check_gradients(small, false);
    }
    check_gradients((struct model_options){.name = "resnet8b", .filters = 4, .height = 8, .width = 8, .classes = 5},
                    true);
}

/* Odd sizes on the way: 35, 18, 9, 9, 5, 3, 2. */
static void gradients_of_imagenet_networks(void **state) {
    (void)state;
    check_gradients((struct model_options){.name = "resnet18", .filters = 2, .height = 35, .width = 33, .classes = 5},
                    false);
    check_gradients((struct model_options){.name = "resnet50", .filters = 1, .height = 35, .width = 33, .classes = 5},
                    false);
}

/* Writes the statistics that the training graph found in its batch as running statistics of the other graph. */
static void copy_statistics(const struct evaluation *from, const struct model *model, struct evaluation *to,
                            const struct network *network) {
    for (size_t i = 0; i < from->graph->node_count; i++) {
        const struct node *node = &from->graph->nodes[i];
        for (int k = 0; k < 2 && strcmp(node->op->name, "batch_norm_statistics") == 0; k++) {
            char name[96];
            snprintf(name, sizeof name, "%s.%s", node->scope, k ? "running_var" : "running_mean");
            int index = model_find(model, name);
            assert_true(index >= 0);
            double *values = evaluation_values(from, node->out[k]);
            evaluation_set(to, network->values[index], values);
            free(values);
        }
    }
}

/* With the batch's statistics as running ones, the folded network gives the logits of the training network. */
static void check_inference(struct model_options model_options) {
    struct model model = create(model_options);
    struct step_options options = small_options(STEP_TRAIN);
    struct step train = make_step(&model, &options);
    options.kind = STEP_EVALUATE;
    struct step infer = make_step(&model, &options);
    struct evaluation a, b;
    evaluation_create(&a, &train.graph);
    evaluation_create(&b, &infer.graph);
    set_parameters(&a, &model, &train.network);
    set_parameters(&b, &model, &infer.network);
    set_batch(&a, &train, 5);
    double *x = evaluation_values(&a, train.x);
    evaluation_set(&b, infer.x, x);
    free(x);
    mean_loss(&a, &train);
    copy_statistics(&a, &model, &b, &infer.network);
    mean_loss(&b, &infer);
    double *expected = evaluation_values(&a, train.logits), *got = evaluation_values(&b, infer.logits);
    for (int i = 0; i < 15; i++)
        if (fabs(expected[i] - got[i]) > 1e-9 * (1 + fabs(expected[i])))
            fail_msg("%s: logit %d is %.12g in training, %.12g folded", model.name, i, expected[i], got[i]);
    free(expected);
    free(got);
    evaluation_destroy(&a);
    evaluation_destroy(&b);
    step_destroy(&train);
    step_destroy(&infer);
    model_destroy(&model);
}

static void folded_networks_compute_the_same(void **state) {
    (void)state;
    static const char *const names[] = {"resnet14", "resnet14a", "resnet14b", "plain14", "resnet20v2", "plain20v2"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct model_options small = {.name = names[i], .filters = 4, .height = 8, .width = 9, .classes = 5};
        check_inference(small);
        small.style = STYLE_KERAS;
        check_inference(small);
    }
    check_inference((struct model_options){.name = "resnet18", .filters = 4, .height = 16, .width = 17, .classes = 5});
    check_inference((struct model_options){.name = "resnet50", .filters = 4, .height = 16, .width = 17, .classes = 5});
}

/* One update by SGD with weight decay on the kernels: w - lr (g + wd w), and running statistics a tenth of the way. */
static void a_step_updates_parameters_and_statistics(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet8", .filters = 4, .height = 8, .width = 8, .classes = 5);
    struct step_options options = small_options(STEP_TRAIN);
    options.weight_decay = 0x1p-6; /* exact, as the learning rate: references round attributes as kernels get them */
    options.decay = DECAY_KERNELS;
    struct step step = make_step(&model, &options);
    struct evaluation evaluation;
    evaluation_create(&evaluation, &step.graph);
    set_parameters(&evaluation, &model, &step.network);
    set_batch(&evaluation, &step, 5);
    evaluation_at(&evaluation, step.hyper)[0] = 0.125;
    double before[64], loss = mean_loss(&evaluation, &step);
    for (size_t i = 0; i < model.count; i++)
        before[i] = evaluation_at(&evaluation, step.network.values[i])[0];
    evaluation_run(&evaluation, step.graph.node_count);
    for (size_t i = 0; i < model.count; i++) {
        double after = evaluation_at(&evaluation, step.network.values[i])[0];
        if (model.parameters[i].class == PARAMETER_STATISTIC) {
            assert_true(after != before[i]);
            continue;
        }
        double decay = model.parameters[i].class == PARAMETER_VECTOR ? 0 : 0x1p-6;
        double gradient = evaluation_at(&evaluation, step.gradients[i])[0];
        assert_true(fabs(after - (before[i] - 0.125 * (gradient + decay * before[i]))) < 1e-12);
    }
    assert_true(mean_loss(&evaluation, &step) < loss);
    evaluation_destroy(&evaluation);
    step_destroy(&step);
    model_destroy(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dropout_knows_image_and_epoch),
        cmocka_unit_test(same_padding_puts_the_odd_pixel_after),
        cmocka_unit_test(stems_of_imagenet_networks),
        cmocka_unit_test(bottlenecks_stride_in_their_middle),
        cmocka_unit_test(numbers_of_the_styles),
        cmocka_unit_test(inference_folds_normalization),
        cmocka_unit_test(padded_shortcuts_stay_in_the_middle),
        cmocka_unit_test(gradients_lie_like_parameters),
        cmocka_unit_test(weight_decay_applies_to_its_classes),
        cmocka_unit_test(nonsense_steps_are_refused),
        cmocka_unit_test(hyper_corrects_the_bias_of_adam),
        cmocka_unit_test(gradients_of_whole_networks),
        cmocka_unit_test(gradients_of_imagenet_networks),
        cmocka_unit_test(folded_networks_compute_the_same),
        cmocka_unit_test(a_step_updates_parameters_and_statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

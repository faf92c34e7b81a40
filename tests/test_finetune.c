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

static struct step frozen_step(const struct model *model, const char *until, bool freeze_norm) {
    struct step_options options = small_options(STEP_TRAIN);
    size_t frozen = 0;
    if (until && model_find_layer(model, until, &frozen) != STATUS_OK)
        fail_msg("%s", status_message());
    options.frozen = (uint32_t)frozen;
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
    struct step_options options = small_options(STEP_TRAIN);
    options.frozen = (uint32_t)model_head(&model) + 1;
    struct step step;
    assert_int_equal(step_create(&model, &options, &step), STATUS_USAGE);
    model_destroy(&model);
    model_destroy(&vgg);
}

/* ---- rates ---- */

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

/* `parts`: what the names of each part's parameters start with, from the stem to the head. */
static void check_rates(const char *name, const char *const *parts, int count, const char *until,
                        enum optimizer optimizer) {
    struct model model = MODEL(.name = name, .filters = 4, .height = 32, .width = 32);
    struct step_options options = small_options(STEP_TRAIN);
    size_t frozen = 0;
    if (until)
        assert_int_equal(model_find_layer(&model, until, &frozen), STATUS_OK);
    options.frozen = (uint32_t)frozen;
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
        assert_true((node == NULL) == (i < frozen));
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frozen_part_costs_nothing_backward),
        cmocka_unit_test(freezing_changes_no_other_gradient),
        cmocka_unit_test(unknown_layers_are_named),
        cmocka_unit_test(each_part_learns_at_its_rate),
        cmocka_unit_test(parts_of_other_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

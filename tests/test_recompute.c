/* Recomputed activations: less is alive at once, everything that a step computes stays the same to the last bit, in the
 * float64 reference and on the device. */
#include "exec/schedule.h"
#include "resnet_vk.h"

#include "networks.h"

#include <stdio.h>

static struct step step_of(const struct model *model, uint32_t batch, bool recompute) {
    struct step_options options = small_options(STEP_TRAIN);
    options.batch = batch;
    options.recompute = recompute;
    return make_step(model, &options);
}

static size_t count_op(const struct graph *graph, const char *op, const char *scope, bool repeated) {
    size_t count = 0;
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        count += node->repeated == repeated && strcmp(node->op->name, op) == 0 &&
                 (!scope || strcmp(node->scope, scope) == 0);
    }
    return count;
}

/* Of a block, the convolutions come again, and what normalizes between them; not its sums over the batch, not what
 * works in place, not its end, which the next block reads, and not what only the end needs. */
static void only_what_the_gradient_reads_is_computed_again(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet8b");
    struct step kept = step_of(&model, 4, false), again = step_of(&model, 4, true);
    assert_int_equal(count_op(&kept.graph, "conv2d", NULL, true), 0);
    assert_int_equal(again.forward_nodes, kept.forward_nodes);
    assert_int_equal(count_op(&again.graph, "conv2d", NULL, true), 9);     /* stem, 3 blocks of 2, 2 shortcuts */
    assert_int_equal(count_op(&again.graph, "batch_norm", NULL, true), 3); /* one in each block */
    assert_int_equal(count_op(&again.graph, "batch_norm", "layer2.0.bn1", true), 1);
    assert_int_equal(count_op(&again.graph, "batch_norm", "layer2.0.bn2", true), 0);
    assert_int_equal(count_op(&again.graph, "batch_norm_statistics", NULL, true), 0);
    assert_int_equal(count_op(&again.graph, "batch_norm_update", NULL, true), 0);
    assert_int_equal(count_op(&again.graph, "batch_norm_update", NULL, false),
                     count_op(&kept.graph, "batch_norm_update", NULL, false));
    step_destroy(&kept);
    step_destroy(&again);
    model_destroy(&model);
}

static uint64_t least_bytes(const char *name, uint32_t batch, bool recompute) {
    struct model model = MODEL(.name = name);
    struct step step = step_of(&model, batch, recompute);
    struct block *blocks = calloc(step.graph.tensor_count, sizeof *blocks);
    assert_non_null(blocks);
    schedule_lifetimes(&step.graph, blocks);
    uint64_t least = schedule_lower_bound(blocks, step.graph.tensor_count);
    free(blocks);
    step_destroy(&step);
    model_destroy(&model);
    return least;
}

static void less_is_alive_at_once(void **state) {
    (void)state;
    static const struct {
        const char *name;
        uint32_t batch;
        double share; /* of the bytes without */
    } networks[] = {{"resnet20", 128, 0.36}, {"resnet56", 128, 0.3},  {"resnet29v2", 128, 0.38}, {"resnet18", 8, 0.66},
                    {"resnet50", 8, 0.31},   {"seresnet50", 8, 0.27}, {"vgg16_bn", 8, 0.69}};
    for (size_t i = 0; i < COUNT(networks); i++) {
        double kept = (double)least_bytes(networks[i].name, networks[i].batch, false);
        double share = (double)least_bytes(networks[i].name, networks[i].batch, true) / kept;
        print_message("%s, batch %u: %.0f MB without, %.0f %% of them with\n", networks[i].name, networks[i].batch,
                      1e-6 * kept, 100 * share);
        if (share > networks[i].share)
            fail_msg("%s takes %.2f of the memory", networks[i].name, share);
    }
}

/* ---- the same numbers ---- */

/* Runs the step by the references from random values. */
static void evaluate(const struct model *model, const struct step *step, struct evaluation *evaluation) {
    evaluation_create(evaluation, &step->graph);
    for (size_t i = 0; i < model->count; i++)
        evaluation_randomize(evaluation, step->network.values[i], (uint32_t)i + 1);
    if (step->network.statistics != TENSOR_NONE) /* variances */
        for (uint64_t i = 0; i < shape_count(graph_shape(&step->graph, step->network.statistics)); i++)
            evaluation_at(evaluation, step->network.statistics)[i] = 1;
    evaluation_randomize(evaluation, step->x, 1000);
    for (uint32_t i = 0; i < step->options.batch; i++)
        evaluation_at(evaluation, step->target)[i] = i;
    evaluation_at(evaluation, step->hyper)[0] = 0.125;
    evaluation_run(evaluation, step->graph.node_count);
}

static void expect_same(const struct evaluation *a, tensor_id of_a, const struct evaluation *b, tensor_id of_b,
                        uint64_t count, const char *what) {
    double *x = evaluation_values(a, of_a), *y = evaluation_values(b, of_b), sum = 0;
    for (uint64_t i = 0; i < count; i++)
        sum += fabs(x[i]);
    if (memcmp(x, y, count * sizeof *x) != 0 || !(sum > 0))
        fail_msg("%s: not the same, or all zeros", what);
    free(x);
    free(y);
}

static void a_step_computes_the_same(void **state) {
    (void)state;
    static const char *const names[] = {"resnet8", "resnet8a", "plain8", "resnet11v2", "seresnet18", "vgg16c_bn"};
    for (size_t n = 0; n < COUNT(names); n++) {
        bool vgg = strncmp(names[n], "vgg", 3) == 0;
        struct model model = MODEL(.name = names[n], .filters = 4, .height = vgg ? 32 : 8, .width = vgg ? 32 : 8);
        struct step steps[2] = {step_of(&model, 3, false), step_of(&model, 3, true)};
        struct evaluation evaluations[2];
        for (int k = 0; k < 2; k++)
            evaluate(&model, &steps[k], &evaluations[k]);
        for (size_t i = 0; i < model.count; i++) {
            const char *name = model.parameters[i].name;
            uint64_t count = shape_count(model.parameters[i].shape);
            expect_same(&evaluations[0], steps[0].network.values[i], &evaluations[1], steps[1].network.values[i], count,
                        name);
            if (steps[0].gradients[i] != TENSOR_NONE)
                expect_same(&evaluations[0], steps[0].gradients[i], &evaluations[1], steps[1].gradients[i], count,
                            name);
        }
        for (int k = 0; k < 2; k++) {
            evaluation_destroy(&evaluations[k]);
            step_destroy(&steps[k]);
        }
        model_destroy(&model);
    }
}

static uint64_t trained_hash(const char *model, const char *data, bool recompute) {
    const struct rvk_open_options open = {.device = getenv("TEST_DEVICE"), .no_cache = true};
    const struct rvk_train_options options = {
        .model = model, .data = data, .batch = 8, .epochs = 1, .recompute = recompute};
    struct rvk_context *context;
    struct rvk_train_result result;
    if (rvk_open(&open, &context) != RVK_OK || rvk_train(context, &options, &result) != RVK_OK)
        fail_msg("%s", rvk_message());
    rvk_close(context);
    assert_true(result.steps > 1);
    return result.weights_hash;
}

static void trained_weights_have_the_same_hash(void **state) {
    (void)state;
    const char *data = "generated:count=40,classes=4,size=8";
    assert_true(trained_hash("resnet14", data, false) == trained_hash("resnet14", data, true));
    assert_true(trained_hash("resnet11v2", data, false) == trained_hash("resnet11v2", data, true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_the_gradient_reads_is_computed_again),
        cmocka_unit_test(less_is_alive_at_once),
        cmocka_unit_test(a_step_computes_the_same),
        cmocka_unit_test(trained_weights_have_the_same_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

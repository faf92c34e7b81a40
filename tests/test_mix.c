/* mix: mixup and cutmix on known images, the distribution of their choices, and the loss of two targets. */
#include "train/mixture.h"
#include "train/step.h"

#include "networks.h"
#include "op_values.h"

enum { DRAWS = 4000, SIDE = 32 };

/* ---- the op ---- */

/* Three images of 2x3 pixels, one channel; partners two places further on; a box of the lower row's last two pixels. */
static void images_and_labels_are_mixed(void **state) {
    (void)state;
    static const double x[] = {0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25};
    static const double y[] = {5, 6, 7, 8, 24, 25, 7.5, 8.5, 9.5, 10.5, 4, 5, 17.5, 18.5, 19.5, 20.5, 14, 15};
    static const double mixed[] = {7, 8, 9, 9, 7, 8, 5000, 5000, 5000};
    struct test_device device;
    struct op_values values;
    double *out[OP_OUTPUTS];
    test_device_open(&device, NULL);
    op_values_create(&values, "mix", "x=3x2x3x1 target=1x1x1x3 choice=1x1x1x8");
    op_values_set(&values, 0, x);
    op_values_set(&values, 1, (const double[]){7, 8, 9});
    op_values_set(&values, 2, (const double[]){2, 1, 2, 1, 3, 0x1p22, 5000, 0});
    op_values_run(&values);
    op_values_expect(&values, 0, y, 0);
    op_values_expect(&values, 1, mixed, 0);
    op_values_on_device(&values, &device, NULL, out);
    assert_memory_equal(out[0], y, sizeof y);
    assert_memory_equal(out[1], mixed, sizeof mixed);
    free(out[0]);
    free(out[1]);
    op_values_set(&values, 2, (const double[8]){0}); /* nothing chosen, nothing mixed */
    op_values_run(&values);
    op_values_expect(&values, 0, x, 0);
    op_values_expect(&values, 1, (const double[]){7, 8, 9, 7, 8, 9, 0, 0, 0}, 0);
    op_values_destroy(&values);
    test_device_close(&device);
}

static void wrong_operands_are_refused(void **state) {
    (void)state;
    assert_refused("mix", "x=3x2x3x1 target=1x1x1x2 choice=1x1x1x8", "target should be whole numbers 1x1x1x3");
    assert_refused("mix", "x=3x2x3x1 target=1x1x1x3 choice=1x1x1x7", "choice should be whole numbers 1x1x1x8");
}

/* ---- the choices ---- */

static void assert_near(const char *what, double value, double wanted, double most) {
    if (!(fabs(value - wanted) <= most))
        fail_msg("%s is %g, not %g within %g", what, value, wanted, most);
}

/* Mean 1/2, variance 1 / (4 (2 alpha + 1)); alpha 1 is uniform, 1/2 the arcsine distribution. */
static void shares_are_beta(void **state) {
    (void)state;
    static const double alphas[] = {0.01, 0.2, 0.5, 1, 4, 100};
    for (size_t a = 0; a < COUNT(alphas); a++) {
        double mean = 0, square = 0, quarter = 0, variance = 1 / (4 * (2 * alphas[a] + 1));
        for (uint32_t i = 0; i < DRAWS; i++) {
            double x = mixture_beta(alphas[a], random_uniform(1, 2, i), random_uniform(1, 3, i));
            assert_true(x >= 0 && x <= 1);
            mean += x / DRAWS;
            square += (x - 0.5) * (x - 0.5) / DRAWS;
            quarter += x < 0.25 ? 1.0 / DRAWS : 0;
        }
        assert_near("the mean", mean, 0.5, 4 * sqrt(variance / DRAWS));
        assert_near("the variance", square, variance, 0.06 * variance);
        if (alphas[a] == 1)
            assert_near("the share below 1/4", quarter, 0.25, 0.03);
        if (alphas[a] == 0.5)
            assert_near("the share below 1/4", quarter, 1 / 3.0, 0.03);
    }
    assert_true(mixture_beta(0.01, 0, 0.3) == 0.5);
    assert_true(isfinite(mixture_beta(0.01, 1 - 0x1p-24, 0.25)));
}

static void choose(const struct mixture *mixture, uint32_t batch, uint32_t images, uint32_t choice[MIXTURE_WORDS]) {
    mixture_choose(mixture, 7, 3, batch, images, SIDE, 2 * SIDE, choice);
}

/* Mixup with alpha 1: shares are uniform, partners too, there is no box. Cutmix: the box and the label agree, and its
 * middle is anywhere. */
static void choices_are_as_described(void **state) {
    (void)state;
    uint32_t choice[MIXTURE_WORDS], shifts[5] = {0};
    double share = 0, area = 0, row = 0, cut = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        choose(&(struct mixture){.mixup = 1}, i, 5, choice);
        assert_in_range(choice[0], 1, 4);
        assert_int_equal(choice[5], choice[6]);
        for (int k = 1; k < 5; k++)
            assert_int_equal(choice[k], 0);
        share += choice[5] * 0x1p-24 / DRAWS;
        shifts[choice[0]]++;
        choose(&(struct mixture){.cutmix = 1}, i, 5, choice);
        assert_true(choice[1] <= choice[2] && choice[2] <= SIDE && choice[3] <= choice[4] && choice[4] <= 2 * SIDE);
        assert_int_equal(choice[5], 0);
        double part = (choice[2] - choice[1]) * (choice[4] - choice[3]) / (2.0 * SIDE * SIDE);
        assert_near("the label's share", choice[6] * 0x1p-24, part, 0x1p-24);
        area += part / DRAWS;
        row += (choice[1] + choice[2]) / (2.0 * SIDE) / DRAWS;
        choose(&(struct mixture){.mixup = 1, .cutmix = 1}, i, 5, choice);
        cut += choice[5] == 0 ? 1.0 / DRAWS : 0;
    }
    assert_near("the mean share", share, 0.5, 0.02);
    for (int k = 1; k < 5; k++)
        assert_near("the number of partners at a distance", shifts[k], DRAWS / 4.0, 120);
    /* A side of s = sqrt(1 - lambda) around a uniform middle keeps s - s^2 / 4: its mean square for uniform lambda. */
    assert_near("the mean area", area, 0.5 - 2 / 5.0 * 0.5 + 1 / 48.0, 0.02);
    assert_near("the mean row", row, 0.5, 0.02);
    assert_near("the share of cutmix", cut, 0.5, 0.035);
}

static void choices_depend_on_seed_epoch_and_batch_only(void **state) {
    (void)state;
    const struct mixture both = {.mixup = 0.4, .cutmix = 1};
    uint32_t first[MIXTURE_WORDS], choice[MIXTURE_WORDS];
    for (uint32_t k = 0; k < 5; k++) { /* 0 and 4 are the same */
        mixture_choose(&both, 7 + (k == 1), 3 + (k == 2), 11 + (k == 3), 64, SIDE, SIDE, choice);
        if (k == 0)
            memcpy(first, choice, sizeof choice);
        assert_int_equal(memcmp(first, choice, sizeof choice) == 0, k % 4 == 0);
    }
    choose(&both, 0, 1, choice);
    assert_int_equal(choice[0], 0); /* alone, an image is its own partner */
}

/* ---- the loss ---- */

static double *run_loss(const char *op, const char *line, const double *logits, const double *target, bool backward) {
    static const double dloss[] = {2, -0.5};
    struct op_values values;
    op_values_create(&values, op, line);
    op_values_set(&values, 0, logits);
    op_values_set(&values, 1, target);
    if (backward)
        op_values_set(&values, 2, dloss);
    op_values_run(&values);
    double *out = evaluation_values(&values.evaluation, values.graph.nodes[0].out[0]);
    op_values_destroy(&values);
    return out;
}

/* Loss and gradient of two targets are the weighted means of those of each. */
static void the_loss_is_the_weighted_mean_of_two(void **state) {
    (void)state;
    static const double logits[] = {1, -2, 0.5, 3, 2, 2, -1, 0}, first[] = {1, 3}, second[] = {2, 0};
    static const double mixed[] = {1, 3, 2, 0, 0x1p22, 0x1.8p23};
    static const double shares[] = {0.25, 0.75};
    for (int backward = 0; backward < 2; backward++) {
        const char *op = backward ? "softmax_cross_entropy_backward" : "softmax_cross_entropy";
        const char *tail = backward ? " dloss=1x1x1x2" : "";
        char one[96], two[96];
        snprintf(one, sizeof one, "logits=2x1x1x4 target=1x1x1x2 smoothing=0.1%s", tail);
        snprintf(two, sizeof two, "logits=2x1x1x4 target=1x1x3x2 smoothing=0.1%s", tail);
        double *a = run_loss(op, one, logits, first, backward), *b = run_loss(op, one, logits, second, backward);
        double *both = run_loss(op, two, logits, mixed, backward);
        for (int i = 0; i < (backward ? 8 : 2); i++) {
            double share = shares[backward ? i / 4 : i];
            assert_near("a value", both[i], (1 - share) * a[i] + share * b[i], 1e-14);
        }
        free(a);
        free(b);
        free(both);
    }
}

/* ---- the step ---- */

static tensor_id find_tensor(const struct graph *graph, const char *name) {
    for (tensor_id t = 0; t < graph->tensor_count; t++)
        if (strcmp(graph->tensors[t].name, name) == 0)
            return t;
    fail_msg("there is no tensor %s", name);
    return TENSOR_NONE;
}

/* The sum of the losses of a batch of four of ten images, by the references; `share` of the partner in all. */
static double step_loss(const struct model *model, const struct mixture *mixture, double share) {
    struct step_options options = small_options(STEP_TRAIN);
    struct evaluation evaluation;
    options.batch = 4;
    options.image_count = 10;
    options.mixture = *mixture;
    struct step step = make_step(model, &options);
    evaluation_create(&evaluation, &step.graph);
    evaluation_randomize_all(&evaluation, 3);
    for (uint32_t i = 0; i < options.image_count; i++)
        evaluation_at(&evaluation, find_tensor(&step.graph, "labels"))[i] = i;
    for (uint32_t i = 0; i < options.batch; i++)
        evaluation_at(&evaluation, step.indices)[i] = 2 * i;
    assert_int_equal(step.mixture == TENSOR_NONE, !mixture_is_used(mixture));
    if (step.mixture != TENSOR_NONE)
        for (int i = 0; i < MIXTURE_WORDS; i++)
            evaluation_at(&evaluation, step.mixture)[i] = i == 0 ? 1 : i == 5 || i == 6 ? share * 0x1p24 : 0;
    evaluation_run(&evaluation, step.forward_nodes);
    double loss = evaluation_at(&evaluation, step.metrics)[0];
    evaluation_destroy(&evaluation);
    step_destroy(&step);
    return loss;
}

/* Nothing of the partner, or nothing but the partner, is the batch in another order; half of it is another batch. */
static void the_step_trains_on_mixed_images(void **state) {
    (void)state;
    struct model model = MODEL(.name = "resnet8", .height = 8, .width = 8);
    double own = step_loss(&model, &(struct mixture){.mixup = 1}, 0);
    assert_true(own > 0);
    assert_near("the loss", step_loss(&model, &(struct mixture){.cutmix = 1}, 1), own, 1e-9 * own);
    assert_true(fabs(step_loss(&model, &(struct mixture){.mixup = 1}, 0.5) - own) > 1e-3 * own);
    assert_true(step_loss(&model, &(struct mixture){0}, 0) > 0); /* without the op */
    model_destroy(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_and_labels_are_mixed),
        cmocka_unit_test(wrong_operands_are_refused),
        cmocka_unit_test(shares_are_beta),
        cmocka_unit_test(choices_are_as_described),
        cmocka_unit_test(choices_depend_on_seed_epoch_and_batch_only),
        cmocka_unit_test(the_loss_is_the_weighted_mean_of_two),
        cmocka_unit_test(the_step_trains_on_mixed_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

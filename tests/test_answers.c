/* What is said about single images: rank and probability from logits, and the names of ImageNet's classes. */
#include "data/imagenet.h"
#include "resnet_vk.h"
#include "train/evaluate.h"

#include "test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- answers ---- */

#define ANSWER(target, ...)                                                                                            \
    evaluate_answer((const float[]){__VA_ARGS__}, sizeof((const float[]){__VA_ARGS__}) / sizeof(float), target)

static void test_rank(void **state) {
    (void)state;
    struct answer answer = ANSWER(1, 3, 1, 2, 0);
    assert_int_equal(answer.best, 0);
    assert_int_equal(answer.rank, 2);
    assert_int_equal(ANSWER(0, 3, 1, 2, 0).rank, 0);
    assert_int_equal(ANSWER(3, 3, 1, 2, 0).rank, 3);
    /* of equals the first is the best one */
    assert_int_equal(ANSWER(1, 5, 5, 5).best, 0);
    for (uint32_t k = 0; k < 3; k++)
        assert_int_equal(ANSWER(k, 5, 5, 5).rank, k);
    assert_int_equal(ANSWER(0, 7).rank, 0);
}

static bool close_to(float value, double expected) {
    return fabs((double)value - expected) < 1e-6;
}

static void test_probability(void **state) {
    (void)state;
    struct answer answer = ANSWER(1, 1, 0);
    assert_true(close_to(answer.best_probability, 1 / (1 + exp(-1))));
    assert_true(close_to(answer.true_probability, exp(-1) / (1 + exp(-1))));
    answer = ANSWER(0, 2000, 0, -2000); /* exp would overflow */
    assert_true(close_to(answer.best_probability, 1) && close_to(answer.true_probability, 1));
    answer = ANSWER(2, 2000, 0, -2000);
    assert_true(close_to(answer.true_probability, 0));
}

/* Numbers that are none are never right. */
static void test_not_finite(void **state) {
    (void)state;
    assert_int_equal(ANSWER(0, NAN, 1, 2).rank, 2);
    assert_int_equal(ANSWER(1, NAN, 1, 2).rank, 2);
    assert_int_equal(ANSWER(2, 1, NAN, 2).rank, 1);
    assert_int_equal(ANSWER(0, NAN, NAN, NAN).rank, 2);
    assert_int_equal(ANSWER(0, INFINITY, 1, 1).rank, 0);
    assert_int_equal(ANSWER(1, INFINITY, -INFINITY, -INFINITY).rank, 1);
}

/* ---- names ---- */

static void test_imagenet(void **state) {
    (void)state;
    assert_string_equal(rvk_imagenet_class(0), "tench");
    assert_string_equal(rvk_imagenet_class(281), "tabby");
    assert_string_equal(rvk_imagenet_class(999), "toilet tissue");
    assert_null(rvk_imagenet_class(1000));
    assert_null(rvk_imagenet_class(UINT32_MAX));
    for (uint32_t k = 0; k < IMAGENET_CLASSES; k++) {
        const struct imagenet_class *class = &imagenet_classes[k];
        assert_non_null(class->name);
        assert_true(strlen(class->synset) == 9 && strspn(class->synset + 1, "0123456789") == 8);
        assert_true(strlen(class->name) > 1);
        assert_true(k == 0 || strcmp(imagenet_classes[k - 1].synset, class->synset) < 0);
        assert_ptr_equal(rvk_synset_name(class->synset), class->name);
        for (uint32_t i = 0; i < k; i++)
            assert_string_not_equal(imagenet_classes[i].name, class->name);
    }
    assert_string_equal(rvk_synset_name("n02123045"), "tabby");
    assert_null(rvk_synset_name("n0212304"));
    assert_null(rvk_synset_name("n021230450"));
    assert_null(rvk_synset_name(""));
    assert_string_equal(rvk_imagenet_class(134), "crane (bird)");        /* two classes have the lemma "crane", */
    assert_string_equal(rvk_imagenet_class(639), "maillot (tank suit)"); /* and two have "maillot" */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rank),
        cmocka_unit_test(test_probability),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_imagenet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

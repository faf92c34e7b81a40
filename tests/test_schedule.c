/* schedule: learning rates against values worked out by hand; permutations. */
#include "train/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

static const struct plateau fresh;

static void near(double value, double expected) {
    if (!(fabs(value - expected) <= 1e-12 * fmax(1, fabs(expected))))
        fail_msg("got %.17g, expected %.17g", value, expected);
}

static void test_constant(void **state) {
    (void)state;
    struct schedule s = {.kind = SCHEDULE_CONSTANT, .rate = 0.5, .steps = 10, .warmup = 4};
    near(schedule_rate(&s, &fresh, 0), 0.125);
    near(schedule_rate(&s, &fresh, 3), 0.5);
    near(schedule_rate(&s, &fresh, 9), 0.5);
}

static void test_step(void **state) {
    (void)state;
    struct schedule s = {
        .kind = SCHEDULE_STEP, .rate = 1, .steps = 100, .factor = 0.1, .drops = {0.5, 0.75}, .drop_count = 2};
    near(schedule_rate(&s, &fresh, 49), 1);
    near(schedule_rate(&s, &fresh, 50), 0.1);
    near(schedule_rate(&s, &fresh, 74), 0.1);
    near(schedule_rate(&s, &fresh, 75), 0.01);
}

static void test_cosine(void **state) {
    (void)state;
    struct schedule s = {.kind = SCHEDULE_COSINE, .rate = 2, .steps = 100};
    near(schedule_rate(&s, &fresh, 0), 2);
    near(schedule_rate(&s, &fresh, 50), 1);
    near(schedule_rate(&s, &fresh, 100), 0);
    s.warmup = 20;
    near(schedule_rate(&s, &fresh, 9), 1);
    near(schedule_rate(&s, &fresh, 20), 2);
    near(schedule_rate(&s, &fresh, 60), 1);
}

/* lr * (f / 0.3 if f < 0.3 else 0.5 * (1 + cos(pi * (f - 0.3) / 0.7))), f = step / steps */
static void test_onecycle(void **state) {
    (void)state;
    struct schedule s = {.kind = SCHEDULE_ONECYCLE, .rate = 0.2, .steps = 1000};
    near(schedule_rate(&s, &fresh, 0), 0);
    near(schedule_rate(&s, &fresh, 150), 0.1);
    near(schedule_rate(&s, &fresh, 300), 0.2);
    near(schedule_rate(&s, &fresh, 650), 0.1);
    near(schedule_rate(&s, &fresh, 825), 0.2 * 0.5 * (1 - sqrt(0.5)));
    near(schedule_rate(&s, &fresh, 1000), 0);
}

static void test_plateau(void **state) {
    (void)state;
    struct schedule s = {.kind = SCHEDULE_PLATEAU, .rate = 1, .steps = 100, .factor = 0.5, .patience = 2};
    struct plateau p = {0};
    static const double losses[] = {3, 2, 2, 2.5, 1.9, 1.95, 1.95, 1.95, 1.95};
    static const double rates[] = {1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125};
    for (int i = 0; i < 9; i++) {
        plateau_epoch(&p, s.patience, losses[i]);
        near(schedule_rate(&s, &p, 7), rates[i]);
    }
}

static void test_names(void **state) {
    (void)state;
    enum schedule_kind kind;
    assert_int_equal(schedule_find("onecycle", &kind), STATUS_OK);
    assert_int_equal(kind, SCHEDULE_ONECYCLE);
    assert_int_equal(schedule_find("constant", &kind), STATUS_OK);
    assert_int_equal(kind, SCHEDULE_CONSTANT);
    assert_int_equal(schedule_find("linear", &kind), STATUS_USAGE);
}

enum { MANY = 1000 };

/* A permutation; another one for another epoch or seed; the same one again for the same numbers. */
static void test_order(void **state) {
    (void)state;
    uint32_t a[MANY], b[MANY];
    bool seen[MANY] = {false};
    order_shuffle(a, MANY, 1, 0);
    for (int i = 0; i < MANY; i++) {
        assert_true(a[i] < MANY && !seen[a[i]]);
        seen[a[i]] = true;
    }
    order_shuffle(b, MANY, 1, 0);
    assert_memory_equal(a, b, sizeof a);
    order_shuffle(b, MANY, 1, 1);
    assert_memory_not_equal(a, b, sizeof a);
    order_shuffle(b, MANY, 2, 0);
    assert_memory_not_equal(a, b, sizeof a);
    order_shuffle(b, 1, 1, 0);
    assert_int_equal(b[0], 0);
}

/* Every place gets every image about equally often: chi-square with 81 degrees of freedom below its 1e-6 quantile. */
static void test_order_uniform(void **state) {
    (void)state;
    enum { SIZE = 10, EPOCHS = 20000 };
    static uint32_t counts[SIZE][SIZE];
    uint32_t order[SIZE];
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        order_shuffle(order, SIZE, 5, epoch);
        for (int i = 0; i < SIZE; i++)
            counts[i][order[i]]++;
    }
    double chi = 0, expected = EPOCHS / SIZE;
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++)
            chi += (counts[i][j] - expected) * (counts[i][j] - expected) / expected;
    assert_true(chi < 160);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant), cmocka_unit_test(test_step),          cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_onecycle), cmocka_unit_test(test_plateau),       cmocka_unit_test(test_names),
        cmocka_unit_test(test_order),    cmocka_unit_test(test_order_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

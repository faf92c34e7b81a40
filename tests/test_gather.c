/* gather_batch: what a batch holds, purity of its random choices, parts of a data set over the storage range. */
#include "op_values.h"

enum { IMAGES, LABELS, INDICES, CLOCK, MEAN, SCALE };

/* Images of 3x4 pixels and one channel: image i holds the bytes 20 i + 1 ... 20 i + 12 (never 0). */
static void set_images(struct op_values *values, uint32_t count) {
    double images[10 * 12], labels[10];
    for (uint32_t i = 0; i < count; i++) {
        labels[i] = 100 + i;
        for (uint32_t p = 0; p < 12; p++)
            images[12 * i + p] = 20 * i + p + 1;
    }
    op_values_set(values, IMAGES, images);
    op_values_set(values, LABELS, labels);
    op_values_set(values, MEAN, (const double[]){0});
    op_values_set(values, SCALE, (const double[]){1});
}

static void bytes_are_normalized(void **state) {
    (void)state;
    struct op_values values;
    op_values_create(&values, "gather_batch",
                     "images=3x1x2x2 labels=1x1x1x3 indices=1x1x1x4 clock=1x1x1x4 mean=1x1x2x2 scale=1x1x1x2");
    op_values_set(&values, IMAGES, (const double[]){10, 20, 30, 40, 0, 255, 7, 8, 1, 2, 3, 4});
    op_values_set(&values, LABELS, (const double[]){5, 6, 7});
    op_values_set(&values, INDICES, (const double[]){2, UINT32_MAX, 0, 1});
    op_values_set(&values, MEAN, (const double[]){1, 2, 3, 4});
    op_values_set(&values, SCALE, (const double[]){0.5, 2});
    op_values_run(&values);
    op_values_expect(&values, 0, (const double[]){0, 0, 0, 0, 0, 0, 0, 0, 4.5, 36, 13.5, 72, -0.5, 506, 2, 8}, 0);
    op_values_expect(&values, 1, (const double[]){7, UINT32_MAX, 5, 6}, 0);
    op_values_destroy(&values);
}

/* The pixel that stands at (y, x) of the output, as its number in the image, or -1 for a zero. */
static int pixel_of(const double *x, uint32_t place, uint32_t image, int row, int column) {
    double value = x[12 * place + (uint32_t)(4 * row + column)];
    return value == 0 ? -1 : (int)value - 1 - 20 * (int)image;
}

/* Finds the shift and the flip that explain all pixels; 0 when none or several do. */
static int explain(const double *x, uint32_t place, uint32_t image, int shift, bool nearest, int found[3]) {
    int explanations = 0;
    for (int dy = -shift; dy <= shift; dy++)
        for (int dx = -shift; dx <= shift; dx++)
            for (int flip = 0; flip < 2; flip++) {
                bool fits = true;
                for (int y = 0; y < 3 && fits; y++)
                    for (int c = 0; c < 4 && fits; c++) {
                        int row = y + dy, column = (flip ? 3 - c : c) + dx;
                        int edge_row = MIN(MAX(row, 0), 2), edge_column = MIN(MAX(column, 0), 3);
                        bool inside = row == edge_row && column == edge_column;
                        int expected = inside || nearest ? 4 * edge_row + edge_column : -1;
                        fits = pixel_of(x, place, image, y, c) == expected;
                    }
                if (fits) {
                    explanations++;
                    found[0] = dy, found[1] = dx, found[2] = flip;
                }
            }
    return explanations == 1;
}

static void images_are_shifted_and_flipped(void **state) {
    (void)state;
    for (int nearest = 0; nearest < 2; nearest++) {
        struct op_values values;
        uint32_t seen[3][3] = {{0}};
        op_values_create(&values, "gather_batch",
                         nearest ? "images=10x3x4x1 labels=1x1x1x10 indices=1x1x1x10 clock=1x1x1x4 mean=1x1x1x1 "
                                   "scale=1x1x1x1 shift=1 flip=1 nearest=1"
                                 : "images=10x3x4x1 labels=1x1x1x10 indices=1x1x1x10 clock=1x1x1x4 mean=1x1x1x1 "
                                   "scale=1x1x1x1 shift=1 flip=1");
        set_images(&values, 10);
        op_values_set(&values, INDICES, (const double[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
        for (int epoch = 0; epoch < 30; epoch++) {
            op_values_set(&values, CLOCK, (const double[]){7, epoch, 0, 0});
            op_values_run(&values);
            double *x = evaluation_values(&values.evaluation, values.graph.nodes[0].out[0]);
            for (uint32_t i = 0; i < 10; i++) {
                int found[3] = {0};
                assert_true(explain(x, i, i, 1, nearest, found));
                seen[0][found[0] + 1]++, seen[1][found[1] + 1]++, seen[2][found[2]]++;
            }
            free(x);
        }
        /* 300 draws: about a third of each shift, half of each direction (five deviations: 59..141, 107..193). */
        for (int s = 0; s < 3; s++) {
            assert_in_range(seen[0][s], 59, 141);
            assert_in_range(seen[1][s], 59, 141);
        }
        assert_in_range(seen[2][1], 107, 193);
        op_values_destroy(&values);
    }
}

/* The same (index, seed, epoch) gives the same pixels on the device in any batch, at any place and step. */
static void choices_do_not_depend_on_the_batch(void **state) {
    (void)state;
    static const double clocks[4][4] = {{3, 5, 0, 0}, {3, 5, 99, 0}, {4, 5, 0, 0}, {3, 6, 0, 0}};
    struct test_device device;
    struct op_values wide, narrow;
    double *expected[OP_OUTPUTS], *got[OP_OUTPUTS];
    test_device_open(&device, NULL);
    op_values_create(&wide, "gather_batch",
                     "images=10x3x4x1 labels=1x1x1x10 indices=1x1x1x7 clock=1x1x1x4 mean=1x1x1x1 scale=1x1x1x1 "
                     "shift=2 flip=1");
    op_values_create(&narrow, "gather_batch",
                     "images=10x3x4x1 labels=1x1x1x10 indices=1x1x1x3 clock=1x1x1x4 mean=1x1x1x1 scale=1x1x1x1 "
                     "shift=2 flip=1");
    set_images(&wide, 10);
    set_images(&narrow, 10);
    op_values_set(&wide, INDICES, (const double[]){9, 8, 7, 6, 5, 4, 3});
    op_values_set(&narrow, INDICES, (const double[]){4, 9, 6});
    op_values_set(&wide, CLOCK, clocks[0]);
    op_values_on_device(&wide, &device, NULL, expected);
    for (int c = 0; c < 4; c++) {
        static const size_t places[] = {5, 0, 3};
        bool same = true;
        op_values_set(&narrow, CLOCK, clocks[c]);
        op_values_on_device(&narrow, &device, NULL, got);
        for (size_t i = 0; i < 3; i++) {
            same &= memcmp(got[0] + 12 * i, expected[0] + 12 * places[i], 12 * sizeof(double)) == 0;
            assert_true(got[1][i] == expected[1][places[i]]);
        }
        assert_int_equal(same, c < 2); /* another seed or epoch: other choices */
        free(got[0]);
        free(got[1]);
    }
    free(expected[0]);
    free(expected[1]);
    op_values_destroy(&wide);
    op_values_destroy(&narrow);
    test_device_close(&device);
}

/* 400 images of 75 bytes: parts of 256 images, the only boundary that is aligned. */
/* Place i takes image i; the index leaves it empty, or decides what happens to it as in a whole data set. */
static void a_direct_batch_is_taken_as_it_is(void **state) {
    (void)state;
    static const double images[] = {9, 2, 6}; /* of the whole set */
    struct op_values whole, direct;
    op_values_create(&whole, "gather_batch",
                     "images=10x3x4x1 labels=1x1x1x10 indices=1x1x1x3 clock=1x1x1x4 mean=1x1x1x1 scale=1x1x1x1 "
                     "shift=2 flip=1");
    op_values_create(&direct, "gather_batch",
                     "images=3x3x4x1 labels=1x1x1x3 indices=1x1x1x3 clock=1x1x1x4 mean=1x1x1x1 scale=1x1x1x1 "
                     "shift=2 flip=1 direct=1");
    double bytes[36], labels[3];
    for (size_t i = 0; i < 36; i++)
        bytes[i] = 20 * images[i / 12] + (double)(i % 12) + 1;
    for (size_t i = 0; i < 3; i++)
        labels[i] = 100 + images[i];
    set_images(&whole, 10);
    op_values_set(&direct, MEAN, (const double[]){0});
    op_values_set(&direct, SCALE, (const double[]){1});
    op_values_set(&direct, IMAGES, bytes);
    op_values_set(&direct, LABELS, labels);
    op_values_set(&whole, CLOCK, (const double[]){3, 5, 0, 0});
    op_values_set(&direct, CLOCK, (const double[]){3, 5, 0, 0});
    for (int empty = 0; empty < 2; empty++) {
        const double indices[] = {9, empty ? UINT32_MAX : 2, 6};
        op_values_set(&whole, INDICES, indices);
        op_values_set(&direct, INDICES, indices);
        op_values_run(&whole);
        op_values_run(&direct);
        double *x = evaluation_values(&whole.evaluation, whole.graph.nodes[0].out[0]);
        double *target = evaluation_values(&whole.evaluation, whole.graph.nodes[0].out[1]);
        op_values_expect(&direct, 0, x, 0);
        op_values_expect(&direct, 1, target, 0);
        free(x);
        free(target);
    }
    op_values_destroy(&whole);
    op_values_destroy(&direct);
}

static void large_sets_are_read_in_parts(void **state) {
    (void)state;
    const char *line = "images=400x5x5x3 labels=1x1x1x400 indices=1x1x1x40 clock=1x1x1x4 mean=1x5x5x3 scale=1x1x1x3 "
                       "shift=1 flip=1";
    assert_verified_in_parts("gather_batch", line, 20000);
    assert_verified_in_parts("gather_batch",
                             "images=100x8x8x1 labels=1x1x1x100 indices=1x1x1x9 clock=1x1x1x4 mean=1x1x1x1 "
                             "scale=1x1x1x1",
                             9300);
    struct op_values values;
    struct call call;
    struct lowering lowering = {0};
    struct device_facts facts;
    facts_minimum(&facts);
    facts.max_storage_range = 20000;
    op_values_create(&values, "gather_batch", line);
    graph_call(&values.graph, 0, &call);
    assert_true(call.op->forms[0].lower(&call, &facts, &lowering));
    assert_int_equal(lowering.count, 5); /* labels, choices, table, images 0..255, images 256..399 */
    assert_int_equal(lowering.dispatches[3].operands[0].bytes, 256 * 75);
    assert_int_equal(lowering.dispatches[4].operands[0].offset, 256 * 75);
    assert_int_equal(lowering.dispatches[4].operands[0].bytes, 144 * 75);
    facts.max_storage_range = 19199; /* not even one part of 256 images */
    assert_false(call.op->forms[0].lower(&call, &facts, &lowering));
    op_values_destroy(&values);
}

static void lowering_stays_within_the_minimum(void **state) {
    (void)state;
    assert_case_lowerings("gather_batch");
}

#define OPERANDS_BUT(images, labels, clock, mean, scale)                                                               \
    "images=" images " labels=1x1x1x" labels " indices=1x1x1x4 clock=1x1x1x" clock " mean=" mean " scale=1x1x1x" scale

static void mistakes_are_named(void **state) {
    (void)state;
    assert_refused("gather_batch", OPERANDS_BUT("9x4x4x3", "8", "4", "1x1x1x3", "3"),
                   "labels are 1x1x1x8 for images 9x4x4x3");
    assert_refused("gather_batch", OPERANDS_BUT("9x4x4x3", "9", "3", "1x1x1x3", "3"),
                   "clock should be 1x1x1x4, it is 1x1x1x3");
    assert_refused("gather_batch", OPERANDS_BUT("9x4x4x3", "9", "4", "1x4x1x3", "3"),
                   "mean should be 1x1x1x3 or 1x4x4x3, it is 1x4x1x3");
    assert_refused("gather_batch", OPERANDS_BUT("9x4x4x3", "9", "4", "1x1x1x3", "1"),
                   "scale should be 1x1x1x3, it is 1x1x1x1");
    assert_refused("gather_batch", OPERANDS_BUT("9x4x4x3", "9", "4", "1x1x1x3", "3") " shift=4",
                   "shift should be from 0 to 3, it is 4");
    assert_refused("gather_batch", OPERANDS_BUT("9x4x4x3", "9", "4", "1x1x1x3", "3") " direct=1",
                   "a direct batch needs an index for each of its 9 images, there are 4");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_normalized),
        cmocka_unit_test(images_are_shifted_and_flipped),
        cmocka_unit_test(choices_do_not_depend_on_the_batch),
        cmocka_unit_test(a_direct_batch_is_taken_as_it_is),
        cmocka_unit_test(large_sets_are_read_in_parts),
        cmocka_unit_test(lowering_stays_within_the_minimum),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* schedule and hazards: lifetimes, packing and barriers are pure functions. No device. */
#include "exec/hazards.h"
#include "exec/schedule.h"

#include "base/memory.h"
#include "base/random.h"
#include "test.h"

static void lifetimes_follow_uses(void **state) {
    (void)state;
    struct graph graph;
    struct block blocks[8];
    graph_create(&graph);
    tensor_id outside = graph_tensor(&graph, "outside", DTYPE_F32, shape_vector(4), TENSOR_TEMPORARY);
    tensor_id input = graph_tensor(&graph, "input", DTYPE_F32, shape_vector(4), TENSOR_INPUT);
    tensor_id a = graph_apply(&graph, "copy", OPERANDS(input), NULL);
    tensor_id b = graph_apply(&graph, "copy", OPERANDS(a), NULL);
    tensor_id view = graph_view(&graph, "view", a, 0, shape_vector(3));
    tensor_id c = graph_apply(&graph, "copy", OPERANDS(view), NULL);
    tensor_id d = graph_apply(&graph, "copy", OPERANDS(outside), NULL);
    assert_int_equal(graph_status(&graph), STATUS_OK);
    schedule_lifetimes(&graph, blocks);
    assert_int_equal(blocks[input].bytes, 0); /* not a temporary */
    assert_int_equal(blocks[view].bytes, 0);  /* not a root */
    assert_true(blocks[outside].first == 0 && blocks[outside].last == 3);
    assert_true(blocks[a].first == 0 && blocks[a].last == 2); /* through its view */
    assert_true(blocks[b].first == 1 && blocks[b].last == 1); /* never read */
    assert_true(blocks[c].first == 2 && blocks[d].first == 3);
    graph_destroy(&graph);
}

static bool alive_together(const struct block *a, const struct block *b) {
    return a->first <= b->last && b->first <= a->last;
}

static void packing_never_overlaps(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed <= 50; seed++) {
        struct block blocks[60];
        uint64_t total, unit = 40000;
        for (uint32_t i = 0; i < COUNT(blocks); i++) {
            uint32_t first = random_below(seed, 0, i, 30);
            blocks[i] = (struct block){.bytes = random_below(seed, 1, i, 9) ? 4u + random_below(seed, 2, i, 20000) : 0,
                                       .first = first,
                                       .last = first + random_below(seed, 3, i, 10)};
        }
        assert_int_equal(schedule_pack(blocks, COUNT(blocks), unit, &total), STATUS_OK);
        unit = unit / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
        for (size_t i = 0; i < COUNT(blocks); i++) {
            const struct block *a = &blocks[i];
            if (!a->bytes)
                continue;
            assert_int_equal(a->offset % TENSOR_ALIGNMENT, 0);
            assert_true(a->offset + a->bytes <= total);
            assert_true(a->offset / unit == (a->offset + a->bytes - 1) / unit); /* inside one allocation */
            for (size_t j = 0; j < i; j++) {
                const struct block *b = &blocks[j];
                if (b->bytes && alive_together(a, b))
                    assert_true(a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset);
            }
        }
        assert_true(total >= schedule_lower_bound(blocks, COUNT(blocks)));
    }
}

static void chains_share_memory(void **state) {
    (void)state;
    struct block blocks[20];
    uint64_t total;
    for (uint32_t i = 0; i < COUNT(blocks); i++)
        blocks[i] = (struct block){.bytes = 1024, .first = i, .last = i + 1};
    assert_int_equal(schedule_pack(blocks, COUNT(blocks), 1 << 20, &total), STATUS_OK);
    assert_int_equal(total, 2048); /* two alive at once */
    assert_int_equal(schedule_lower_bound(blocks, COUNT(blocks)), 2048);
}

static void too_large_a_tensor_is_refused(void **state) {
    (void)state;
    struct block block = {.bytes = 4096, .first = 0, .last = 0};
    uint64_t total;
    assert_int_equal(schedule_pack(&block, 1, 2048, &total), STATUS_MEMORY);
}

static bool barrier_between(struct access a, struct access b) {
    struct hazards hazards = {0};
    bool barrier;
    assert_int_equal(hazards_add(&hazards, &a, 1, &barrier), STATUS_OK);
    assert_false(barrier);
    assert_int_equal(hazards_add(&hazards, &b, 1, &barrier), STATUS_OK);
    hazards_destroy(&hazards);
    return barrier;
}

static void barriers_stand_where_ranges_meet(void **state) {
    (void)state;
    int x, y;
    assert_true(barrier_between((struct access){&x, 0, 16, true}, (struct access){&x, 0, 16, false}));   /* RAW */
    assert_true(barrier_between((struct access){&x, 0, 16, false}, (struct access){&x, 8, 24, true}));   /* WAR */
    assert_true(barrier_between((struct access){&x, 0, 16, true}, (struct access){&x, 15, 24, true}));   /* WAW */
    assert_false(barrier_between((struct access){&x, 0, 16, false}, (struct access){&x, 0, 16, false})); /* RAR */
    assert_false(barrier_between((struct access){&x, 0, 16, true}, (struct access){&x, 16, 24, true}));
    assert_false(barrier_between((struct access){&x, 0, 16, true}, (struct access){&y, 0, 16, false}));
}

static void a_barrier_clears_the_past(void **state) {
    (void)state;
    int x, y;
    struct hazards hazards = {0};
    const struct access write_x = {&x, 0, 16, true}, write_y = {&y, 0, 16, true};
    const struct access read_x = {&x, 0, 16, false}, read_y = {&y, 0, 16, false};
    bool barrier;
    assert_int_equal(hazards_add(&hazards, &write_x, 1, &barrier), STATUS_OK);
    assert_int_equal(hazards_add(&hazards, &write_y, 1, &barrier), STATUS_OK);
    assert_false(barrier);
    assert_int_equal(hazards_add(&hazards, &read_x, 1, &barrier), STATUS_OK);
    assert_true(barrier);
    assert_int_equal(hazards_add(&hazards, &read_y, 1, &barrier), STATUS_OK);
    assert_false(barrier); /* the barrier before read_x ordered write_y too */
    hazards_destroy(&hazards);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lifetimes_follow_uses),
        cmocka_unit_test(packing_never_overlaps),
        cmocka_unit_test(chains_share_memory),
        cmocka_unit_test(too_large_a_tensor_is_refused),
        cmocka_unit_test(barriers_stand_where_ranges_meet),
        cmocka_unit_test(a_barrier_clears_the_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

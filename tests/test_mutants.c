/*
 * Mutants: verify must be able to fail. Every line of mutants_conv.h and mutants_other.h plants one mistake in a
 * shader, as text; the cases that verify runs by default must find it. A text that a shader no longer has, or has
 * twice, is an error, so that no line rots. Each family of kernels (an op, or one form of it that has kernels of its
 * own) has at least six mistakes, of at least three kinds. Prints what caught each of them. test_mutants [OP] OP: only
 * the mistakes for this op
 */
#include "exec/verify.h"

#include "support.h"

#include "device.h"
#include "mutants_conv.h"
#include "mutants_other.h"

#include <sys/wait.h>

enum { FAMILY_LEAST = 6, KINDS_LEAST = 3, CONV = COUNT(mutants_conv), OTHER = COUNT(mutants_other) };

static const struct listed *mutant_at(size_t i) {
    return i < CONV ? &mutants_conv[i] : &mutants_other[i - CONV];
}

/* ---- planting and verifying ---- */

static void keep_failure(void *user, const struct verify_result *result) {
    if (result->outcome == VERIFY_FAILED)
        *(struct verify_result *)user = *result;
}

/* Verifies with the kernels in the folder; *failure is what failed first. */
static bool is_caught(const struct listed *mutant, struct verify_result *failure) {
    struct test_device device;
    struct verify_summary summary;
    struct verify_options options = {
        .op = mutant->op, .form = mutant->form, .kind = -1, .brief = true, .report = keep_failure, .user = failure};
    test_device_open(&device, &(struct vk_options){.kernel_path = mutant_folder});
    enum status status = verify_ops(device.store, &options, &summary);
    if (status != STATUS_OK && status != STATUS_MISMATCH)
        fail_msg("%s", status_message());
    test_device_close(&device);
    return status == STATUS_MISMATCH;
}

static void print_text(const char *text) {
    char line[256];
    snprintf(line, sizeof line, "%s", text);
    for (char *c = line; *c; c++)
        *c = *c == '\n' ? '|' : *c;
    print_message("\"%s\"", line);
}

static void print_mutant(const struct listed *mutant, bool caught, const struct verify_result *by) {
    static const char *const kinds[] = {
        [INDEX] = "index", [PADDING] = "padding", [STRIDE] = "stride", [CHANNEL] = "channel",
        [TAIL] = "tail",   [BARRIER] = "barrier", [HALF] = "half",     [FACTOR] = "factor",
        [TERM] = "term",   [SPECIAL] = "special"};
    print_message("%-30s %-8s %-7s %s: ", mutant->op, mutant->form ? mutant->form : "", kinds[mutant->kind],
                  mutant->file ? mutant->file : mutant->kernel);
    print_text(mutant->text);
    print_message(" -> ");
    print_text(mutant->mistake);
    if (caught)
        print_message(" caught by %s, %s data, seed %u, %s\n", by->form, data_kind_name(by->kind), by->seed, by->shape);
    else
        print_message(" NOT CAUGHT\n");
}

static bool plant_and_verify(const struct listed *mutant) {
    struct verify_result failure = {0};
    struct mutant planted = listed_mutant(mutant);
    mutant_plant(&planted);
    bool caught = is_caught(mutant, &failure);
    mutant_clean();
    print_mutant(mutant, caught, &failure);
    return caught;
}

/* ---- tests ---- */

/* All of them at once, before any is planted. */
static void every_text_is_in_one_place(void **state) {
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < CONV + OTHER + COUNT(mutants_unseen); i++) {
        const struct listed *mutant = i < CONV + OTHER ? mutant_at(i) : &mutants_unseen[i - CONV - OTHER];
        struct mutant planted = listed_mutant(mutant);
        int places = mutant_places(&planted);
        if (places == 1)
            continue;
        print_error("%d places of \"%s\" in %s\n", places, mutant->text, mutant->file ? mutant->file : mutant->kernel);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static bool same(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Does a short case run in this form on this device? */
static bool form_runs(const struct op *op, const struct form *form, const struct device_facts *facts) {
    struct lowering *lowering = calloc(1, sizeof *lowering);
    bool runs = false;
    assert_non_null(lowering);
    for (const char *const *line = op->cases; *line && !runs; line++) {
        struct graph graph;
        struct call call;
        tensor_id in[OP_INPUTS];
        if (**line == '+')
            continue;
        graph_create(&graph);
        assert_true(apply_case(&graph, op->name, *line, in) != TENSOR_NONE);
        graph_call(&graph, 0, &call);
        runs = form_lower(form, 0, &call, facts, lowering);
        graph_destroy(&graph);
    }
    free(lowering);
    return runs;
}

/* The mistakes for this op and form that are listed, and how many kinds of them there are. */
static int count_family(const char *op, const char *form, int *kinds) {
    int count = 0;
    unsigned seen = 0;
    for (size_t i = 0; i < CONV + OTHER; i++) {
        const struct listed *mutant = mutant_at(i);
        if (strcmp(mutant->op, op) != 0 || !same(mutant->form, form))
            continue;
        count++;
        seen |= 1u << mutant->kind;
    }
    for (*kinds = 0; seen; seen &= seen - 1)
        ++*kinds;
    return count;
}

static bool family_is_large(const char *op, const char *form) {
    int kinds, count = count_family(op, form, &kinds);
    if (count >= FAMILY_LEAST && kinds >= KINDS_LEAST)
        return true;
    print_error("%s %s has %d mistakes of %d kinds\n", op, form ? form : "", count, kinds);
    return false;
}

/* An op that has no line with a form is one family; of another op, each form that runs here is one. */
static void every_family_has_six(void **state) {
    (void)state;
    struct test_device device;
    int small = 0, families = 0, kinds;
    test_device_open(&device, NULL);
    for (const struct op *const *op = op_table; *op; op++) {
        bool whole = true;
        for (size_t i = 0; i < CONV + OTHER; i++)
            whole &= strcmp(mutant_at(i)->op, (*op)->name) != 0 || !mutant_at(i)->form;
        for (const struct form *form = (*op)->forms; form->name && !whole; form++)
            if (form_runs(*op, form, vk_facts(device.device))) {
                small += !family_is_large((*op)->name, form->name);
                families += count_family((*op)->name, form->name, &kinds) > 0;
            }
        small += whole && !family_is_large((*op)->name, NULL);
        families += whole;
    }
    print_message("%d mistakes, %d families\n", CONV + OTHER, families);
    test_device_close(&device);
    assert_int_equal(small, 0);
}

static const char *only_op; /* the program's argument; NULL: all */

static void planted_mistakes_are_caught(void **state) {
    (void)state;
    int planted = 0, missed = 0;
    for (size_t i = 0; i < CONV + OTHER; i++) {
        if (only_op && strcmp(only_op, mutant_at(i)->op) != 0)
            continue;
        planted++;
        missed += !plant_and_verify(mutant_at(i));
    }
    print_message("%d planted, %d missed\n", planted, missed);
    assert_int_equal(missed, 0);
}

/* Said, not demanded: another driver may show them. */
static void some_barriers_show_in_no_number(void **state) {
    (void)state;
    print_message("not counted:\n");
    for (size_t i = 0; i < COUNT(mutants_unseen); i++)
        if (!only_op || strcmp(only_op, mutants_unseen[i].op) == 0)
            plant_and_verify(&mutants_unseen[i]);
}

/* The shaders as they are pass when they come from a folder: the folder alone makes nothing fail. */
static void copies_without_a_mistake_pass(void **state) {
    (void)state;
    const struct listed none = {"dense", NULL, TAIL, "dense", NULL, "q < feature_quads", "q < feature_quads"};
    struct mutant planted = listed_mutant(&none);
    struct verify_result failure;
    mutant_plant(&planted);
    assert_false(is_caught(&none, &failure));
    mutant_clean();
}

/* The program's exit code. */
static int verify_with_folder(void) {
    char command[512];
    snprintf(command, sizeof command, "%s verify --op add --kernels %s --no-cache >/dev/null 2>&1", PROGRAM,
             mutant_folder);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void the_program_says_no(void **state) {
    (void)state;
    assert_int_equal(verify_with_folder(), 0);
    mutant_plant(&(struct mutant){"add", "add", NULL, "i < quads", "i + 1u < quads"});
    assert_int_equal(verify_with_folder(), 1);
    mutant_clean();
}

/* The sentence names the first wrong element, the other one repeats the case. */
static void a_failure_names_the_place(void **state) {
    (void)state;
    const struct mutant last_left_out = {"add", "add", NULL, "i < quads", "i + 1u < quads"};
    struct test_device device;
    struct verify_summary summary;
    struct verify_result result = {0};
    struct verify_options options = {
        .op = "add", .shape = "a=1x3x3x5 b=1x3x3x5", .kind = DATA_EXACT, .report = keep_failure, .user = &result};
    mutant_plant(&last_left_out);
    test_device_open(&device, &(struct vk_options){.kernel_path = mutant_folder});
    assert_int_equal(verify_ops(device.store, &options, &summary), STATUS_MISMATCH);
    assert_non_null(strstr(result.failure, "y[0,2,2,4] is nan, expected "));
    assert_string_equal(result.repeat, "resnet-vk verify --op add --form plain --shape \"a=1x3x3x5 b=1x3x3x5\" "
                                       "--data exact --seed 1");
    test_device_close(&device);
    mutant_clean();
}

int main(int argc, char **argv) {
    only_op = argc > 1 ? argv[1] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_text_is_in_one_place),    cmocka_unit_test(every_family_has_six),
        cmocka_unit_test(planted_mistakes_are_caught),   cmocka_unit_test(some_barriers_show_in_no_number),
        cmocka_unit_test(copies_without_a_mistake_pass), cmocka_unit_test(the_program_says_no),
        cmocka_unit_test(a_failure_names_the_place),
    };
    return cmocka_run_group_tests(tests, mutant_setup, mutant_teardown);
}

/* verify: every kernel agrees with its reference on the first device; wrong cases are refused (mutants:
 * test_mutants.c). */
#include "exec/verify.h"

#include "device.h"

#include <string.h>

static void print_failure(void *user, const struct verify_result *result) {
    (void)user;
    if (result->outcome != VERIFY_PASSED)
        print_error("%s\n    %s\n", result->outcome == VERIFY_FAILED ? result->failure : "mistrusted", result->repeat);
}

static void all_ops_agree_with_the_reference(void **state) {
    (void)state;
    struct test_device d;
    struct verify_summary summary;
    struct verify_options options = {.kind = -1, .report = print_failure};
    test_device_open(&d, NULL);
    enum status status = verify_ops(d.store, &options, &summary);
    print_message("%u passed, %u failed, %u mistrusted in %.1f s\n", summary.passed, summary.failed, summary.mistrusted,
                  summary.seconds);
    if (status != STATUS_OK)
        print_error("%s\n", status_message());
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(summary.mistrusted, 0);
    assert_true(summary.passed >= 50);
    test_device_close(&d);
}

static void bad_cases_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *op, *shape, *words;
    } bad[] = {
        {"no_such_op", NULL, "there is no op called no_such_op"},
        {NULL, "x=1x1x1x1", "needs an op"},
        {"copy", "x=1x1x1", "four numbers"},
        {"copy", "x=1x1x1x0", "four numbers"},
        {"copy", "x=99999x99999x99999x1", "at most 2^31"},
        {"copy", "z=1x1x1x1", "no operand or attribute z"},
        {"copy", "x", "NAME=VALUE"},
        {"copy", "", "operand x is missing"},
    };
    struct test_device d;
    test_device_open(&d, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct verify_summary summary;
        struct verify_options options = {.op = bad[i].op, .shape = bad[i].shape, .kind = -1};
        assert_int_equal(verify_ops(d.store, &options, &summary), STATUS_USAGE);
        if (!strstr(status_message(), bad[i].words))
            print_error("\"%s\" does not speak of \"%s\"\n", status_message(), bad[i].words);
        assert_non_null(strstr(status_message(), bad[i].words));
    }
    test_device_close(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_ops_agree_with_the_reference),
        cmocka_unit_test(bad_cases_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

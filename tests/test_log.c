/* log and clock. */
#include "base/clock.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h> /* last: it defines a macro called fail */

struct kept {
    uint32_t count;
    enum log_level level;
    char message[4096];
};

static void keep(void *context, enum log_level level, const char *message) {
    struct kept *kept = context;
    kept->count++;
    kept->level = level;
    snprintf(kept->message, sizeof kept->message, "%s", message);
}

static void messages(void **state) {
    (void)state;
    struct kept kept = {0};
    log_warn("nobody listens");
    log_set(keep, &kept);
    log_warn("%s of %d", "one", 7);
    assert_int_equal(kept.count, 1);
    assert_int_equal(kept.level, LOG_WARN);
    assert_string_equal(kept.message, "one of 7");
    log_info("%5000d", 1);
    assert_int_equal(kept.count, 2);
    assert_int_equal(kept.level, LOG_INFO);
    assert_in_range(strlen(kept.message), 1000, 4095);
    log_set(NULL, NULL);
    log_info("nobody listens again");
    assert_int_equal(kept.count, 2);
}

static void clock_runs(void **state) {
    (void)state;
    uint64_t start = clock_ns(), before = start;
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_ns();
        assert_true(now >= before);
        before = now;
    }
    while (clock_ns() - start < 1000000)
        ;
    assert_true(clock_ns() - start < UINT64_C(60000000000));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(messages), cmocka_unit_test(clock_runs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

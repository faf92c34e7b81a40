/* program: runs the program as a user does, for tests of what it prints. */
#ifndef RVK_TEST_PROGRAM_H
#define RVK_TEST_PROGRAM_H

#include "folder.h"
#include "test.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static char output[1 << 20]; /* of the last run, stdout (and stderr where the command line says so) */

/* Runs a command line through a shell and returns the exit code. */
static inline int run_line(const char *line) {
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    size_t length = fread(output, 1, sizeof output - 1, pipe);
    output[length] = 0;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Runs "resnet-vk ARGUMENTS". */
static inline int run(const char *format, ...) {
    char arguments[1024], line[2048];
    va_list list;
    va_start(list, format);
    vsnprintf(arguments, sizeof arguments, format, list);
    va_end(list);
    snprintf(line, sizeof line, "%s %s", PROGRAM, arguments);
    return run_line(line);
}

static inline void expect(int code, const char *part) {
    if (!strstr(output, part))
        fail_msg("exit code %d, and \"%s\" is not in:\n%s", code, part, output);
}

/* Parses line `index` of the output. */
static inline json_t *line_json(int index) {
    char *line = output;
    for (int i = 0; i < index; i++) {
        line = strchr(line, '\n');
        assert_non_null(line++);
    }
    json_error_t error;
    json_t *json = json_loads(line, JSON_DISABLE_EOF_CHECK, &error);
    if (!json)
        fail_msg("line %d is no JSON: %s\n%s", index, error.text, line);
    return json;
}

/* What every JSON result says about where it comes from. */
static inline void check_record(json_t *json, const char *command, bool device) {
    assert_int_equal(json_integer_value(json_object_get(json, "schema")), 1);
    assert_string_equal(json_string_value(json_object_get(json, "version")), RVK_VERSION);
    assert_string_equal(json_string_value(json_object_get(json, "command")), command);
    assert_true(json_is_object(json_object_get(json, "options")));
    json_t *described = json_object_get(json, "device");
    assert_true(json_is_object(described) == device);
    for (int i = 0; device && i < 3; i++) {
        static const char *const keys[] = {"name", "driver", "api"};
        assert_true(json_string_length(json_object_get(described, keys[i])) > 0);
    }
}

#endif

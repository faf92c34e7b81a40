/* Command lines: the first byte picks the command, every following line is an argument. */
#include "fuzz.h"

#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { ARGUMENTS = 40 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static const struct command *const commands[] = {&command_train,  &command_eval,  &command_predict,
                                                     &command_verify, &command_bench, &command_tune};
    if (size == 0)
        return 0;
    char *text = strndup((const char *)bytes + 1, size - 1), *arguments[ARGUMENTS];
    int count = 0;
    for (char *next = text; next && count < ARGUMENTS;) {
        arguments[count++] = next;
        next = strchr(next, '\n');
        if (next)
            *next++ = '\0';
    }
    struct args args;
    fuzz_answer(args_parse(&args, commands[bytes[0] % COUNT_OF(commands)]->groups, count, arguments, NULL));
    args_destroy(&args);
    free(text);
    return 0;
}

/* A file for --config. */
#include "fuzz.h"

#include "cli/cli.h"

static struct common common;
static const struct option config_options[] = {
    {"config", OPTION_TEXT, offsetof(struct common, config), "FILE", NULL, "", 0, 0},
    {"json", OPTION_FLAG, offsetof(struct common, json), NULL, NULL, "", 0, 0},
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    const struct option_group groups[] = {
        command_train.groups[0], command_train.groups[1], {"", config_options, &common}, {NULL, NULL, NULL}};
    char path[128];
    snprintf(path, sizeof path, "%s", fuzz_file("fuzz.conf", bytes, size));
    char option[] = "--config", *arguments[] = {option, path};
    struct args args;
    fuzz_answer(args_parse(&args, groups, 2, arguments, "config"));
    args_destroy(&args);
    return 0;
}

/*
 * cli: one constant record per command, one table of records. Parsing, help and dispatch walk it.
 *
 * The program uses the library through resnet_vk.h only (and base/ for options and files, picture/ for thumbnails).
 * Results go to stdout, everything else to stderr.
 */
#ifndef RVK_CLI_CLI_H
#define RVK_CLI_CLI_H

#include "resnet_vk.h"

#include "base/args.h"

#include <jansson.h>

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* Options of every command. */
struct common {
    const char *config;
    bool help, print_config, json, verbose;
    const char *device, *kernels; /* only of commands that open a device */
    bool validation, no_cache, no_tuned, no_self_test;
    const char *limit;
};

struct cli {
    const struct command *command;
    struct args args;
    struct common common;
    struct rvk_context *context; /* NULL for commands without a device */
};

struct command {
    const char *name, *summary;
    const char *about; /* more lines for --help, or NULL */
    bool device;       /* opens one before `run` */
    const char *words; /* what help calls the arguments that are no options, "FILE..."; NULL: there are none. Their
                          number is for `run` to check, in cli->args */
    const struct option_group *groups;
    enum rvk_status (*run)(struct cli *cli);
};

extern const struct command command_train, command_compare, command_eval, command_predict, command_verify,
    command_bench, command_tune, command_devices, command_models, command_convert;

/* Stores a sentence for rvk_message() and returns the code. */
enum rvk_status cli_fail(enum rvk_status code, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- JSON ---- */

/* {"schema", "program", "version", "command", "device", "options"}: where a result comes from. `options` may be NULL:
 * those of the command line; it is taken over. */
json_t *cli_record(const struct cli *cli, json_t *options);

/* The values of a table's options in `values`, by name. */
json_t *cli_options(const struct option *options, const void *values);

json_t *cli_device(const struct rvk_device *device);

/* A number, or null when it is not finite. */
json_t *cli_number(double value);

/* Writes one line to stdout and frees `object`. */
void cli_print_json(json_t *object);

/* ---- text ---- */

/* "1 h 02 min", "3 min 05 s", "7 s". `text` holds 32 characters; returns it. */
const char *cli_duration(double seconds, char *text);

/* "1.3 GB". `text` holds 32 characters; returns it. */
const char *cli_bytes(uint64_t bytes, char *text);

/* Prints `text` to stdout in `width` columns: cut with an ellipsis, or filled with blanks; 0: as long as it is. Control
 * characters become '?'. */
void cli_print_column(const char *text, int width);

/* Table of time per op; `user` is the FILE to print to. */
void cli_print_profile(void *user, const struct rvk_profile_row *rows, uint32_t count);

#endif

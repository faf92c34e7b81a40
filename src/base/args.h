/*
 * args: one table of options per command. It feeds parsing, --help, the config file, the environment, --print-config
 * and the JSON record of a run.
 *
 * Each option names the field of a struct that receives its value. Precedence: default, then a config file, then
 * RESNET_VK_NAME from the environment, then the command line.
 */
#ifndef RVK_BASE_ARGS_H
#define RVK_BASE_ARGS_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum option_type {
    OPTION_FLAG,   /* bool: --name; elsewhere "true" or "false" */
    OPTION_WHOLE,  /* uint32_t in [minimum, maximum] */
    OPTION_AUTO,   /* the same, or the word "auto": UINT32_MAX */
    OPTION_REAL,   /* double in [minimum, maximum], finite */
    OPTION_TEXT,   /* const char *, NULL when not given and without a default */
    OPTION_CHOICE, /* const char *, one of the words of `value` */
    OPTION_LIST,   /* const char *: as a text, but given again it adds to its list, with a comma between */
};

struct option {
    const char *name; /* without the dashes; a table ends with NULL */
    enum option_type type;
    size_t offset;       /* of the field in the group's values */
    const char *value;   /* what help calls it: "N", "FILE"; for a choice the words: "sgd|adam" */
    const char *initial; /* default, as the user would write it; NULL: the field is left as it is */
    const char *help;
    double minimum, maximum;
};

/* Options whose fields are in one struct. A list of groups ends with a NULL `options`. */
struct option_group {
    const char *title; /* heading in the help */
    const struct option *options;
    void *values;
};

enum option_source { SOURCE_DEFAULT, SOURCE_CONFIG, SOURCE_ENVIRONMENT, SOURCE_COMMAND_LINE };

enum { ARGS_OPTIONS = 96 };

/* An option with its value, in the order of the groups and their tables. */
struct option_setting {
    const struct option *option;
    void *field;
    char *text; /* NULL: no value */
    enum option_source source;
};

struct args {
    struct option_setting settings[ARGS_OPTIONS];
    size_t count;
    const char **words; /* of the command line, in their order: what belongs to no option. They are the caller's */
    size_t word_count;
};

/*
 * Sets the defaults and reads environment and command line (`arguments` without program and command) and, when `config`
 * names an option of type text that was given, that file of `name = value` lines. What does not start with a dash, a
 * dash alone and everything after "--" are words. STATUS_USAGE with a sentence that names the option and, for a near
 * miss, the one that was probably meant; STATUS_DATA when the file cannot be read; STATUS_MEMORY. Text fields point
 * into `args` (also after a failure args_destroy is needed).
 */
CHECKED enum status args_parse(struct args *args, const struct option_group *groups, int count, char *const *arguments,
                               const char *config);
void args_destroy(struct args *args);

/* STATUS_USAGE, naming the first one, when there are words. */
CHECKED enum status args_refuse_words(const struct args *args);

/* Where the value of option `name` came from; SOURCE_DEFAULT for a name that is in no table. */
enum option_source args_source(const struct args *args, const char *name);

/* One line an option with its default. */
void args_help(const struct option_group *groups, FILE *file);

/* "name = value  # source" for every option but those in `skip` (ends with NULL): a config file that repeats this run.
 */
void args_print(const struct args *args, const char *const skip[], FILE *file);

/*
 * The candidate (of a list that ends with NULL) that a slip of the keyboard turns into `word`: at most two letters
 * wrong, and at most a third of them. NULL when there is none.
 */
const char *args_nearest(const char *word, const char *const candidates[]);

#endif

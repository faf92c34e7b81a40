/* args: parsing, help and records, all from the same tables. */
#include "base/args.h"

#include "base/file.h"
#include "base/memory.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const source_names[] = {"default", "config", "environment", "command line"};

static struct option_setting *find(struct args *args, const char *name, size_t length) {
    for (size_t i = 0; i < args->count; i++)
        if (strlen(args->settings[i].option->name) == length &&
            strncmp(args->settings[i].option->name, name, length) == 0)
            return &args->settings[i];
    return NULL;
}

enum option_source args_source(const struct args *args, const char *name) {
    for (size_t i = 0; i < args->count; i++)
        if (strcmp(args->settings[i].option->name, name) == 0)
            return args->settings[i].source;
    return SOURCE_DEFAULT;
}

/* ---- near misses ---- */

/* Letters to insert, delete, replace or swap with the neighbour (optimal string alignment). */
static size_t distance(const char *a, const char *b) {
    enum { LENGTH = 48 };
    size_t rows[3][LENGTH + 1], a_length = strlen(a), b_length = strlen(b);
    if (a_length > LENGTH || b_length > LENGTH)
        return LENGTH;
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *free_row = before;
        before = above, above = row, row = free_row;
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = MIN(replaced, MIN(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = MIN(row[j], before[j - 2] + 1);
        }
    }
    return row[b_length];
}

const char *args_nearest(const char *word, const char *const candidates[]) {
    const char *best = NULL;
    size_t best_distance = MIN(2, (strlen(word) + 1) / 3) + 1;
    for (; *candidates; candidates++)
        if (distance(word, *candidates) < best_distance) {
            best_distance = distance(word, *candidates);
            best = *candidates;
        }
    return best;
}

static enum status unknown(const struct args *args, const char *where, const char *dashes, const char *name,
                           size_t length) {
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)MIN(length, sizeof word - 1), name);
    const char *names[ARGS_OPTIONS + 1] = {NULL};
    for (size_t i = 0; i < args->count; i++)
        names[i] = args->settings[i].option->name;
    const char *near = args_nearest(word, names);
    if (near)
        return fail(STATUS_USAGE, "%sunknown option %s%s; did you mean %s%s?", where, dashes, word, dashes, near);
    return fail(STATUS_USAGE, "%sunknown option %s%s; --help lists the options", where, dashes, word);
}

/* ---- values ---- */

static enum status read_flag(const struct option *option, const char *where, const char *text, bool *field) {
    static const char *const words[] = {"false", "true", "no", "yes", "0", "1"};
    for (size_t i = 0; i < COUNT(words); i++)
        if (strcmp(text, words[i]) == 0) {
            *field = i % 2 == 1;
            return STATUS_OK;
        }
    return fail(STATUS_USAGE, "%s%s must be true or false, not '%s'", where, option->name, text);
}

static enum status read_whole(const struct option *option, const char *where, const char *text, uint32_t *field) {
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    bool digits = isdigit((unsigned char)text[0]) && *end == 0 && errno == 0;
    if (!digits || (double)value < option->minimum || (double)value > option->maximum)
        return fail(STATUS_USAGE, "%s%s must be %sa whole number from %.0f to %.0f, not '%s'", where, option->name,
                    option->type == OPTION_AUTO ? "auto or " : "", option->minimum, option->maximum, text);
    *field = (uint32_t)value;
    return STATUS_OK;
}

static enum status read_real(const struct option *option, const char *where, const char *text, double *field) {
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < option->minimum || value > option->maximum)
        return fail(STATUS_USAGE, "%s%s must be a number from %g to %g, not '%s'", where, option->name, option->minimum,
                    option->maximum, text);
    *field = value;
    return STATUS_OK;
}

static enum status read_choice(const struct option *option, const char *where, const char *text, const char **field) {
    size_t length = strlen(text);
    for (const char *word = option->value; word; word = strchr(word, '|') ? strchr(word, '|') + 1 : NULL)
        if (length && !strchr(text, '|') && strncmp(word, text, length) == 0 &&
            (word[length] == '|' || word[length] == 0)) {
            *field = text;
            return STATUS_OK;
        }
    return fail(STATUS_USAGE, "%s%s must be one of %s, not '%s'", where, option->name, option->value, text);
}

static enum status read_value(const struct option *option, const char *where, const char *text, void *field) {
    switch (option->type) {
    case OPTION_FLAG:
        return read_flag(option, where, text, field);
    case OPTION_AUTO:
        if (strcmp(text, "auto") == 0) {
            *(uint32_t *)field = UINT32_MAX;
            return STATUS_OK;
        }
        return read_whole(option, where, text, field);
    case OPTION_WHOLE:
        return read_whole(option, where, text, field);
    case OPTION_REAL:
        return read_real(option, where, text, field);
    case OPTION_CHOICE:
        return read_choice(option, where, text, field);
    case OPTION_TEXT:
    case OPTION_LIST:
        *(const char **)field = text;
    }
    return STATUS_OK;
}

/* A copy of `text`, behind what the same source already said of an option that is a list; NULL: out of memory. */
static char *copy_value(const struct option_setting *setting, enum option_source source, const char *text) {
    const char *before = setting->option->type == OPTION_LIST && setting->source == source ? setting->text : NULL;
    size_t size = strlen(text) + (before ? strlen(before) + 1 : 0) + 1;
    char *copy = malloc(size);
    if (copy)
        snprintf(copy, size, "%s%s%s", before ? before : "", before ? "," : "", text);
    return copy;
}

/* Gives an option the value `text` unless a stronger source already did. */
static enum status set(struct option_setting *setting, enum option_source source, const char *where, const char *text) {
    if (setting->source > source)
        return STATUS_OK;
    char *copy = copy_value(setting, source, text);
    if (!copy)
        return fail(STATUS_MEMORY, "out of memory while reading the options");
    enum status status = read_value(setting->option, where, copy, setting->field);
    if (status != STATUS_OK) {
        free(copy);
        return status;
    }
    free(setting->text);
    setting->text = copy;
    setting->source = source;
    return STATUS_OK;
}

/* ---- sources ---- */

static enum status set_defaults(struct args *args, const struct option_group *groups) {
    for (const struct option_group *group = groups; group->options; group++)
        for (const struct option *option = group->options; option->name; option++) {
            assert(args->count < ARGS_OPTIONS);
            struct option_setting *setting = &args->settings[args->count++];
            setting->option = option;
            setting->field = (char *)group->values + option->offset;
            if (option->initial)
                TRY(set(setting, SOURCE_DEFAULT, "default of ", option->initial));
        }
    return STATUS_OK;
}

/* `argument` starts with "--"; `next` is NULL at the end. *used tells how many arguments were taken. */
static enum status set_argument(struct args *args, const char *argument, const char *next, int *used) {
    const char *name = argument + 2;
    size_t length = strcspn(name, "=");
    struct option_setting *setting = find(args, name, length);
    *used = 1;
    if (!setting)
        return unknown(args, "", "--", name, length);
    if (name[length] == '=')
        return set(setting, SOURCE_COMMAND_LINE, "--", name + length + 1);
    if (setting->option->type == OPTION_FLAG)
        return set(setting, SOURCE_COMMAND_LINE, "--", "true");
    if (!next)
        return fail(STATUS_USAGE, "--%s needs a value (%s)", setting->option->name, setting->option->value);
    *used = 2;
    return set(setting, SOURCE_COMMAND_LINE, "--", next);
}

static enum status refuse_word(const char *word) {
    return fail(STATUS_USAGE, "unexpected argument '%s'; options start with --", word);
}

enum status args_refuse_words(const struct args *args) {
    return args->word_count ? refuse_word(args->words[0]) : STATUS_OK;
}

static enum status read_command_line(struct args *args, int count, char *const *arguments) {
    bool options = true;
    TRY(memory_zeroed((size_t)count + 1, sizeof *args->words, &args->words));
    for (int i = 0, used = 1; i < count; i += used) {
        const char *argument = arguments[i];
        used = 1;
        if (!options || argument[0] != '-' || argument[1] == 0)
            args->words[args->word_count++] = argument;
        else if (argument[1] != '-')
            return refuse_word(argument);
        else if (argument[2] == 0)
            options = false;
        else
            TRY(set_argument(args, argument, i + 1 < count ? arguments[i + 1] : NULL, &used));
    }
    return STATUS_OK;
}

static enum status read_environment(struct args *args) {
    for (size_t i = 0; i < args->count; i++) {
        char name[64] = "RESNET_VK_", where[80];
        size_t length = strlen(name);
        for (const char *c = args->settings[i].option->name; *c && length + 1 < sizeof name; c++)
            name[length++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        const char *text = getenv(name);
        snprintf(where, sizeof where, "%s: ", name);
        if (text && *text)
            TRY(set(&args->settings[i], SOURCE_ENVIRONMENT, where, text));
    }
    return STATUS_OK;
}

/* Cuts white space at both ends, in place. */
static char *trim(char *text) {
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length && isspace((unsigned char)text[length - 1]))
        text[--length] = 0;
    return text;
}

/* "name = value", empty, or a comment; '#' starts a comment at the start of a word. */
static enum status read_line(struct args *args, char *line, const char *where) {
    for (char *c = line; *c; c++)
        if (*c == '#' && (c == line || isspace((unsigned char)c[-1])))
            *c = 0;
    char *name = trim(line);
    if (!*name)
        return STATUS_OK;
    char *equals = strchr(name, '=');
    if (!equals)
        return fail(STATUS_USAGE, "%sexpected 'name = value', not '%s'", where, name);
    *equals = 0;
    name = trim(name);
    struct option_setting *setting = find(args, name, strlen(name));
    if (!setting)
        return unknown(args, where, "", name, strlen(name));
    return set(setting, SOURCE_CONFIG, where, trim(equals + 1));
}

static enum status read_config(struct args *args, const char *path) {
    FILE *file = file_open(path);
    if (!file)
        return fail(STATUS_DATA, "%s: %s", path, strerror(errno));
    enum status status = STATUS_OK;
    char line[4096], where[512];
    for (int number = 1; status == STATUS_OK && fgets(line, sizeof line, file); number++) {
        snprintf(where, sizeof where, "%s line %d: ", path, number);
        if (!strchr(line, '\n') && !feof(file))
            status = fail(STATUS_USAGE, "%slonger than %zu characters", where, sizeof line - 2);
        else
            status = read_line(args, line, where);
    }
    if (status == STATUS_OK && ferror(file))
        status = fail(STATUS_DATA, "%s: cannot be read", path);
    fclose(file);
    return status;
}

enum status args_parse(struct args *args, const struct option_group *groups, int count, char *const *arguments,
                       const char *config) {
    *args = (struct args){0};
    TRY(set_defaults(args, groups));
    TRY(read_command_line(args, count, arguments));
    TRY(read_environment(args));
    const struct option_setting *file = config ? find(args, config, strlen(config)) : NULL;
    return file && file->text ? read_config(args, file->text) : STATUS_OK;
}

void args_destroy(struct args *args) {
    for (size_t i = 0; i < args->count; i++)
        free(args->settings[i].text);
    free(args->words);
    *args = (struct args){0};
}

/* ---- reports ---- */

static void print_option(const struct option *option, FILE *file) {
    char left[64];
    bool shown = option->value && option->type != OPTION_FLAG;
    snprintf(left, sizeof left, "--%s%s%s", option->name, shown ? " " : "", shown ? option->value : "");
    fprintf(file, "  %-28s%s%s", left, strlen(left) > 27 ? "\n                              " : "", option->help);
    if (option->initial)
        fprintf(file, " [%s]", option->initial);
    fputc('\n', file);
}

void args_help(const struct option_group *groups, FILE *file) {
    for (; groups->options; groups++) {
        fprintf(file, "\n%s\n", groups->title);
        for (const struct option *option = groups->options; option->name; option++)
            print_option(option, file);
    }
}

static bool contains(const char *const list[], const char *word) {
    while (*list && strcmp(*list, word) != 0)
        list++;
    return *list != NULL;
}

void args_print(const struct args *args, const char *const skip[], FILE *file) {
    for (size_t i = 0; i < args->count; i++) {
        const struct option_setting *setting = &args->settings[i];
        const char *text = setting->text ? setting->text : setting->option->type == OPTION_FLAG ? "false" : NULL;
        const char *source = source_names[setting->source];
        if (contains(skip, setting->option->name))
            continue;
        if (text)
            fprintf(file, "%s = %s  # %s\n", setting->option->name, text, source);
        else
            fprintf(file, "# %s  # %s\n", setting->option->name, source);
    }
}

/* cli: what the commands share for their output. */
#include "cli/cli.h"

#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum rvk_status cli_fail(enum rvk_status code, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return (enum rvk_status)fail((enum status)code, "%s", text);
}

/* ---- JSON ---- */

static json_t *option_value(const struct option *option, const void *field) {
    const char *text;
    switch (option->type) {
    case OPTION_FLAG:
        return json_boolean(*(const bool *)field);
    case OPTION_AUTO:
        if (*(const uint32_t *)field == UINT32_MAX)
            return json_string("auto");
        return json_integer(*(const uint32_t *)field);
    case OPTION_WHOLE:
        return json_integer(*(const uint32_t *)field);
    case OPTION_REAL:
        return json_real(*(const double *)field);
    case OPTION_TEXT:
    case OPTION_CHOICE:
    case OPTION_LIST:
        text = *(const char *const *)field;
        return text ? json_string(text) : json_null();
    }
    return json_null();
}

json_t *cli_options(const struct option *options, const void *values) {
    json_t *object = json_object();
    for (; options->name; options++)
        json_object_set_new(object, options->name, option_value(options, (const char *)values + options->offset));
    return object;
}

static json_t *all_options(const struct args *args) {
    json_t *object = json_object();
    for (size_t i = 0; i < args->count; i++) {
        const struct option_setting *setting = &args->settings[i];
        json_object_set_new(object, setting->option->name, option_value(setting->option, setting->field));
    }
    return object;
}

json_t *cli_device(const struct rvk_device *device) {
    json_t *limits = json_object(), *lowered = json_object();
    for (const struct rvk_limit *limit = device->limits; limit->name; limit++) {
        json_object_set_new(limits, limit->name, json_integer((json_int_t)limit->value));
        if (limit->value != limit->offered)
            json_object_set_new(lowered, limit->name, json_integer((json_int_t)limit->offered));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o}", "name", device->name, "driver", device->driver, "api",
                     device->api, "kind", device->kind, "memory_bytes", (json_int_t)device->memory_bytes, "limits",
                     limits, "lowered_from", lowered);
}

static json_t *all_words(const struct args *args) {
    json_t *list = json_array();
    for (size_t i = 0; i < args->word_count; i++)
        json_array_append_new(list, json_string(args->words[i]));
    return list;
}

json_t *cli_record(const struct cli *cli, json_t *options) {
    json_t *record =
        json_pack("{s:i, s:s, s:s, s:s, s:o}", "schema", 1, "program", "resnet-vk", "version", rvk_version(), "command",
                  cli->command->name, "options", options ? options : all_options(&cli->args));
    if (cli->args.word_count)
        json_object_set_new(record, "arguments", all_words(&cli->args));
    if (cli->context) {
        struct rvk_device device;
        rvk_get_device(cli->context, &device);
        json_object_set_new(record, "device", cli_device(&device));
    }
    return record;
}

json_t *cli_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

void cli_print_json(json_t *object) {
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    fflush(stdout);
    json_decref(object);
}

/* ---- text ---- */

const char *cli_duration(double seconds, char *text) {
    unsigned long long whole = (unsigned long long)fmin(fmax(seconds, 0) + 0.5, 1e9);
    if (whole >= 3600)
        snprintf(text, 32, "%llu h %02llu min", whole / 3600, whole / 60 % 60);
    else if (whole >= 60)
        snprintf(text, 32, "%llu min %02llu s", whole / 60, whole % 60);
    else
        snprintf(text, 32, "%llu s", whole);
    return text;
}

const char *cli_bytes(uint64_t bytes, char *text) {
    if (bytes >= 1000000000)
        snprintf(text, 32, "%.2f GB", 1e-9 * (double)bytes);
    else
        snprintf(text, 32, "%.1f MB", 1e-6 * (double)bytes);
    return text;
}

void cli_print_column(const char *text, int width) {
    size_t columns = width > 0 ? (size_t)width : SIZE_MAX, length = text_length(text), shown = 0;
    for (size_t bytes; *text && shown < (length > columns ? columns - 1 : length); text += bytes, shown++) {
        char character[5] = "";
        bytes = text_character(text) ? text_character(text) : 1;
        memcpy(character, text, bytes);
        text_print(stdout, character);
    }
    if (length > columns)
        fputs("\xE2\x80\xA6", stdout), shown++; /* an ellipsis */
    for (; width > 0 && shown < columns; shown++)
        putchar(' ');
}

void cli_print_profile(void *user, const struct rvk_profile_row *rows, uint32_t count) {
    FILE *file = user;
    fprintf(file, "\n%-30s %10s %10s %7s %9s\n", "op", "dispatches", "ms a step", "share", "GFLOP/s");
    for (uint32_t i = 0; i < count; i++) {
        fprintf(file, "%-30s %10u %10.3f %6.1f%%", rows[i].op, rows[i].dispatches, rows[i].ms, 100 * rows[i].share);
        if (rows[i].gflops > 0)
            fprintf(file, " %9.1f", rows[i].gflops);
        fputc('\n', file);
    }
}

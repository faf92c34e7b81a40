#include "cli/report.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

/* The row of op and form; more than REPORT_ROWS of them share the last one. */
static struct report_row *find_row(struct report *report, const char *op, const char *form) {
    for (uint32_t i = 0; i < report->count; i++)
        if (strcmp(report->rows[i].op, op) == 0 && strcmp(report->rows[i].form, form) == 0)
            return &report->rows[i];
    if (report->count == REPORT_ROWS)
        return &report->rows[REPORT_ROWS - 1];
    struct report_row *row = &report->rows[report->count++];
    snprintf(row->op, sizeof row->op, "%s", op);
    snprintf(row->form, sizeof row->form, "%s", form);
    return row;
}

void report_add(struct report *report, const struct rvk_verify_case *result) {
    struct report_row *row = find_row(report, result->op, result->form);
    row->passed += strcmp(result->outcome, "passed") == 0;
    row->failed += strcmp(result->outcome, "failed") == 0;
    row->mistrusted += strcmp(result->outcome, "mistrusted") == 0;
    row->values += result->values;
    if (!(result->worst <= row->worst))
        row->worst = result->worst;
    if (strcmp(result->outcome, "failed") == 0)
        json_array_append_new(report->failures, report_case(result));
}

/* ---- JSON ---- */

json_t *report_case(const struct rvk_verify_case *result) {
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:o, s:I, s:s, s:s}", "op", result->op, "form", result->form,
                     "shape", result->shape, "data", result->data, "seed", (json_int_t)result->seed, "outcome",
                     result->outcome, "worst", cli_number(result->worst), "values", (json_int_t)result->values,
                     "failure", result->failure, "repeat", result->repeat);
}

json_t *report_summary(const struct rvk_verify_summary *summary) {
    return json_pack("{s:I, s:I, s:I, s:I, s:f}", "passed", (json_int_t)summary->passed, "failed",
                     (json_int_t)summary->failed, "mistrusted", (json_int_t)summary->mistrusted, "values",
                     (json_int_t)summary->values, "seconds", summary->seconds);
}

static json_t *rows_json(const struct report *report) {
    json_t *rows = json_array();
    for (uint32_t i = 0; i < report->count; i++) {
        const struct report_row *row = &report->rows[i];
        json_array_append_new(rows, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "op", row->op, "form", row->form,
                                              "passed", (json_int_t)row->passed, "failed", (json_int_t)row->failed,
                                              "mistrusted", (json_int_t)row->mistrusted, "values",
                                              (json_int_t)row->values, "worst", cli_number(row->worst)));
    }
    return rows;
}

static void print_json(const struct cli *cli, const struct report *report, const char *trouble, FILE *file) {
    json_t *record = cli_record(cli, NULL);
    json_object_set_new(record, "summary", report_summary(&report->summary));
    json_object_set_new(record, "trouble", trouble ? json_string(trouble) : json_null());
    json_object_set_new(record, "ops", rows_json(report));
    json_object_set(record, "failures", report->failures);
    json_dumpf(record, file, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    fputc('\n', file);
    json_decref(record);
}

/* ---- Markdown ---- */

static void print_options(const struct args *args, FILE *file) {
    fprintf(file, "- options:");
    bool any = false;
    for (size_t i = 0; i < args->count; i++) {
        const struct option_setting *setting = &args->settings[i];
        if (setting->source == SOURCE_DEFAULT || !setting->text || strcmp(setting->option->name, "report") == 0)
            continue;
        fprintf(file, " `%s = %s`", setting->option->name, setting->text);
        any = true;
    }
    fprintf(file, "%s\n", any ? "" : " none");
}

static void print_head(const struct cli *cli, const struct rvk_device *device, const struct report *report,
                       const char *trouble, FILE *file) {
    const struct rvk_verify_summary *summary = &report->summary;
    uint32_t cases = summary->passed + summary->failed + summary->mistrusted;
    char memory[32];
    fprintf(file, "# resnet-vk %s on %s\n\n", rvk_version(), device->name);
    if (trouble)
        fprintf(file, "**The verification did not come to its end:** %s\n\n", trouble);
    else if (summary->failed)
        fprintf(file, "**%u of %u cases failed.**\n\n", summary->failed, cases);
    else
        fprintf(file, "No failure in %u cases.\n\n", cases);
    fprintf(file, "- device: %s (%s), %s\n- driver: %s\n- Vulkan: %s\n", device->name, device->kind,
            cli_bytes(device->memory_bytes, memory), device->driver, device->api);
    print_options(&cli->args, file);
    fprintf(file, "- cases: %u passed, %u failed, %u mistrusted (too many zeros to prove anything)\n", summary->passed,
            summary->failed, summary->mistrusted);
    fprintf(file, "- values: %llu, in %.1f s\n", (unsigned long long)summary->values, summary->seconds);
}

static const char *text_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static void print_failures(const struct report *report, FILE *file) {
    size_t count = json_array_size(report->failures);
    if (count)
        fprintf(file, "\n## Failures\n\n");
    for (size_t i = 0; i < count && i < REPORT_FAILURES; i++) {
        const json_t *failure = json_array_get(report->failures, i);
        fprintf(file, "%zu. `%s` %s: %s\n\n   `%s`\n\n", i + 1, text_of(failure, "op"), text_of(failure, "form"),
                text_of(failure, "failure"), text_of(failure, "repeat"));
    }
    if (count > REPORT_FAILURES)
        fprintf(file, "%zu more are not shown; a report in JSON has all.\n", count - REPORT_FAILURES);
}

static void print_rows(const struct report *report, FILE *file) {
    fprintf(file, "\n## Ops\n\n| op | form | cases | failed | mistrusted | values | largest error / bound |\n"
                  "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n");
    for (uint32_t i = 0; i < report->count; i++) {
        const struct report_row *row = &report->rows[i];
        fprintf(file, "| %s | %s | %u | %u | %u | %llu | %.3g |\n", row->op, row->form,
                row->passed + row->failed + row->mistrusted, row->failed, row->mistrusted,
                (unsigned long long)row->values, row->worst);
    }
}

static void print_limits(const struct rvk_device *device, FILE *file) {
    fprintf(file, "\n## Limits and features\n\n| name | value | the device's own |\n| --- | ---: | ---: |\n");
    for (const struct rvk_limit *limit = device->limits; limit->name; limit++)
        fprintf(file, "| %s | %llu | %llu |\n", limit->name, (unsigned long long)limit->value,
                (unsigned long long)limit->offered);
}

static void print_markdown(const struct cli *cli, const struct report *report, const char *trouble, FILE *file) {
    struct rvk_device device;
    rvk_get_device(cli->context, &device);
    print_head(cli, &device, report, trouble, file);
    print_failures(report, file);
    print_rows(report, file);
    print_limits(&device, file);
}

enum rvk_status report_write(const struct cli *cli, const struct report *report, const char *trouble,
                             const char *path) {
    char *text = NULL;
    size_t size = 0, length = strlen(path);
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return cli_fail(RVK_MEMORY, "out of host memory for the report");
    if (length >= 5 && strcmp(path + length - 5, ".json") == 0)
        print_json(cli, report, trouble, file);
    else
        print_markdown(cli, report, trouble, file);
    bool complete = !ferror(file);
    enum rvk_status status = fclose(file) == 0 && complete
                                 ? (enum rvk_status)file_write_atomic(path, &(struct file_piece){text, size}, 1)
                                 : cli_fail(RVK_MEMORY, "out of host memory for the report");
    free(text);
    return status;
}

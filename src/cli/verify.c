/* verify: holds the device to the reference. */
#include "cli/report.h"

#include <string.h>

static struct rvk_verify_options values;

#define OPTION(type, name, field, value, initial, help, minimum, maximum)                                              \
    { name, type, offsetof(struct rvk_verify_options, field), value, initial, help, minimum, maximum }
static const struct option options[] = {
    OPTION(OPTION_TEXT, "op", op, "NAME", NULL, "only this op", 0, 0),
    OPTION(OPTION_TEXT, "form", form, "NAME", NULL, "only this form of it", 0, 0),
    OPTION(OPTION_WHOLE, "variant", variant, "N", "0", "of the form, as 'tune' names it; 0: its own choice", 0, 65536),
    OPTION(OPTION_TEXT, "shape", shape, "TEXT", NULL, "one case: \"x=2x9x9x5 weight=3x3x5x7 stride_h=2\"", 0, 0),
    OPTION(OPTION_CHOICE, "data", data, "exact|random|hostile|adjoint", NULL, "only this kind of data", 0, 0),
    OPTION(OPTION_WHOLE, "seed", seed, "N", NULL, "of the data; default: 1, and 2 for all-positive data", 1,
           UINT32_MAX),
    OPTION(OPTION_FLAG, "all", all, NULL, NULL, "also the long cases", 0, 0),
    OPTION(OPTION_TEXT, "model", model, "NAME", NULL, "a whole training step of this model instead", 0, 0),
    OPTION(OPTION_CHOICE, "style", style, "torch|keras", "torch", "of the model", 0, 0),
    OPTION(OPTION_WHOLE, "batch", batch, "N", "8", "images in the model's step", 1, 4096),
    OPTION(OPTION_WHOLE, "size", size, "N", NULL, "height and width of its images; default: the model's", 8, 512),
    OPTION(OPTION_TEXT, "against", against, "FILE", NULL, "a step of --model that another program computed", 0, 0),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};

static struct { const char *path; } report_options;

static const struct option report_table[] = {
    {"report", OPTION_TEXT, 0, "FILE", NULL, "write a report for a bug report: Markdown, or JSON for FILE.json", 0, 0},
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option_group groups[] = {
    {"What to verify", options, &values}, {"Report", report_table, &report_options}, {NULL, NULL, NULL}};

/* ---- results ---- */

struct results {
    bool json;
    json_t *cases; /* with --json: every case */
    struct report report;
};

static void on_case(void *user, const struct rvk_verify_case *result) {
    struct results *results = user;
    bool failed = strcmp(result->outcome, "failed") == 0;
    report_add(&results->report, result);
    if (results->json)
        json_array_append_new(results->cases, report_case(result));
    else if (failed && json_array_size(results->report.failures) <= REPORT_FAILURES)
        printf("FAILED %s %s: %s\n  repeat: %s\n", result->op, result->shape, result->failure, result->repeat);
    fflush(stdout);
}

static void print(const struct report *report) {
    const struct rvk_verify_summary *summary = &report->summary;
    size_t failures = json_array_size(report->failures);
    printf("%-32s %-16s %7s %7s %11s %11s  %s\n", "op", "form", "cases", "failed", "mistrusted", "values",
           "largest error / bound");
    for (uint32_t i = 0; i < report->count; i++) {
        const struct report_row *row = &report->rows[i];
        printf("%-32s %-16s %7u %7u %11u %11llu  %.3g\n", row->op, row->form,
               row->passed + row->failed + row->mistrusted, row->failed, row->mistrusted,
               (unsigned long long)row->values, row->worst);
    }
    if (failures > REPORT_FAILURES)
        printf("%zu more failures are not shown; --json lists all\n", failures - REPORT_FAILURES);
    printf("%u passed, %u failed, %u mistrusted (too many zeros to prove anything); %llu values in %.1f s\n",
           summary->passed, summary->failed, summary->mistrusted, (unsigned long long)summary->values,
           summary->seconds);
}

static void print_json(const struct cli *cli, const struct results *results) {
    json_t *record = cli_record(cli, NULL);
    json_object_set_new(record, "summary", report_summary(&results->report.summary));
    json_object_set(record, "cases", results->cases);
    cli_print_json(record);
}

/* Usage is no finding. A failure to write is told before a mismatch, which stdout has told already. */
static enum rvk_status write_report(const struct cli *cli, const struct report *report, enum rvk_status status) {
    char trouble[1024];
    if (!report_options.path || status == RVK_USAGE)
        return status;
    bool ended = status == RVK_OK || status == RVK_MISMATCH;
    snprintf(trouble, sizeof trouble, "%s", rvk_message());
    enum rvk_status written = report_write(cli, report, ended ? NULL : trouble, report_options.path);
    if (written != RVK_OK)
        return written;
    return status == RVK_OK ? RVK_OK : cli_fail(status, "%s", trouble);
}

static enum rvk_status run(struct cli *cli) {
    static struct results results;
    results.json = cli->common.json;
    results.cases = json_array();
    results.report.failures = json_array();
    values.on_case = on_case;
    values.user = &results;
    enum rvk_status status = rvk_verify(cli->context, &values, &results.report.summary);
    if (status == RVK_OK || status == RVK_MISMATCH) {
        if (results.json)
            print_json(cli, &results);
        else
            print(&results.report);
    }
    status = write_report(cli, &results.report, status);
    json_decref(results.report.failures);
    json_decref(results.cases);
    return status;
}

const struct command command_verify = {
    .name = "verify",
    .summary = "holds every kernel on the device to the float64 reference",
    .about =
        "Without --op or --model: every op's cases, in every form that the device can run, with exact, random and\n"
        "hostile data; and some ops and their gradients, on exact data and without a reference, at shapes where that\n"
        "would take too long: <op(x), g> = <x, gradient(g)>. Each failure prints the command that repeats it.\n"
        "--report: device, driver, limits and features, and for each op and form the largest error as a share of what\n"
        "is allowed; written whatever the answer is.\n"
        "--against: a safetensors file with param.NAME, buffer.NAME, input, target, logits_eval, logits_train,\n"
        "loss_train, grad_input, grad.NAME, after.NAME and after_buffer.NAME in PyTorch's layouts; metadata lr,\n"
        "momentum, weight_decay. A state in which a ReLU's input is zero, or the largest two of a pooling window are\n"
        "equal, but for rounding, is no witness. With --style keras the L2 penalty counts in after.NAME only, not in\n"
        "loss_train and grad.NAME.\n",
    .device = true,
    .groups = groups,
    .run = run,
};

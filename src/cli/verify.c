/* verify: holds the device to the reference. */
#include "cli/cli.h"

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
    OPTION(OPTION_WHOLE, "seed", seed, "N", NULL, "of the data; default: 1, and 2 for all-positive random data", 1,
           UINT32_MAX),
    OPTION(OPTION_FLAG, "all", all, NULL, NULL, "also the long cases", 0, 0),
    OPTION(OPTION_TEXT, "model", model, "NAME", NULL, "a whole training step of this model instead", 0, 0),
    OPTION(OPTION_CHOICE, "style", style, "torch|keras", "torch", "of the model", 0, 0),
    OPTION(OPTION_WHOLE, "batch", batch, "N", "8", "images in the model's step", 1, 4096),
    OPTION(OPTION_WHOLE, "size", size, "N", NULL, "height and width of its images; default: the model's", 8, 512),
    OPTION(OPTION_TEXT, "against", against, "FILE", NULL, "a step of --model that another program computed", 0, 0),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option_group groups[] = {{"What to verify", options, &values}, {NULL, NULL, NULL}};

/* ---- results, one row an op and form ---- */

struct row {
    char op[64], form[64];
    uint32_t passed, failed, mistrusted;
    double worst;
    uint64_t values;
};

enum { ROWS = 256, FAILURES = 20 };

struct table {
    bool json;
    json_t *cases;
    struct row rows[ROWS];
    uint32_t count, failures;
};

/* The row of op and form; more than ROWS of them share the last one. */
static struct row *find_row(struct table *table, const char *op, const char *form) {
    for (uint32_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].op, op) == 0 && strcmp(table->rows[i].form, form) == 0)
            return &table->rows[i];
    if (table->count == ROWS)
        return &table->rows[ROWS - 1];
    struct row *row = &table->rows[table->count++];
    snprintf(row->op, sizeof row->op, "%s", op);
    snprintf(row->form, sizeof row->form, "%s", form);
    return row;
}

static void add_row(struct table *table, const struct rvk_verify_case *result) {
    struct row *row = find_row(table, result->op, result->form);
    row->passed += strcmp(result->outcome, "passed") == 0;
    row->failed += strcmp(result->outcome, "failed") == 0;
    row->mistrusted += strcmp(result->outcome, "mistrusted") == 0;
    row->values += result->values;
    if (!(result->worst <= row->worst))
        row->worst = result->worst;
}

static void add_json(struct table *table, const struct rvk_verify_case *result) {
    json_array_append_new(table->cases,
                          json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:o, s:I, s:s, s:s}", "op", result->op, "form",
                                    result->form, "shape", result->shape, "data", result->data, "seed",
                                    (json_int_t)result->seed, "outcome", result->outcome, "worst",
                                    cli_number(result->worst), "values", (json_int_t)result->values, "failure",
                                    result->failure, "repeat", result->repeat));
}

static void on_case(void *user, const struct rvk_verify_case *result) {
    struct table *table = user;
    add_row(table, result);
    if (table->json)
        add_json(table, result);
    else if (strcmp(result->outcome, "failed") == 0 && table->failures++ < FAILURES)
        printf("FAILED %s %s: %s\n  repeat: %s\n", result->op, result->shape, result->failure, result->repeat);
    fflush(stdout);
}

static void print(const struct table *table, const struct rvk_verify_summary *summary) {
    printf("%-32s %-16s %7s %7s %11s %11s  %s\n", "op", "form", "cases", "failed", "mistrusted", "values",
           "largest error / bound");
    for (uint32_t i = 0; i < table->count; i++) {
        const struct row *row = &table->rows[i];
        printf("%-32s %-16s %7u %7u %11u %11llu  %.3g\n", row->op, row->form,
               row->passed + row->failed + row->mistrusted, row->failed, row->mistrusted,
               (unsigned long long)row->values, row->worst);
    }
    if (table->failures > FAILURES)
        printf("%u more failures are not shown; --json lists all\n", table->failures - FAILURES);
    printf("%u passed, %u failed, %u mistrusted (too many zeros to prove anything); %llu values in %.1f s\n",
           summary->passed, summary->failed, summary->mistrusted, (unsigned long long)summary->values,
           summary->seconds);
}

static void print_json(const struct cli *cli, struct table *table, const struct rvk_verify_summary *summary) {
    json_t *record = cli_record(cli, NULL);
    json_object_set_new(record, "summary",
                        json_pack("{s:I, s:I, s:I, s:I, s:f}", "passed", (json_int_t)summary->passed, "failed",
                                  (json_int_t)summary->failed, "mistrusted", (json_int_t)summary->mistrusted, "values",
                                  (json_int_t)summary->values, "seconds", summary->seconds));
    json_object_set(record, "cases", table->cases);
    cli_print_json(record);
}

static enum rvk_status run(struct cli *cli) {
    static struct table table;
    struct rvk_verify_summary summary;
    table.json = cli->common.json;
    table.cases = json_array();
    values.on_case = on_case;
    values.user = &table;
    enum rvk_status status = rvk_verify(cli->context, &values, &summary);
    if (status == RVK_OK || status == RVK_MISMATCH) {
        if (cli->common.json)
            print_json(cli, &table, &summary);
        else
            print(&table, &summary);
    }
    json_decref(table.cases);
    return status;
}

const struct command command_verify = {
    .name = "verify",
    .summary = "holds every kernel on the device to the float64 reference",
    .about =
        "Without --op or --model: every op's cases, in every form that the device can run, with exact, random and\n"
        "hostile data; and some ops and their gradients, on exact data and without a reference, at shapes where that\n"
        "would take too long: <op(x), g> = <x, gradient(g)>. Each failure prints the command that repeats it.\n"
        "--against: a safetensors file with param.NAME, buffer.NAME, input, target, logits_eval, logits_train,\n"
        "loss_train, grad_input, grad.NAME, after.NAME and after_buffer.NAME in PyTorch's layouts; metadata lr,\n"
        "momentum, weight_decay. A state in which a ReLU's input is zero, or the largest two of a pooling window are\n"
        "equal, but for rounding, is no witness. With --style keras the L2 penalty counts in after.NAME only, not in\n"
        "loss_train and grad.NAME.\n",
    .device = true,
    .groups = groups,
    .run = run,
};

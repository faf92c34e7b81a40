/* tune: finds the fastest forms of a model's ops on this device. */
#include "cli/cli.h"
#include "cli/progress.h"

#include <string.h>

static struct rvk_tune_options values;

#define OPTION(type, name, field, value, initial, help, minimum, maximum)                                              \
    { name, type, offsetof(struct rvk_tune_options, field), value, initial, help, minimum, maximum }
static const struct option options[] = {
    OPTION(OPTION_TEXT, "model", model, "NAME", "resnet20", "network, see 'resnet-vk models'", 0, 0),
    OPTION(OPTION_CHOICE, "style", style, "torch|keras", "torch", "whose details to follow", 0, 0),
    OPTION(OPTION_CHOICE, "phase", phase, "train|infer", "train", "what a step does", 0, 0),
    OPTION(OPTION_WHOLE, "batch", batch, "N", "128",
           "images a step: what is tuned for one number is not used for others", 1, 65536),
    OPTION(OPTION_WHOLE, "size", size, "N", NULL, "height and width of the images; default: the model's", 8, 1024),
    OPTION(OPTION_REAL, "budget", budget, "SECONDS", "60", "begin nothing that would end later", 0.001, 1e6),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option_group groups[] = {{"What to tune", options, &values}, {NULL, NULL, NULL}};

struct report {
    bool json;
    uint32_t cases;
    json_t *list;
};

static void on_start(void *user, uint32_t cases, uint32_t candidates) {
    struct report *report = user;
    report->cases = cases;
    fprintf(report->json ? stderr : stdout,
            "%s, %s, batch %u, %ux%u: %u different ops have a choice; %u candidates in all, for up to %g s\n",
            values.model, values.phase, values.batch, values.size, values.size, cases, candidates, values.budget);
    if (!report->json)
        printf("\n%9s %9s %6s  %-14s %s\n", "usual ms", "tuned ms", "gain", "form", "op");
    fflush(stdout);
}

static void on_candidate(void *user, uint32_t index, const struct rvk_tune_case *item, const char *form,
                         uint32_t variant) {
    const struct report *report = user;
    if (progress_due())
        progress_show("%u/%u  %s %u  %s", index + 1, report->cases, form, variant, item->name);
}

static json_t *pack(const struct rvk_tune_case *item) {
    return json_pack("{s:s, s:I, s:b, s:s, s:s, s:I, s:f, s:f, s:I}", "case", item->name, "uses",
                     (json_int_t)item->uses, "measured", item->measured, "rule", item->rule, "form", item->form,
                     "variant", (json_int_t)item->variant, "rule_ms", item->rule_ms, "ms", item->ms, "refused",
                     (json_int_t)item->refused);
}

static void on_case(void *user, uint32_t index, const struct rvk_tune_case *item) {
    struct report *report = user;
    (void)index;
    progress_clear();
    if (report->json) {
        json_array_append_new(report->list, pack(item));
    } else if (item->measured) {
        char form[64];
        snprintf(form, sizeof form, item->variant ? "%s %u" : "%s", item->form, item->variant);
        printf("%9.3f %9.3f %5.2fx  %-14s %s\n", item->rule_ms, item->ms, item->rule_ms / item->ms, form, item->name);
    }
    fflush(stdout);
}

static void print(const struct rvk_tune_result *result) {
    printf("\n%u of %u ops measured in %.1f s; %u have a faster form than the usual one", result->measured,
           result->cases, result->seconds, result->chosen);
    if (result->refused)
        printf("; %u candidates were fast but wrong", result->refused);
    if (result->measured < result->cases)
        printf("\nthere was no time for the others: the same command once more goes on with them");
    printf("\n%.1f ms a step in these ops, %.1f ms as tuned\n", result->rule_ms, result->ms);
    if (*result->path)
        printf("kept in %s\n", result->path);
    else
        printf("not kept\n");
}

static void print_json(const struct cli *cli, const struct rvk_tune_result *result, json_t *cases) {
    json_t *record = cli_record(cli, NULL);
    json_object_set_new(record, "summary",
                        json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:s}", "cases", (json_int_t)result->cases,
                                  "measured", (json_int_t)result->measured, "chosen", (json_int_t)result->chosen,
                                  "refused", (json_int_t)result->refused, "rule_ms", result->rule_ms, "ms", result->ms,
                                  "seconds", result->seconds, "path", result->path));
    json_object_set(record, "cases", cases);
    cli_print_json(record);
}

/* The size of the images is known from here on. */
static enum rvk_status find_size(void) {
    struct rvk_model_info info;
    if (values.size)
        return RVK_OK;
    enum rvk_status status = rvk_describe_model(values.model, values.style, &info);
    if (status == RVK_OK)
        values.size = info.height;
    return status;
}

static enum rvk_status run(struct cli *cli) {
    struct report report = {.json = cli->common.json, .list = json_array()};
    struct rvk_tune_result result;
    values.on_start = on_start;
    values.on_candidate = on_candidate;
    values.on_case = on_case;
    values.user = &report;
    enum rvk_status status = find_size();
    if (status == RVK_OK)
        status = rvk_tune(cli->context, &values, &result);
    progress_clear();
    if (status == RVK_OK && report.json)
        print_json(cli, &result, report.list);
    else if (status == RVK_OK)
        print(&result);
    json_decref(report.list);
    return status;
}

const struct command command_tune = {
    .name = "tune",
    .summary = "finds the fastest forms of a model's ops on this device",
    .about =
        "Measures every form and block size of each different op in a step: first those that were not measured yet,\n"
        "most work first. What is faster than\n"
        "the usual choice must pass verification with exact and random data; it is then kept in the user's cache\n"
        "folder for this device, driver and version, and used by train, eval, predict and bench. --no-tuned\n"
        "ignores it. The last bits of results may differ between a tuned and an untuned run.\n",
    .device = true,
    .groups = groups,
    .run = run,
};

/* bench: times a whole step. */
#include "cli/cli.h"

#include <string.h>

static struct values {
    struct rvk_bench_options bench;
    bool print_plan;
} values;

#define OPTION(type, name, field, value, initial, help, minimum, maximum)                                              \
    { name, type, offsetof(struct values, field), value, initial, help, minimum, maximum }
static const struct option options[] = {
    OPTION(OPTION_TEXT, "model", bench.model, "NAME", "resnet20", "network, see 'resnet-vk models'", 0, 0),
    OPTION(OPTION_CHOICE, "style", bench.style, "torch|keras", "torch", "whose details to follow", 0, 0),
    OPTION(OPTION_CHOICE, "phase", bench.phase, "train|infer", "train", "what a step does", 0, 0),
    OPTION(OPTION_WHOLE, "batch", bench.batch, "N", "128", "images a step", 1, 65536),
    OPTION(OPTION_WHOLE, "size", bench.size, "N", NULL, "height and width of the images; default: the model's", 8, 512),
    OPTION(OPTION_WHOLE, "samples", bench.samples, "N", "10", "steps that are measured", 5, RVK_BENCH_SAMPLES),
    OPTION(OPTION_WHOLE, "warmup", bench.warmup, "N", "3", "steps before them", 1, 1000),
    OPTION(OPTION_FLAG, "profile", bench.profile, NULL, NULL, "print the time of each kind of op", 0, 0),
    OPTION(OPTION_TEXT, "trace", bench.trace, "FILE", "trace.json", "with --profile: one step for chrome://tracing", 0,
           0),
    OPTION(OPTION_FLAG, "print-plan", print_plan, NULL, NULL, "print what a step does, one line an op", 0, 0),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option_group groups[] = {{"What to measure", options, &values}, {NULL, NULL, NULL}};

static json_t *pack_ms(const struct rvk_bench_result *result) {
    json_t *samples = json_array();
    for (uint32_t i = 0; i < result->count; i++)
        json_array_append_new(samples, json_real(result->ms[i]));
    return json_pack("{s:f, s:f, s:f, s:o}", "median", result->ms_median, "min", result->ms_min, "max", result->ms_max,
                     "samples", samples);
}

static void print_json(const struct cli *cli, const struct rvk_bench_result *result) {
    json_t *record = cli_record(cli, NULL);
    json_t *numbers = json_pack(
        "{s:s, s:I, s:I, s:s, s:s, s:o, s:f, s:f, s:I, s:I}", "model", values.bench.model, "batch",
        (json_int_t)values.bench.batch, "size", (json_int_t)result->size, "phase", values.bench.phase, "precision",
        "float32", "ms", pack_ms(result), "images_per_s", result->images_per_s, "gflops", result->gflops, "peak_bytes",
        (json_int_t)result->peak_bytes, "lower_bound_bytes", (json_int_t)result->lower_bound_bytes);
    json_object_update(record, numbers);
    json_decref(numbers);
    cli_print_json(record);
}

static void print(const struct cli *cli, const struct rvk_bench_result *result) {
    struct rvk_device device;
    char peak[32], bound[32];
    rvk_get_device(cli->context, &device);
    printf("%s, %s, batch %u, %ux%ux3, float32, on %s\n", values.bench.model, values.bench.phase, values.bench.batch,
           result->size, result->size, device.name);
    printf("%.2f ms a step (median of %u; %.2f to %.2f), %.1f images/s, %.1f GFLOP/s\n", result->ms_median,
           result->count, result->ms_min, result->ms_max, result->images_per_s, result->gflops);
    printf("%s on the device; values alive at once need %s\n", cli_bytes(result->peak_bytes, peak),
           cli_bytes(result->lower_bound_bytes, bound));
}

static enum rvk_status run(struct cli *cli) {
    struct rvk_bench_result result;
    FILE *reports = cli->common.json ? stderr : stdout;
    values.bench.plan = values.print_plan ? reports : NULL;
    values.bench.on_profile = cli_print_profile;
    values.bench.user = reports;
    enum rvk_status status = rvk_bench(cli->context, &values.bench, &result);
    if (status != RVK_OK)
        return status;
    if (cli->common.json)
        print_json(cli, &result);
    else
        print(cli, &result);
    return RVK_OK;
}

const struct command command_bench = {
    .name = "bench",
    .summary = "times a whole step on generated images",
    .about = "GFLOP are 2 x multiply-adds of convolutions and dense layers; training counts as three times forward.\n",
    .device = true,
    .groups = groups,
    .run = run,
};

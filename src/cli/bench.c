/* bench: times a whole step or one op, and what the device can do at best. */
#include "cli/cli.h"
#include "cli/earlier.h"
#include "cli/reading.h"

#include <math.h>
#include <string.h>

static struct values {
    struct rvk_bench_options bench;
    bool print_plan, peak, roofline;
    const char *compare, *data;
    struct rvk_data_options reading;
} values;

#define OPTION(type, name, field, value, initial, help, minimum, maximum)                                              \
    { name, type, offsetof(struct values, field), value, initial, help, minimum, maximum }
static const struct option options[] = {
    OPTION(OPTION_TEXT, "model", bench.model, "NAME", "resnet20", "network, see 'resnet-vk models'", 0, 0),
    OPTION(OPTION_CHOICE, "style", bench.style, "torch|keras", "torch", "whose details to follow", 0, 0),
    OPTION(OPTION_CHOICE, "phase", bench.phase, "train|infer", "train", "what a step does", 0, 0),
    OPTION(OPTION_WHOLE, "batch", bench.batch, "N", "128", "images a step", 1, 65536),
    OPTION(OPTION_WHOLE, "size", bench.size, "N", NULL, "height and width of the images; default: the model's", 8, 512),
    OPTION(OPTION_FLAG, "recompute", bench.recompute, NULL, NULL,
           "train: compute activations inside blocks twice instead of keeping them", 0, 0),
    OPTION(OPTION_TEXT, "op", bench.op, "NAME", NULL, "one op instead of a model's step, see 'resnet-vk verify'", 0, 0),
    OPTION(OPTION_TEXT, "shape", bench.shape, "TEXT", NULL, "of the op: \"x=128x32x32x16 weight=3x3x16x16 pad_top=1\"",
           0, 0),
    OPTION(OPTION_TEXT, "form", bench.form, "NAME", NULL, "of the op; without it, the one that a step takes", 0, 0),
    OPTION(OPTION_WHOLE, "variant", bench.variant, "N", "0", "of the form, as 'tune' names it; 0: its own choice", 0,
           65536),
    OPTION(OPTION_FLAG, "peak", peak, NULL, NULL, "measure the device's arithmetic and memory at their best", 0, 0),
    OPTION(OPTION_FLAG, "roofline", roofline, NULL, NULL, "compare with the time that --peak would allow", 0, 0),
    OPTION(OPTION_TEXT, "data", data, "SPEC", NULL, "how fast the pictures of folder:DIR or tar:FILE are read", 0, 0),
    OPTION(OPTION_TEXT, "compare", compare, "FILE", NULL, "compare with what an earlier bench --json wrote", 0, 0),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option how[] = {
    OPTION(OPTION_WHOLE, "samples", bench.samples, "N", NULL, "exactly so many; without it, 10 to 200, until", 5,
           RVK_BENCH_SAMPLES),
    OPTION(OPTION_REAL, "seconds", bench.seconds, "S", "10", "their spread is below 5 % or so long has passed", 0.1,
           3600),
    OPTION(OPTION_WHOLE, "warmup", bench.warmup, "N", "3", "steps before the first sample", 1, 1000),
    OPTION(OPTION_FLAG, "profile", bench.profile, NULL, NULL, "print the time of each kind of op", 0, 0),
    OPTION(OPTION_TEXT, "trace", bench.trace, "FILE", "trace.json", "with --profile: one step for chrome://tracing", 0,
           0),
    OPTION(OPTION_FLAG, "print-plan", print_plan, NULL, NULL, "print what a step does: its ops and their kernels", 0,
           0),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option_group groups[] = {
    {"What to measure", options, &values},
    {"How", how, &values},
    {"Reading pictures, with --data", reading_options, &values.reading},
    {NULL, NULL, NULL},
};

/* Everything that was measured. */
struct report {
    bool has_result, has_peak, has_earlier;
    struct rvk_bench_result result;
    struct rvk_peak peak;
    struct earlier earlier;
};

/* Arithmetic and memory one after the other. */
struct roofline {
    double flops_ms, bytes_ms, ms;
};

static struct roofline find_roofline(const struct report *report) {
    struct roofline line = {.flops_ms = 1e-6 * report->result.flops / report->peak.gflops,
                            .bytes_ms = 1e-6 * report->result.bytes / report->peak.gb_per_s};
    line.ms = line.flops_ms + line.bytes_ms;
    return line;
}

/* ---- JSON ---- */

/* What is measured; two results can be compared if these agree. */
static json_t *pack_what(void) {
    if (values.bench.op)
        return json_pack("{s:s, s:s}", "op", values.bench.op, "shape", values.bench.shape);
    return json_pack("{s:s, s:s, s:I, s:I}", "model", values.bench.model, "phase", values.bench.phase, "batch",
                     (json_int_t)values.bench.batch, "size", (json_int_t)values.bench.size);
}

static json_t *pack_ms(const struct rvk_samples *ms) {
    json_t *samples = json_array();
    for (uint32_t i = 0; i < ms->count; i++)
        json_array_append_new(samples, json_real(ms->ms[i]));
    return json_pack("{s:f, s:f, s:f, s:f, s:I, s:o}", "median", ms->median, "min", ms->min, "max", ms->max, "spread",
                     ms->spread, "repeats", (json_int_t)ms->repeats, "samples", samples);
}

static void add(json_t *record, json_t *members) {
    json_object_update(record, members);
    json_decref(members);
}

static json_t *pack_result(const struct rvk_bench_result *result) {
    json_t *numbers = json_pack("{s:s, s:o, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I}", "precision", "float32", "ms",
                                pack_ms(&result->ms), "gflops", result->gflops, "gb_per_s", result->gb_per_s, "flops",
                                result->flops, "bytes", result->bytes, "dispatches", (json_int_t)result->dispatches,
                                "barriers", (json_int_t)result->barriers, "peak_bytes", (json_int_t)result->peak_bytes,
                                "lower_bound_bytes", (json_int_t)result->lower_bound_bytes);
    if (values.bench.op) {
        json_object_set_new(numbers, "form", json_string(result->form));
        json_object_set_new(numbers, "variant", json_integer(result->variant));
    } else
        json_object_set_new(numbers, "images_per_s", json_real(result->images_per_s));
    return numbers;
}

static json_t *pack_peak(const struct report *report) {
    const struct rvk_peak *peak = &report->peak;
    json_t *object = json_pack("{s:f, s:f, s:f, s:f}", "gflops", peak->gflops, "gb_per_s", peak->gb_per_s,
                               "read_gb_per_s", peak->read_gb_per_s, "copy_gb_per_s", peak->copy_gb_per_s);
    if (report->has_result)
        add(object, json_pack("{s:f, s:f}", "gflops_share", report->result.gflops / peak->gflops, "gb_per_s_share",
                              report->result.gb_per_s / peak->gb_per_s));
    return object;
}

static json_t *pack_roofline(const struct report *report) {
    struct roofline line = find_roofline(report);
    return json_pack("{s:f, s:f, s:f, s:f}", "flops_ms", line.flops_ms, "bytes_ms", line.bytes_ms, "ms", line.ms,
                     "ratio", report->result.ms.median / line.ms);
}

static json_t *pack_earlier(const struct report *report) {
    return json_pack("{s:s, s:f, s:{s:f, s:f}}", "file", values.compare, "ratio",
                     earlier_ratio(&report->result.ms, &report->earlier), "before", "median", report->earlier.ms.median,
                     "spread", report->earlier.ms.spread);
}

static void print_json(const struct cli *cli, const struct report *report) {
    json_t *record = cli_record(cli, NULL);
    if (report->has_result) {
        add(record, pack_what());
        add(record, pack_result(&report->result));
    }
    if (report->has_peak)
        json_object_set_new(record, "peak", pack_peak(report));
    if (values.roofline)
        json_object_set_new(record, "roofline", pack_roofline(report));
    if (report->has_earlier)
        json_object_set_new(record, "compare", pack_earlier(report));
    cli_print_json(record);
}

/* ---- text ---- */

static void print_step(const struct rvk_bench_result *result, const char *device) {
    char peak[32], bound[32];
    const struct rvk_samples *ms = &result->ms;
    printf("%s, %s, batch %u, %ux%ux3, float32, on %s\n", values.bench.model, values.bench.phase, values.bench.batch,
           values.bench.size, values.bench.size, device);
    printf("%.2f ms a step (median of %u, spread %.1f %%; %.2f to %.2f), %.1f images/s, %.1f GFLOP/s\n", ms->median,
           ms->count, 100 * ms->spread, ms->min, ms->max, result->images_per_s, result->gflops);
    printf("%s on the device; values alive at once need %s\n", cli_bytes(result->peak_bytes, peak),
           cli_bytes(result->lower_bound_bytes, bound));
}

static void print_op(const struct rvk_bench_result *result, const char *device) {
    const struct rvk_samples *ms = &result->ms;
    char form[64];
    snprintf(form, sizeof form, result->variant ? "%s %u" : "%s", result->form, result->variant);
    printf("%s (%s), %s, float32, on %s\n", values.bench.op, form, values.bench.shape, device);
    printf("%.4f ms (median of %u, spread %.1f %%; %.4f to %.4f), ", ms->median, ms->count, 100 * ms->spread, ms->min,
           ms->max);
    if (result->gflops > 0)
        printf("%.1f GFLOP/s\n", result->gflops);
    else
        printf("%.2f GB/s\n", result->gb_per_s);
}

static void print_peak(const struct report *report) {
    printf("the device at its best: %.1f GFLOP/s float32; reading %.1f GB/s, copying %.1f GB/s\n", report->peak.gflops,
           report->peak.read_gb_per_s, report->peak.copy_gb_per_s);
    if (!report->has_result)
        return;
    printf("of that: ");
    if (report->result.gflops > 0)
        printf("%.1f %% of GFLOP/s, ", 100 * report->result.gflops / report->peak.gflops);
    printf("%.1f %% of GB/s\n", 100 * report->result.gb_per_s / report->peak.gb_per_s);
}

static void print_roofline(const struct report *report) {
    char bytes[32];
    struct roofline line = find_roofline(report);
    printf("%u launches, %u barriers, %.2f GFLOP, %s moved\n", report->result.dispatches, report->result.barriers,
           1e-9 * report->result.flops, cli_bytes((uint64_t)report->result.bytes, bytes));
    printf("roofline: arithmetic %.4g ms + memory %.4g ms = %.4g ms; measured is %.2f times that\n", line.flops_ms,
           line.bytes_ms, line.ms, report->result.ms.median / line.ms);
}

static void print_earlier(const struct report *report, const char *device) {
    const struct rvk_samples *now = &report->result.ms, *before = &report->earlier.ms;
    double ratio = earlier_ratio(now, &report->earlier);
    printf("%.3f times the %.4g ms of %s (spread %.1f %% now, %.1f %% then)%s\n", ratio, before->median, values.compare,
           100 * now->spread, 100 * before->spread,
           fabs(ratio - 1) <= fmax(now->spread, before->spread) ? ": no difference beyond the spread" : "");
    if (strcmp(report->earlier.device, device) != 0)
        printf("that was on %s\n", report->earlier.device);
}

static void print(const struct cli *cli, const struct report *report) {
    struct rvk_device device;
    rvk_get_device(cli->context, &device);
    if (report->has_result && values.bench.op)
        print_op(&report->result, device.name);
    else if (report->has_result)
        print_step(&report->result, device.name);
    if (report->has_peak)
        print_peak(report);
    if (values.roofline)
        print_roofline(report);
    if (report->has_earlier)
        print_earlier(report, device.name);
}

/* ---- pictures ---- */

/* Of --phase infer as for evaluation, otherwise as for training. */
static enum rvk_status measure_data(const struct cli *cli) {
    reading_adapt(cli, &values.reading);
    const struct rvk_data_rate_options asked = {.size = values.bench.size,
                                                .batch = values.bench.batch,
                                                .seconds = values.bench.seconds,
                                                .evaluation = strcmp(values.bench.phase, "infer") == 0,
                                                .data = values.reading};
    struct rvk_data_rate rate;
    enum rvk_status status = rvk_measure_data(values.data, &asked, &rate);
    if (status != RVK_OK)
        return status;
    if (cli->common.json) {
        json_t *record = cli_record(cli, NULL);
        add(record, json_pack("{s:s, s:f, s:I, s:f, s:I, s:I}", "data", values.data, "images_per_s", rate.images_per_s,
                              "images", (json_int_t)rate.images, "seconds", rate.seconds, "threads",
                              (json_int_t)rate.threads, "size", (json_int_t)rate.size));
        cli_print_json(record);
    } else {
        printf("%s, for %s at %ux%u: %.1f images/s by %u threads (%u images in %.1f s)\n", values.data,
               asked.evaluation ? "evaluation" : "training", rate.size, rate.size, rate.images_per_s, rate.threads,
               rate.images, rate.seconds);
    }
    return RVK_OK;
}

/* ---- the command ---- */

static bool given(const struct cli *cli, const char *name) {
    return args_source(&cli->args, name) != SOURCE_DEFAULT;
}

/* --peak without anything else to measure is about the device alone. */
static bool only_peak(const struct cli *cli) {
    static const char *const names[] = {"model", "style",    "phase",   "batch",   "size", "op",
                                        "shape", "roofline", "compare", "profile", "form", "print-plan"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (given(cli, names[i]))
            return false;
    return values.peak;
}

/* The size of the images is known from here on. */
static enum rvk_status find_size(void) {
    struct rvk_model_info info;
    if (values.bench.op || values.bench.size)
        return RVK_OK;
    enum rvk_status status = rvk_describe_model(values.bench.model, values.bench.style, &info);
    if (status == RVK_OK)
        values.bench.size = info.height;
    return status;
}

static enum rvk_status read_earlier(struct report *report) {
    if (!values.compare || (values.bench.op && !values.bench.shape)) /* rvk_bench refuses the latter */
        return RVK_OK;
    json_t *what = pack_what();
    enum rvk_status status = earlier_read(values.compare, what, &report->earlier);
    json_decref(what);
    report->has_earlier = status == RVK_OK;
    return status;
}

static enum rvk_status measure(struct cli *cli, struct report *report) {
    struct rvk_bench_options bench = values.bench;
    FILE *reports = cli->common.json ? stderr : stdout;
    bench.plan = values.print_plan ? reports : NULL;
    bench.on_profile = cli_print_profile;
    bench.user = reports;
    if (bench.op && !given(cli, "model"))
        bench.model = NULL;
    enum rvk_status status = rvk_bench(cli->context, &bench, &report->result);
    report->has_result = status == RVK_OK;
    return status;
}

static enum rvk_status run(struct cli *cli) {
    struct report report = {0};
    if (values.data)
        return measure_data(cli);
    enum rvk_status status = find_size();
    if (status == RVK_OK)
        status = read_earlier(&report);
    if (status == RVK_OK && !only_peak(cli))
        status = measure(cli, &report);
    if (status == RVK_OK && (values.peak || values.roofline)) {
        status = rvk_measure_peak(cli->context, &report.peak);
        report.has_peak = status == RVK_OK;
    }
    if (status != RVK_OK)
        return status;
    if (cli->common.json)
        print_json(cli, &report);
    else
        print(cli, &report);
    return RVK_OK;
}

const struct command command_bench = {
    .name = "bench",
    .summary = "times a whole step on generated images, one op, or the device itself",
    .about =
        "GFLOP are 2 x multiply-adds of convolutions and dense layers; training counts as three times forward. GB/s\n"
        "count every operand of every kernel once. The spread is the distance of the quartiles as a share of the\n"
        "median. --peak alone measures the device only. --roofline: flop / (best GFLOP/s) + bytes / (best GB/s), as\n"
        "if nothing overlapped, with the flop and bytes of the kernels that really run.\n",
    .device = true,
    .groups = groups,
    .run = run,
};

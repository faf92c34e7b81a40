/* predict: what a trained model sees in pictures, or in single images of a data set. */
#include "cli/paths.h"
#include "cli/predict_output.h"
#include "cli/progress.h"
#include "cli/reading.h"
#include "cli/stop.h"

#include "base/clock.h"

#include <string.h>
#include <unistd.h>

static struct values {
    const char *weights, *data, *drawn, *model, *style, *list, *html;
    uint32_t first, count, top, batch, size;
    bool training, null;
    struct rvk_data_options reading;
} values;

#define OPTION(type, name, field, value, initial, help, minimum, maximum)                                              \
    { name, type, offsetof(struct values, field), value, initial, help, minimum, maximum }
static const struct option options[] = {
    OPTION(OPTION_TEXT, "weights", weights, "FILE", NULL, "a checkpoint, or weights of another program", 0, 0),
    OPTION(OPTION_TEXT, "model", model, "NAME", NULL, "of weights that do not say it; else it is found by names", 0, 0),
    OPTION(OPTION_CHOICE, "style", style, "torch|keras", "torch", "of such a model", 0, 0),
    OPTION(OPTION_WHOLE, "size", size, "N", "0", "height and width of its images; 0: its usual ones", 0, 4096),
    OPTION(OPTION_WHOLE, "batch", batch, "N", NULL, "images a step [pictures 32, of a data set 256]", 1, 65536),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option picture_options[] = {
    OPTION(OPTION_TEXT, "list", list, "FILE", NULL, "also the files and folders in the lines of FILE; -: of stdin", 0,
           0),
    OPTION(OPTION_FLAG, "null", null, NULL, NULL, "names in the list end with a zero byte, as find -print0 has them", 0,
           0),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option data_options[] = {
    OPTION(OPTION_TEXT, "data", data, "SPEC", NULL, "data set; as in training if not given", 0, 0),
    OPTION(OPTION_FLAG, "training", training, NULL, NULL, "its training images instead of its test images", 0, 0),
    OPTION(OPTION_WHOLE, "first", first, "N", "0", "number of the first image", 0, UINT32_MAX),
    OPTION(OPTION_WHOLE, "count", count, "N", NULL, "how many images [5; all pictures]", 1, UINT32_MAX),
    OPTION(OPTION_CHOICE, "pictures", drawn, "auto|always|never", "auto", "draw the images; auto: on a terminal", 0, 0),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option output_options[] = {
    OPTION(OPTION_WHOLE, "top", top, "K", NULL, "how many classes to name [of a picture 5, of an image 3]", 1, 1000),
    OPTION(OPTION_TEXT, "html", html, "FILE", NULL, "write a contact sheet: a page with the pictures and bars", 0, 0),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option_group groups[] = {
    {"The model", options, &values},
    {"Pictures", picture_options, &values},
    {"Images of a data set, without FILE and --list", data_options, &values},
    {"Reading pictures", reading_options, &values.reading},
    {"Output", output_options, &values},
    {NULL, NULL, NULL},
};

/* ---- running ---- */

enum { SUMMARY = 32, PROGRESS = 300 }; /* pictures from which on these are shown */

struct run {
    struct predict_output output;
    uint32_t first, count;
    uint64_t start_ns;
};

static double seconds_of(const struct run *run) {
    return 1e-9 * (double)(clock_ns() - run->start_ns);
}

static enum rvk_status on_batch(void *user, uint32_t first, uint32_t count, const float *probabilities) {
    struct run *run = user;
    enum rvk_status status = RVK_OK;
    progress_clear();
    for (uint32_t i = 0; status == RVK_OK && i < count; i++)
        status = predict_output_put(&run->output, first + i, probabilities + (size_t)i * run->output.classes);
    fflush(stdout);
    if (run->count >= PROGRESS)
        progress_images("", run->output.done, run->count, seconds_of(run));
    return status == RVK_OK ? stop_asked_after(run->output.done, run->count) : status;
}

static void print_summary(const struct run *run, double seconds, double waited) {
    char duration[32];
    if (run->output.done >= SUMMARY)
        fprintf(stderr, "%u images in %s: %.1f images/s; the device waited %.0f %% of the time for pictures\n",
                run->output.done, cli_duration(seconds, duration), run->output.done / seconds, 100 * waited);
}

static enum rvk_status predict(struct cli *cli, struct rvk_model *model, const struct rvk_data *data, bool pictures,
                               uint32_t missing) {
    struct run run = {.first = values.first, .count = values.count};
    bool drawn = strcmp(values.drawn, "always") == 0 || (strcmp(values.drawn, "auto") == 0 && isatty(STDOUT_FILENO));
    double waited = 0;
    run.output = (struct predict_output){.cli = cli,
                                         .model = model,
                                         .data = data,
                                         .top = values.top ? values.top
                                                : pictures ? 5
                                                           : 3,
                                         .pictures = pictures,
                                         .draw = drawn && !pictures,
                                         .missing = missing,
                                         .weights = values.weights,
                                         .html = values.html};
    enum rvk_status status = predict_output_open(&run.output, run.first, run.count);
    run.start_ns = clock_ns();
    if (status == RVK_OK)
        status = rvk_predict_batches(model, data, run.first, run.count, on_batch, &run, &waited);
    double seconds = seconds_of(&run);
    progress_clear();
    if (status == RVK_OK && !cli->common.json)
        print_summary(&run, seconds, waited);
    return predict_output_close(&run.output, status, seconds, waited);
}

static enum rvk_status load(struct cli *cli, struct rvk_model **model) {
    uint32_t batch = values.batch ? values.batch : values.list || cli->args.word_count ? 32 : 256;
    if (values.count && values.count < batch)
        batch = values.count;
    const struct rvk_load_options load = {batch, values.model, values.style, values.size};
    return rvk_load_model(cli->context, values.weights, &load, model);
}

/* ---- images of a data set ---- */

static enum rvk_status predict_data(struct cli *cli) {
    struct rvk_model *model = NULL;
    struct rvk_data *data = NULL;
    values.count = values.count ? values.count : 5;
    enum rvk_status status = load(cli, &model);
    if (status == RVK_OK && !values.data && !*rvk_model_data(model))
        status = cli_fail(RVK_USAGE, "%s does not say what it was trained on: predict needs FILE or --data SPEC",
                          values.weights);
    if (status == RVK_OK)
        status = rvk_open_data_with(values.data ? values.data : rvk_model_data(model), values.training, &values.reading,
                                    &data);
    if (status == RVK_OK)
        status = predict(cli, model, data, false, 0);
    rvk_close_data(data);
    rvk_free_model(model);
    return status;
}

/* ---- pictures ---- */

static enum rvk_status find_paths(const struct cli *cli, struct paths *paths) {
    enum rvk_status status = RVK_OK;
    for (size_t i = 0; status == RVK_OK && i < cli->args.word_count; i++)
        status = strcmp(cli->args.words[i], "-") == 0 ? paths_read(paths, "-", values.null)
                                                      : paths_add(paths, cli->args.words[i]);
    return status == RVK_OK && values.list ? paths_read(paths, values.list, values.null) : status;
}

/* Broken pictures are left out, however many, unless there is a limit; files that do not exist count among them. */
static enum rvk_status limit_broken(uint32_t missing) {
    uint32_t *broken = &values.reading.broken, limit = *broken == RVK_BROKEN_NONE ? 0 : *broken;
    if (*broken == 0) {
        *broken = RVK_BROKEN_NONE - 1;
        return RVK_OK;
    }
    if (missing > limit)
        return cli_fail(RVK_DATA, "%u files do not exist, more than --broken %u", missing, limit);
    *broken = limit == missing ? RVK_BROKEN_NONE : limit - missing;
    return RVK_OK;
}

static enum rvk_status predict_paths(struct cli *cli, const struct paths *paths, uint32_t missing) {
    struct rvk_model *model = NULL;
    struct rvk_data *data = NULL;
    enum rvk_status status = limit_broken(missing);
    if (status == RVK_OK)
        status = rvk_open_pictures((const char *const *)paths->items, (uint32_t)paths->count, &values.reading, &data);
    if (status == RVK_OK) {
        uint32_t count = rvk_get_data_info(data).count;
        if (values.first >= count)
            status = cli_fail(RVK_USAGE, "--first %u is behind the last of %u pictures", values.first, count);
        else if (!values.count || values.count > count - values.first)
            values.count = count - values.first;
    }
    if (status == RVK_OK)
        status = load(cli, &model);
    if (status == RVK_OK)
        status = predict(cli, model, data, true, missing);
    rvk_close_data(data);
    rvk_free_model(model);
    return status;
}

static enum rvk_status predict_pictures(struct cli *cli) {
    struct paths paths = {0};
    enum rvk_status status = find_paths(cli, &paths);
    uint32_t missing = status == RVK_OK ? paths_drop_missing(&paths) : 0;
    if (status == RVK_OK && paths.count == 0)
        status = cli_fail(RVK_DATA, missing ? "none of the %u files exists" : "the list of files is empty", missing);
    if (status == RVK_OK)
        status = predict_paths(cli, &paths, missing);
    paths_destroy(&paths);
    return status;
}

static enum rvk_status run(struct cli *cli) {
    if (!values.weights)
        return cli_fail(RVK_USAGE, "predict needs --weights FILE");
    bool pictures = cli->args.word_count > 0 || values.list;
    if (pictures && values.data)
        return cli_fail(RVK_USAGE, "predict takes files or --data, not both");
    reading_adapt(cli, &values.reading);
    stop_install();
    return pictures ? predict_pictures(cli) : predict_data(cli);
}

const struct command command_predict = {
    .name = "predict",
    .summary = "what a trained model sees in pictures",
    .about =
        "FILE is a JPEG or PNG file, a folder (all pictures in it and its folders), or - for a list of such names\n"
        "on stdin. A picture that cannot be read is named and left out; the exit code is then 3, after all others\n"
        "are done: of files any number may be broken, unless --broken says how many. Without FILE, images of a\n"
        "data set are shown with their true classes.\n\n"
        "--json prints a line for each picture as soon as it is done, between one that says where it comes from\n"
        "and one with totals; for images of a data set it prints one object.\n",
    .words = "[FILE...]",
    .device = true,
    .groups = groups,
    .run = run,
};

/* compare: trains several networks alike, one after the other, and draws what came of it. */
#include "cli/compare.h"

#include "base/file.h"
#include "base/memory.h"
#include "cli/progress.h"
#include "cli/stop.h"
#include "cli/train.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct values {
    struct train_values shared;
    uint32_t seeds;
    const char *out, *html;
    bool overwrite;
} values;

#define OPTION(type, name, field, value, initial, help, minimum, maximum)                                              \
    { name, type, offsetof(struct values, field), value, initial, help, minimum, maximum }
static const struct option call_options[] = {
    OPTION(OPTION_WHOLE, "seeds", seeds, "N", "1", "train each network N times: with --seed and the numbers after it",
           1, COMPARE_SEEDS),
    OPTION(OPTION_TEXT, "out", out, "DIR", NULL,
           "folder for the runs, each as train --out leaves it; the same command again goes on where it was stopped", 0,
           0),
    OPTION(OPTION_FLAG, "overwrite", overwrite, NULL, NULL, "begin anew, even where --out holds a comparison", 0, 0),
    OPTION(OPTION_TEXT, "html", html, "FILE", NULL, "learning curves and the table as a page", 0, 0),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option_group groups[] = {
    {"Every run", train_run_options + 1, &values.shared},
    {"This call", call_options, &values},
    {NULL, NULL, NULL},
};

/* ---- which runs ---- */

static enum rvk_status check_networks(const struct cli *cli) {
    const struct args *args = &cli->args;
    struct rvk_model_info info;
    if (args->word_count == 0)
        return cli_fail(RVK_USAGE, "compare takes the names of networks, such as plain20 resnet20");
    for (size_t i = 0; i < args->word_count; i++) {
        enum rvk_status status = rvk_describe_model(args->words[i], values.shared.train.style, &info);
        if (status != RVK_OK)
            return status;
        for (size_t k = 0; k < i; k++)
            if (strcmp(args->words[i], args->words[k]) == 0)
                return cli_fail(RVK_USAGE, "%s is given twice; --seeds trains a network several times", args->words[i]);
    }
    return RVK_OK;
}

/* DIR/NAME, with other seeds than the first DIR/NAME.seedN. A name may be that of a file. */
static enum rvk_status name_folder(struct compare_run *run, bool first) {
    char name[256], seed[32] = "";
    if (!values.out)
        return RVK_OK;
    snprintf(name, sizeof name, "%s", run->model);
    for (char *c = name; *c; c++)
        *c = *c == '/' ? '_' : *c;
    if (!first)
        snprintf(seed, sizeof seed, ".seed%u", run->seed);
    if (snprintf(run->folder, sizeof run->folder, "%s/%s%s", values.out, name, seed) >= (int)sizeof run->folder - 32)
        return cli_fail(RVK_USAGE, "the name of the output folder is too long");
    return RVK_OK;
}

static enum rvk_status list_runs(const struct cli *cli, struct comparison *comparison) {
    *comparison = (struct comparison){
        .network_count = cli->args.word_count,
        .seeds = values.seeds,
        .epochs = values.shared.train.epochs,
        .data = values.shared.train.data,
    };
    size_t count = comparison->network_count * comparison->seeds;
    if (memory_zeroed(count, sizeof *comparison->runs, &comparison->runs) != STATUS_OK)
        return RVK_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct compare_run *run = &comparison->runs[i];
        run->model = cli->args.words[i / values.seeds];
        run->seed = values.shared.train.seed + (uint32_t)(i % values.seeds);
        enum rvk_status status = name_folder(run, i % values.seeds == 0);
        if (status != RVK_OK)
            return status;
    }
    return RVK_OK;
}

static void destroy(struct comparison *comparison) {
    for (size_t i = 0; comparison->runs && i < comparison->network_count * comparison->seeds; i++)
        free(comparison->runs[i].epochs);
    free(comparison->runs);
}

/* ---- the folder ---- */

/* Names the first option that is another one than in the folder. */
static enum rvk_status check_options(const char *path, json_t *kept, json_t *wanted) {
    const char *name;
    json_t *value;
    json_object_foreach(wanted, name, value) {
        if (json_equal(value, json_object_get(kept, name)))
            continue;
        char *before = json_dumps(json_object_get(kept, name), JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        char *now = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        cli_fail(RVK_USAGE, "%s: this comparison was begun with %s %s, not %s; --overwrite begins anew", path, name,
                 before ? before : "unknown", now ? now : "unknown");
        free(before);
        free(now);
        return RVK_USAGE;
    }
    return RVK_OK;
}

static enum rvk_status write_options(const char *path, json_t *options) {
    char *text = json_dumps(options, JSON_INDENT(2));
    if (!text)
        return cli_fail(RVK_MEMORY, "out of memory for %s", path);
    enum status status = file_write_atomic(path, &(struct file_piece){text, strlen(text)}, 1);
    free(text);
    return (enum rvk_status)status;
}

/* Makes the folder, or sees that the runs in it were made with these options. *known: there is a comparison. */
static enum rvk_status enter_folder(bool *known) {
    char path[640];
    enum rvk_status status = RVK_OK;
    if (!values.out)
        return RVK_OK;
    if (mkdir(values.out, 0777) != 0 && errno != EEXIST)
        return cli_fail(RVK_IO, "%s: cannot make this folder: %s", values.out, strerror(errno));
    snprintf(path, sizeof path, "%s/compare.json", values.out);
    json_t *wanted = cli_options(train_run_options + 1, &values.shared);
    json_t *kept = values.overwrite ? NULL : json_load_file(path, 0, NULL);
    *known = kept != NULL;
    if (kept)
        status = check_options(path, kept, wanted);
    else
        status = write_options(path, wanted);
    json_decref(kept);
    json_decref(wanted);
    return status;
}

/* ---- one run ---- */

struct watch {
    const struct cli *cli;
    struct compare_run *run;
    size_t number, count;   /* this run, of all */
    enum rvk_status status; /* of keeping its epochs */
};

/* What is told on the way is no result: of --json, stdout holds the result only. */
static FILE *telling(const struct cli *cli) {
    return cli->common.json ? stderr : stdout;
}

static void name_run(const struct compare_run *run, char text[128]) {
    if (values.seeds > 1)
        snprintf(text, 128, "%.80s, seed %u", run->model, run->seed);
    else
        snprintf(text, 128, "%.80s", run->model);
}

static void on_start(void *user, const struct rvk_run *run) {
    ((struct watch *)user)->run->trainable = run->trainable;
}

static void on_step(void *user, const struct rvk_progress *progress) {
    const struct watch *watch = user;
    char name[128], left[32];
    name_run(watch->run, name);
    if (progress_due())
        progress_show("run %zu/%zu %s  epoch %u/%u  step %u/%u  loss %.4f  error %.1f %%  %s left", watch->number,
                      watch->count, name, progress->epoch, progress->epochs, progress->step, progress->steps,
                      progress->loss, 100 * (1 - progress->accuracy), cli_duration(progress->seconds_left, left));
}

static void on_evaluating(void *user, const struct rvk_evaluating *progress) {
    const struct watch *watch = user;
    char name[128], what[192];
    name_run(watch->run, name);
    snprintf(what, sizeof what, "run %zu/%zu %s  %s  ", watch->number, watch->count, name,
             progress->test ? "testing" : "validating");
    progress_images(what, progress->done, progress->count, progress->seconds);
}

static void on_epoch(void *user, const struct rvk_epoch *epoch) {
    struct watch *watch = user;
    FILE *out = telling(watch->cli);
    char name[128], duration[32];
    struct compare_epoch kept = {
        .known = true,
        .validated = epoch->validated,
        .train_error = 1 - epoch->train_accuracy,
        .train_loss = epoch->train_loss,
        .validation_error = 1 - epoch->validation_accuracy,
        .validation_loss = epoch->validation_loss,
        .seconds = epoch->seconds,
    };
    watch->status = compare_add_epoch(watch->run, epoch->epoch - 1, &kept);
    name_run(watch->run, name);
    progress_clear();
    fprintf(out, "%-16s  epoch %u/%u  training error %5.1f %%", name, epoch->epoch, epoch->epochs,
            100 * kept.train_error);
    if (epoch->validated)
        fprintf(out, "  validation error %5.1f %%", 100 * kept.validation_error);
    fprintf(out, "  %s\n", cli_duration(epoch->seconds, duration));
    fflush(out);
}

static enum rvk_status should_stop(void *user) {
    const struct watch *watch = user;
    return watch->status != RVK_OK ? watch->status : stop_asked();
}

/* A run that was begun goes on from its last checkpoint, which has its options. */
static struct rvk_train_options options_of(const struct compare_run *run, bool known, char checkpoint[640]) {
    struct rvk_train_options options = values.shared.train;
    options.model = run->model;
    options.seed = run->seed;
    options.out = *run->folder ? run->folder : NULL;
    snprintf(checkpoint, 640, "%s/last.safetensors", run->folder);
    if (known && options.out && file_exists(checkpoint))
        options.resume = checkpoint;
    else
        options.overwrite = known || values.overwrite;
    options.on_start = on_start;
    options.on_step = on_step;
    options.on_evaluating = on_evaluating;
    options.on_epoch = on_epoch;
    options.should_stop = should_stop;
    return options;
}

static enum rvk_status train(struct watch *watch, bool known) {
    struct rvk_train_result result = {.steps = 0};
    struct compare_run *run = watch->run;
    char checkpoint[640];
    struct rvk_train_options options = options_of(run, known, checkpoint);
    options.user = watch;
    enum rvk_status status = rvk_train(watch->cli->context, &options, &result);
    progress_clear();
    run->tested = (status == RVK_OK || status == RVK_MISMATCH) && result.tested;
    if (run->tested) {
        run->test_error = 1 - result.test_accuracy;
        run->test_loss = result.test_loss;
    }
    return status;
}

/* ---- all runs ---- */

/* Whether the others can go on after a run that ended so. */
static bool goes_on(enum rvk_status status) {
    return status != RVK_INTERRUPTED && status != RVK_TERMINATED && status != RVK_LOST && !ferror(stdout);
}

static void tell_failure(struct compare_run *run, enum rvk_status status) {
    char name[128];
    run->status = status;
    snprintf(run->message, sizeof run->message, "%s", rvk_message());
    name_run(run, name);
    fprintf(stderr, "resnet-vk: %s: %s\n", name, run->message);
}

/* *first: the status of the first run that did not end well; the sentence is then about it. */
static enum rvk_status run_all(const struct cli *cli, struct comparison *comparison, bool known) {
    size_t count = comparison->network_count * comparison->seeds;
    enum rvk_status first = RVK_OK;
    for (size_t i = 0; i < count; i++) {
        struct watch watch = {.cli = cli, .run = &comparison->runs[i], .number = i + 1, .count = count};
        enum rvk_status status = known ? compare_read_log(watch.run) : RVK_OK;
        if (status == RVK_OK && watch.run->tested) {
            fprintf(telling(cli), "%s is finished already\n", watch.run->folder);
            continue;
        }
        if (status == RVK_OK)
            status = train(&watch, known);
        if (status == RVK_OK)
            continue;
        tell_failure(watch.run, status);
        first = first == RVK_OK || !goes_on(status) ? status : first;
        if (!goes_on(status))
            break;
    }
    return first;
}

static enum rvk_status report(const struct cli *cli, const struct comparison *comparison) {
    if (cli->common.json) {
        json_t *record = cli_record(cli, NULL);
        compare_pack(comparison, record);
        cli_print_json(record);
    } else {
        compare_print(comparison);
    }
    return values.html ? compare_write_page(cli, comparison, values.html) : RVK_OK;
}

/* The sentence for the end: that of the run which stopped everything, or how many did not end well. */
static enum rvk_status conclude(const struct comparison *comparison, enum rvk_status status) {
    size_t count = comparison->network_count * comparison->seeds, failed = 0;
    const struct compare_run *one = NULL;
    for (size_t i = 0; i < count; i++)
        if (comparison->runs[i].status != RVK_OK) {
            one = one && comparison->runs[i].status != status ? one : &comparison->runs[i];
            failed++;
        }
    if (!one || status == RVK_OK)
        return status;
    if (!goes_on(status))
        return cli_fail(status, "%s: %s", one->model, one->message);
    return cli_fail(status, "%zu of %zu runs did not end well; %s: %s", failed, count, one->model, one->message);
}

static enum rvk_status compare(const struct cli *cli, struct comparison *comparison) {
    bool known = false;
    enum rvk_status status = enter_folder(&known);
    if (status != RVK_OK)
        return status;
    stop_install();
    status = run_all(cli, comparison, known);
    enum rvk_status reported = report(cli, comparison);
    return status == RVK_OK ? reported : conclude(comparison, status);
}

static enum rvk_status run(struct cli *cli) {
    struct rvk_train_options *train = &values.shared.train;
    struct comparison comparison = {0};
    if (args_source(&cli->args, "validation-split") == SOURCE_DEFAULT)
        train->validation_split = 0.1;
    train->epochs = train->epochs ? train->epochs : 20; /* as of train */
    train_adapt(cli, &values.shared);
    enum rvk_status status = check_networks(cli);
    if (status == RVK_OK)
        status = list_runs(cli, &comparison);
    if (status == RVK_OK)
        status = compare(cli, &comparison);
    destroy(&comparison);
    return status;
}

const struct command command_compare = {
    .name = "compare",
    .summary = "trains several networks alike and draws their learning curves",
    .about = "Trains each network with the same options, data, order of images and seeds, one after the other, as\n"
             "'resnet-vk train' does, and compares their errors in training and validation: where a deep network\n"
             "without shortcuts stays behind its twin with them (plain56 resnet56). Without --validation-split the\n"
             "last tenth of the training images is kept for validation; the test images are used once, at the end\n"
             "of each run. A run that fails is named, and the others go on. Ctrl-C finishes the step and saves; with\n"
             "--out the same command again goes on there and repeats nothing. The data sets are those of train.\n",
    .device = true,
    .words = "NETWORK...",
    .groups = groups,
    .run = run,
};

/* train: trains a network; a line an epoch on stdout, progress on stderr. */
#include "cli/train.h"

#include "cli/progress.h"
#include "cli/stop.h"

#include <string.h>

static struct train_values values;

#define OPTION(type, name, field, value, initial, help, minimum, maximum)                                              \
    { name, type, offsetof(struct train_values, field), value, initial, help, minimum, maximum }
#define END                                                                                                            \
    { NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0 }

const struct option train_run_options[] = {
    OPTION(OPTION_TEXT, "model", train.model, "NAME", "resnet20", "network, see 'resnet-vk models'", 0, 0),
    OPTION(OPTION_CHOICE, "style", train.style, "torch|keras", "torch", "whose details to follow", 0, 0),
    OPTION(OPTION_TEXT, "data", train.data, "SPEC", "fashion-mnist", "data set, see above", 0, 0),
    OPTION(OPTION_WHOLE, "train-limit", train.train_limit, "N", "0", "only the first training images; 0: all", 0,
           UINT32_MAX),
    OPTION(OPTION_WHOLE, "test-limit", train.test_limit, "N", "0", "only the first test images; 0: all", 0, UINT32_MAX),
    OPTION(OPTION_REAL, "validation-split", train.validation_split, "X", "0", "last share of them, kept for validation",
           0, 0.9),
    OPTION(OPTION_WHOLE, "size", train.size, "N", "0",
           "height and width to which pictures are cut; 0: as they are, or as is usual for the model", 0, 2048),
    OPTION(OPTION_TEXT, "cache", train.cache, "thumbnails[:DIR]", NULL,
           "keep scaled pictures, in the user's cache folder or DIR; random parts are then cut out of these", 0, 0),
    OPTION(OPTION_CHOICE, "normalize", train.normalize, "auto|channel|pixel|imagenet|weights", NULL,
           "mean and deviation of each channel; mean of each pixel and /255; ImageNet's; that of --weights [auto: "
           "channel, for pictures imagenet; with --weights theirs]",
           0, 0),
    OPTION(OPTION_TEXT, "augment", train.augment, "LIST", "auto", "random changes to training images, see above", 0, 0),
    OPTION(OPTION_FLAG, "no-augment", no_augment, NULL, NULL, "the same as --augment none", 0, 0),
    OPTION(OPTION_WHOLE, "shift", train.shift, "N", "4", "largest shift, in pixels", 1, 64),
    OPTION(OPTION_REAL, "mixup", train.mixup, "ALPHA", "0",
           "mean of two images, with shares from Beta(ALPHA, ALPHA); 0: none", 0, 100),
    OPTION(OPTION_REAL, "cutmix", train.cutmix, "ALPHA", "0",
           "a box of another image, likewise; with both, each batch takes one of them", 0, 100),
    OPTION(OPTION_WHOLE, "epochs", train.epochs, "N", NULL, "passes over the training images [20]", 1, 100000),
    OPTION(OPTION_AUTO, "batch", train.batch, "N|auto", "128",
           "images computed at a time; the last ones of an epoch that fill no step are left out", 1, 65536),
    OPTION(OPTION_WHOLE, "accumulate", train.accumulate, "N", "1",
           "batches a step: one update with their mean gradient", 1, 65536),
    OPTION(OPTION_WHOLE, "eval-batch", train.eval_batch, "N", "256", "images a step of evaluation", 1, 65536),
    OPTION(OPTION_WHOLE, "seed", train.seed, "N", "1", "of weights, order and augmentation", 0, UINT32_MAX),
    OPTION(OPTION_CHOICE, "optimizer", train.optimizer, "sgd|adam|adamw", "sgd", "update rule", 0, 0),
    OPTION(OPTION_REAL, "lr", train.learning_rate, "X", NULL, "learning rate at its highest [sgd 0.1, others 0.001]",
           1e-12, 1e6),
    OPTION(OPTION_REAL, "momentum", train.momentum, "X", "0.9", "of sgd", 0, 0.9999999),
    OPTION(OPTION_FLAG, "nesterov", train.nesterov, NULL, NULL, "Nesterov's rule for the momentum", 0, 0),
    OPTION(OPTION_REAL, "weight-decay", train.weight_decay, "X", NULL,
           "[sgd 0.0005, adamw 0.01, adam and --style keras 0]", 0, 100),
    OPTION(OPTION_CHOICE, "decay", train.decay, "weights|all", "weights",
           "what it acts on: kernels of convolutions and dense layers, or biases, gammas and betas too", 0, 0),
    OPTION(OPTION_CHOICE, "schedule", train.schedule, "cosine|constant|step|onecycle|plateau", "cosine",
           "of the learning rate", 0, 0),
    OPTION(OPTION_REAL, "warmup", train.warmup, "EPOCHS", "0", "linear rise at the beginning", 0, 100000),
    OPTION(OPTION_REAL, "factor", train.factor, "X", "0.1", "step and plateau multiply the rate by it", 1e-6, 1),
    OPTION(OPTION_TEXT, "drops", train.drops, "E,E,...", NULL, "step: after which epochs [half and three quarters]", 0,
           0),
    OPTION(OPTION_WHOLE, "patience", train.patience, "N", "5", "plateau: epochs without a better loss", 1, 100000),
    OPTION(OPTION_REAL, "label-smoothing", train.label_smoothing, "X", "0",
           "share of the label spread over all classes", 0, 0.99),
    OPTION(OPTION_WHOLE, "early-stop", train.early_stop, "N", "0", "stop after N epochs without a new best; 0: never",
           0, 100000),
    OPTION(OPTION_REAL, "target-accuracy", train.target_accuracy, "X", "0",
           "exit with 1 when the test accuracy is below", 0, 1),
    OPTION(OPTION_TEXT, "weights", train.weights, "FILE", NULL,
           "begin with these: a checkpoint, or what eval --weights takes", 0, 0),
    OPTION(OPTION_TEXT, "freeze-until", train.freeze_until, "LAYER", NULL,
           "what comes before this layer (layer4, layer4.1, fc) is not trained", 0, 0),
    OPTION(OPTION_FLAG, "freeze-norm", train.freeze_norm, NULL, NULL,
           "batch normalization uses its running statistics, and keeps them", 0, 0),
    OPTION(OPTION_REAL, "layer-decay", train.layer_decay, "X", "1",
           "each part of the network (stem, layer1, ..., head) learns at X times the rate of the next", 1e-6, 1),
    OPTION(OPTION_REAL, "head-rate", train.head_rate, "X", "1", "multiple of the rate at which the head learns", 1e-6,
           1e6),
    END,
};
static const struct option call_options[] = {
    OPTION(OPTION_FLAG, "recompute", train.recompute, NULL, NULL,
           "less memory, more time: activations inside blocks are computed twice instead of kept", 0, 0),
    OPTION(OPTION_TEXT, "out", train.out, "DIR", NULL,
           "folder for checkpoints (last, best), logs (jsonl, csv) and learning curves (svg)", 0, 0),
    OPTION(OPTION_FLAG, "overwrite", train.overwrite, NULL, NULL, "replace the run that is in --out", 0, 0),
    OPTION(OPTION_TEXT, "resume", train.resume, "FILE", NULL,
           "go on from this checkpoint with its options; only --epochs can be changed", 0, 0),
    OPTION(OPTION_WHOLE, "decode-threads", train.decode_threads, "N", "0",
           "that read and scale pictures; 0: one for each processor", 0, 256),
    OPTION(OPTION_WHOLE, "broken", train.broken, "N", NULL,
           "broken pictures that are passed over [10, or one of a hundred]", 0, 1000000),
    OPTION(OPTION_WHOLE, "save-every", train.save_every, "N", "0", "also keep a checkpoint every N epochs; 0: do not",
           0, 100000),
    OPTION(OPTION_WHOLE, "save-steps", train.save_steps, "N", "0",
           "save every N steps of an epoch too; 0: only at its end", 0, UINT32_MAX),
    OPTION(OPTION_WHOLE, "steps", train.steps, "N", "0", "stop and save after N steps; 0: do not", 0, UINT32_MAX),
    OPTION(OPTION_FLAG, "profile", train.profile, NULL, NULL, "print the time of each kind of op, and counters", 0, 0),
    OPTION(OPTION_TEXT, "trace", train.trace, "FILE", "trace.json", "with --profile: one step for chrome://tracing", 0,
           0),
    OPTION(OPTION_FLAG, "print-plan", print_plan, NULL, NULL, "print what a step does: its ops and their kernels", 0,
           0),
    END,
};
static const struct option_group groups[] = {
    {"The run (a checkpoint remembers these)", train_run_options, &values},
    {"This call", call_options, &values},
    {NULL, NULL, NULL},
};

static enum rvk_status should_stop(void *user) {
    (void)user;
    return stop_asked();
}

/* ---- what is told while it runs ---- */

/* What is not new, and what is not trained. */
static void print_beginning(const struct rvk_run *run) {
    const struct rvk_train_options *options = run->options;
    if (options->weights && !options->resume)
        printf("begins with the weights of %s%s\n", options->weights,
               strcmp(options->normalize, "weights") == 0 ? ", whose normalization of images it keeps" : "");
    if (run->replaced_classes)
        printf("their last layer, for %u classes, is replaced by a new one for %u\n", run->replaced_classes,
               run->classes);
    if (run->frozen)
        printf("%.3f M weights before %s are frozen\n", 1e-6 * (double)run->frozen, options->freeze_until);
}

static void on_start(void *user, const struct rvk_run *run) {
    const struct cli *cli = user;
    const struct rvk_train_options *options = run->options;
    char bytes[32];
    if (cli->common.json) {
        struct train_values shown = {.train = *options};
        json_t *record = cli_record(cli, cli_options(train_run_options, &shown));
        json_object_set_new(record, "event", json_string("start"));
        json_object_set_new(record, "model", json_string(run->model));
        json_object_set_new(record, "trainable", json_integer((json_int_t)run->trainable));
        json_object_set_new(record, "train_images", json_integer(run->train_images));
        json_object_set_new(record, "validation_images", json_integer(run->validation_images));
        json_object_set_new(record, "test_images", json_integer(run->test_images));
        json_object_set_new(record, "steps", json_integer(run->steps));
        json_object_set_new(record, "device_bytes", json_integer((json_int_t)run->device_bytes));
        json_object_set_new(record, "frozen", json_integer((json_int_t)run->frozen));
        json_object_set_new(record, "replaced_classes", json_integer(run->replaced_classes));
        cli_print_json(record);
        return;
    }
    printf("%s (%.3f M weights) on %s: %u images to train, %u to validate, %u to test\n", run->model,
           1e-6 * (double)run->trainable, options->data, run->train_images, run->validation_images, run->test_images);
    char batch[32];
    snprintf(batch, sizeof batch, options->accumulate > 1 ? "%u x %u" : "%u", options->batch, options->accumulate);
    printf("%s, batch %s, %s lr %g, schedule %s, %u epochs of %u steps; %s on the device\n", options->style, batch,
           options->optimizer, options->learning_rate, options->schedule, options->epochs, run->steps,
           cli_bytes(run->device_bytes, bytes));
    if (values.train.batch == RVK_BATCH_AUTO)
        printf("batches of %u fit into memory (at most 512 are taken); the learning rate is not adapted to them\n",
               options->batch);
    print_beginning(run);
    if (run->resumed_epoch || run->resumed_step)
        printf("resumed after %u epochs and %u steps\n", run->resumed_epoch, run->resumed_step);
    fflush(stdout);
}

/* Of what is not streamed, nothing. `text` holds 32 characters; returns it. */
static const char *describe_waited(double share, char *text) {
    text[0] = '\0';
    if (share > 0)
        snprintf(text, 32, " (waited %.0f %%)", 100 * share);
    return text;
}

static void on_step(void *user, const struct rvk_progress *progress) {
    (void)user;
    char left[32];
    char waited[32];
    if (progress_due())
        progress_show("epoch %u/%u  step %u/%u  loss %.4f  accuracy %.4f  %.0f images/s%s  %s left", progress->epoch,
                      progress->epochs, progress->step, progress->steps, progress->loss, progress->accuracy,
                      progress->images_per_second, describe_waited(progress->waited, waited),
                      cli_duration(progress->seconds_left, left));
}

static void on_evaluating(void *user, const struct rvk_evaluating *progress) {
    (void)user;
    progress_images(progress->test ? "testing  " : "validating  ", progress->done, progress->count, progress->seconds);
}

static json_t *pack_hash(uint64_t hash) {
    return json_sprintf("%016llx", (unsigned long long)hash);
}

static json_t *pack_epoch(const struct rvk_epoch *epoch) {
    json_t *object = json_pack("{s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:b, s:o}", "epoch", (json_int_t)epoch->epoch,
                               "step", (json_int_t)epoch->step, "learning_rate", epoch->learning_rate, "train_loss",
                               epoch->train_loss, "train_accuracy", epoch->train_accuracy, "seconds", epoch->seconds,
                               "images_per_second", epoch->images_per_second, "waited", epoch->waited, "best",
                               epoch->best, "weights_hash", pack_hash(epoch->weights_hash));
    if (epoch->validated) {
        json_object_set_new(object, "validation_loss", cli_number(epoch->validation_loss));
        json_object_set_new(object, "validation_accuracy", json_real(epoch->validation_accuracy));
    }
    return object;
}

static void on_epoch(void *user, const struct rvk_epoch *epoch) {
    const struct cli *cli = user;
    char duration[32], waited[32];
    progress_clear();
    if (cli->common.json) {
        json_t *line = pack_epoch(epoch);
        json_object_set_new(line, "event", json_string("epoch"));
        cli_print_json(line);
        return;
    }
    printf("epoch %u/%u  lr %.5g  loss %.4f  accuracy %.4f", epoch->epoch, epoch->epochs, epoch->learning_rate,
           epoch->train_loss, epoch->train_accuracy);
    if (epoch->validated)
        printf("  validation loss %.4f  accuracy %.4f", epoch->validation_loss, epoch->validation_accuracy);
    printf("  %.0f images/s%s  %s%s\n", epoch->images_per_second, describe_waited(epoch->waited, waited),
           cli_duration(epoch->seconds, duration), epoch->best ? "  best" : "");
    fflush(stdout);
}

static void on_profile(void *user, const struct rvk_profile_row *rows, uint32_t count) {
    const struct cli *cli = user;
    progress_clear();
    cli_print_profile(cli->common.json ? stderr : stdout, rows, count);
}

/* ---- result ---- */

static void print_counters(const struct cli *cli, const struct rvk_train_result *result) {
    struct rvk_counters all = rvk_get_counters(cli->context);
    FILE *file = cli->common.json ? stderr : stdout;
    fprintf(file, "\n%-30s %12s %12s\n", "counter", "since start", "in an epoch");
    const struct {
        const char *name;
        uint64_t all, growth;
    } rows[] = {
        {"allocations", all.allocations, result->growth.allocations},
        {"pipelines", all.pipelines, result->growth.pipelines},
        {"recordings", all.recordings, result->growth.recordings},
        {"submissions", all.submissions, result->growth.submissions},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        fprintf(file, "%-30s %12llu", rows[i].name, (unsigned long long)rows[i].all);
        if (result->growth_known)
            fprintf(file, " %12llu", (unsigned long long)rows[i].growth);
        fputc('\n', file);
    }
}

static void print(const struct rvk_train_result *result) {
    char duration[32];
    if (result->best.epoch)
        printf("best epoch %u by %s\n", result->best.epoch,
               result->best.validated ? "validation accuracy" : "training loss (there is no validation split)");
    if (result->tested)
        printf("test loss %.4f  accuracy %.4f\n", result->test_loss, result->test_accuracy);
    if (result->waited > 0)
        printf("the device waited for pictures in %.1f %% of the time of its steps\n", 100 * result->waited);
    printf("steps done: %llu; this call took %s; hash of the weights %016llx\n", (unsigned long long)result->steps,
           cli_duration(result->seconds, duration), (unsigned long long)result->weights_hash);
}

static json_t *pack_counters(const struct rvk_counters *counters) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "allocations", (json_int_t)counters->allocations, "pipelines",
                     (json_int_t)counters->pipelines, "recordings", (json_int_t)counters->recordings, "submissions",
                     (json_int_t)counters->submissions, "device_bytes", (json_int_t)counters->device_bytes);
}

static void print_json(const struct cli *cli, enum rvk_status status, const struct rvk_train_result *result) {
    struct rvk_counters counters = rvk_get_counters(cli->context);
    json_t *line = json_pack("{s:s, s:i, s:I, s:f, s:f, s:o, s:o}", "event", "result", "status", (int)status, "steps",
                             (json_int_t)result->steps, "seconds", result->seconds, "waited", result->waited,
                             "counters", pack_counters(&counters), "weights_hash", pack_hash(result->weights_hash));
    if (status != RVK_OK)
        json_object_set_new(line, "message", json_string(rvk_message()));
    if (result->best.epoch)
        json_object_set_new(line, "best", pack_epoch(&result->best));
    if (result->tested) {
        json_object_set_new(line, "test_loss", cli_number(result->test_loss));
        json_object_set_new(line, "test_accuracy", json_real(result->test_accuracy));
    }
    if (result->growth_known)
        json_object_set_new(line, "growth_in_epoch", pack_counters(&result->growth));
    cli_print_json(line);
}

/* ---- running ---- */

static bool given(const struct cli *cli, const char *name) {
    return args_source(&cli->args, name) != SOURCE_DEFAULT;
}

/* A resumed run has its options already. */
static enum rvk_status check_resume(const struct cli *cli) {
    for (const struct option *option = train_run_options; values.train.resume && option->name; option++)
        if (given(cli, option->name) && strcmp(option->name, "epochs") != 0)
            return cli_fail(RVK_USAGE, "%s cannot be given with --resume: it is taken from %s", option->name,
                            values.train.resume);
    return RVK_OK;
}

void train_adapt(const struct cli *cli, struct train_values *adapted) {
    struct rvk_train_options *train = &adapted->train;
    if (given(cli, "momentum") && train->momentum == 0)
        train->momentum = -1;
    if (given(cli, "weight-decay") && train->weight_decay == 0)
        train->weight_decay = -1;
    if (given(cli, "broken") && train->broken == 0)
        train->broken = RVK_BROKEN_NONE;
    if (train->weights && !given(cli, "model")) /* the file says it */
        train->model = NULL;
    if (train->weights && !given(cli, "style"))
        train->style = NULL;
    if (adapted->no_augment)
        train->augment = "none";
}

static void set_callbacks(struct cli *cli) {
    if (values.print_plan)
        values.train.plan = cli->common.json ? stderr : stdout;
    values.train.on_start = on_start;
    values.train.on_step = on_step;
    values.train.on_evaluating = on_evaluating;
    values.train.on_epoch = on_epoch;
    values.train.on_profile = on_profile;
    values.train.should_stop = should_stop;
    values.train.user = cli;
}

static enum rvk_status run(struct cli *cli) {
    struct rvk_train_result result = {.steps = 0};
    enum rvk_status status = check_resume(cli);
    if (status != RVK_OK)
        return status;
    train_adapt(cli, &values);
    set_callbacks(cli);
    stop_install();
    status = rvk_train(cli->context, &values.train, &result);
    progress_clear();
    if (status == RVK_IO && ferror(stdout))
        return cli_fail(RVK_IO, "the output could not be written: %s", rvk_message());
    bool ran = status == RVK_OK || status == RVK_MISMATCH || status == RVK_NONFINITE || status == RVK_INTERRUPTED ||
               status == RVK_TERMINATED;
    if (ran && values.train.profile)
        print_counters(cli, &result);
    if (ran && cli->common.json)
        print_json(cli, status, &result);
    else if (ran)
        print(&result);
    return status;
}

const struct command command_train = {
    .name = "train",
    .summary = "trains a network",
    .about =
        "Data sets: fashion-mnist (Debian's package dataset-fashion-mnist), mnist:DIR, fashion-mnist:DIR,\n"
        "cifar10:DIR, cifar100:DIR, generated:count=512,classes=10,size=32,seed=1,channels=3,\n"
        "folder:DIR with JPEG and PNG files in a folder for each class (in DIR/train and DIR/val if there is\n"
        "DIR/train; otherwise every tenth picture is for testing), tar:FILE with the same or with 1.jpg, 1.cls\n\n"
        "--augment takes auto, none, or some of shift, flip (both: these two), and for pictures crop, jitter and\n"
        "rand, with commas between. auto is crop,flip for pictures that have to be scaled, otherwise shift,flip.\n\n"
        "The best checkpoint is chosen by validation accuracy, or by training loss when there is no\n"
        "--validation-split; the test images are used once, at the end. Ctrl-C finishes the step and saves.\n\n"
        "--batch auto takes as many images as fit into the device's memory, in multiples of 16 and at most\n"
        "512; the learning rate is not adapted. --accumulate N updates the weights with the mean gradient of\n"
        "N batches, in the memory of one; batch normalization takes its statistics from each batch.\n\n"
        "--weights FILE fine-tunes: model and style are those of the file, the last layer is new when the data\n"
        "has other classes, and images are normalized as the file says (of another program: as is usual for\n"
        "ImageNet), unless --normalize asks for the numbers of the new images. --freeze-until LAYER trains that\n"
        "layer and what follows: in the rest nothing is computed backward, and batch normalization keeps its\n"
        "statistics, as --freeze-norm does everywhere. --layer-decay 0.5 halves the rate from part to part.\n",
    .device = true,
    .groups = groups,
    .run = run,
};

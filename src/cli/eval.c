/* eval: what a trained model knows: loss, accuracy, and which classes it takes for which. */
#include "cli/eval_report.h"
#include "cli/progress.h"
#include "cli/reading.h"
#include "cli/stop.h"

#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct values {
    const char *weights, *data, *model, *style, *csv, *html;
    uint32_t batch, count, size, top;
    bool training;
    struct rvk_data_options reading;
} values;

#define OPTION(type, name, field, value, initial, help, minimum, maximum)                                              \
    { name, type, offsetof(struct values, field), value, initial, help, minimum, maximum }
static const struct option options[] = {
    OPTION(OPTION_TEXT, "weights", weights, "FILE", NULL, "a checkpoint, or weights of another program", 0, 0),
    OPTION(OPTION_TEXT, "data", data, "SPEC", NULL, "data set; as in training if not given", 0, 0),
    OPTION(OPTION_FLAG, "training", training, NULL, NULL, "its training images instead of its test images", 0, 0),
    OPTION(OPTION_WHOLE, "count", count, "N", "0", "only the first images; 0: all", 0, UINT32_MAX),
    OPTION(OPTION_WHOLE, "batch", batch, "N", "256", "images a step", 1, 65536),
    OPTION(OPTION_TEXT, "model", model, "NAME", NULL, "of weights that do not say it; else it is found by names", 0, 0),
    OPTION(OPTION_CHOICE, "style", style, "torch|keras", "torch", "of such a model", 0, 0),
    OPTION(OPTION_WHOLE, "size", size, "N", "0", "height and width of its images; 0: its usual ones", 0, 4096),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option output_options[] = {
    OPTION(OPTION_WHOLE, "top", top, "K", "5", "also count answers whose K best classes hold the true one", 1, 65536),
    OPTION(OPTION_TEXT, "csv", csv, "FILE", NULL, "write the confusion matrix as comma-separated values", 0, 0),
    OPTION(OPTION_TEXT, "html", html, "FILE", NULL, "write a page: figures, matrix, the most confident mistakes", 0, 0),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option_group groups[] = {
    {"What to evaluate", options, &values},
    {"Reading pictures", reading_options, &values.reading},
    {"Output", output_options, &values},
    {NULL, NULL, NULL},
};

/* ---- text ---- */

enum {
    READABLE = 20,  /* classes of which a terminal shows all, and the matrix */
    NAME_WIDTH = 22 /* columns */
};

/* A share in percent, or a dash. */
static const char *percent(double share, char text[16]) {
    snprintf(text, 16, isfinite(share) ? "%.1f %%" : "-", 100 * share);
    return text;
}

/* The class that images of class `k` are taken for most often, other than itself; UINT32_MAX: none is. */
static uint32_t mostly_taken_for(const struct confusion *confusion, uint32_t k) {
    uint32_t most = UINT32_MAX;
    for (uint32_t other = 0; other < confusion->classes; other++) {
        uint32_t images = confusion_at(confusion, k, other);
        if (other != k && images && (most == UINT32_MAX || images > confusion_at(confusion, k, most)))
            most = other;
    }
    return most;
}

static void print_name(const struct eval_report *report, uint32_t k, int width) {
    printf("%4u ", k);
    cli_print_column(report->names[k], width);
}

static void print_class(const struct eval_report *report, uint32_t k) {
    const struct confusion *confusion = &report->confusion;
    char recall[16], precision[16];
    uint32_t other = mostly_taken_for(confusion, k);
    print_name(report, k, NAME_WIDTH);
    printf(" %7u %9s %9s", confusion->truly[k], percent(confusion_recall(confusion, k), recall),
           percent(confusion_precision(confusion, k), precision));
    if (other != UINT32_MAX) {
        printf("  %5u x ", confusion_at(confusion, k, other));
        print_name(report, other, 0);
    }
    putchar('\n');
}

static void print_heading(void) {
    printf("%-*s %7s %9s %9s  %s\n", NAME_WIDTH + 5, "class", "images", "recall", "precision", "mostly mistaken for");
}

/* Of many classes those with the lowest recall. */
static void print_worst_classes(const struct eval_report *report) {
    const struct confusion *confusion = &report->confusion;
    double before = -1; /* recall of the class printed last; of equals the smaller number comes first */
    uint32_t last = 0;
    printf("\nThe classes that are recognized worst (--csv and --html have all %u)\n", confusion->classes);
    print_heading();
    for (int i = 0; i < READABLE; i++) {
        uint32_t next = UINT32_MAX;
        for (uint32_t k = 0; k < confusion->classes; k++) {
            double recall = confusion_recall(confusion, k);
            bool after = recall > before || (recall == before && k > last);
            if (after && (next == UINT32_MAX || recall < confusion_recall(confusion, next)))
                next = k;
        }
        if (next == UINT32_MAX)
            return;
        print_class(report, next);
        before = confusion_recall(confusion, next), last = next;
    }
}

static void print_pairs(const struct eval_report *report) {
    struct confused pairs[READABLE];
    uint32_t count = confusion_worst(&report->confusion, pairs, READABLE);
    printf("\nThe most frequent mistakes\n");
    for (uint32_t i = 0; i < count; i++) {
        printf("%7u of %-6u ", pairs[i].count, report->confusion.truly[pairs[i].truly]);
        print_name(report, pairs[i].truly, NAME_WIDTH);
        printf("  taken for ");
        print_name(report, pairs[i].answered, 0);
        putchar('\n');
    }
}

static void print_matrix(const struct eval_report *report) {
    const struct confusion *confusion = &report->confusion;
    int width = 5;
    for (uint32_t images = confusion->images; images >= 10000; images /= 10)
        width++;
    printf("\n%-*s", NAME_WIDTH + 5, "true class \\ answer");
    for (uint32_t k = 0; k < confusion->classes; k++)
        printf("%*u", width, k);
    putchar('\n');
    for (uint32_t row = 0; row < confusion->classes; row++) {
        print_name(report, row, NAME_WIDTH);
        for (uint32_t column = 0; column < confusion->classes; column++)
            if (confusion_at(confusion, row, column))
                printf("%*u", width, confusion_at(confusion, row, column));
            else
                printf("%*s", width, ".");
        putchar('\n');
    }
}

static void print(const struct eval_report *report) {
    printf("loss %.4f, accuracy %.4f on %u images", report->all.loss, report->all.accuracy, report->all.count);
    if (report->top < report->confusion.classes)
        printf(", top-%u %.4f", report->top, report->top_accuracy);
    printf("\n");
    if (report->confusion.classes > READABLE) {
        print_worst_classes(report);
        print_pairs(report);
        return;
    }
    putchar('\n');
    print_heading();
    for (uint32_t k = 0; k < report->confusion.classes; k++)
        print_class(report, k);
    print_matrix(report);
}

/* ---- running ---- */

static enum rvk_status write_outputs(struct cli *cli, const struct eval_report *report) {
    if (cli->common.json) {
        json_t *record = cli_record(cli, NULL);
        eval_report_json(report, record);
        cli_print_json(record);
    } else {
        print(report);
    }
    enum rvk_status status = values.csv ? eval_report_csv(report, values.csv) : RVK_OK;
    return status == RVK_OK && values.html ? eval_report_html(report, values.html) : status;
}

/* What people call the classes: as the model does, or the data set, a synset of ImageNet by its name. */
static enum rvk_status find_names(const struct rvk_model *model, uint32_t classes, struct eval_report *report) {
    report->names = calloc(classes, sizeof *report->names);
    for (uint32_t k = 0; report->names && k < classes; k++) {
        const char *name = rvk_model_class_name(model, k);
        name = name ? name : rvk_class_name(report->data, k);
        const char *known = name ? rvk_synset_name(name) : NULL;
        report->names[k] = known ? known : name ? name : "";
    }
    return report->names ? RVK_OK : cli_fail(RVK_MEMORY, "out of host memory for the names of %u classes", classes);
}

struct watch {
    uint32_t count; /* images to evaluate */
    uint64_t start_ns;
};

static enum rvk_status on_batch(void *user, uint32_t done) {
    const struct watch *watch = user;
    progress_images("", done, watch->count, 1e-9 * (double)(clock_ns() - watch->start_ns));
    return stop_asked_after(done, watch->count);
}

static enum rvk_status evaluate(struct cli *cli, struct rvk_model *model, struct eval_report *report) {
    struct rvk_data_info info = rvk_get_data_info(report->data);
    struct rvk_model_info model_info;
    rvk_get_model_info(model, &model_info);
    snprintf(report->model, sizeof report->model, "%s", model_info.name);
    report->answer_count = values.count && values.count < info.count ? values.count : info.count;
    report->answers = calloc(report->answer_count, sizeof *report->answers);
    if (!report->answers)
        return cli_fail(RVK_MEMORY, "out of host memory for %u answers", report->answer_count);
    struct watch watch = {report->answer_count, clock_ns()};
    enum rvk_status status =
        rvk_evaluate_batches(model, report->data, 0, values.count, on_batch, &watch, &report->all, report->answers);
    progress_clear();
    uint32_t right = 0;
    for (uint32_t i = 0; status == RVK_OK && i < report->answer_count; i++)
        right += report->answers[i].label < model_info.classes && report->answers[i].rank < values.top;
    report->top = values.top;
    report->top_accuracy = report->all.count ? (double)right / report->all.count : 0;
    if (status == RVK_OK)
        status = confusion_create(report->answers, report->answer_count, model_info.classes, &report->confusion);
    if (status == RVK_OK)
        status = find_names(model, model_info.classes, report);
    return status == RVK_OK ? write_outputs(cli, report) : status;
}

static enum rvk_status run(struct cli *cli) {
    struct rvk_model *model = NULL;
    struct rvk_data *data = NULL;
    const struct rvk_load_options load = {values.batch, values.model, values.style, values.size};
    struct eval_report report = {.weights = values.weights};
    if (!values.weights)
        return cli_fail(RVK_USAGE, "eval needs --weights FILE");
    stop_install();
    reading_adapt(cli, &values.reading);
    enum rvk_status status = rvk_load_model(cli->context, values.weights, &load, &model);
    if (status == RVK_OK && !values.data && !*rvk_model_data(model))
        status = cli_fail(RVK_USAGE, "%s does not say what it was trained on: eval needs --data SPEC", values.weights);
    if (status == RVK_OK) {
        report.spec = values.data ? values.data : rvk_model_data(model);
        status = rvk_open_data_with(report.spec, values.training, &values.reading, &data);
    }
    report.data = data;
    if (status == RVK_OK)
        status = evaluate(cli, model, &report);
    confusion_destroy(&report.confusion);
    free(report.answers);
    free(report.names);
    rvk_close_data(data);
    rvk_free_model(model);
    return status;
}

const struct command command_eval = {
    .name = "eval",
    .summary = "what a trained model knows: accuracy, by class too, and its mistakes",
    .device = true,
    .groups = groups,
    .run = run,
};

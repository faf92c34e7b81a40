/* compare: what came of it, as text, JSON and a page. */
#include "cli/compare.h"
#include "cli/html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 40, ROWS = 20 /* of the table of epochs */ };

/* "12.34", with several runs "12.34 +- 0.56", in percent; "-": unknown. */
static const char *percent(const struct compare_mean *value, char text[TEXT]) {
    if (!isfinite(value->mean))
        snprintf(text, TEXT, "-");
    else if (value->count > 1)
        snprintf(text, TEXT, "%.2f +- %.2f", 100 * value->mean, 100 * value->deviation);
    else
        snprintf(text, TEXT, "%.2f", 100 * value->mean);
    return text;
}

static const char *share(double error, char text[TEXT]) {
    return percent(&(struct compare_mean){1, error, NAN}, text);
}

static uint32_t longest(const struct comparison *comparison) {
    uint32_t epochs = 0;
    for (size_t i = 0; i < comparison->network_count * comparison->seeds; i++)
        epochs = comparison->runs[i].count > epochs ? comparison->runs[i].count : epochs;
    return epochs;
}

/* The network "resnetX" where this one is "plainX"; false: there is none. */
static bool find_twin(const struct comparison *comparison, const char *plain, size_t *twin) {
    if (strncmp(plain, "plain", 5) != 0)
        return false;
    for (*twin = 0; *twin < comparison->network_count; ++*twin) {
        const char *other = compare_at(comparison, *twin, 0)->model;
        if (strncmp(other, "resnet", 6) == 0 && strcmp(other + 6, plain + 5) == 0)
            return true;
    }
    return false;
}

/* ---- text ---- */

/* At most ROWS rows, the last epoch among them. */
static bool has_row(uint32_t epoch, uint32_t epochs) {
    uint32_t every = (epochs + ROWS - 1) / ROWS;
    return (epochs - 1 - epoch) % every == 0;
}

static void print_epochs(const struct comparison *comparison) {
    uint32_t epochs = longest(comparison);
    char text[TEXT];
    printf("\nerror in %% after each epoch: training, validation%s\n%5s", comparison->seeds > 1 ? " (means)" : "",
           "epoch");
    for (size_t n = 0; n < comparison->network_count; n++)
        printf("  %17s", compare_at(comparison, n, 0)->model);
    putchar('\n');
    for (uint32_t epoch = 0; epoch < epochs; epoch++) {
        if (!has_row(epoch, epochs))
            continue;
        printf("%5u", epoch + 1);
        for (size_t n = 0; n < comparison->network_count; n++) {
            struct compare_epoch mean = compare_mean_epoch(comparison, n, epoch);
            printf("  %8s", share(mean.train_error, text));
            printf(" %8s", share(mean.validation_error, text));
        }
        putchar('\n');
    }
}

static void print_networks(const struct comparison *comparison) {
    char train[TEXT], validation[TEXT], best[TEXT], test[TEXT], duration[TEXT];
    int width = comparison->seeds > 1 ? 15 : 10;
    printf("\nerror in %%        weights  runs  %*s  %*s  %*s  %*s  time\n", width, "training", width, "validation",
           width, "best", width, "test");
    for (size_t n = 0; n < comparison->network_count; n++) {
        struct compare_network network;
        compare_sum_up(comparison, n, &network);
        printf("%-16s %7.3f M  %4u  %*s  %*s  %*s  %*s  %s\n", network.model, 1e-6 * (double)network.trainable,
               network.tested, width, percent(&network.train, train), width, percent(&network.validation, validation),
               width, percent(&network.best, best), width, percent(&network.test, test),
               cli_duration(network.seconds, duration));
    }
}

/* "resnet56 makes 4.10 points fewer errors than plain56 ..." */
static bool describe_twins(const struct comparison *comparison, size_t n, char *text, size_t size) {
    struct compare_network plain, twin;
    size_t other;
    compare_sum_up(comparison, n, &plain);
    if (!find_twin(comparison, plain.model, &other))
        return false;
    compare_sum_up(comparison, other, &twin);
    double validation = plain.validation.mean - twin.validation.mean, train = plain.train.mean - twin.train.mean;
    if (!isfinite(train) || !isfinite(validation))
        return false;
    snprintf(text, size, "%s: the error of %s is %.2f points %s in training and %.2f points %s in validation",
             plain.model, twin.model, 100 * fabs(train), train >= 0 ? "lower" : "higher", 100 * fabs(validation),
             validation >= 0 ? "lower" : "higher");
    return true;
}

void compare_print(const struct comparison *comparison) {
    char text[256];
    if (longest(comparison) > 0)
        print_epochs(comparison);
    print_networks(comparison);
    for (size_t n = 0; n < comparison->network_count; n++)
        if (describe_twins(comparison, n, text, sizeof text))
            printf("%s\n", text);
}

/* ---- JSON ---- */

static json_t *pack_mean(const struct compare_mean *value) {
    return json_pack("{s:o, s:o}", "mean", cli_number(value->mean), "deviation", cli_number(value->deviation));
}

static json_t *pack_network(const struct comparison *comparison, size_t index) {
    struct compare_network network;
    compare_sum_up(comparison, index, &network);
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "model", network.model, "trainable",
                     (json_int_t)network.trainable, "finished_runs", (json_int_t)network.tested, "seconds",
                     cli_number(network.seconds), "train_error", pack_mean(&network.train), "validation_error",
                     pack_mean(&network.validation), "best_validation_error", pack_mean(&network.best), "test_error",
                     pack_mean(&network.test));
}

static json_t *pack_epochs(const struct compare_run *run) {
    json_t *epochs = json_array();
    for (uint32_t i = 0; i < run->count; i++) {
        const struct compare_epoch *epoch = &run->epochs[i];
        if (!epoch->known)
            continue;
        json_t *object =
            json_pack("{s:I, s:o, s:o, s:f}", "epoch", (json_int_t)i + 1, "train_error", cli_number(epoch->train_error),
                      "train_loss", cli_number(epoch->train_loss), "seconds", epoch->seconds);
        if (epoch->validated) {
            json_object_set_new(object, "validation_error", cli_number(epoch->validation_error));
            json_object_set_new(object, "validation_loss", cli_number(epoch->validation_loss));
        }
        json_array_append_new(epochs, object);
    }
    return epochs;
}

static json_t *pack_run(const struct compare_run *run) {
    json_t *object = json_pack("{s:s, s:I, s:i, s:b, s:o}", "model", run->model, "seed", (json_int_t)run->seed,
                               "status", (int)run->status, "finished", run->tested, "epochs", pack_epochs(run));
    if (*run->folder)
        json_object_set_new(object, "folder", json_string(run->folder));
    if (run->status != RVK_OK)
        json_object_set_new(object, "message", json_string(run->message));
    if (run->tested) {
        json_object_set_new(object, "test_error", cli_number(run->test_error));
        json_object_set_new(object, "test_loss", cli_number(run->test_loss));
    }
    return object;
}

void compare_pack(const struct comparison *comparison, json_t *record) {
    json_t *networks = json_array(), *runs = json_array();
    for (size_t n = 0; n < comparison->network_count; n++)
        json_array_append_new(networks, pack_network(comparison, n));
    for (size_t i = 0; i < comparison->network_count * comparison->seeds; i++)
        json_array_append_new(runs, pack_run(&comparison->runs[i]));
    json_object_set_new(record, "networks", networks);
    json_object_set_new(record, "runs", runs);
}

/* ---- the page ---- */

/* x, then for each network its training and its validation, `epochs` numbers each. */
static double *list_points(const struct comparison *comparison, uint32_t epochs, bool loss) {
    double *points = malloc((1 + 2 * comparison->network_count) * (epochs + 1) * sizeof *points);
    for (uint32_t epoch = 0; points && epoch < epochs; epoch++) {
        points[epoch] = epoch + 1;
        for (size_t n = 0; n < comparison->network_count; n++) {
            struct compare_epoch mean = compare_mean_epoch(comparison, n, epoch);
            double *at = points + (1 + 2 * n) * epochs + epoch;
            at[0] = loss ? mean.train_loss : 100 * mean.train_error;
            at[epochs] = loss ? mean.validation_loss : 100 * mean.validation_error;
        }
    }
    return points;
}

/* The paper's way: training thin, validation bold, a colour for each network. */
static bool put_chart(FILE *out, const struct comparison *comparison, uint32_t epochs, bool loss) {
    size_t count = comparison->network_count;
    double *points = list_points(comparison, epochs, loss);
    struct html_series *series = calloc(2 * count, sizeof *series);
    char(*names)[64] = calloc(2 * count, sizeof *names);
    bool made = points && series && names;
    for (size_t s = 0; made && s < 2 * count; s++) {
        bool validation = s % 2 == 1;
        snprintf(names[s], sizeof *names, "%.40s, %s", compare_at(comparison, s / 2, 0)->model,
                 validation ? "validation" : "training");
        series[s] = (struct html_series){.name = names[s],
                                         .x = points,
                                         .y = points + (1 + s) * epochs,
                                         .count = epochs,
                                         .color = (unsigned)(s / 2),
                                         .thin = !validation};
    }
    if (made)
        html_chart(out, &(struct html_chart){.title = loss ? "Loss" : "Error",
                                             .x_name = "epoch",
                                             .y_name = loss ? "loss (nats)" : "error (%)",
                                             .series = series,
                                             .count = 2 * count});
    free(points);
    free(series);
    free(names);
    return made;
}

static void put_cell(FILE *out, const struct compare_mean *value) {
    if (!isfinite(value->mean))
        fputs("<td>\xE2\x80\x93</td>", out);
    else if (value->count > 1)
        fprintf(out, "<td>%.2f \xC2\xB1 %.2f</td>", 100 * value->mean, 100 * value->deviation);
    else
        fprintf(out, "<td>%.2f</td>", 100 * value->mean);
}

static void put_table(FILE *out, const struct comparison *comparison) {
    fputs(
        "<div class=\"wide\"><table>\n<thead><tr><th class=\"name\">network</th><th>weights</th><th>finished "
        "runs</th><th>training</th><th>validation</th><th>best validation</th><th>test</th><th>time</th></tr></thead>\n"
        "<tbody>\n",
        out);
    for (size_t n = 0; n < comparison->network_count; n++) {
        struct compare_network network;
        char duration[TEXT];
        compare_sum_up(comparison, n, &network);
        fputs("<tr><td class=\"name\">", out);
        text_escape(out, network.model);
        fprintf(out, "</td><td>%.3f M</td><td>%u of %u</td>", 1e-6 * (double)network.trainable, network.tested,
                comparison->seeds);
        put_cell(out, &network.train);
        put_cell(out, &network.validation);
        put_cell(out, &network.best);
        put_cell(out, &network.test);
        fprintf(out, "<td>%s</td></tr>\n", cli_duration(network.seconds, duration));
    }
    fputs("</tbody></table></div>\n", out);
}

static void put_failures(FILE *out, const struct comparison *comparison) {
    for (size_t i = 0; i < comparison->network_count * comparison->seeds; i++) {
        const struct compare_run *run = &comparison->runs[i];
        if (run->status == RVK_OK)
            continue;
        fputs("<p>", out);
        text_escape(out, run->model);
        fprintf(out, ", seed %u: ", run->seed);
        text_escape(out, run->message);
        fputs("</p>\n", out);
    }
}

static void put_twins(FILE *out, const struct comparison *comparison) {
    char text[256];
    for (size_t n = 0; n < comparison->network_count; n++)
        if (describe_twins(comparison, n, text, sizeof text)) {
            fputs("<p>", out);
            text_escape(out, text);
            fputs(".</p>\n", out);
        }
}

static bool put_content(FILE *out, const struct comparison *comparison) {
    uint32_t epochs = longest(comparison);
    bool made = epochs == 0 || (put_chart(out, comparison, epochs, false) && put_chart(out, comparison, epochs, true));
    html_section(out, "Errors in percent",
                 "Training and validation after the last epoch, the best validation of all "
                 "epochs, and the test, which was done once, at the end.");
    put_table(out, comparison);
    put_twins(out, comparison);
    put_failures(out, comparison);
    return made;
}

enum rvk_status compare_write_page(const struct cli *cli, const struct comparison *comparison, const char *path) {
    struct rvk_device device;
    struct html page;
    char title[256] = "", about[640];
    for (size_t n = 0; n < comparison->network_count; n++)
        snprintf(title + strlen(title), sizeof title - strlen(title), "%s%.40s", n ? ", " : "",
                 compare_at(comparison, n, 0)->model);
    rvk_get_device(cli->context, &device);
    snprintf(about, sizeof about, "%.300s, %u epochs, %u seed%s; %.200s", comparison->data, comparison->epochs,
             comparison->seeds, comparison->seeds > 1 ? "s, of which means are drawn" : "", device.name);
    enum rvk_status status = html_open(&page, title, about);
    if (status != RVK_OK)
        return status;
    bool made = put_content(page.out, comparison);
    status = html_close(&page, made ? path : NULL);
    return made ? status : cli_fail(RVK_MEMORY, "out of host memory for the learning curves");
}

/* curve: reads the history of a run from its log and draws it as SVG, two panels side by side. */
#include "train/curve.h"

#include "base/chart.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- history ---- */

enum quantity { LOSS, ACCURACY, QUANTITIES };

struct point {
    double epoch, value[QUANTITIES]; /* accuracy in percent */
};

struct series {
    struct point *points;
    size_t count, capacity;
};

enum { FINE_POINTS = 240 }; /* more training points than that are replaced by one an epoch */

struct history {
    json_t *start;                           /* the log's line about the beginning, or about the last resumption */
    struct series parts, epochs, validation; /* training by parts of an epoch, training by epoch, validation by epoch */
    struct point test;
    bool tested;
};

/* Larger numbers, or none, as a damaged log may hold them, are left out: an axis could not tell its ticks apart. */
static bool can_be_drawn(double epoch, double loss, double accuracy) {
    const double largest = 1e9;
    return epoch >= 0 && epoch <= largest && fabs(loss) <= largest && fabs(accuracy) <= 1;
}

static enum status add(struct series *series, double epoch, double loss, double accuracy) {
    if (!can_be_drawn(epoch, loss, accuracy))
        return STATUS_OK;
    TRY(memory_grow(&series->points, &series->capacity, series->count + 1, sizeof *series->points));
    series->points[series->count++] = (struct point){epoch, {loss, 100 * accuracy}};
    return STATUS_OK;
}

/* Forgets what lies after `epoch`: a run was resumed from there. */
static void rewind_to(struct series *series, double epoch) {
    while (series->count && series->points[series->count - 1].epoch > epoch + 1e-9)
        series->count--;
}

static double number(json_t *line, const char *name) {
    return json_number_value(json_object_get(line, name));
}

static const char *text(json_t *object, const char *name) {
    const char *value = json_string_value(json_object_get(object, name));
    return value ? value : "";
}

static void read_start(struct history *history, json_t *line) {
    double step = number(line, "step"), steps = number(line, "steps");
    double epoch = number(line, "epoch") + (steps > 0 ? step / steps : 0);
    rewind_to(&history->parts, epoch);
    rewind_to(&history->epochs, epoch);
    rewind_to(&history->validation, epoch);
    history->tested = false;
    json_decref(history->start);
    history->start = json_incref(line);
}

static enum status read_epoch(struct history *history, json_t *line) {
    double epoch = number(line, "epoch");
    TRY(add(&history->epochs, epoch, number(line, "train_loss"), number(line, "train_accuracy")));
    if (json_object_get(line, "validation_loss"))
        TRY(add(&history->validation, epoch, number(line, "validation_loss"), number(line, "validation_accuracy")));
    return STATUS_OK;
}

static enum status read_line(struct history *history, json_t *line) {
    const char *event = text(line, "event");
    if (strcmp(event, "start") == 0 || strcmp(event, "resume") == 0)
        read_start(history, line);
    if (strcmp(event, "epoch") == 0)
        return read_epoch(history, line);
    if (strcmp(event, "part") == 0)
        return add(&history->parts, number(line, "epochs"), number(line, "train_loss"), number(line, "train_accuracy"));
    if (strcmp(event, "test") == 0 && history->epochs.count) {
        history->tested = can_be_drawn(0, number(line, "test_loss"), number(line, "test_accuracy"));
        history->test = (struct point){history->epochs.points[history->epochs.count - 1].epoch,
                                       {number(line, "test_loss"), 100 * number(line, "test_accuracy")}};
    }
    return STATUS_OK;
}

static enum status read_history(const char *folder, struct history *history) {
    const size_t limit = (size_t)256 << 20;
    char path[640];
    uint8_t *bytes;
    size_t size;
    snprintf(path, sizeof path, "%s/log.jsonl", folder);
    TRY(file_read(path, limit, &bytes, &size));
    enum status status = STATUS_OK;
    for (char *line = (char *)bytes, *end; status == STATUS_OK && *line; line = end) {
        end = line + strcspn(line, "\n");
        json_t *json = json_loadb(line, (size_t)(end - line), 0, NULL);
        if (json)
            status = read_line(history, json);
        json_decref(json);
        end += *end == '\n';
    }
    free(bytes);
    return status;
}

/* ---- axes ---- */

/* Whole epochs, from where the run began. */
static struct axis x_axis(const struct history *history, const struct series *training) {
    const struct series *epochs = &history->epochs;
    double first = fmin(epochs->points[0].epoch - 1, floor(training->points[0].epoch));
    double last = epochs->points[epochs->count - 1].epoch;
    return (struct axis){first, last, fmax(1, chart_tick(last - first, 8))};
}

static void extend(const struct series *series, enum quantity quantity, double *low, double *high) {
    for (size_t i = 0; i < series->count; i++) {
        *low = fmin(*low, series->points[i].value[quantity]);
        *high = fmax(*high, series->points[i].value[quantity]);
    }
}

/*
 * From a whole tick to a whole tick, around all values. A validation loss far above the training losses, as running
 * statistics give it in a first short epoch, lies outside, so that the rest can be seen.
 */
static struct axis y_axis(const struct history *history, const struct series *training, enum quantity quantity) {
    double low = training->points[0].value[quantity], high = low;
    extend(training, quantity, &low, &high);
    const double highest = 1.25 * high;
    extend(&history->validation, quantity, &low, &high);
    if (history->tested)
        extend(&(struct series){.points = (struct point *)&history->test, .count = 1}, quantity, &low, &high);
    if (quantity == LOSS)
        high = fmin(high, highest);
    return chart_axis(low, high, 6);
}

/* ---- drawing ---- */

enum { WIDTH = 760, HEIGHT = 354, PANEL_WIDTH = 308, PANEL_HEIGHT = 190, PANEL_TOP = 110, MOST_DOTS = 60 };

struct panel {
    FILE *out;
    const struct history *history;
    const struct series *training;
    enum quantity quantity;
    struct axis x, y;
    double left;
};

/* Colours for light pages, and for dark ones where the viewer asks for them, without CSS variables, which some viewers
 * lack. Blue and orange also differ for the colour-blind; validation has dots besides. */
static void put_style(FILE *out) {
    fputs("<style>\n"
          "text{font:12px system-ui,'DejaVu Sans',sans-serif;fill:#1f2328}text.s{font-size:11px;fill:#59636e}\n"
          "text.h{font-size:15px;font-weight:600}.e{text-anchor:end}.m{text-anchor:middle}\n"
          ".p{fill:#fff}.g,.a,.t,.v{fill:none;stroke:#e1e5ea}.a{stroke:#8c959f}\n"
          ".t{stroke:#2468b4}.v{stroke:#c9540a}.t,.v{stroke-width:1.8;stroke-linejoin:round}\n"
          ".c{fill:#2468b4}.d{fill:#c9540a}.x{fill:#1f2328}\n"
          "@media(prefers-color-scheme:dark){text,.x{fill:#e6edf3}text.s{fill:#9aa5b1}.p{fill:#14181d}\n"
          ".g{stroke:#2d343c}.a{stroke:#6b7580}.t{stroke:#6cb0f5}.v{stroke:#f59a52}.c{fill:#6cb0f5}"
          ".d{fill:#f59a52}}\n"
          "</style>\n",
          out);
}

static double place_x(const struct panel *panel, double epoch) {
    return panel->left + PANEL_WIDTH * (epoch - panel->x.low) / (panel->x.high - panel->x.low);
}

static double place_y(const struct panel *panel, double value) {
    return PANEL_TOP + PANEL_HEIGHT * (panel->y.high - value) / (panel->y.high - panel->y.low);
}

static void put_y_axis(const struct panel *panel) {
    const struct axis *y = &panel->y;
    int decimals = chart_decimals(y);
    for (int i = 0; y->low + i * y->tick <= y->high + y->tick / 2; i++) {
        double value = y->low + i * y->tick + 0.0, at = place_y(panel, value);
        fprintf(panel->out,
                "<path class=\"g\" d=\"M%.1f %.1fh%d\"/><text class=\"s e\" x=\"%.1f\" y=\"%.1f\">%.*f</text>\n",
                panel->left, at, PANEL_WIDTH, panel->left - 8, at + 4, decimals, value);
    }
    fprintf(panel->out, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", panel->left - 36, PANEL_TOP - 38,
            panel->quantity == LOSS ? "loss (nats)" : "accuracy (%)");
}

static void put_x_axis(const struct panel *panel) {
    const struct axis *x = &panel->x;
    const int bottom = PANEL_TOP + PANEL_HEIGHT;
    for (double k = ceil(x->low / x->tick - 1e-9); k * x->tick <= x->high + 1e-9; k++) {
        double value = k * x->tick + 0.0, at = place_x(panel, value); /* + 0.0: no -0 */
        fprintf(panel->out, "<path class=\"a\" d=\"M%.1f %dv4\"/><text class=\"s m\" x=\"%.1f\" y=\"%d\">%.0f</text>\n",
                at, bottom, at, bottom + 18, value);
    }
    fprintf(panel->out, "<path class=\"a\" d=\"M%.1f %dh%d\"/><text class=\"m\" x=\"%.1f\" y=\"%d\">epoch</text>\n",
            panel->left, bottom, PANEL_WIDTH, panel->left + PANEL_WIDTH / 2.0, bottom + 38);
}

static void put_line(const struct panel *panel, const struct series *series, const char *class) {
    fprintf(panel->out, "<path class=\"%s\" d=\"", class);
    for (size_t i = 0; i < series->count; i++)
        fprintf(panel->out, "%c%.1f %.1f", i ? 'L' : 'M', place_x(panel, series->points[i].epoch),
                place_y(panel, series->points[i].value[panel->quantity]));
    fputs("\"/>\n", panel->out);
}

static void put_dots(const struct panel *panel, const struct series *series, const char *class) {
    for (size_t i = 0; i < series->count; i++)
        fprintf(panel->out, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>", class,
                place_x(panel, series->points[i].epoch), place_y(panel, series->points[i].value[panel->quantity]));
    fputc('\n', panel->out);
}

static void put_diamond(const struct panel *panel, double x, double y) {
    fprintf(panel->out, "<path class=\"x\" d=\"M%.1f %.1fl5 5 -5 5 -5 -5z\"/>", x, y - 5);
}

/* One entry of the legend above the panel: name and last value, beside a sample of the line. */
static void put_entry(const struct panel *panel, int column, const char *name, const struct point *last) {
    static const double columns[] = {0, 112, 244};
    const double x = panel->left - 36 + columns[column];
    const int y = PANEL_TOP - 16, decimals = panel->quantity == LOSS ? 3 : 1;
    const char *line = column == 0 ? "t" : "v";
    if (column < 2)
        fprintf(panel->out, "<path class=\"%s\" d=\"M%.1f %dh18\"/>", line, x, y - 4);
    if (column == 1)
        fprintf(panel->out, "<circle class=\"d\" cx=\"%.1f\" cy=\"%d\" r=\"3\"/>", x + 9, y - 4);
    if (column == 2)
        put_diamond(panel, x + 9, y - 4);
    fprintf(panel->out, "<text class=\"s\" x=\"%.1f\" y=\"%d\">%s %.*f</text>\n", x + 23, y, name, decimals,
            last->value[panel->quantity]);
}

static void put_legend(const struct panel *panel) {
    const struct history *history = panel->history;
    const struct series *epochs = &history->epochs, *validation = &history->validation;
    put_entry(panel, 0, "training", &epochs->points[epochs->count - 1]);
    if (validation->count)
        put_entry(panel, 1, "validation", &validation->points[validation->count - 1]);
    if (history->tested)
        put_entry(panel, 2, "test", &history->test);
}

static void put_panel(FILE *out, const struct history *history, enum quantity quantity, double left) {
    struct panel panel = {.out = out, .history = history, .quantity = quantity, .left = left};
    const struct series *validation = &history->validation;
    panel.training = history->parts.count && history->parts.count <= FINE_POINTS ? &history->parts : &history->epochs;
    panel.x = x_axis(history, panel.training);
    panel.y = y_axis(history, panel.training, quantity);
    put_y_axis(&panel);
    put_x_axis(&panel);
    put_legend(&panel);
    fprintf(out, "<clipPath id=\"c%d\"><path d=\"M%.1f %dh%dv%dh-%dz\"/></clipPath><g clip-path=\"url(#c%d)\">\n",
            (int)quantity, left - 6, PANEL_TOP - 4, PANEL_WIDTH + 12, PANEL_HEIGHT + 10, PANEL_WIDTH + 12,
            (int)quantity);
    put_line(&panel, panel.training, "t");
    if (panel.training->count == 1)
        put_dots(&panel, panel.training, "c");
    if (validation->count)
        put_line(&panel, validation, "v");
    if (validation->count <= MOST_DOTS)
        put_dots(&panel, validation, "d");
    if (history->tested)
        put_diamond(&panel, place_x(&panel, history->test.epoch), place_y(&panel, history->test.value[quantity]));
    fputs("</g>\n", out);
}

static void put_title(FILE *out, const struct history *history) {
    text_escape(out, text(history->start, "model"));
    fputs(" on ", out);
    text_escape(out, text(json_object_get(history->start, "options"), "data"));
}

static void put_note(FILE *out, const struct history *history) {
    json_t *options = json_object_get(history->start, "options");
    fprintf(out, "%.0f training images, batch %.0f, ", number(history->start, "train_images"),
            number(options, "batch"));
    text_escape(out, text(options, "optimizer"));
    fputs(", ", out);
    text_escape(out, text(options, "schedule"));
    fputs("; ", out);
    text_escape(out, text(json_object_get(history->start, "device"), "name"));
}

static void put_picture(FILE *out, const struct history *history) {
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n"
            "<title>Learning curves: ",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_title(out, history);
    fputs("</title>\n", out);
    put_style(out);
    fprintf(out, "<rect class=\"p\" width=\"%d\" height=\"%d\" rx=\"6\"/>\n<text class=\"h\" x=\"18\" y=\"28\">", WIDTH,
            HEIGHT);
    put_title(out, history);
    fputs("</text><text class=\"s\" x=\"18\" y=\"46\">", out);
    put_note(out, history);
    fputs("</text>\n", out);
    put_panel(out, history, LOSS, 54);
    put_panel(out, history, ACCURACY, 430);
    fputs("</svg>\n", out);
}

static enum status write_picture(const char *folder, const struct history *history) {
    char path[640], *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);
    if (!out)
        return fail(STATUS_MEMORY, "out of memory for the learning curves");
    put_picture(out, history);
    bool complete = !ferror(out);
    complete = fclose(out) == 0 && complete;
    snprintf(path, sizeof path, "%s/curve.svg", folder);
    enum status status = complete ? file_write_atomic(path, &(struct file_piece){bytes, size}, 1)
                                  : fail(STATUS_MEMORY, "out of memory for the learning curves");
    free(bytes);
    return status;
}

enum status curve_write(const char *folder) {
    struct history history = {0};
    enum status status = read_history(folder, &history);
    if (status == STATUS_OK && history.epochs.count)
        status = write_picture(folder, &history);
    free(history.parts.points);
    free(history.epochs.points);
    free(history.validation.points);
    json_decref(history.start);
    return status;
}

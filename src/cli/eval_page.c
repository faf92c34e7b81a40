/* eval_page: an evaluation as a page: figures, the confusion matrix, what is mistaken for what, and pictures of it. */
#include "cli/eval_report.h"
#include "cli/html.h"
#include "cli/thumbnail.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_CLASSES = 24 /* of more, the matrix is a picture */, PAIRS = 20, OPEN_CLASSES = 40 };

/* The name of a class, or its number. */
static void describe(const struct eval_report *report, uint32_t k, char text[160]) {
    if (*report->names[k])
        snprintf(text, 160, "%s", report->names[k]);
    else
        snprintf(text, 160, "class %u", k);
}

static void put_name(FILE *out, const struct eval_report *report, uint32_t k) {
    char name[160];
    describe(report, k, name);
    text_escape(out, name);
}

static void put_percent(FILE *out, double share) {
    if (isfinite(share))
        fprintf(out, "<td>%.1f\xE2\x80\xAF%%</td>", 100 * share);
    else
        fputs("<td>\xE2\x80\x93</td>", out);
}

/* ---- figures ---- */

static void put_facts(FILE *out, const struct eval_report *report) {
    struct html_fact facts[5] = {{.name = "top-1 accuracy"}, {.name = "loss"}, {.name = "images"}, {.name = "classes"}};
    char top[32];
    size_t count = 4;
    snprintf(facts[0].value, sizeof facts[0].value, "%.2f %%", 100 * report->all.accuracy);
    snprintf(facts[1].value, sizeof facts[1].value, "%.4f", report->all.loss);
    snprintf(facts[2].value, sizeof facts[2].value, "%u", report->all.count);
    snprintf(facts[3].value, sizeof facts[3].value, "%u", report->confusion.classes);
    if (report->top > 1 && report->top < report->confusion.classes) {
        snprintf(top, sizeof top, "top-%u accuracy", report->top);
        memmove(facts + 2, facts + 1, 3 * sizeof *facts);
        facts[1].name = top;
        snprintf(facts[1].value, sizeof facts[1].value, "%.2f %%", 100 * report->top_accuracy);
        count++;
    }
    html_facts(out, facts, count);
}

/* ---- the matrix ---- */

/* 0 to 1: how dark a cell is. The root lets rare mistakes be seen. */
static double shade(const struct confusion *confusion, uint32_t row, uint32_t column) {
    uint32_t images = confusion_at(confusion, row, column);
    return images ? sqrt((double)images / confusion->truly[row]) : 0;
}

static void put_cell(FILE *out, const struct eval_report *report, uint32_t row, uint32_t column) {
    const struct confusion *confusion = &report->confusion;
    uint32_t images = confusion_at(confusion, row, column);
    double dark = shade(confusion, row, column);
    if (!images) {
        fputs("<td></td>", out);
        return;
    }
    fprintf(out, "<td class=\"%s%s\" style=\"background:rgb(var(--%s)/%.2f)\" title=\"",
            row == column ? "own" : "other", dark > 0.6 ? " dark" : "", row == column ? "right" : "wrong", dark);
    fprintf(out, "%u of %u ", images, confusion->truly[row]);
    put_name(out, report, row);
    fputs(row == column ? " recognized" : " taken for ", out);
    if (row != column)
        put_name(out, report, column);
    fprintf(out, "\">%u</td>", images);
}

static void put_table(FILE *out, const struct eval_report *report) {
    uint32_t classes = report->confusion.classes;
    fputs("<div class=\"wide\"><table class=\"matrix\">\n<thead><tr><th class=\"name\">true class</th>", out);
    for (uint32_t k = 0; k < classes; k++) {
        fputs("<th class=\"turned\"><span>", out);
        put_name(out, report, k);
        fputs("</span></th>", out);
    }
    fputs("</tr></thead>\n<tbody>\n", out);
    for (uint32_t row = 0; row < classes; row++) {
        fputs("<tr><th class=\"name\">", out);
        put_name(out, report, row);
        fputs("</th>", out);
        for (uint32_t column = 0; column < classes; column++)
            put_cell(out, report, row, column);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

/* A unit square a cell, by shades, which keeps a matrix of a thousand classes small: one path a shade. */
static void put_map(FILE *out, const struct eval_report *report) {
    enum { SHADES = 8 };
    const struct confusion *confusion = &report->confusion;
    fprintf(out,
            "<figure class=\"map\"><svg viewBox=\"0 0 %u %u\" role=\"img\" shape-rendering=\"crispEdges\">\n"
            "<title>Confusion matrix: a row for each true class, a column for each answer</title>\n",
            confusion->classes, confusion->classes);
    for (int level = 1; level <= 2 * SHADES; level++) {
        bool own = level > SHADES, any = false;
        int wanted = own ? level - SHADES : level;
        for (uint32_t row = 0; row < confusion->classes; row++)
            for (uint32_t column = own ? row : 0; column < (own ? row + 1 : confusion->classes); column++)
                if ((int)ceil(SHADES * shade(confusion, row, column)) == wanted && (row == column) == own) {
                    if (!any)
                        fprintf(out, "<path style=\"fill:rgb(var(--%s)/%.3f)\" d=\"", own ? "right" : "wrong",
                                (double)wanted / SHADES);
                    fprintf(out, "M%u %uh1v1h-1z", column, row);
                    any = true;
                }
        fputs(any ? "\"/>\n" : "", out);
    }
    fputs("</svg></figure>\n", out);
}

static void put_matrix(FILE *out, const struct eval_report *report) {
    bool map = report->confusion.classes > TABLE_CLASSES;
    html_section(
        out, "Confusion matrix",
        map ? "A row for each true class, from the top; a column for each answer, from the left. Blue: "
              "recognized. Orange: taken for another class. The darker, the larger the share of the row."
            : "A row for each true class, a column for each answer. Blue: recognized. Orange: taken for another "
              "class.");
    (map ? put_map : put_table)(out, report);
}

/* ---- lists ---- */

static void put_pairs(FILE *out, const struct eval_report *report) {
    struct confused pairs[PAIRS];
    uint32_t count = confusion_worst(&report->confusion, pairs, PAIRS);
    html_section(out, "Most frequent mistakes", count ? NULL : "There are none.");
    if (!count)
        return;
    fputs("<div class=\"wide\"><table>\n<thead><tr><th class=\"name\">true class</th><th class=\"name\">taken for</th>"
          "<th>images</th><th>of its images</th></tr></thead>\n<tbody>\n",
          out);
    for (uint32_t i = 0; i < count; i++) {
        fputs("<tr><td class=\"name\">", out);
        put_name(out, report, pairs[i].truly);
        fputs("</td><td class=\"name\">", out);
        put_name(out, report, pairs[i].answered);
        fprintf(out, "</td><td>%u</td>", pairs[i].count);
        put_percent(out, (double)pairs[i].count / report->confusion.truly[pairs[i].truly]);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

static void put_classes(FILE *out, const struct eval_report *report) {
    const struct confusion *confusion = &report->confusion;
    bool folded = confusion->classes > OPEN_CLASSES;
    html_section(
        out, "By class",
        "Recall: how many images of the class were recognized. Precision: how many that were taken for it are.");
    if (folded)
        fputs("<details><summary>All classes with images or answers</summary>\n", out);
    fputs("<div class=\"wide\"><table>\n<thead><tr><th class=\"name\">class</th><th>images</th><th>recall</th>"
          "<th>precision</th></tr></thead>\n<tbody>\n",
          out);
    for (uint32_t k = 0; k < confusion->classes; k++) {
        if (confusion->truly[k] == 0 && confusion->answered[k] == 0)
            continue;
        fputs("<tr><td class=\"name\">", out);
        put_name(out, report, k);
        fprintf(out, "</td><td>%u</td>", confusion->truly[k]);
        put_percent(out, confusion_recall(confusion, k));
        put_percent(out, confusion_precision(confusion, k));
        fputs("</tr>\n", out);
    }
    fputs(folded ? "</tbody></table></div></details>\n" : "</tbody></table></div>\n", out);
}

/* ---- pictures ---- */

enum { MISTAKES = 24, THUMBNAIL_SIDE = 160 };

/* Numbers of the images with wrong answers, the most confident ones first; returns how many. */
static uint32_t find_mistakes(const struct eval_report *report, uint32_t mistakes[MISTAKES]) {
    const struct rvk_answer *answers = report->answers;
    uint32_t count = 0;
    for (uint32_t i = 0; i < report->answer_count; i++) {
        uint32_t at = count;
        if (answers[i].label >= report->confusion.classes || answers[i].best >= report->confusion.classes ||
            answers[i].rank == 0)
            continue;
        while (at > 0 && answers[mistakes[at - 1]].best_probability < answers[i].best_probability)
            at--;
        if (at == MISTAKES)
            continue;
        count += count < MISTAKES;
        memmove(mistakes + at + 1, mistakes + at, (count - at - 1) * sizeof *mistakes);
        mistakes[at] = i;
    }
    return count;
}

static enum rvk_status put_mistake(FILE *out, const struct eval_report *report, uint32_t index) {
    const struct rvk_answer *answer = &report->answers[index];
    char taken[160], truly[160], note[32];
    uint8_t *jpeg = NULL;
    size_t size = 0;
    describe(report, answer->best, taken);
    describe(report, answer->label, truly);
    snprintf(note, sizeof note, "image %u", index);
    const char *file = rvk_image_name(report->data, index);
    enum rvk_status status = thumbnail(report->data, index, THUMBNAIL_SIDE, &jpeg, &size);
    const struct html_bar bars[] = {{taken, (double)answer->best_probability, true},
                                    {truly, (double)answer->true_probability, false}};
    if (status == RVK_OK)
        html_card(out, jpeg, size, bars, 2, file ? file : note);
    free(jpeg);
    return status;
}

static enum rvk_status put_mistakes(FILE *out, const struct eval_report *report) {
    uint32_t mistakes[MISTAKES], count = find_mistakes(report, mistakes);
    if (count == 0)
        return RVK_OK;
    html_section(out, "Most confident mistakes", "Orange: what the model takes it for. Blue: what it is.");
    html_cards_begin(out);
    enum rvk_status status = RVK_OK;
    for (uint32_t i = 0; status == RVK_OK && i < count; i++)
        status = put_mistake(out, report, mistakes[i]);
    html_cards_end(out);
    return status;
}

/* ---- the page ---- */

static enum rvk_status write_page(struct html *page, const struct eval_report *report) {
    put_facts(page->out, report);
    put_matrix(page->out, report);
    fputs("<div class=\"columns\"><div>\n", page->out);
    put_pairs(page->out, report);
    fputs("</div><div>\n", page->out);
    put_classes(page->out, report);
    fputs("</div></div>\n", page->out);
    return put_mistakes(page->out, report);
}

enum rvk_status eval_report_html(const struct eval_report *report, const char *path) {
    struct html page;
    char title[512];
    snprintf(title, sizeof title, "%s on %s", report->model, report->spec);
    enum rvk_status status = html_open(&page, title, report->weights);
    if (status == RVK_OK)
        status = write_page(&page, report);
    enum rvk_status closed = html_close(&page, status == RVK_OK ? path : NULL);
    return status == RVK_OK ? closed : status;
}

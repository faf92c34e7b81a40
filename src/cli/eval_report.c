#include "cli/eval_report.h"

#include "base/file.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- JSON ---- */

static json_t *pack_class(const struct eval_report *report, uint32_t k) {
    const struct confusion *confusion = &report->confusion;
    char *valid = *report->names[k] ? text_valid(report->names[k]) : NULL;
    json_t *object = json_pack("{s:I, s:s?, s:I, s:I, s:o, s:o}", "class", (json_int_t)k, "name", valid, "count",
                               (json_int_t)confusion->truly[k], "correct", (json_int_t)confusion_at(confusion, k, k),
                               "accuracy", cli_number(confusion_recall(confusion, k)), "precision",
                               cli_number(confusion_precision(confusion, k)));
    free(valid);
    return object;
}

/* [true class, answered class, images] where there are any. */
static json_t *pack_matrix(const struct confusion *confusion) {
    json_t *list = json_array();
    for (uint32_t row = 0; row < confusion->classes; row++)
        for (uint32_t column = 0; column < confusion->classes; column++)
            if (confusion_at(confusion, row, column))
                json_array_append_new(list, json_pack("[I, I, I]", (json_int_t)row, (json_int_t)column,
                                                      (json_int_t)confusion_at(confusion, row, column)));
    return list;
}

void eval_report_json(const struct eval_report *report, json_t *record) {
    json_t *classes = json_array();
    for (uint32_t k = 0; k < report->confusion.classes; k++)
        json_array_append_new(classes, pack_class(report, k));
    json_object_set_new(record, "loss", cli_number(report->all.loss));
    json_object_set_new(record, "accuracy", json_real(report->all.accuracy));
    json_object_set_new(record, "top", json_integer(report->top));
    json_object_set_new(record, "top_accuracy", json_real(report->top_accuracy));
    json_object_set_new(record, "count", json_integer(report->all.count));
    json_object_set_new(record, "classes", classes);
    json_object_set_new(record, "confusion", pack_matrix(&report->confusion));
}

/* ---- CSV ---- */

/* RFC 4180: in quotes, which are doubled, where it needs them. */
static void put_field(FILE *out, const char *text) {
    bool quoted = text[strcspn(text, ",\"\r\n")] != 0;
    if (quoted)
        fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    if (quoted)
        fputc('"', out);
}

static void put_share(FILE *out, double share) {
    if (isfinite(share))
        fprintf(out, ",%.6f", share);
    else
        fputc(',', out);
}

static void put_matrix(const struct eval_report *report, FILE *out) {
    const struct confusion *confusion = &report->confusion;
    fputs("class,name,images,recall,precision", out);
    for (uint32_t k = 0; k < confusion->classes; k++)
        fprintf(out, ",%u", k);
    fputc('\n', out);
    for (uint32_t row = 0; row < confusion->classes; row++) {
        fprintf(out, "%u,", row);
        put_field(out, report->names[row]);
        fprintf(out, ",%u", confusion->truly[row]);
        put_share(out, confusion_recall(confusion, row));
        put_share(out, confusion_precision(confusion, row));
        for (uint32_t column = 0; column < confusion->classes; column++)
            fprintf(out, ",%u", confusion_at(confusion, row, column));
        fputc('\n', out);
    }
}

enum rvk_status eval_report_csv(const struct eval_report *report, const char *path) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return cli_fail(RVK_MEMORY, "out of host memory for the confusion matrix");
    put_matrix(report, out);
    bool complete = !ferror(out);
    enum rvk_status status = fclose(out) == 0 && complete
                                 ? (enum rvk_status)file_write_atomic(path, &(struct file_piece){text, size}, 1)
                                 : cli_fail(RVK_MEMORY, "out of host memory for the confusion matrix");
    free(text);
    return status;
}

/*
 * eval_report: what an evaluation found, and its forms beside the text: JSON, CSV and a page.
 */
#ifndef RVK_CLI_EVAL_REPORT_H
#define RVK_CLI_EVAL_REPORT_H

#include "cli/confusion.h"

struct eval_report {
    const char *weights, *spec; /* files and data set as they were given */
    char model[32];
    const struct rvk_data *data;
    const char **names; /* [confusion.classes] of the model's classes; "" where there is none */
    struct rvk_evaluation all;
    struct rvk_answer *answers;
    uint32_t answer_count;
    struct confusion confusion;
    uint32_t top;
    double top_accuracy; /* the true class is among the `top` best */
};

/* Adds the results to the record. */
void eval_report_json(const struct eval_report *report, json_t *record);

/*
 * The confusion matrix: a line of headings, then a line a class with its number, name, images, recall and precision
 * (empty without images or answers), and how many of its images were taken for class 0, 1, ... RVK_IO, RVK_MEMORY.
 */
enum rvk_status eval_report_csv(const struct eval_report *report, const char *path);

/* The page (eval_page.c). RVK_IO, RVK_MEMORY, and what reading pictures again can return. */
enum rvk_status eval_report_html(const struct eval_report *report, const char *path);

#endif

/*
 * predict_output: what is said of single images: lines of text, JSON and a contact sheet.
 *
 * Pictures (files) give a line each as soon as they are done, as text or JSON; images of a data set give text with
 * their true class, or one JSON object in the end.
 */
#ifndef RVK_CLI_PREDICT_OUTPUT_H
#define RVK_CLI_PREDICT_OUTPUT_H

#include "cli/html.h"

/* Zero it and fill in the first part. */
struct predict_output {
    const struct cli *cli;
    const struct rvk_model *model;
    const struct rvk_data *data;
    uint32_t top;               /* classes to name */
    bool pictures;              /* they are files, without true classes */
    bool draw;                  /* images of a data set as characters */
    uint32_t missing;           /* files that were left out before */
    const char *weights, *html; /* files; html NULL: no page */

    uint32_t classes, *best; /* of the model; numbers of the best ones of an image */
    int name_width;          /* columns of a file's name */
    uint32_t done, broken;
    json_t *list;
    struct html page;
};

/* For images [first, first + count). RVK_MEMORY. Ends with predict_output_close. */
enum rvk_status predict_output_open(struct predict_output *output, uint32_t first, uint32_t count);

/* Image `index`, of whose probabilities NaN means that it is broken. RVK_MEMORY. */
enum rvk_status predict_output_put(struct predict_output *output, uint32_t index, const float *probabilities);

/*
 * After `status` of the prediction, which took so long: the end of the JSON, and the page, if all went well. Returns
 * `status`, or what went wrong here: RVK_DATA when pictures were broken or missing, RVK_IO, RVK_MEMORY.
 */
enum rvk_status predict_output_close(struct predict_output *output, enum rvk_status status, double seconds,
                                     double waited);

#endif

/*
 * html: pages that are one file: no network, no script, readable on light and dark screens and on paper.
 *
 * A page is written to a stream in memory and replaces its file in the end. What comes from files (names of classes,
 * of files, of data sets) goes through text_escape (base/text.h).
 */
#ifndef RVK_CLI_HTML_H
#define RVK_CLI_HTML_H

#include "cli/cli.h"

#include "base/text.h"

struct html {
    FILE *out; /* for more content */
    char *bytes;
    size_t size;
};

/* Begins a page with a heading and a line below it, both escaped here. RVK_MEMORY; the page is then as one that
 * html_close has closed. */
enum rvk_status html_open(struct html *page, const char *title, const char *about);

/* Ends the page and replaces the file at `path`; NULL: throws the page away, as after a failure. Accepts a zeroed page.
 * RVK_IO (the old file is then as it was), RVK_MEMORY. */
enum rvk_status html_close(struct html *page, const char *path);

/* A heading of a section, and text below it or NULL; both are escaped. */
void html_section(FILE *out, const char *title, const char *text);

/* Big numbers with their names, side by side; both are escaped. */
struct html_fact {
    const char *name;
    char value[40];
};
void html_facts(FILE *out, const struct html_fact *facts, size_t count);

/* A picture inside the page; `type` is "image/jpeg" or another such name, `alt` what it shows (escaped). */
void html_image(FILE *out, const char *type, const uint8_t *bytes, size_t size, const char *alt);

/* ---- pictures side by side ---- */

struct html_bar {
    const char *name;
    double share; /* the bar's length; outside of 0 to 1 there is none */
    bool wrong;   /* in the colour of mistakes */
};

/* Between these two: cards. */
void html_cards_begin(FILE *out);
void html_cards_end(FILE *out);

/* A JPEG (NULL: without one), bars with names and percentages, and a file's name or another small line (or NULL). */
void html_card(FILE *out, const uint8_t *jpeg, size_t size, const struct html_bar *bars, size_t count,
               const char *note);

/* ---- charts (html_chart.c) ---- */

enum { HTML_COLORS = 8 };

struct html_series {
    const char *name;
    const double *x, *y; /* points that are not finite are left out, the line goes on after them */
    size_t count;
    unsigned color; /* taken modulo HTML_COLORS */
    bool dashed, thin;
};

struct html_chart {
    const char *title, *x_name, *y_name;
    const struct html_series *series;
    size_t count;
    double highest; /* larger values lie outside, as of a run that diverged; 0: none do */
};

/* Lines over whole numbers such as epochs, with a legend. Without a finite point nothing is drawn. */
void html_chart(FILE *out, const struct html_chart *chart);

#endif

/*
 * html: holds a page of the program to the rules by which every reader shows it alike: each tag closed, in order;
 * attributes quoted; text escaped; nothing from elsewhere and no script.
 */
#ifndef RVK_TEST_HTML_H
#define RVK_TEST_HTML_H

#include "test.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { HTML_DEPTH = 64 };

struct html_reader {
    const char *page, *at;
    char open[HTML_DEPTH][16];
    int depth;
};

static inline void html_trouble(const struct html_reader *reader, const char *what) {
    int before = (int)(reader->at - reader->page < 60 ? reader->at - reader->page : 60);
    fail_msg("%s at byte %td: %.*s>>>%.60s", what, reader->at - reader->page, before, reader->at - before, reader->at);
}

static inline bool html_starts(const struct html_reader *reader, const char *word) {
    return strncmp(reader->at, word, strlen(word)) == 0;
}

/* One of the references that the program writes. */
static inline void html_reference(struct html_reader *reader) {
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (html_starts(reader, known[i])) {
            reader->at += strlen(known[i]);
            return;
        }
    html_trouble(reader, "a bare &");
}

static inline void html_attribute(struct html_reader *reader) {
    const char *name = reader->at;
    while (isalnum((unsigned char)*reader->at) || *reader->at == '-')
        reader->at++;
    size_t length = (size_t)(reader->at - name);
    if (length == 0 || (length > 2 && strncmp(name, "on", 2) == 0))
        html_trouble(reader, "an attribute without a name, or a script");
    if (!html_starts(reader, "=\""))
        html_trouble(reader, "a value without quotes");
    reader->at += 2;
    bool link = strncmp(name, "src=", 4) == 0 || strncmp(name, "href=", 5) == 0;
    if (link && !html_starts(reader, "data:image/") && !html_starts(reader, "#"))
        html_trouble(reader, "something from elsewhere");
    while (*reader->at != '"') {
        if (*reader->at == '&')
            html_reference(reader);
        else if (*reader->at == '<' || *reader->at == 0)
            html_trouble(reader, "a quote that does not end");
        else
            reader->at++;
    }
    reader->at++;
}

static inline void html_tag(struct html_reader *reader) {
    static const char *const empty[] = {"meta", "img"};
    char name[16] = "";
    bool closes = reader->at[1] == '/', ends = false;
    reader->at += 1 + closes;
    for (size_t i = 0; isalnum((unsigned char)*reader->at) && i + 1 < sizeof name; i++)
        name[i] = *reader->at++;
    if (!*name || strcmp(name, "script") == 0 || strcmp(name, "link") == 0)
        html_trouble(reader, "no tag that belongs here");
    if (closes) {
        if (*reader->at != '>' || reader->depth == 0 || strcmp(reader->open[reader->depth - 1], name) != 0)
            html_trouble(reader, "a tag is closed that is not open");
        reader->at++;
        reader->depth--;
        return;
    }
    while (*reader->at == ' ') {
        reader->at++;
        html_attribute(reader);
    }
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        ends |= strcmp(name, empty[i]) == 0;
    if (html_starts(reader, "/>"))
        reader->at++, ends = true;
    if (*reader->at++ != '>')
        html_trouble(reader, "a tag that does not end");
    if (!ends && reader->depth < HTML_DEPTH)
        strcpy(reader->open[reader->depth++], name);
    if (strcmp(name, "style") == 0) /* text of its own */
        reader->at = strstr(reader->at, "</style>") ? strstr(reader->at, "</style>") : reader->at + strlen(reader->at);
}

/* Fails where the page breaks a rule. */
static inline void html_check(const char *page) {
    static const char start[] = "<!DOCTYPE html>\n";
    struct html_reader reader = {.page = page, .at = page};
    if (!html_starts(&reader, start))
        html_trouble(&reader, "no document type");
    reader.at += sizeof start - 1;
    while (*reader.at) {
        unsigned char c = (unsigned char)*reader.at;
        if (c == '<')
            html_tag(&reader);
        else if (c == '&')
            html_reference(&reader);
        else if (c == '>' || (c < ' ' && c != '\n'))
            html_trouble(&reader, "a bare character");
        else
            reader.at++;
    }
    if (reader.depth > 0)
        fail_msg("<%s> is not closed", reader.open[reader.depth - 1]);
}

#endif

/*
 * text: names from foreign files (of classes, files, data sets) on their way into a page, JSON or a terminal.
 */
#ifndef RVK_BASE_TEXT_H
#define RVK_BASE_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* Bytes of the UTF-8 character at `text`, 1 to 4; 0: there is none (a stray, overlong or cut sequence, a surrogate). */
size_t text_character(const char *text);

/* Number of characters; a byte that belongs to none counts as one. */
size_t text_length(const char *text);

/*
 * Writes `text` so that HTML and XML show it as it is, in an attribute as well: & < > " ' as references, control
 * characters and bytes that are no UTF-8 as U+FFFD.
 */
void text_escape(FILE *out, const char *text);

/* Writes `text` for a terminal or a file of lines: control characters, which could move the cursor, become '?'. */
void text_print(FILE *out, const char *text);

/* A copy that is valid UTF-8 (wrong bytes become U+FFFD), as JSON needs it. Free with free(); NULL: out of memory. */
char *text_valid(const char *text);

#endif

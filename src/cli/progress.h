/*
 * progress: one line for people, on stderr, only when that is a terminal, at most six times a second.
 */
#ifndef RVK_CLI_PROGRESS_H
#define RVK_CLI_PROGRESS_H

#include "base/status.h"

#include <stdbool.h>

/* True when a new line should be shown now. */
bool progress_due(void);
/* Replaces the line; it is cut at the terminal's width. */
void progress_show(const char *format, ...) PRINTF_LIKE(1, 2);
/* Takes the line away, if there is one. */
void progress_clear(void);

#endif

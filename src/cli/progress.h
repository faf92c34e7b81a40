/*
 * progress: one line for people, on stderr, only when that is a terminal, at most six times a second.
 */
#ifndef RVK_CLI_PROGRESS_H
#define RVK_CLI_PROGRESS_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* True when a new line should be shown now. */
bool progress_due(void);
/* Replaces the line; it is cut at the terminal's width. */
void progress_show(const char *format, ...) PRINTF_LIKE(1, 2);
/* Shows, when it is due, how far a command is that needed `seconds` for `done` of `count` images; `what` comes first.
 */
void progress_images(const char *what, uint32_t done, uint32_t count, double seconds);
/* Takes the line away, if there is one. */
void progress_clear(void);

#endif

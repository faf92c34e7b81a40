/*
 * log: what a user may want to know although nothing failed. The library never prints: messages go to a callback, and
 * nowhere before one is set.
 */
#ifndef RVK_BASE_LOG_H
#define RVK_BASE_LOG_H

#include "base/status.h"

enum log_level { LOG_INFO, LOG_WARN };

typedef void log_callback(void *context, enum log_level level, const char *message);

/* One callback for the whole process (NULL: none); set it before other threads use the library. It may be called from
 * any of them. */
void log_set(log_callback *callback, void *context);

/* One line without the line's end. */
void log_info(const char *format, ...) PRINTF_LIKE(1, 2);
/* A fallback, something ignored, a message of the validation layer. */
void log_warn(const char *format, ...) PRINTF_LIKE(1, 2);

#endif

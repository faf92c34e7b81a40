#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static log_callback *receiver;
static void *receiver_context;

void log_set(log_callback *callback, void *context) {
    receiver = callback;
    receiver_context = context;
}

static void send(enum log_level level, const char *format, va_list arguments) {
    if (!receiver)
        return;
    char message[2048];
    vsnprintf(message, sizeof message, format, arguments);
    receiver(receiver_context, level, message);
}

void log_info(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    send(LOG_INFO, format, arguments);
    va_end(arguments);
}

void log_warn(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    send(LOG_WARN, format, arguments);
    va_end(arguments);
}

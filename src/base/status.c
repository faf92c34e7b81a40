#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[1024];

/* A name from a file or an argument must not end the line or speak to the terminal. */
static void make_printable(void) {
    for (char *c = message; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
}

enum status fail(enum status code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    make_printable();
    return code;
}

enum status fail_prefix(enum status code, const char *format, ...) {
    char rest[sizeof message];
    memcpy(rest, message, sizeof rest);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (length >= 0 && (size_t)length + 2 < sizeof message)
        snprintf(message + length, sizeof message - (size_t)length, ": %s", rest);
    make_printable();
    return code;
}

enum status fail_more(enum status code, const char *format, ...) {
    size_t used = strlen(message);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message + used, sizeof message - used, format, arguments);
    va_end(arguments);
    make_printable();
    return code;
}

const char *status_message(void) {
    return message;
}

const char *status_text(enum status code) {
    switch (code) {
#define X(name, number, text)                                                                                          \
    case STATUS_##name:                                                                                                \
        return text;
        STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}

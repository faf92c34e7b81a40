/*
 * status: a code to branch on and a sentence to read.
 *
 * Every function that can fail returns an enum status. The sentence that explains a failure waits in the calling
 * thread (status_message) until that thread's next failure. The codes are the exit codes of the program.
 */
#ifndef RVK_BASE_STATUS_H
#define RVK_BASE_STATUS_H

#include <stddef.h>

/* One list makes the enum and the names. */
#define STATUS_LIST(X)                                                                                                 \
    X(OK, 0, "done")                                                                                                   \
    X(MISMATCH, 1, "the answer is no: a verification mismatch, a target not reached")                                  \
    X(USAGE, 2, "usage")                                                                                               \
    X(DATA, 3, "data or model file missing or malformed")                                                              \
    X(DEVICE, 4, "no usable device or feature")                                                                        \
    X(MEMORY, 5, "out of memory or over a device limit")                                                               \
    X(LOST, 6, "device lost")                                                                                          \
    X(NONFINITE, 7, "numbers became non-finite")                                                                       \
    X(IO, 8, "input/output (disk full, permission)")                                                                   \
    X(INTERRUPTED, 130, "interrupted, state saved")                                                                    \
    X(TERMINATED, 143, "terminated, state saved")

enum status {
#define X(name, code, text) STATUS_##name = code,
    STATUS_LIST(X)
#undef X
};

#if defined(__GNUC__)
#define CHECKED __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#else
#define CHECKED
#define PRINTF_LIKE(text, first)
#endif

/* Stores the sentence for this thread and returns `code`, so that a caller writes: return fail(STATUS_DATA, ...).
 * Control characters (of a name in a hostile file) become question marks. */
enum status fail(enum status code, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts "prefix: " before the stored sentence (a caller adds the file or the op) and returns `code`. */
enum status fail_prefix(enum status code, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts more behind the stored sentence and returns `code`. */
enum status fail_more(enum status code, const char *format, ...) PRINTF_LIKE(2, 3);

/* The sentence of this thread's last failure; "" before the first. Valid until the thread's next failure. */
const char *status_message(void);

/* What a code means, in a few words ("unknown status" for a number outside the list). */
const char *status_text(enum status code);

/* Returns from the calling function when `expression` fails. */
#define TRY(expression)                                                                                                \
    do {                                                                                                               \
        enum status try_status = (expression);                                                                         \
        if (try_status != STATUS_OK)                                                                                   \
            return try_status;                                                                                         \
    } while (0)

#endif

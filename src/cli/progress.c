#include "cli/progress.h"

#include "base/clock.h"
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static uint64_t shown_ns;
static bool visible;

bool progress_due(void) {
    const uint64_t interval_ns = 1000000000 / 6;
    uint64_t now = clock_ns();
    if (!isatty(STDERR_FILENO) || (shown_ns && now - shown_ns < interval_ns))
        return false;
    shown_ns = now;
    return true;
}

static int terminal_width(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

void progress_show(const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\r\033[K%.*s", terminal_width() - 1, text);
    fflush(stderr);
    visible = true;
}

void progress_images(const char *what, uint32_t done, uint32_t count, double seconds) {
    double rate = done / (seconds > 0 ? seconds : 1);
    char left[32];
    if (progress_due())
        progress_show("%s%u of %u images  %.1f images/s  %s left", what, done, count, rate,
                      cli_duration((count - done) / (rate > 0 ? rate : 1), left));
}

void progress_clear(void) {
    if (visible)
        fputs("\r\033[K", stderr);
    visible = false;
}

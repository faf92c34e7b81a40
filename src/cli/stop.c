#include "cli/stop.h"

#include "cli/cli.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>

static volatile sig_atomic_t caught;
static const int asking[] = {SIGINT, SIGTERM, SIGHUP};

enum { SIGNALS = sizeof asking / sizeof *asking };

static void catch_signal(int number) {
    caught = number;
    for (int i = 0; i < SIGNALS; i++)
        signal(asking[i], SIG_DFL);
}

/* nohup has SIGHUP ignored, and so it stays. */
void stop_install(void) {
    struct sigaction action = {.sa_handler = catch_signal}, before;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < SIGNALS; i++)
        if (asking[i] != SIGHUP || sigaction(SIGHUP, NULL, &before) != 0 || before.sa_handler != SIG_IGN)
            sigaction(asking[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

enum rvk_status stop_asked(void) {
    if (caught) /* also when it broke off what was being written */
        return caught == SIGINT ? RVK_INTERRUPTED : RVK_TERMINATED;
    return ferror(stdout) ? RVK_IO : RVK_OK;
}

enum rvk_status stop_asked_after(uint32_t done, uint32_t count) {
    enum rvk_status status = stop_asked();
    if (status == RVK_OK)
        return RVK_OK;
    return cli_fail(status, "%sstopped after %u of %u images",
                    status == RVK_IO ? "the output could not be written: " : "", done, count);
}

/*
 * stop: signals that ask a long command to stop.
 */
#ifndef RVK_CLI_STOP_H
#define RVK_CLI_STOP_H

#include "resnet_vk.h"

/* From here on the first SIGINT, SIGTERM or SIGHUP asks for a stop; a second one, also of another kind, ends the
 * program at once. A reader of stdout that went away is an error of stdout, no signal. */
void stop_install(void);

/* RVK_OK: go on; RVK_INTERRUPTED or RVK_TERMINATED: a signal came; RVK_IO: stdout cannot be written. */
enum rvk_status stop_asked(void);

/* The same between batches of `count` images, of which `done` are done, with a sentence that says so. */
enum rvk_status stop_asked_after(uint32_t done, uint32_t count);

#endif

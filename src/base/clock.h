/*
 * clock: time that never runs backwards.
 */
#ifndef RVK_BASE_CLOCK_H
#define RVK_BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds since some fixed moment. */
uint64_t clock_ns(void);

#endif

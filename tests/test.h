/*
 * test: what every cmocka program here includes first.
 */
#ifndef RVK_TEST_H
#define RVK_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif

// test.h - cmocka with the includes that it wants before itself.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_UNIT_TEST_H
#define SL_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif

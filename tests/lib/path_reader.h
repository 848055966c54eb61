// path_reader.h - a second reader of request paths, to judge the module's by.
//
// It works on whole segments where the module works on bytes. Of every path it says what the path
// must become, and whether it must be refused, must pass, or may be either (what no rule names, but
// the module need not let through). A third reader is a careless backend: it cuts at backslashes
// and drops path parameters, and must find no dot segment in what the module passes on.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_LIB_PATH_READER_H
#define SL_TESTS_LIB_PATH_READER_H

#include <stdbool.h>

#include "common/base/str.h"

#define PATH_READER_MAX 65536 // bytes of a path

// What the module does wrong with a raw path of at most PATH_READER_MAX bytes; NULL: nothing.
// *ret_passed: whether it let the path through. One thread.
const char *path_reader_fault(struct sl_str raw, bool *ret_passed);

#endif

// scarce.h - memory that runs out: the n-th allocation fails, for every n in turn.
//
// A program of sl_unit_test(… SCARCE) calls malloc, calloc, realloc, strdup and strndup of this
// file wherever our own code does; what libraries allocate inside is theirs. One thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_LIB_SCARCE_H
#define SL_TESTS_LIB_SCARCE_H

#include <stdbool.h>
#include <stddef.h>

// Runs `attempt` with the first allocation failing, then with the second, … until a run needs
// fewer. `attempt` answers 0 or -1 as our functions do and asserts what must hold after either; a
// run whose failure nobody noticed (0 although an allocation failed) is refused unless
// `may_do_without`. Answers how many allocations the undisturbed run made.
size_t scarce_run(int (*attempt)(void *arg), void *arg, bool may_do_without);

// Memory is plentiful until scarce_resume, for what an attempt prepares or checks.
void scarce_pause(void);
void scarce_resume(void);

#endif

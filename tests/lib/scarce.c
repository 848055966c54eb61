// scarce.c - see scarce.h. The linker's --wrap leads our calls here.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/scarce.h"

#include <string.h>

#include "tests/unit/test.h"

#define RUNS_MAX 100000 // of one scarce_run; more means that it does not end

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t most);

static size_t made;    // allocations of this run
static size_t failing; // the one that fails; 0: none
static bool failed;    // it did
static bool paused;

static bool
runs_out(void)
{
    if (failing == 0 || paused) {
        return false;
    }
    made++;
    failed = failed || made == failing;
    return made == failing;
}

void *
__wrap_malloc(size_t size)
{
    return runs_out() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return runs_out() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
    return runs_out() ? NULL : __real_realloc(old, size);
}

char *
__wrap_strndup(const char *text, size_t most)
{
    size_t len = strnlen(text, most);
    char *copy = __wrap_malloc(len + 1);
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

char *
__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, strlen(text));
}

size_t
scarce_run(int (*attempt)(void *arg), void *arg, bool may_do_without)
{
    for (size_t run = 1; run < RUNS_MAX; run++) {
        made = 0;
        failing = run;
        failed = false;
        int status = attempt(arg);
        failing = 0;
        if (!failed) {
            assert_int_equal(status, 0);
            return made;
        }
        if (status == 0 && !may_do_without) {
            fail_msg("allocation %zu failed and nobody noticed", run);
        }
    }
    fail_msg("no end after %d runs", RUNS_MAX);
    return 0;
}

void
scarce_pause(void)
{
    paused = true;
}

void
scarce_resume(void)
{
    paused = false;
}

// fork.h - children of tests.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_UNIT_FORK_H
#define SL_TESTS_UNIT_FORK_H

#include "tests/unit/test.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

// As fork(2), which must succeed. The child ends with the test, however that one ends: one that is
// left would hold the test's output, and whoever reads that would wait for it.
static inline pid_t
fork_child(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    return pid;
}

#endif

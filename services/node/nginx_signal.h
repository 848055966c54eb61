// nginx_signal.h - telling nginx, whom nobody here started, what to do.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_NGINX_SIGNAL_H
#define SL_NODE_NGINX_SIGNAL_H

#include <sys/types.h>

#include "common/base/base.h"

// Whether process `pid` (0: none) is alive and runs the program `binary`.
bool nginx_signal_runs(pid_t pid, const char *binary);

// The pid that `pid_file` names, when the process is alive and runs `binary`; else 0. A pid that
// another program got since is nobody's.
pid_t nginx_signal_find(const char *pid_file, const char *binary);

// Sends it a signal: HUP (read the configuration again), USR1 (open the logs anew). False: there is
// none.
bool nginx_signal_send(const char *pid_file, const char *binary, int number);

#endif

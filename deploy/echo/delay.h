// delay.h - connections that wait before they are answered, none of them in another's way.
//
// One thread of its own resumes them; the daemon must allow that connections are suspended.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef DEPLOY_ECHO_DELAY_H
#define DEPLOY_ECHO_DELAY_H

#include <stdbool.h>

#define DELAYS_MAX 4096 // connections that wait at once

struct MHD_Connection;

// Starts the thread. False: no thread is to be had.
bool delay_start(void);

// Suspends a connection for `ms` milliseconds; its handler is called again then. Called by the
// handler alone. False: DELAYS_MAX wait already, or the end has begun; nothing is suspended.
bool delay_connection(struct MHD_Connection *connection, long ms);

// Resumes all that wait, refuses more, and ends the thread: before the daemon is stopped.
void delay_stop(void);

#endif

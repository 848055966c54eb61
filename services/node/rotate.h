// rotate.h - keeps nginx's access logs from growing without bound.
//
// A log that reached its size is renamed to <log>.1, what was <log>.1 to <log>.2, and so on; beyond
// the last that is kept they are deleted. nginx writes on into the renamed file until it is told to
// open its logs anew (USR1), so no line is lost, and it is told again until the log is there. Works
// without a cron, and with nginx gone. The agent's thread owns it; it never blocks on nginx.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_ROTATE_H
#define SL_NODE_ROTATE_H

#include "services/node/settings.h"

#define ROTATE_LOOK_MS 1000 // between looks at the sizes

struct rotate;

// For the logs, the bounds and the pid file of these settings, which must outlive it. NULL with
// *err (INTERNAL) without memory.
struct rotate *rotate_new(const struct settings *settings, struct sl_error *err);
void rotate_free(struct rotate **rotate);

// Looks when it is time (`now_ms`: sl_mono_ms()). Does nothing where access_log_max_bytes is 0.
void rotate_tick(struct rotate *rotate, int64_t now_ms);

#endif

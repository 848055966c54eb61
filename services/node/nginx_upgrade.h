// nginx_upgrade.h - another module (or nginx) under running calls: USR2, WINCH, QUIT.
//
// A reload never loads a shared object anew, so a node whose nginx runs another module than its
// settings name gets a second master beside the first (USR2, "Upgrading Executable on the Fly" of
// nginx's documentation). Once all its workers have been up for a while, the old one's workers are
// told to finish (WINCH), then the old master (QUIT). Until QUIT everything can be taken back: a
// new master that does not come up, or loses a worker, leaves the old one serving, and the
// configuration of before is put back for whoever starts nginx next. An nginx in the foreground
// ignores USR2: it is told to read its configuration, as for any other change. Never blocks; the
// agent's thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_NGINX_UPGRADE_H
#define SL_NODE_NGINX_UPGRADE_H

#include "services/node/settings.h"

struct nginx_upgrade;

// `settings` is borrowed. NULL with *err (INTERNAL) without memory.
struct nginx_upgrade *nginx_upgrade_new(const struct settings *settings, struct sl_error *err);
// Leaves nginx as it is: another agent goes on.
void nginx_upgrade_free(struct nginx_upgrade **upgrade);

// Begins, or goes on with what an earlier agent began, when the nginx that runs has another module
// than the settings name. False: there is nothing to do.
bool nginx_upgrade_begin(struct nginx_upgrade *upgrade);

// Goes on; costs nothing when nothing is under way (`now_ms`: sl_mono_ms()).
void nginx_upgrade_tick(struct nginx_upgrade *upgrade, int64_t now_ms);

// Whether an upgrade is under way.
bool nginx_upgrade_is_busy(const struct nginx_upgrade *upgrade);

// Why the last one was taken back; "" when it was not.
const char *nginx_upgrade_reason(const struct nginx_upgrade *upgrade);

#endif

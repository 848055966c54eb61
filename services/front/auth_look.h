// auth_look.h - whether the copy of `control` lacks what was changed a moment ago.
//
// A copy is some milliseconds behind what sluice-admin acknowledged. Before a front refuses for the
// copy's sake it looks: the publisher makes and numbers what is committed, and the copy is waited
// for. Those who look together share one question, and there is one at a time.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_AUTH_LOOK_H
#define SL_FRONT_AUTH_LOOK_H

#include "common/wire/follow.h"

struct looks;

// Called once, on the client's thread, on the one that closes, or, after that, on the caller's.
typedef void look_fn(void *arg);

// Looks by this client, whose follower keeps the copy; both outlive it. NULL when memory is out.
struct looks *looks_new(struct sl_bus_client *client, struct sl_follow *follow);

// Runs `fn` once the copy has all that was committed before this call, or when that cannot be
// known: no publisher answers, or the copy does not come. A second at most. Any thread.
void looks_ask(struct looks *looks, look_fn *fn, void *arg);

// Looks no more: runs what still waits, and from now on each `fn` at once. Before the client goes,
// and before looks_free; takes NULL, and may be called twice.
void looks_close(struct looks *looks);
// When nobody asks any more. Takes NULL; empties the pointer.
void looks_free(struct looks **looks);

#endif

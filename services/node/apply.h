// apply.h - entries from the stream (or the store) → the live image.
//
// The follower's hooks: unseal, decode, put, commit, and note for the store; the image goes live
// first. One step is taken whole or not at all. A full set is gathered aside and replaces
// everything at its end. An entry that opens but does not hold is skipped with an alert, so that
// one broken entry does not hold up a gateway. Runs on the agent's thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_APPLY_H
#define SL_NODE_APPLY_H

#include "common/runtime/image_build.h"
#include "common/wire/follow.h"
#include "services/node/checker.h"
#include "services/node/durable.h"
#include "services/node/keys.h"
#include "services/node/resolve.h"

struct apply;

struct apply_options {
    const char *gateway_id;           // borrowed, like all below
    struct sl_image_builder *builder; //
    struct keys *keys;                //
    struct durable *durable;          //
    struct resolve *resolve;          //
    struct checker *checker;          // NULL: members of channels are not probed
    void (*on_live)(void *arg);       // a new image is live
    void *arg;                        //
};

// NULL when memory is out.
struct apply *apply_new(const struct apply_options *options, struct sl_error *err);
void apply_free(struct apply **apply);

// The hooks for sl_follow_new().
struct sl_follow_hooks apply_hooks(struct apply *apply);

// Puts everything that the store holds into the image, before any bus answers. *ret_revision is
// what the image then serves; zeroed when the store had nothing (or what it had does not open).
int apply_store(struct apply *apply, struct sl_store *store, struct sl_revision *ret_revision,
                struct sl_error *err) SL_MUST_CHECK;

// Commits what the resolver changed, at the same revision.
void apply_resolved(struct apply *apply);

// What the image serves.
struct sl_revision apply_revision(const struct apply *apply);

// Why the node cannot keep up ("" when it does): a newer reader is needed, a key is missing, shared
// memory is full. Valid until the next call.
const char *apply_reason(const struct apply *apply);

#endif

// share.h - what a node gives to a peer that has no image: the set of entries it has itself.
//
// Answers on `peer_listen` (ZeroMQ, CURVE: the asker must know this node's public key). An asker
// names its gateway and its own public key; one that stands in the gateway's list of nodes gets a
// page boxed to that key, so that only its holder can open it. A request is
// `{gateway, key, after: [kind, key]}`, an answer `{page: bin}` or `{refused: why}`. Runs on the
// agent's thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_SHARE_H
#define SL_NODE_SHARE_H

#include "common/runtime/image_build.h"
#include "common/wire/peer.h"
#include "services/node/durable.h"
#include "services/node/settings.h"

struct share;

struct share_options {
    const struct settings *settings;        // borrowed, like all below
    const struct sl_peer *peer;             // who we are
    struct durable *durable;                // has what there is to give
    const struct keys *keys;                //
    const struct sl_image_builder *builder; // knows the gateway's nodes
};

// Listens. Refuses (CONFIG, naming peer_listen) an address that cannot be bound.
struct share *share_new(const struct share_options *options, struct sl_error *err);
void share_free(struct share **share);

// A descriptor for poll, which may stay quiet although requests wait: share_run() at every turn of
// the loop, which answers a few.
int share_fd(const struct share *share);
void share_run(struct share *share);

#endif

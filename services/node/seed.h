// seed.h - the first image of a node whose store is empty while the control plane is silent.
//
// For the first moments the bus has its chance: what the publisher has is newer. Then the peers of
// the setting `peers` are asked in turn (share.h), then `seed_file` is read, then all over again
// until an image is live, whoever brought it. What came is a full set like any other: image, store,
// and from there on only what changed since. A node that came this way has no share of limits until
// accounting says so. Runs on the agent's thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_SEED_H
#define SL_NODE_SEED_H

#include "common/wire/follow.h"
#include "common/wire/peer.h"
#include "services/node/apply.h"
#include "services/node/page.h"
#include "services/node/settings.h"

struct seed;

struct seed_options {
    const struct settings *settings; // borrowed, like all below
    const struct sl_peer *peer;      // who we are
    struct keys *keys;               // gets the content keys
    struct apply *apply;             // gets the entries
    struct sl_follow *follow;        // learns where to go on; NULL: nobody follows
};

// Refuses (CONFIG) a malformed list of peers.
struct seed *seed_new(const struct seed_options *options, struct sl_error *err);
void seed_free(struct seed **seed);

// Goes on. Call it at every turn of the loop; costs nothing once there is an image.
void seed_run(struct seed *seed);

// Why there is no image yet; "" when there is one or nobody was asked.
const char *seed_reason(const struct seed *seed);

// Writes a file that every node of the gateway can begin with, by rename, mode 0600.
int seed_file_write(const char *path, const struct page_source *source,
                    struct sl_error *err) SL_MUST_CHECK;

// Calls `fn` for every page of a file. Refuses (CONFIG) one that others may write, that is cut
// short, or whose pages are not for us (page_read).
int seed_file_read(const char *path, const char *gateway_id, const char *public_z85,
                   int (*fn)(void *arg, const struct page *page, struct sl_error *err), void *arg,
                   struct sl_error *err) SL_MUST_CHECK;

#endif

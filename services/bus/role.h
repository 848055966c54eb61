// role.h - what a peer may do on the bus, by the role in its allow-list file (proto/bus.md).
//
// Pure: no sockets, no memory.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BUS_ROLE_H
#define SL_BUS_ROLE_H

#include "common/base/error.h"
#include "common/base/str.h"

#define ROLE_TEXT_MAX 256 // bytes of a role or gateway with terminator

enum role_kind {
    ROLE_FRONT,
    ROLE_WORKER,
    ROLE_NODE,
    ROLE_ADMIN,
};

struct role {
    enum role_kind kind;
    char text[ROLE_TEXT_MAX];    // as written: "worker:registry,throttle"
    char rest[ROLE_TEXT_MAX];    // after the colon: services or node id
    char gateway[ROLE_TEXT_MAX]; // of a node, else ""
};

// Parses the role's text; `gateway` is "" where the file has none. Refuses (CONFIG) other words, a
// worker without services, a node without id or gateway.
int role_parse(struct sl_str text, struct sl_str gateway, struct role *ret_role,
               struct sl_error *err) SL_MUST_CHECK;

// Whether the role may send command `name` to `service`.
bool role_may_call(const struct role *role, struct sl_str service, struct sl_str name);

// Whether its envelopes may say on whose behalf they act.
bool role_may_act(const struct role *role);

// Whether it may offer the service.
bool role_may_offer(const struct role *role, struct sl_str service);

// Whether it may send events of the topic.
bool role_may_publish(const struct role *role, struct sl_str topic);

// Whether it may follow every topic that begins with `prefix`.
bool role_may_subscribe(const struct role *role, struct sl_str prefix);

#endif

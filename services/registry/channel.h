// channel.h - what the files about load balance channels (3.17) share.
//
// Servers and groups are rows of their own: whoever writes them holds their channel's row, so that
// two commands of one channel take turns. All memory comes from the command's arena.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_CHANNEL_H
#define SL_REGISTRY_CHANNEL_H

#include "services/registry/resource.h"

// A channel whose row is locked or new.
struct channel {
    const char *id;   //
    json_int_t port;  // of servers that have none of their own
    bool is_ecs;      // its servers are cloud servers
    const char *only; // the group whose servers are meant; NULL: all
};

// The channel of the command's path, locked. Refuses CHANNEL_NOT_FOUND.
int channel_open(struct mutation *m, struct channel *ret_channel,
                 struct sl_error *err) SL_MUST_CHECK;

// What follows any change of a channel's servers or groups: the record names it, nodes hear of it.
int channel_changed(struct mutation *m, const struct channel *channel,
                    struct sl_error *err) SL_MUST_CHECK;

// Takes what a channel has more of now, servers or groups by their descriptor, or gives it back.
int channel_count(struct mutation *m, const struct channel *channel, const char *resource,
                  int64_t units, struct sl_error *err) SL_MUST_CHECK;

// The rows of `list` as JSON text, for $3 of a statement; NULL (INTERNAL): the arena is full.
const char *channel_text(struct mutation *m, const json_t *list, struct sl_error *err);

// Adds servers, or changes those of the same address (host and port), of which the first counts;
// `replace`: the others of channel->only go. What a member leaves out stays as it was. Refuses
// PARAM_MISSING and PARAM_INVALID naming the member, CHANNEL_MEMBER_NOT_FOUND for a cloud server
// without host.
int channel_member_put(struct mutation *m, const struct channel *channel, const json_t *members,
                       bool replace, struct sl_error *err) SL_MUST_CHECK;

// Adds groups, or changes those of the same name; `replace`: the others go, their servers stay.
int channel_group_put_all(struct mutation *m, const struct channel *channel, const json_t *groups,
                          bool replace, struct sl_error *err) SL_MUST_CHECK;

// The health check as it is stored and shown, in the arena: `given` completed, id and create_time
// of `stored` (NULL: there was none) kept. `where` begins the names of what it refuses:
// PARAM_MISSING, PARAM_RANGE, PARAM_INVALID, BACKEND_TLS_UNFIT, FEATURE_CONFIG_NOT_FOUND.
struct channel_health {
    json_t *given;        //
    const json_t *stored; //
    const char *channel;  // id
    const char *where;    // "vpc_health_config." or ""
};
int channel_health_prepare(struct mutation *m, const struct channel_health *health,
                           json_t **ret_health, struct sl_error *err) SL_MUST_CHECK;

#endif

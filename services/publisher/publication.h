// publication.h - one pair of API and environment goes online or offline, inside a transaction.
//
// online: snapshots the API as a new version and makes it the one that is served; publish_id names
// the pair for ever, version_id is new each time, the last ten versions of a pair are kept.
// offline: the pair stays, nothing is served.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_PUBLICATION_H
#define SL_PUBLISHER_PUBLICATION_H

#include "services/publisher/publisher.h"

struct publication {
    struct sl_tx *tx;       // open
    struct sl_arena *arena; //
    const char *instance;   // gateway, already known to be the caller's
    const char *api_id;     //
    const char *env_id;     //
    const char *remark;     // NULL: none
    bool online;            // else offline
};

// Does it and marks what changed dirty. *ret_object is what the API answers of it
// ({publish_id, api_id, api_name, env_id, remark, publish_time, version_id}), a new reference.
// Refuses, and has changed nothing then: API_NOT_FOUND, PUBLICATION_NOT_FOUND (offline, but not
// online), API_EXISTS (another API's published definition has the method and path),
// GROUP_NOT_FOUND (the definition's group is gone), VARIABLE_UNDEFINED, PARAM_INVALID (with its
// variables resolved, a backend's address or path is none).
int publication_change(const struct publication *publication, json_t **ret_object,
                       struct sl_error *err) SL_MUST_CHECK;

// Makes an older version of publication->api_id the one that is served, in that version's own
// environment (env_id, remark and online are not looked at); the pair may be offline. *ret_object
// as above. Refuses: API_NOT_FOUND, VERSION_NOT_FOUND (none, pruned, or another API's),
// GROUP_NOT_FOUND (the version's group is gone), API_EXISTS, VARIABLE_UNDEFINED, PARAM_INVALID.
int publication_serve(const struct publication *publication, const char *version_id,
                      json_t **ret_object, struct sl_error *err) SL_MUST_CHECK;

// Takes the pair offline that serves this version (api_id and env_id are not looked at). Refuses:
// VERSION_NOT_FOUND, PUBLICATION_NOT_FOUND (it is not the one that is served).
int publication_end_version(const struct publication *publication, const char *version_id,
                            struct sl_error *err) SL_MUST_CHECK;

// Refuses ENV_NOT_FOUND; locks the environment against deletion.
int publication_check_env(const struct publication *publication,
                          struct sl_error *err) SL_MUST_CHECK;

#endif

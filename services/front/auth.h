// auth.h - who is asking, and may they do it?
//
// Follows the runtime entries of the pseudo-gateway `control` (users, access keys, policies,
// projects, token keys) on a bus client of its own and judges requests against that copy: no I/O in
// auth_check. Safe from any number of threads at once.
//
// A credential is X-Auth-Token (Ed25519, common/crypto/token.h) or an SDK-HMAC-SHA256 signature
// made with an access key (common/crypto/sign.h), a temporary one with its X-Security-Token.
// Disabling a user, revoking a key or changing a policy acts as soon as its entry arrives, on
// tokens already issued too.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_AUTH_H
#define SL_FRONT_AUTH_H

#include "common/crypto/sign.h"
#include "common/wire/message.h"
#include "common/wire/peer.h"

#define AUTH_STALE_MS  60000    // without the stream for so long, front answers 503
#define AUTH_NO_ACTION "public" // x-action of an operation that needs no credential
#define AUTH_ANY       "any"    // x-action of one that takes any valid credential

struct auth;

// One request as it came. All memory is borrowed for the call.
struct auth_request {
    struct sl_str method;                 // as received
    struct sl_str raw_path;               // before '?', undecoded
    struct sl_str raw_query;              // after '?', undecoded, may be empty
    const struct sl_sign_header *headers; // all of them; repeated ones joined by ','
    size_t header_count;                  //
    struct sl_str body;                   // whole, may be empty
    const char *action;   // "apig:groups:create"; NULL or AUTH_NO_ACTION: no credential is needed;
                          // "" or AUTH_ANY: any valid credential will do
    const char *project;  // {project_id} of the path, "" where it has none
    const char *instance; // {instance_id} of the path, "" where it has none
};

// Starts following `control` with the front's own bus identity (borrowed until freed). NULL with
// *err filled.
struct auth *auth_new(const struct sl_peer *peer, struct sl_error *err);

// Stops following; runs what waits for a look. Requests may still be judged, none may look again.
void auth_close(struct auth *auth);

// Closes and frees. No auth_check may run. Empties the pointer.
void auth_free(struct auth **auth);

// Whether a refusal may only mean that the copy is behind: ask again after auth_look.
bool auth_may_lag(const struct sl_error *err);

// Runs `fn` once the copy has all that was acknowledged before this call, after a second at most;
// on another thread.
void auth_look(struct auth *auth, void (*fn)(void *arg), void *arg);

// Whether the copy is complete and was confirmed current within AUTH_STALE_MS.
bool auth_fresh(const struct auth *auth);

// Judges `request`. On success *ret_actor (strings from the arena) says who asks; all "" for a
// public operation. Its project_id is the path's project, or the credential's where the path has
// none. Refuses: UNAVAILABLE (the copy is not fresh), TOKEN_MISSING (no credential), TOKEN_EXPIRED,
// TOKEN_INVALID (unknown, malformed, revoked, wrong signature), TOKEN_NO_PROJECT,
// PROJECT_NOT_FOUND, INSTANCE_HIDDEN or GATEWAY_NOT_FOUND (another project's credential, or no
// permission and a gateway that nobody has: 404), ACTION_DENIED (no policy allows it).
int auth_check(struct auth *auth, const struct auth_request *request, struct sl_arena *arena,
               struct sl_actor *ret_actor, struct sl_error *err) SL_MUST_CHECK;

#endif

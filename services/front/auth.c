// auth.c - see auth.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/auth.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/crypto/crypto.h"
#include "services/front/auth_credential.h"
#include "services/front/auth_look.h"
#include "services/front/auth_policy.h"

#define GATEWAY_ACTIONS "apig:instances:" // on a gateway, not on what it holds

struct auth {
    struct entries *entries;
    struct tokens *tokens;
    struct sl_bus_client *client;
    struct sl_follow *follow;
    struct looks *looks;
};

// Starts following; what was made so far is freed by the caller.
static int
start(struct auth *auth, const struct sl_peer *peer, struct sl_error *err)
{
    uint8_t secret[32];
    const struct sl_bus_client_options options = {.peer = peer};
    const struct sl_revision nothing = {.number = 0};
    if (zmq_z85_decode(secret, peer->secret_key) == NULL) {
        return sl_fail(err, SL_E_CONFIG, "secret_key");
    }
    auth->entries = entries_new(secret);
    auth->tokens = tokens_new();
    sl_wipe(secret, sizeof(secret));
    if (auth->entries == NULL || auth->tokens == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    auth->client = sl_bus_client_new(&options, err);
    if (auth->client == NULL) {
        return -1;
    }
    const struct sl_follow_hooks hooks = entries_hooks(auth->entries);
    auth->follow = sl_follow_new(auth->client, ENTRIES_GATEWAY, &nothing, &hooks, err);
    if (auth->follow == NULL) {
        return -1;
    }
    auth->looks = looks_new(auth->client, auth->follow);
    return auth->looks != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}

struct auth *
auth_new(const struct sl_peer *peer, struct sl_error *err)
{
    struct auth *auth = calloc(1, sizeof(*auth));
    if (auth == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    if (start(auth, peer, err) != 0) {
        auth_free(&auth);
    }
    return auth;
}

void
auth_close(struct auth *auth)
{
    // Both take their callbacks back from the client, which must still be there.
    looks_close(auth->looks); // HTTP threads may still ask
    sl_follow_free(&auth->follow);
    sl_bus_client_free(&auth->client);
}

void
auth_free(struct auth **auth)
{
    if (auth == NULL || *auth == NULL) {
        return;
    }
    auth_close(*auth);
    looks_free(&(*auth)->looks);
    tokens_free(&(*auth)->tokens);
    entries_free(&(*auth)->entries);
    free(*auth);
    *auth = NULL;
}

bool
auth_fresh(const struct auth *auth)
{
    return entries_fresh(auth->entries, AUTH_STALE_MS);
}

bool
auth_may_lag(const struct sl_error *err)
{
    static const enum sl_code of_the_copy[] = {SL_E_TOKEN_INVALID, SL_E_PROJECT_NOT_FOUND,
                                               SL_E_INSTANCE_HIDDEN, SL_E_GATEWAY_NOT_FOUND,
                                               SL_E_ACTION_DENIED};
    for (size_t i = 0; i < SL_COUNT(of_the_copy); i++) {
        if (err->code == of_the_copy[i]) {
            return true;
        }
    }
    return false;
}

void
auth_look(struct auth *auth, void (*fn)(void *arg), void *arg)
{
    looks_ask(auth->looks, fn, arg);
}

static struct sl_str
find_header(const struct auth_request *request, struct sl_str name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (sl_str_equal_nocase(request->headers[i].name, name)) {
            return sl_str_trim(request->headers[i].value);
        }
    }
    return (struct sl_str){NULL, 0};
}

static const char *
member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

// The first credential that is present decides; a bad token is not made good by a signature.
static int
find_credential(struct auth *auth, const struct auth_request *request, struct sl_arena *arena,
                struct credential *ret_credential, struct sl_error *err)
{
    struct sl_str token = find_header(request, SL_STR("x-auth-token"));
    if (token.len > 0) {
        return credential_of_token(auth->entries, auth->tokens, token, arena, ret_credential, err);
    }
    struct sl_str authorization = find_header(request, SL_STR("authorization"));
    if (authorization.len > 0) {
        return credential_of_signature(auth->entries, request, authorization, arena, ret_credential,
                                       err);
    }
    return sl_fail(err, SL_E_TOKEN_MISSING);
}

// What is another project's does not exist for this caller. The answer is the one for a gateway
// that nobody has, which the operations on gateways themselves word differently.
static int
hide(const struct auth_request *request, struct sl_error *err)
{
    if (request->instance[0] != '\0' && request->action != NULL &&
        strncmp(request->action, GATEWAY_ACTIONS, strlen(GATEWAY_ACTIONS)) == 0) {
        return sl_fail(err, SL_E_GATEWAY_NOT_FOUND);
    }
    if (request->instance[0] != '\0') {
        return sl_fail(err, SL_E_INSTANCE_HIDDEN, request->instance);
    }
    return sl_fail(err, SL_E_PROJECT_NOT_FOUND);
}

// Whether the credential reaches into the path's project: a token's own, or for access keys the one
// it is bound to, else any of the user's account.
static int
check_project(const struct auth *auth, const struct auth_request *request,
              const struct credential *credential, struct sl_error *err)
{
    if (request->project[0] == '\0') {
        return 0;
    }
    if (credential->is_token && credential->project_id[0] == '\0') {
        return sl_fail(err, SL_E_TOKEN_NO_PROJECT);
    }
    const json_t *project = entries_get(auth->entries, ENTRY_PROJECT, request->project);
    bool bound = credential->project_id[0] != '\0';
    if (project == NULL ||
        strcmp(member(project, "domain_id"), member(credential->user, "domain_id")) != 0 ||
        (bound && strcmp(credential->project_id, request->project) != 0)) {
        return hide(request, err);
    }
    // The registry has the last word on instances; what is known to be elsewhere ends here.
    const json_t *instance = entries_get(auth->entries, ENTRY_INSTANCE, request->instance);
    if (instance != NULL && strcmp(member(instance, "project_id"), request->project) != 0) {
        return hide(request, err);
    }
    return 0;
}

static bool
may_act(const struct auth *auth, const json_t *user, const char *action)
{
    const json_t *names = json_object_get(user, "policies");
    bool allowed = false;
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        const json_t *policy = entries_get(auth->entries, ENTRY_POLICY, name != NULL ? name : "");
        enum policy_verdict verdict = policy_judge(json_object_get(policy, "document"), action);
        if (verdict == POLICY_DENY) {
            return false;
        }
        allowed = allowed || verdict == POLICY_ALLOW;
    }
    return allowed;
}

// The scope of a request whose path names no project: the credential's, or the one that SDKs name
// in a header beside their signature, if it is the caller's.
static const char *
implied_project(const struct auth *auth, const struct auth_request *request,
                const struct credential *credential, struct sl_arena *arena)
{
    struct sl_str header = find_header(request, SL_STR("x-project-id"));
    if (credential->project_id[0] != '\0' || header.len == 0) {
        return credential->project_id;
    }
    const char *id = sl_arena_dupn(arena, header.ptr, header.len);
    const json_t *project = id != NULL ? entries_get(auth->entries, ENTRY_PROJECT, id) : NULL;
    bool own = project != NULL &&
               strcmp(member(project, "domain_id"), member(credential->user, "domain_id")) == 0;
    return own ? id : "";
}

// Copies what outlives the lock.
static int
fill_actor(const struct auth *auth, const struct auth_request *request,
           const struct credential *credential, struct sl_arena *arena, struct sl_actor *ret_actor,
           struct sl_error *err)
{
    const char *project = request->project[0] != '\0'
                              ? request->project
                              : implied_project(auth, request, credential, arena);
    struct sl_actor actor = {
        .user_id = sl_arena_dup(arena, member(credential->user, "id")),
        .user_name = sl_arena_dup(arena, member(credential->user, "name")),
        .domain_id = sl_arena_dup(arena, member(credential->user, "domain_id")),
        .project_id = sl_arena_dup(arena, project),
    };
    if (sl_arena_check(arena, err) != 0) {
        return -1;
    }
    *ret_actor = actor;
    return 0;
}

static int
check_locked(struct auth *auth, const struct auth_request *request, struct sl_arena *arena,
             struct sl_actor *ret_actor, struct sl_error *err)
{
    struct credential credential = {.user = NULL, .project_id = ""};
    if (find_credential(auth, request, arena, &credential, err) != 0 ||
        check_project(auth, request, &credential, err) != 0) {
        return -1;
    }
    bool any = request->action[0] == '\0' || strcmp(request->action, AUTH_ANY) == 0;
    if (!any && !may_act(auth, credential.user, request->action)) {
        // Who may not act cannot tell a gateway that nobody has from one of another project either.
        if (request->instance[0] != '\0' &&
            entries_get(auth->entries, ENTRY_INSTANCE, request->instance) == NULL) {
            return hide(request, err);
        }
        sl_fail(err, SL_E_ACTION_DENIED);
        return sl_error_detail(err, "%s", request->action);
    }
    return fill_actor(auth, request, &credential, arena, ret_actor, err);
}

int
auth_check(struct auth *auth, const struct auth_request *request, struct sl_arena *arena,
           struct sl_actor *ret_actor, struct sl_error *err)
{
    if (request->action == NULL || strcmp(request->action, AUTH_NO_ACTION) == 0) {
        *ret_actor =
            (struct sl_actor){.user_id = "", .user_name = "", .domain_id = "", .project_id = ""};
        return 0;
    }
    if (!auth_fresh(auth)) {
        sl_fail(err, SL_E_UNAVAILABLE);
        return sl_error_detail(err, "the identity entries are not current");
    }
    entries_lock(auth->entries);
    int rc = check_locked(auth, request, arena, ret_actor, err);
    entries_unlock(auth->entries);
    return rc;
}

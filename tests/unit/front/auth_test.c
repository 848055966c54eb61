// auth_test.c - credentials against a copy of `control` that the test fills as the bus would.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include "services/front/auth.c"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/crypto/seal.h"
#include "common/crypto/token.h"

#define PROJECT "p1"
#define ACCESS  "AKEY"
#define SECRET  "the secret of the key"

static struct auth auth;
static struct sl_follow_hooks hooks;
static struct sl_arena *arena;
static struct sl_error err;
static struct sl_actor actor;
static struct sl_seal_key content_key = {{7}};
static uint8_t token_private[SL_TOKEN_KEY_LEN];
static uint8_t front_secret[32] = {8};

// Sends the entries a content key as a since reply brings it.
static void
give_key(void)
{
    uint8_t public_key[32];
    size_t len = sizeof(public_key);
    struct sl_str box;
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, front_secret, 32);
    assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, public_key, &len), 1);
    EVP_PKEY_free(pkey);
    struct sl_str plain = {(char *)content_key.bytes, sizeof(content_key.bytes)};
    assert_int_equal(sl_box_seal(arena, public_key, plain, &box, &err), 0);
    json_t *reply = json_object();
    json_object_set_new(reply, "content_key", json_stringn_nocheck(box.ptr, box.len));
    hooks.extra(hooks.arg, reply);
    json_decref(reply);
}

// One entry from JSON text with ' for "; NULL: a tombstone.
static int
put(const char *kind, const char *key, const char *text)
{
    struct sl_wire_entry entry = {.kind = kind, .key = key, .revision = 1, .min_reader = 1};
    const struct sl_revision to = {.number = 1};
    if (text != NULL) {
        char *json = sl_arena_dup(arena, text);
        for (char *c = json; *c != '\0'; c++) {
            *c = *c == '\'' ? '"' : *c;
        }
        json_t *body = json_loads(json, 0, NULL);
        assert_non_null(body);
        struct sl_str packed;
        const char *context = sl_arena_printf(arena, "control/%s/%s", kind, key);
        assert_int_equal(sl_json_pack(arena, body, &packed, &err), 0);
        json_decref(body);
        assert_int_equal(sl_seal(arena, &content_key, sl_str(context), packed, &entry.body, &err),
                         0);
    }
    return hooks.apply(hooks.arg, &entry, 1, &to);
}

static void
put_user(const char *policies, const char *enabled, int64_t not_before)
{
    char text[512];
    snprintf(text, sizeof(text),
             "{'id': 'u1', 'name': 'ann', 'domain_id': 'd1', 'enabled': %s, 'not_before': %lld,"
             " 'policies': [%s]}",
             enabled, (long long)not_before, policies);
    assert_int_equal(put("user", "u1", text), 0);
}

static void
put_key(const char *project, const char *enabled, int64_t expires_at)
{
    char text[512];
    snprintf(text, sizeof(text),
             "{'access': '" ACCESS "', 'secret': '" SECRET "', 'user_id': 'u1', 'project_id':"
             " '%s', 'enabled': %s, 'expires_at': %lld}",
             project, enabled, (long long)expires_at);
    assert_int_equal(put("access_key", ACCESS, text), 0);
}

static int
set_up(void **state)
{
    (void)state;
    uint8_t public_key[SL_TOKEN_KEY_LEN];
    char hex[2 * SL_TOKEN_KEY_LEN + 1];
    const struct sl_revision at = {.number = 1};
    arena = sl_arena_new(64 << 20);
    auth.entries = entries_new(front_secret);
    auth.tokens = tokens_new();
    hooks = entries_hooks(auth.entries);
    give_key();
    hooks.full_begin(hooks.arg);
    put_user("'full'", "true", 0);
    put_key("", "true", 0);
    assert_int_equal(put("project", PROJECT, "{'id': 'p1', 'domain_id': 'd1'}"), 0);
    assert_int_equal(put("project", "p2", "{'id': 'p2', 'domain_id': 'd1'}"), 0);
    assert_int_equal(put("project", "px", "{'id': 'px', 'domain_id': 'dx'}"), 0);
    assert_int_equal(put("instance", "i1", "{'id': 'i1', 'project_id': 'p1'}"), 0);
    assert_int_equal(put("policy", "full",
                         "{'name': 'full', 'document': {'Version': '1.1',"
                         " 'Statement': [{'Effect': 'Allow', 'Action':"
                         " ['apig:*:*']}]}}"),
                     0);
    assert_int_equal(put("policy", "read",
                         "{'name': 'read', 'document': {'Version': '1.1',"
                         " 'Statement': [{'Effect': 'Allow', 'Action':"
                         " ['apig:*:get', 'apig:*:list*']}]}}"),
                     0);
    assert_int_equal(put("policy", "no",
                         "{'name': 'no', 'document': {'Version': '1.1',"
                         " 'Statement': [{'Effect': 'Deny', 'Action':"
                         " ['apig:groups:*']}]}}"),
                     0);
    sl_token_key_new(token_private, public_key);
    sl_hex_encode(public_key, sizeof(public_key), hex);
    char text[256];
    snprintf(text, sizeof(text), "{'id': 'k1', 'public_key': '%s'}", hex);
    assert_int_equal(put("token_key", "k1", text), 0);
    assert_false(auth_fresh(&auth));
    assert_int_equal(hooks.full_end(hooks.arg, &at), 0);
    assert_true(auth_fresh(&auth));
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    tokens_free(&auth.tokens);
    entries_free(&auth.entries);
    sl_arena_free(&arena);
    return 0;
}

static struct sl_token
make_token(const char *project)
{
    struct sl_token token = {.key_id = "k1", .user_id = "u1", .domain_id = "d1", .id = "n"};
    snprintf(token.project_id, sizeof(token.project_id), "%s", project);
    token.issued_s = sl_wall_ms() / 1000;
    token.expires_s = token.issued_s + 60;
    return token;
}

static const char *
sign_token(const struct sl_token *token)
{
    const char *text = NULL;
    assert_int_equal(sl_token_make(arena, token, token_private, &text, &err), 0);
    return text;
}

static struct sl_sign_header headers[8];

static struct auth_request
make_request(const char *action, const char *project)
{
    return (struct auth_request){
        .method = SL_STR("GET"),
        .raw_path = SL_STR("/v2/p1/apigw/instances/i1/api-groups"),
        .raw_query = SL_STR("limit=1"),
        .headers = headers,
        .action = action,
        .project = project,
        .instance = "",
    };
}

static int
check(struct auth_request *request)
{
    return auth_check(&auth, request, arena, &actor, &err);
}

// Judges a request that carries this text as X-Auth-Token.
static int
check_token(const char *text, const char *action, const char *project)
{
    struct auth_request request = make_request(action, project);
    headers[0] = (struct sl_sign_header){SL_STR("x-auth-token"), sl_str(text)};
    request.header_count = 1;
    return check(&request);
}

static const char *security_token; // sent beside the signature; NULL: none

// Judges a request that is signed with the access key; `at_ms` is its date.
static int
check_signed(const char *secret, const char *action, const char *project, int64_t at_ms)
{
    struct auth_request request = make_request(action, project);
    char date[32];
    char hash[SL_SHA256_HEX];
    time_t at = (time_t)(at_ms / 1000);
    struct tm parts;
    const char *authorization = NULL;
    gmtime_r(&at, &parts);
    strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &parts);
    headers[0] = (struct sl_sign_header){SL_STR("Host"), SL_STR("127.0.0.1:7080")};
    headers[1] = (struct sl_sign_header){SL_STR("X-Sdk-Date"), sl_str(date)};
    headers[2] = (struct sl_sign_header){SL_STR("X-Project-Id"), SL_STR("p2")};
    sl_sha256_hex(request.body, hash);
    const struct sl_sign_request signing = {.method = request.method,
                                            .raw_path = request.raw_path,
                                            .raw_query = request.raw_query,
                                            .headers = headers,
                                            .header_count = 3,
                                            .body_hash = sl_str(hash)};
    SL_AUTO(sl_hmac) key = sl_hmac_new(sl_str(secret));
    assert_int_equal(sl_sign_make(arena, &signing, SL_STR(ACCESS), key, &authorization, &err), 0);
    headers[3] = (struct sl_sign_header){SL_STR("Authorization"), sl_str(authorization)};
    headers[4] = (struct sl_sign_header){SL_STR("X-Security-Token"), sl_str(security_token)};
    request.header_count = security_token != NULL ? 5 : 4;
    return check(&request);
}

static void
a_public_operation_needs_nothing(void **state)
{
    (void)state;
    struct auth_request request = make_request(NULL, "");
    assert_int_equal(check(&request), 0);
    assert_string_equal(actor.user_id, "");
    request.action = "public";
    assert_int_equal(check(&request), 0);
    request.action = "any";
    assert_int_equal(check(&request), -1);
    assert_int_equal(err.code, SL_E_TOKEN_MISSING);
}

static void
a_token_says_who_asks(void **state)
{
    (void)state;
    struct sl_token token = make_token(PROJECT);
    const char *text = sign_token(&token);
    for (int twice = 0; twice < 2; twice++) { // the second time from the cache
        assert_int_equal(check_token(text, "apig:groups:create", PROJECT), 0);
        assert_string_equal(actor.user_id, "u1");
        assert_string_equal(actor.user_name, "ann");
        assert_string_equal(actor.domain_id, "d1");
        assert_string_equal(actor.project_id, PROJECT);
    }
    assert_int_equal(check_token(text, "any", ""), 0);
    assert_string_equal(actor.project_id, PROJECT);
}

static void
tokens_that_do_not_hold_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"bad", "sl1.x.y", "sl1..", "a.b.c"};
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        assert_int_equal(check_token(texts[i], "any", ""), -1);
        assert_int_equal(err.code, SL_E_TOKEN_INVALID);
    }
    struct sl_token token = make_token(PROJECT);
    token.expires_s = token.issued_s - 1;
    assert_int_equal(check_token(sign_token(&token), "any", ""), -1);
    assert_int_equal(err.code, SL_E_TOKEN_EXPIRED);
    token = make_token(PROJECT);
    snprintf(token.key_id, sizeof(token.key_id), "k2");
    assert_int_equal(check_token(sign_token(&token), "any", ""), -1);
    assert_int_equal(err.code, SL_E_TOKEN_INVALID);
    token = make_token(PROJECT);
    snprintf(token.user_id, sizeof(token.user_id), "u2");
    assert_int_equal(check_token(sign_token(&token), "any", ""), -1);
    assert_int_equal(err.code, SL_E_TOKEN_INVALID);
}

static void
a_changed_user_changes_tokens_that_are_out(void **state)
{
    (void)state;
    struct sl_token token = make_token(PROJECT);
    const char *text = sign_token(&token);
    assert_int_equal(check_token(text, "apig:groups:create", PROJECT), 0);
    put_user("'read'", "true", 0);
    assert_int_equal(check_token(text, "apig:groups:create", PROJECT), -1);
    assert_int_equal(err.code, SL_E_ACTION_DENIED);
    assert_int_equal(check_token(text, "apig:groups:list", PROJECT), 0);
    put_user("'full'", "true", token.issued_s + 1);
    assert_int_equal(check_token(text, "any", ""), -1);
    assert_int_equal(err.code, SL_E_TOKEN_INVALID);
    put_user("'full'", "false", 0);
    assert_int_equal(check_token(text, "any", ""), -1);
    assert_int_equal(put("user", "u1", NULL), 0);
    assert_int_equal(check_token(text, "any", ""), -1);
    put_user("'full'", "true", 0);
    assert_int_equal(check_token(text, "any", ""), 0);
}

static void
a_withdrawn_token_key_takes_its_tokens_along(void **state)
{
    (void)state;
    uint8_t public_key[SL_TOKEN_KEY_LEN];
    char hex[2 * SL_TOKEN_KEY_LEN + 1];
    char text[256];
    struct sl_token token = make_token(PROJECT);
    const char *signed_token = sign_token(&token);
    assert_int_equal(check_token(signed_token, "any", ""), 0);
    assert_int_equal(put("token_key", "k1", NULL), 0);
    assert_int_equal(check_token(signed_token, "any", ""), -1);
    assert_int_equal(err.code, SL_E_TOKEN_INVALID);
    sl_token_key_public(token_private, public_key);
    sl_hex_encode(public_key, sizeof(public_key), hex);
    snprintf(text, sizeof(text), "{'id': 'k1', 'public_key': '%s'}", hex);
    assert_int_equal(put("token_key", "k1", text), 0);
}

static void
what_is_another_projects_does_not_exist(void **state)
{
    (void)state;
    struct sl_token token = make_token("p2");
    const char *text = sign_token(&token);
    assert_int_equal(check_token(text, "apig:groups:list", PROJECT), -1);
    assert_int_equal(err.code, SL_E_PROJECT_NOT_FOUND);
    struct auth_request request = make_request("apig:groups:list", "p2");
    headers[0] = (struct sl_sign_header){SL_STR("x-auth-token"), sl_str(text)};
    request.header_count = 1;
    request.instance = "i1"; // belongs to p1
    assert_int_equal(check(&request), -1);
    assert_int_equal(err.code, SL_E_INSTANCE_HIDDEN);
    request.action = "apig:instances:get"; // the answer that a gateway nobody has gets
    assert_int_equal(check(&request), -1);
    assert_int_equal(err.code, SL_E_GATEWAY_NOT_FOUND);
    request.action = "apig:groups:list";
    request.instance = "unknown"; // the registry's to say
    assert_int_equal(check(&request), 0);
    request.action = "iam:users:list"; // not allowed: then as if it were another project's
    assert_int_equal(check(&request), -1);
    assert_int_equal(err.code, SL_E_INSTANCE_HIDDEN);
    request.instance = "i1";
    assert_int_equal(check(&request), -1);
    assert_int_equal(err.code, SL_E_INSTANCE_HIDDEN);
    request.project = PROJECT; // its own gateway may be known to exist
    token = make_token(PROJECT);
    headers[0] = (struct sl_sign_header){SL_STR("x-auth-token"), sl_str(sign_token(&token))};
    assert_int_equal(check(&request), -1);
    assert_int_equal(err.code, SL_E_ACTION_DENIED);
    assert_int_equal(check_signed(SECRET, "apig:groups:list", "px", sl_wall_ms()), -1);
    assert_int_equal(err.code, SL_E_PROJECT_NOT_FOUND);
    assert_int_equal(check_signed(SECRET, "apig:groups:list", "absent", sl_wall_ms()), -1);
    assert_int_equal(err.code, SL_E_PROJECT_NOT_FOUND);
    token = make_token("");
    assert_int_equal(check_token(sign_token(&token), "apig:groups:list", PROJECT), -1);
    assert_int_equal(err.code, SL_E_TOKEN_NO_PROJECT);
}

static void
a_signature_reaches_all_projects_of_the_account_or_its_own(void **state)
{
    (void)state;
    assert_int_equal(check_signed(SECRET, "apig:groups:list", PROJECT, sl_wall_ms()), 0);
    assert_string_equal(actor.project_id, PROJECT);
    assert_int_equal(check_signed(SECRET, "any", "", sl_wall_ms()), 0);
    assert_string_equal(actor.project_id, "p2"); // X-Project-Id
    put_key("p2", "true", 0);
    assert_int_equal(check_signed(SECRET, "apig:groups:list", PROJECT, sl_wall_ms()), -1);
    assert_int_equal(err.code, SL_E_PROJECT_NOT_FOUND);
    assert_int_equal(check_signed(SECRET, "apig:groups:list", "p2", sl_wall_ms()), 0);
    put_key("", "true", 0);
}

static void
a_temporary_key_needs_its_security_token(void **state)
{
    (void)state;
    security_token = "none of its";
    assert_int_equal(check_signed(SECRET, "any", "", sl_wall_ms()), -1);
    assert_int_equal(err.code, SL_E_TOKEN_INVALID);
    assert_int_equal(put("access_key", ACCESS,
                         "{'access': '" ACCESS "', 'secret': '" SECRET "', 'user_id': 'u1',"
                         " 'project_id': '', 'enabled': true, 'expires_at': 99999999999,"
                         " 'security_token': 'its'}"),
                     0);
    static const char *const wrong[] = {NULL, "", "it", "itsx", "ITS", "its,its"};
    for (size_t i = 0; i < SL_COUNT(wrong); i++) {
        security_token = wrong[i];
        assert_int_equal(check_signed(SECRET, "any", "", sl_wall_ms()), -1);
        assert_int_equal(err.code, SL_E_TOKEN_INVALID);
    }
    security_token = " its ";
    assert_int_equal(check_signed(SECRET, "any", "", sl_wall_ms()), 0);
    assert_int_equal(check_signed("other", "any", "", sl_wall_ms()), -1);
    security_token = NULL;
    put_key("", "true", 0);
}

static void
signatures_that_do_not_hold_are_refused(void **state)
{
    (void)state;
    int64_t now_s = sl_wall_ms() / 1000;
    assert_int_equal(check_signed("other", "any", "", sl_wall_ms()), -1);
    assert_int_equal(err.code, SL_E_TOKEN_INVALID);
    assert_int_equal(check_signed(SECRET, "any", "", (now_s - 1000) * 1000), -1);
    assert_int_equal(err.code, SL_E_TOKEN_EXPIRED);
    put_key("", "false", 0);
    assert_int_equal(check_signed(SECRET, "any", "", sl_wall_ms()), -1);
    put_key("", "true", now_s - 1);
    assert_int_equal(check_signed(SECRET, "any", "", sl_wall_ms()), -1);
    put_key("", "true", now_s + 60);
    assert_int_equal(check_signed(SECRET, "any", "", sl_wall_ms()), 0);
    assert_int_equal(put("access_key", ACCESS, NULL), 0);
    assert_int_equal(check_signed(SECRET, "any", "", sl_wall_ms()), -1);
    put_key("", "true", 0);
    struct auth_request request = make_request("any", "");
    headers[0] = (struct sl_sign_header){SL_STR("Authorization"), SL_STR("Basic QTpC")};
    request.header_count = 1;
    assert_int_equal(check(&request), -1);
    assert_int_equal(err.code, SL_E_TOKEN_INVALID);
}

static void
a_denial_beats_what_another_policy_allows(void **state)
{
    (void)state;
    struct sl_token token = make_token(PROJECT);
    const char *text = sign_token(&token);
    put_user("'full', 'no'", "true", 0);
    assert_int_equal(check_token(text, "apig:groups:list", PROJECT), -1);
    assert_int_equal(err.code, SL_E_ACTION_DENIED);
    assert_int_equal(check_token(text, "apig:apis:list", PROJECT), 0);
    put_user("", "true", 0);
    assert_int_equal(check_token(text, "apig:apis:list", PROJECT), -1);
    put_user("'full'", "true", 0);
}

static void
an_entry_that_cannot_be_opened_changes_nothing(void **state)
{
    (void)state;
    struct sl_wire_entry entries[2] = {
        {.kind = "user", .key = "u1", .min_reader = 1},
        {.kind = "policy", .key = "full", .min_reader = 1, .body = SL_STR("not sealed at all")},
    };
    const struct sl_revision to = {.number = 2};
    struct sl_token token = make_token(PROJECT);
    assert_int_equal(hooks.apply(hooks.arg, entries, 2, &to), -1);
    assert_int_equal(check_token(sign_token(&token), "apig:groups:list", PROJECT), 0);
    entries[0].min_reader = ENTRIES_READER + 1;
    assert_int_equal(hooks.apply(hooks.arg, entries, 1, &to), -1);
    // A kind of a newer build that this one may pass over.
    entries[1].kind = "novelty";
    assert_int_equal(hooks.apply(hooks.arg, &entries[1], 1, &to), 0);
}

static void
without_the_stream_the_answer_is_unavailable(void **state)
{
    (void)state;
    struct auth empty = {.entries = entries_new(front_secret), .tokens = tokens_new()};
    struct auth_request request = make_request("any", "");
    request.header_count = 0;
    assert_int_equal(auth_check(&empty, &request, arena, &actor, &err), -1);
    assert_int_equal(err.code, SL_E_UNAVAILABLE);
    tokens_free(&empty.tokens);
    entries_free(&empty.entries);
    assert_true(entries_fresh(auth.entries, AUTH_STALE_MS));
    assert_false(entries_fresh(auth.entries, 0)); // as if the last head were long ago
    hooks.confirmed(hooks.arg, NULL);
    assert_true(entries_fresh(auth.entries, AUTH_STALE_MS));
}

// Asks again and again with one token until told to stop; answers how often it was let in.
static void *
read_on(void *arg)
{
    const char *text = arg;
    struct sl_sign_header header = {SL_STR("x-auth-token"), sl_str(text)};
    struct auth_request request = make_request("apig:groups:list", PROJECT);
    struct sl_arena *own = sl_arena_new(1 << 20);
    uintptr_t passed = 0;
    request.headers = &header;
    request.header_count = 1;
    for (int i = 0; i < 400; i++) {
        struct sl_actor who;
        struct sl_error why;
        passed += auth_check(&auth, &request, own, &who, &why) == 0;
        sl_arena_clear(own);
    }
    sl_arena_free(&own);
    return (void *)passed;
}

static void
readers_go_on_while_entries_change(void **state)
{
    (void)state;
    pthread_t readers[4];
    struct sl_token token = make_token(PROJECT);
    const char *text = sign_token(&token);
    for (size_t i = 0; i < SL_COUNT(readers); i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, (void *)(uintptr_t)text), 0);
    }
    for (int i = 0; i < 200; i++) {
        put_user("'full'", i % 2 == 0 ? "true" : "false", 0);
    }
    put_user("'full'", "true", 0);
    for (size_t i = 0; i < SL_COUNT(readers); i++) {
        void *passed = NULL;
        assert_int_equal(pthread_join(readers[i], &passed), 0);
        assert_true((uintptr_t)passed <= 400);
    }
    assert_int_equal((uintptr_t)read_on((void *)(uintptr_t)text), 400);
}

static void
patterns_match_as_people_expect(void **state)
{
    (void)state;
    assert_true(policy_match("apig:*:*", "apig:groups:create"));
    assert_true(policy_match("*", ""));
    assert_true(policy_match("*:*:list*", "apig:apis:listBindedApps"));
    assert_true(policy_match("APIG:Groups:Get", "apig:groups:get"));
    assert_true(policy_match("a*b*c", "aXbYbZc"));
    assert_false(policy_match("a*b*c", "aXbYbZ"));
    assert_false(policy_match("apig:groups:get", "apig:groups:gets"));
    assert_false(policy_match("apig:groups:get*", "apig:group:get"));
    assert_false(policy_match("", "a"));
}

static void
a_statement_that_narrows_unknowably_never_allows(void **state)
{
    (void)state;
    json_t *document = json_pack("{s:[{s:s, s:[s], s:{}}]}", "Statement", "Effect", "Allow",
                                 "Action", "*", "Condition");
    assert_int_equal(policy_judge(document, "apig:groups:get"), POLICY_SILENT);
    json_object_set_new(json_array_get(json_object_get(document, "Statement"), 0), "Effect",
                        json_string("Deny"));
    assert_int_equal(policy_judge(document, "apig:groups:get"), POLICY_DENY);
    json_decref(document);
    assert_int_equal(policy_judge(NULL, "apig:groups:get"), POLICY_SILENT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_public_operation_needs_nothing),
        cmocka_unit_test(a_token_says_who_asks),
        cmocka_unit_test(tokens_that_do_not_hold_are_refused),
        cmocka_unit_test(a_changed_user_changes_tokens_that_are_out),
        cmocka_unit_test(a_withdrawn_token_key_takes_its_tokens_along),
        cmocka_unit_test(what_is_another_projects_does_not_exist),
        cmocka_unit_test(a_signature_reaches_all_projects_of_the_account_or_its_own),
        cmocka_unit_test(a_temporary_key_needs_its_security_token),
        cmocka_unit_test(signatures_that_do_not_hold_are_refused),
        cmocka_unit_test(a_denial_beats_what_another_policy_allows),
        cmocka_unit_test(an_entry_that_cannot_be_opened_changes_nothing),
        cmocka_unit_test(without_the_stream_the_answer_is_unavailable),
        cmocka_unit_test(readers_go_on_while_entries_change),
        cmocka_unit_test(patterns_match_as_people_expect),
        cmocka_unit_test(a_statement_that_narrows_unknowably_never_allows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

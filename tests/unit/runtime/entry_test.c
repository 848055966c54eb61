// entry_test.c - runtime entries: what goes out comes back, what is broken is refused by name.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include "common/runtime/entry.h"

#include <stdlib.h>
#include <string.h>

#define ID_1 "11111111111111111111111111111111"
#define ID_2 "22222222222222222222222222222222"
#define ID_3 "33333333333333333333333333333333"

static const struct sl_req_param req_params[] = {
    {.name = "id", .default_value = "", .location = SL_IN_PATH, .required = true},
    {.name = "page", .default_value = "1", .location = SL_IN_QUERY, .pass_through = true},
};
static const struct sl_req_param checked_params[] = {{.name = "n",
                                                      .location = SL_IN_HEADER,
                                                      .checked = true,
                                                      .is_number = true,
                                                      .has_min = true,
                                                      .min = INT64_MIN,
                                                      .max = INT64_MAX,
                                                      .enumerations = "1,2"}};
static const struct sl_backend_param backend_params[] = {
    {"user", "id", SL_IN_PATH, SL_FROM_REQUEST},
    {"x-who", "$context.sourceIp", SL_IN_HEADER, SL_FROM_SYSTEM},
};

static struct sl_entry
some_api(void)
{
    return (struct sl_entry){
        .kind = SL_KIND_API,
        .api =
            {
                .publish_id = ID_1,
                .api_id = ID_2,
                .name = "Bücher",
                .group_id = ID_3,
                .env_id = "DEFAULT_ENVIRONMENT_RELEASE_ID",
                .env_name = "RELEASE",
                .version_id = ID_1,
                .path = "/books/{id}",
                .throttle_id = "",
                .method = SL_METHOD_ANY,
                .match_mode = SL_MATCH_SWA,
                .schemes = SL_SCHEME_HTTP | SL_SCHEME_HTTPS,
                .auth = SL_AUTH_APP,
                .app_code = true,
                .backend_type = SL_BACKEND_HTTP,
                .http = {"backend.example", "/b/{user}", 8080, true, SL_METHOD_ANY, 5000, -1,
                         false},
                .req_params = req_params,
                .req_param_count = SL_COUNT(req_params),
                .backend_params = backend_params,
                .backend_param_count = SL_COUNT(backend_params),
            },
    };
}

// With a checked parameter and two policies; the first has conditions, the second none.
static struct sl_entry
some_policies(void)
{
    static const struct sl_condition conditions[] = {
        {"n", "^1", SL_BY_PARAM, SL_MATCH_PATTERN},
        {"", "10.0.0.0/8", SL_BY_SOURCE, SL_MATCH_EXACT},
        {"req_method", "GET,PUT", SL_BY_SYSTEM, SL_MATCH_ENUM}};
    static const struct sl_policy policies[] = {
        {.name = "one",
         .any = true,
         .http = {"one.example", "/one", 443, true, SL_METHOD_PUT, 700, 3, true},
         .mock = {"", 200},
         .conditions = conditions,
         .condition_count = SL_COUNT(conditions),
         .backend_params = backend_params,
         .backend_param_count = SL_COUNT(backend_params)},
        {.name = "two", .http = {"two.example", "/", 80, false, SL_METHOD_ANY, 1, 0, false}},
    };
    struct sl_entry entry = some_api();
    entry.api.req_params = checked_params;
    entry.api.req_param_count = SL_COUNT(checked_params);
    entry.api.policies = policies;
    entry.api.policy_count = SL_COUNT(policies);
    return entry;
}

static struct sl_entry
some_app(void)
{
    static const char *const codes[] = {"code-a", "code-b"};
    static const char *const publish_ids[] = {ID_1, ID_2};
    static const char *const acl[] = {"10.0.0.0/8", "::1"};
    return (struct sl_entry){.kind = SL_KIND_APP,
                             .app = {ID_1,
                                     "shop",
                                     "key",
                                     "secret",
                                     "domain",
                                     codes,
                                     2,
                                     publish_ids,
                                     2,
                                     SL_ACL_DENY,
                                     acl,
                                     2,
                                     {ID_2, 3, 3600, 60},
                                     publish_ids,
                                     2}};
}

static void
a_signature_key_and_its_api_need_a_reader_that_shows_it(void **state)
{
    (void)state;
    struct sl_arena *arena = sl_arena_new(65536);
    struct sl_entry back;
    struct sl_error err;
    struct sl_str bytes;
    struct sl_entry entry = {.kind = SL_KIND_SIGN, .sign = {ID_1, "key", "secret", SL_SIGN_AES}};
    assert_string_equal(sl_kind_name(SL_KIND_SIGN), "signature");
    assert_int_equal(sl_entry_min_reader(&entry), 7);
    assert_int_equal(sl_entry_encode(arena, &entry, &bytes, &err), 0);
    assert_int_equal(sl_entry_decode(arena, SL_KIND_SIGN, bytes, &back, &err), 0);
    assert_string_equal(back.sign.id, ID_1);
    assert_string_equal(back.sign.key, "key");
    assert_string_equal(back.sign.secret, "secret");
    assert_int_equal(back.sign.type, SL_SIGN_AES);
    entry.sign.secret = "";
    assert_int_equal(sl_entry_encode(arena, &entry, &bytes, &err), 0);
    assert_int_equal(sl_entry_decode(arena, SL_KIND_SIGN, bytes, &back, &err), -1);
    assert_int_equal(err.code, SL_E_ENTRY_BROKEN);
    entry = some_api();
    entry.api.sign_id = ID_2;
    assert_int_equal(sl_entry_min_reader(&entry), 7);
    assert_int_equal(sl_entry_encode(arena, &entry, &bytes, &err), 0);
    assert_int_equal(sl_entry_decode(arena, SL_KIND_API, bytes, &back, &err), 0);
    assert_string_equal(back.api.sign_id, ID_2);
    sl_arena_free(&arena);
}

static struct sl_entry
some_throttle(void)
{
    static const struct sl_special specials[] = {{"a", INT64_MAX, false}, {"b", 7, true}};
    return (struct sl_entry){
        .kind = SL_KIND_THROTTLE,
        .throttle = {ID_1, true, 3600, 1, "hour", 3, 0, 2, 0, specials, 2},
    };
}

static struct sl_entry
some_gateway(void)
{
    static const char *const nodes[] = {"node-1", "node-2"};
    static const struct sl_feature_value features[] = {{"sse_strategy", "on"}, {"newer", ""}};
    return (struct sl_entry){
        .kind = SL_KIND_GATEWAY,
        .gateway = {.id = ID_1,
                    .domain_call_limit = 1000,
                    .node_ids = nodes,
                    .node_count = 2,
                    .membership = 9,
                    .features = features,
                    .feature_count = 2},
    };
}

static struct sl_entry
some_user(void)
{
    return (struct sl_entry){.kind = SL_KIND_USER,
                             .user = {ID_1, "user", "domain", "account", true, 1700000000}};
}

static struct sl_entry
some_access_key(void)
{
    return (struct sl_entry){
        .kind = SL_KIND_ACCESS_KEY,
        .access_key = {"AK", "secret", "token", ID_1, "project", true, 1800000000}};
}

static struct sl_entry
some_token_key(void)
{
    return (struct sl_entry){.kind = SL_KIND_TOKEN_KEY, .token_key = {ID_1, "00ff"}};
}

static void
assert_same_api(const struct sl_api *a, const struct sl_api *b)
{
    assert_string_equal(a->publish_id, b->publish_id);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->env_id, b->env_id);
    assert_string_equal(a->throttle_id, b->throttle_id);
    assert_string_equal(a->http.host, b->http.host);
    assert_string_equal(a->http.path, b->http.path);
    assert_int_equal(a->http.port, b->http.port);
    assert_int_equal(a->http.retry_count, b->http.retry_count);
    assert_int_equal(a->http.tls, b->http.tls);
    assert_int_equal(a->method, b->method);
    assert_int_equal(a->match_mode, b->match_mode);
    assert_int_equal(a->schemes, b->schemes);
    assert_int_equal(a->auth, b->auth);
    assert_true(a->app_code);
    assert_int_equal(a->req_param_count, b->req_param_count);
    assert_string_equal(a->req_params[1].default_value, b->req_params[1].default_value);
    assert_int_equal(a->req_params[1].location, b->req_params[1].location);
    assert_string_equal(a->backend_params[1].value, b->backend_params[1].value);
    assert_int_equal(a->backend_params[1].origin, b->backend_params[1].origin);
}

static void
an_api_comes_back_as_it_went_out(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    struct sl_error err;
    struct sl_entry entry = some_api();
    struct sl_entry back;
    struct sl_str bytes;
    assert_int_equal(sl_entry_encode(arena, &entry, &bytes, &err), 0);
    assert_int_equal(sl_entry_decode(arena, SL_KIND_API, bytes, &back, &err), 0);
    assert_same_api(&back.api, &entry.api);
    assert_string_equal(back.api.mock.body, "");
}

static void
assert_same_policies(const struct sl_api *a, const struct sl_api *b)
{
    assert_int_equal(a->policy_count, b->policy_count);
    const struct sl_policy *one = &a->policies[0];
    assert_string_equal(one->name, "one");
    assert_true(one->any);
    assert_false(a->policies[1].any);
    assert_string_equal(one->http.host, "one.example");
    assert_int_equal(one->http.method, SL_METHOD_PUT);
    assert_int_equal(one->condition_count, 3);
    assert_string_equal(one->conditions[0].value, "^1");
    assert_int_equal(one->conditions[0].type, SL_MATCH_PATTERN);
    assert_int_equal(one->conditions[1].origin, SL_BY_SOURCE);
    assert_string_equal(one->conditions[2].name, "req_method");
    assert_string_equal(one->backend_params[1].value, "$context.sourceIp");
    assert_string_equal(a->policies[1].http.host, "two.example");
    const struct sl_req_param *param = &a->req_params[0];
    assert_true(param->checked && param->is_number && param->has_min && !param->has_max);
    assert_int_equal(param->min, INT64_MIN);
    assert_int_equal(param->max, INT64_MAX);
    assert_string_equal(param->enumerations, "1,2");
}

static void
policies_and_checks_come_back_as_they_went_out(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    struct sl_error err;
    struct sl_entry entry = some_policies();
    struct sl_entry back;
    struct sl_str bytes;
    assert_int_equal(sl_entry_encode(arena, &entry, &bytes, &err), 0);
    assert_int_equal(sl_entry_decode(arena, SL_KIND_API, bytes, &back, &err), 0);
    assert_same_policies(&back.api, &entry.api);
    struct sl_entry *copy = sl_entry_copy(&back);
    assert_non_null(copy);
    assert_same_policies(&copy->api, &entry.api);
    free(copy);
}

static void
what_an_old_reader_would_pass_over_needs_a_newer_one(void **state)
{
    (void)state;
    struct sl_entry entry = some_api();
    assert_int_equal(sl_entry_min_reader(&entry), 1);
    entry.api.req_params = checked_params;
    entry.api.req_param_count = SL_COUNT(checked_params);
    assert_int_equal(sl_entry_min_reader(&entry), 3);
    entry = some_policies();
    entry.api.req_param_count = 0;
    assert_int_equal(sl_entry_min_reader(&entry), 3);
    entry.api.policies = NULL;
    entry.api.policy_count = 0;
    entry.api.http.host = "";
    assert_int_equal(sl_entry_min_reader(&entry), 4);
    entry.api.backend_type = SL_BACKEND_MOCK;
    assert_int_equal(sl_entry_min_reader(&entry), 1);
    entry.api.cors = true;
    assert_int_equal(sl_entry_min_reader(&entry), 5);
    struct sl_condition on_cookie = {"plan", "gold", SL_BY_COOKIE, SL_MATCH_EXACT};
    struct sl_policy policy = {.name = "p", .conditions = &on_cookie, .condition_count = 1};
    entry.api.cors = false;
    entry.api.policies = &policy;
    entry.api.policy_count = 1;
    assert_int_equal(sl_entry_min_reader(&entry), 5);
    entry = some_app();
    assert_int_equal(sl_entry_min_reader(&entry), 5);
    entry.app.quota.first = 1;
    assert_int_equal(sl_entry_min_reader(&entry), 6);
    entry.app.quota.limit = 0;
    assert_int_equal(sl_entry_min_reader(&entry), 2);
    entry.app.acl_mode = SL_ACL_NONE;
    assert_int_equal(sl_entry_min_reader(&entry), 1);
}

// Who does not know the field would call the service without saying which function.
static void
a_function_by_grpc_is_kept_and_needs_its_reader(void **state)
{
    (void)state;
    static const char urn[] = "urn:fss:r1:p1:function:default:hello";
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    struct sl_policy policy = {.name = "p", .http = {.host = "h", .path = "/", .port = 80}};
    struct sl_entry entry = some_api();
    struct sl_entry back;
    struct sl_str bytes;
    struct sl_error err;
    policy.http.timeout_ms = 1;
    entry.api.backend_type = SL_BACKEND_GRPC;
    entry.api.policies = &policy;
    entry.api.policy_count = 1;
    assert_int_equal(sl_entry_min_reader(&entry), 5);
    policy.http.function = urn;
    assert_int_equal(sl_entry_min_reader(&entry), 6);
    entry.api.policy_count = 0;
    assert_int_equal(sl_entry_min_reader(&entry), 5);
    entry.api.http.function = urn;
    assert_int_equal(sl_entry_min_reader(&entry), 6);
    entry.api.policy_count = 1;
    assert_int_equal(sl_entry_encode(arena, &entry, &bytes, &err), 0);
    assert_int_equal(sl_entry_decode(arena, SL_KIND_API, bytes, &back, &err), 0);
    assert_string_equal(back.api.http.function, urn);
    assert_string_equal(back.api.policies[0].http.function, urn);
    entry.api.http.function = "";
    assert_int_equal(sl_entry_encode(arena, &entry, &bytes, &err), 0);
    assert_int_equal(sl_entry_decode(arena, SL_KIND_API, bytes, &back, &err), 0);
    assert_string_equal(back.api.http.function, "");
}

static void
a_decoded_entry_encodes_to_the_same_bytes(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    struct sl_error err;
    struct sl_entry mock = some_api();
    mock.api.backend_type = SL_BACKEND_MOCK;
    memset(&mock.api.http, 0, sizeof(mock.api.http));
    static const struct sl_mock_header headers[] = {{"Content-Type", "text/html"}, {"X-A", ""}};
    mock.api.mock = (struct sl_mock_backend){"hello", 200, headers, 2};
    struct sl_entry group = {.kind = SL_KIND_GROUP, .group = {ID_1, "g", true, true}};
    struct sl_entry host = {.kind = SL_KIND_HOST, .host = {"*.example.com", ID_1, false}};
    struct sl_entry entries[] = {
        some_api(), mock, some_app(),  some_throttle(),   some_gateway(),
        group,      host, some_user(), some_access_key(), some_token_key()};
    for (size_t i = 0; i < SL_COUNT(entries); i++) {
        struct sl_str first;
        struct sl_str second;
        struct sl_entry back;
        assert_int_equal(sl_entry_encode(arena, &entries[i], &first, &err), 0);
        assert_int_equal(sl_entry_decode(arena, entries[i].kind, first, &back, &err), 0);
        assert_int_equal(sl_entry_encode(arena, &back, &second, &err), 0);
        assert_true(sl_str_equal(first, second));
    }
}

static void
a_copy_stands_on_its_own(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    struct sl_error err;
    struct sl_str bytes;
    struct sl_entry *original = sl_arena_alloc(arena, sizeof(*original));
    struct sl_entry source = some_api();
    assert_int_equal(sl_entry_encode(arena, &source, &bytes, &err), 0);
    assert_int_equal(sl_entry_decode(arena, SL_KIND_API, bytes, original, &err), 0);
    struct sl_entry *copy = sl_entry_copy(original);
    assert_non_null(copy);
    sl_arena_free(&arena);
    assert_same_api(&copy->api, &source.api);
    free(copy);
    struct sl_entry app = some_app();
    copy = sl_entry_copy(&app);
    assert_non_null(copy);
    assert_string_equal(copy->app.codes[1], "code-b");
    assert_string_equal(copy->app.publish_ids[1], ID_2);
    assert_string_equal(copy->app.groups[0], ID_1);
    assert_ptr_not_equal(copy->app.codes, app.app.codes);
    free(copy);
}

static void
every_truncation_is_refused(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(16 << 20);
    struct sl_error err;
    struct sl_entry entries[] = {some_api(),  some_app(),        some_throttle(), some_gateway(),
                                 some_user(), some_access_key(), some_token_key()};
    for (size_t i = 0; i < SL_COUNT(entries); i++) {
        struct sl_str bytes;
        assert_int_equal(sl_entry_encode(arena, &entries[i], &bytes, &err), 0);
        for (size_t len = 0; len < bytes.len; len++) {
            // A block of its own, so that a sanitizer sees a read past the end.
            char *cut = malloc(len + 1);
            assert_non_null(cut);
            memcpy(cut, bytes.ptr, len);
            struct sl_entry back;
            assert_int_equal(
                sl_entry_decode(arena, entries[i].kind, (struct sl_str){cut, len}, &back, &err),
                -1);
            free(cut);
        }
    }
}

static void
damaged_bytes_never_do_worse_than_fail(void **state)
{
    (void)state;
    struct sl_error err;
    SL_AUTO(sl_arena) source = sl_arena_new(1 << 20);
    struct sl_entry api = some_api();
    struct sl_str bytes;
    assert_int_equal(sl_entry_encode(source, &api, &bytes, &err), 0);
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    char *damaged = sl_arena_dupn(source, bytes.ptr, bytes.len);
    for (size_t at = 0; at < bytes.len; at++) {
        for (int value = 0; value < 256; value++) {
            damaged[at] = (char)value;
            struct sl_entry back;
            sl_arena_clear(arena);
            if (sl_entry_decode(arena, SL_KIND_API, (struct sl_str){damaged, bytes.len}, &back,
                                &err) == 0) {
                assert_int_equal(back.api.path[0], '/');
            }
        }
        damaged[at] = bytes.ptr[at];
    }
}

// Decodes {"id": ID_1, "name": "n", <extra>} as a group.
static int
decode_group(const char *extra, size_t extra_len, struct sl_error *err)
{
    char text[256];
    char *at = text;
    memcpy(at, "\x83\xa2id\xd9\x20" ID_1 "\xa4name\xa1n", 4 + 2 + 32 + 7);
    at += 45;
    memcpy(at, extra, extra_len);
    SL_AUTO(sl_arena) arena = sl_arena_new(4096);
    struct sl_entry back;
    return sl_entry_decode(arena, SL_KIND_GROUP,
                           (struct sl_str){text, (size_t)(at - text) + extra_len}, &back, err);
}

static void
unknown_fields_are_passed_over_however_nested(void **state)
{
    (void)state;
    struct sl_error err;
    assert_int_equal(decode_group("\xa1z\x81\xa1k\x92\x01\xcb\0\0\0\0\0\0\0\0", 16, &err), 0);
    assert_int_equal(decode_group("\xaais_default\xc0", 12, &err), 0);
}

static void
a_field_of_another_type_is_refused_and_named(void **state)
{
    (void)state;
    struct sl_error err;
    assert_int_equal(decode_group("\xaais_default\x01", 12, &err), -1);
    assert_int_equal(err.code, SL_E_ENTRY_BROKEN);
    assert_string_equal(err.args[0], "group");
    assert_string_equal(err.args[1], "is_default");
}

static void
a_count_that_the_bytes_do_not_hold_is_refused(void **state)
{
    (void)state;
    struct sl_error err;
    assert_int_equal(decode_group("\xa1z\xdd\xff\xff\xff\xff", 7, &err), -1);
    assert_int_equal(decode_group("\xa1z\xdf\x80\x00\x00\x00", 7, &err), -1);
}

static void
what_does_not_hold_is_refused_and_named(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    struct sl_entry bad[] = {some_api(), some_api(), some_api(), some_api(), some_api()};
    const char *const names[] = {"path", "group_id", "http", "schemes", "http"};
    bad[0].api.path = "books";
    bad[1].api.group_id = "short";
    bad[2].api.http.path = "";
    bad[3].api.schemes = 8;
    bad[4].api.http.port = 0;
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        struct sl_error err;
        struct sl_str bytes;
        struct sl_entry back;
        assert_int_equal(sl_entry_encode(arena, &bad[i], &bytes, &err), 0);
        assert_int_equal(sl_entry_decode(arena, SL_KIND_API, bytes, &back, &err), -1);
        assert_string_equal(err.args[1], names[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signature_key_and_its_api_need_a_reader_that_shows_it),
        cmocka_unit_test(an_api_comes_back_as_it_went_out),
        cmocka_unit_test(policies_and_checks_come_back_as_they_went_out),
        cmocka_unit_test(what_an_old_reader_would_pass_over_needs_a_newer_one),
        cmocka_unit_test(a_function_by_grpc_is_kept_and_needs_its_reader),
        cmocka_unit_test(a_decoded_entry_encodes_to_the_same_bytes),
        cmocka_unit_test(a_copy_stands_on_its_own),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(damaged_bytes_never_do_worse_than_fail),
        cmocka_unit_test(unknown_fields_are_passed_over_however_nested),
        cmocka_unit_test(a_field_of_another_type_is_refused_and_named),
        cmocka_unit_test(a_count_that_the_bytes_do_not_hold_is_refused),
        cmocka_unit_test(what_does_not_hold_is_refused_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

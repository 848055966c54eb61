// memory_test.c - credentials read with memory that runs out: never another's, never for longer.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/app_token.h"
#include "common/crypto/json.h"
#include "common/crypto/jwt.h"
#include "tests/lib/scarce.h"
#include "tests/unit/test.h"

#include <string.h>

#define MEMORY ((size_t)64 * 1024)

// RFC 7515, appendix A.1: `iss` joe, `exp` 1300819380.
static const char example[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
                              "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGx"
                              "lLmNvbS9pc19yb290Ijp0cnVlfQ."
                              "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

static int
parse_jwt(void *arg)
{
    struct sl_jwt jwt;
    (void)arg;
    if (!sl_jwt_parse(SL_STR(example), &jwt)) {
        return -1;
    }
    assert_string_equal(jwt.key, "joe");
    assert_int_equal(jwt.not_after_ms, INT64_C(1300819380000));
    return 0;
}

static void
a_jwt_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    assert_true(scarce_run(parse_jwt, NULL, false) > 10);
}

static int
make_and_open(void *arg)
{
    struct sl_app_token token = {.kind = SL_APP_TOKEN_ACCESS, .issued_s = 1, .expires_s = 2};
    struct sl_app_token back;
    struct sl_seal_key key;
    struct sl_error err;
    const char *text = NULL;
    SL_AUTO(sl_arena) arena = sl_arena_new(MEMORY);
    (void)arg;
    if (arena == NULL) {
        return -1;
    }
    sl_app_token_key(SL_STR("a key of the operator"), &key);
    memset(token.app_id, 'a', sizeof(token.app_id) - 1);
    sl_app_token_tag(SL_STR("secret"), token.tag);
    token.scope = SL_STR("a\0|b");
    if (sl_app_token_make(arena, &key, &token, &text, &err) != 0 ||
        !sl_app_token_open(arena, &key, sl_str(text), &back)) {
        return -1;
    }
    assert_true(sl_str_equal(back.scope, token.scope));
    assert_string_equal(back.app_id, token.app_id);
    assert_int_equal(back.expires_s, 2);
    return 0;
}

static void
an_access_token_is_made_and_opened_whole_or_not_at_all(void **state)
{
    (void)state;
    assert_true(scarce_run(make_and_open, NULL, false) > 0);
}

static int
read_json(void *arg)
{
    json_t *value = sl_json_read(SL_STR("{\"a name of some length\": [\"a\", {\"b\": 1.5}]}"), 0);
    (void)arg;
    if (value == NULL) {
        return -1;
    }
    assert_int_equal(json_array_size(json_object_get(value, "a name of some length")), 2);
    json_decref(value);
    return 0;
}

static void
json_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    assert_true(scarce_run(read_json, NULL, false) > 5);
    assert_null(sl_json_read(SL_STR("{"), 0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jwt_is_read_whole_or_not_at_all),
        cmocka_unit_test(an_access_token_is_made_and_opened_whole_or_not_at_all),
        cmocka_unit_test(json_is_read_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

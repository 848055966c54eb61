// app_token_test.c - sealed tokens of apps: the round trip, other keys, damage.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <string.h>

#include "common/crypto/app_token.h"
#include "tests/unit/crypto/arena.h"

#define APP "00112233445566778899aabbccddeeff"

static struct sl_app_token
sample(enum sl_app_token_kind kind, const char *scope)
{
    struct sl_app_token token = {.kind = kind,
                                 .app_id = APP,
                                 .issued_s = 1700000000,
                                 .expires_s = 1700003600,
                                 .scope = sl_str(scope)};
    sl_app_token_tag(SL_STR("secret"), token.tag);
    return token;
}

static const char *
make(const struct sl_seal_key *key, const struct sl_app_token *token)
{
    struct sl_error err;
    const char *text = NULL;
    assert_int_equal(sl_app_token_make(arena, key, token, &text, &err), 0);
    return text;
}

static void
a_token_carries_what_it_was_made_of(void **state)
{
    (void)state;
    static const char *const scopes[] = {"", "read", "a|b|c", "\xc3\xa9 \"quoted\""};
    struct sl_seal_key key;
    sl_app_token_key(SL_STR("a key of the operator"), &key);
    for (size_t i = 0; i < SL_COUNT(scopes); i++) {
        struct sl_app_token token =
            sample(i % 2 == 0 ? SL_APP_TOKEN_ACCESS : SL_APP_TOKEN_REFRESH, scopes[i]);
        struct sl_app_token back;
        const char *text = make(&key, &token);
        assert_true(sl_app_token_open(arena, &key, sl_str(text), &back));
        assert_int_equal(back.kind, token.kind);
        assert_string_equal(back.app_id, APP);
        assert_string_equal(back.tag, token.tag);
        assert_int_equal(back.issued_s, 1700000000);
        assert_int_equal(back.expires_s, 1700003600);
        assert_true(sl_str_equal(back.scope, token.scope));
        assert_null(strstr(text, APP));
    }
}

static void
two_tokens_of_the_same_differ(void **state)
{
    (void)state;
    struct sl_seal_key key;
    struct sl_app_token token = sample(SL_APP_TOKEN_ACCESS, "");
    sl_app_token_key(SL_STR("k"), &key);
    assert_string_not_equal(make(&key, &token), make(&key, &token));
}

static void
another_key_opens_nothing(void **state)
{
    (void)state;
    struct sl_seal_key key;
    struct sl_seal_key other;
    struct sl_app_token token = sample(SL_APP_TOKEN_ACCESS, "read");
    struct sl_app_token back;
    sl_app_token_key(SL_STR("one"), &key);
    sl_app_token_key(SL_STR("two"), &other);
    assert_false(sl_app_token_open(arena, &other, sl_str(make(&key, &token)), &back));
}

static void
no_changed_character_and_no_cut_is_accepted(void **state)
{
    (void)state;
    struct sl_seal_key key;
    struct sl_app_token token = sample(SL_APP_TOKEN_ACCESS, "read");
    struct sl_app_token back;
    sl_app_token_key(SL_STR("one"), &key);
    const char *text = make(&key, &token);
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        char *copy = sl_arena_dup(arena, text);
        copy[i] = copy[i] == 'A' ? 'B' : 'A';
        assert_false(sl_app_token_open(arena, &key, sl_str(copy), &back));
        assert_false(sl_app_token_open(arena, &key, (struct sl_str){text, i}, &back));
    }
}

static void
foreign_texts_are_no_tokens(void **state)
{
    (void)state;
    static char large[SL_APP_TOKEN_TEXT_MAX + 2];
    struct sl_seal_key key;
    struct sl_app_token back;
    memset(large, 'A', sizeof(large) - 1);
    sl_app_token_key(SL_STR("one"), &key);
    const char *const texts[] = {"", "x", "AAAA", "not base64!", large};
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        assert_false(sl_app_token_open(arena, &key, sl_str(texts[i]), &back));
    }
}

static void
a_tag_tells_secrets_apart(void **state)
{
    (void)state;
    char one[SL_APP_TOKEN_TAG + 1];
    char same[SL_APP_TOKEN_TAG + 1];
    char two[SL_APP_TOKEN_TAG + 1];
    sl_app_token_tag(SL_STR("one"), one);
    sl_app_token_tag(SL_STR("one"), same);
    sl_app_token_tag(SL_STR("two"), two);
    assert_int_equal(strlen(one), SL_APP_TOKEN_TAG);
    assert_string_equal(one, same);
    assert_string_not_equal(one, two);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_carries_what_it_was_made_of),
        cmocka_unit_test(two_tokens_of_the_same_differ),
        cmocka_unit_test(another_key_opens_nothing),
        cmocka_unit_test(no_changed_character_and_no_cut_is_accepted),
        cmocka_unit_test(foreign_texts_are_no_tokens),
        cmocka_unit_test(a_tag_tells_secrets_apart),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

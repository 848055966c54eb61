// token_test.c - tokens: the round trip, forgeries, damage; Ed25519 against RFC 8032.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "common/crypto/crypto.h"
#include "common/crypto/token.h"
#include "tests/unit/crypto/arena.h"

static const struct sl_token sample = {
    .key_id = "00112233445566778899aabbccddeeff",
    .user_id = "u1",
    .domain_id = "d1",
    .project_id = "",
    .id = "n1",
    .issued_s = 1700000000,
    .expires_s = 1700086400,
};

static void
a_token_carries_its_fields_and_verifies(void **state)
{
    (void)state;
    struct sl_error err;
    const char *text = NULL;
    struct sl_token back;
    uint8_t private_key[SL_TOKEN_KEY_LEN];
    uint8_t public_key[SL_TOKEN_KEY_LEN];
    sl_token_key_new(private_key, public_key);
    assert_int_equal(sl_token_make(arena, &sample, private_key, &text, &err), 0);
    assert_true(sl_token_verify(sl_str(text), public_key));
    assert_true(sl_token_parse(sl_str(text), &back));
    assert_string_equal(back.key_id, sample.key_id);
    assert_string_equal(back.user_id, "u1");
    assert_string_equal(back.domain_id, "d1");
    assert_string_equal(back.project_id, "");
    assert_string_equal(back.id, "n1");
    assert_true(back.issued_s == sample.issued_s && back.expires_s == sample.expires_s);
}

static void
another_key_or_any_changed_byte_does_not_verify(void **state)
{
    (void)state;
    struct sl_error err;
    const char *text = NULL;
    uint8_t private_key[SL_TOKEN_KEY_LEN];
    uint8_t public_key[SL_TOKEN_KEY_LEN];
    uint8_t other[SL_TOKEN_KEY_LEN];
    sl_token_key_new(private_key, public_key);
    assert_int_equal(sl_token_make(arena, &sample, private_key, &text, &err), 0);
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        char *copy = sl_arena_dup(arena, text);
        copy[i] = copy[i] == 'A' ? 'B' : 'A';
        assert_false(sl_token_verify((struct sl_str){copy, len}, public_key));
        assert_false(sl_token_verify((struct sl_str){text, i}, public_key));
    }
    sl_token_key_new(private_key, other);
    assert_false(sl_token_verify(sl_str(text), other));
}

static void
what_is_no_token_is_not_parsed(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "sl1.",
        "sl1..",
        "sl1.a.b",
        "sl2.a.b",
        "x",
        "sl1",
        "sl1.AAAA.AAAA",
        "sl1.fHx8fHw.AA",  // five separators
        "sl1.fHx8fHx8.AA", // numbers missing
    };
    struct sl_token token;
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        assert_false(sl_token_parse(sl_str(texts[i]), &token));
    }
    char longer[SL_TOKEN_TEXT_MAX + 2];
    memset(longer, 'A', sizeof(longer));
    memcpy(longer, "sl1.", 4);
    longer[500] = '.';
    assert_false(sl_token_parse((struct sl_str){longer, sizeof(longer)}, &token));
}

static void
a_separator_in_a_field_is_refused(void **state)
{
    (void)state;
    struct sl_error err;
    const char *text = NULL;
    uint8_t private_key[SL_TOKEN_KEY_LEN] = {1};
    struct sl_token token = sample;
    snprintf(token.user_id, sizeof(token.user_id), "u|x");
    assert_int_equal(sl_token_make(arena, &token, private_key, &text, &err), -1);
    assert_null(text);
}

static void
the_public_key_is_the_one_of_rfc_8032(void **state)
{
    (void)state;
    uint8_t private_key[SL_TOKEN_KEY_LEN];
    uint8_t public_key[SL_TOKEN_KEY_LEN];
    char hex[2 * SL_TOKEN_KEY_LEN + 1];
    assert_true(
        sl_hex_decode(sl_str("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
                      private_key, sizeof(private_key)));
    sl_token_key_public(private_key, public_key);
    sl_hex_encode(public_key, sizeof(public_key), hex);
    assert_string_equal(hex, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_carries_its_fields_and_verifies),
        cmocka_unit_test(another_key_or_any_changed_byte_does_not_verify),
        cmocka_unit_test(what_is_no_token_is_not_parsed),
        cmocka_unit_test(a_separator_in_a_field_is_refused),
        cmocka_unit_test(the_public_key_is_the_one_of_rfc_8032),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

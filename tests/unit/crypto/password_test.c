// password_test.c - scrypt hashes: RFC 7914's vector, the round trip, texts that are no hash.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <string.h>

#include "common/crypto/base64.h"
#include "common/crypto/password.h"

static void
the_vector_of_rfc_7914_verifies(void **state)
{
    (void)state;
    // scrypt("password", "NaCl", N=1024, r=8, p=16), first 32 bytes of a longer output would not
    // do: all 64 are given.
    uint8_t want[64];
    char text[SL_BASE64_LEN(64) + 1];
    char hash[160] = "$scrypt$ln=10,r=8,p=16$TmFDbA$";
    assert_true(
        sl_hex_decode(sl_str("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
                             "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"),
                      want, sizeof(want)));
    sl_base64_encode((struct sl_str){(char *)want, sizeof(want)}, text);
    strncat(hash, text, sizeof(hash) - strlen(hash) - 1);
    assert_true(sl_password_verify(SL_STR("password"), hash));
    assert_false(sl_password_verify(SL_STR("Password"), hash));
}

static void
a_fresh_hash_matches_its_password_alone(void **state)
{
    (void)state;
    struct sl_error err;
    char a[SL_PASSWORD_HASH_SIZE];
    char b[SL_PASSWORD_HASH_SIZE];
    assert_int_equal(sl_password_hash(SL_STR("s3cret"), a, &err), 0);
    assert_int_equal(sl_password_hash(SL_STR("s3cret"), b, &err), 0);
    assert_string_not_equal(a, b);
    assert_true(sl_password_verify(SL_STR("s3cret"), a));
    assert_false(sl_password_verify(SL_STR("s3creT"), a));
    assert_false(sl_password_verify(SL_STR(""), a));
}

static void
a_text_that_is_no_hash_matches_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "s3cret",
        "$scrypt$ln=15,r=8$AAAA$AAAA",
        "$scrypt$ln=64,r=8,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=15,r=8,p=0$AAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=15,r=8,p=1$AAAA$",
        "$bcrypt$ln=15,r=8,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAA",
    };
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        assert_false(sl_password_verify(SL_STR("s3cret"), texts[i]));
    }
    assert_false(sl_password_verify(SL_STR(""), sl_password_decoy()));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_of_rfc_7914_verifies),
        cmocka_unit_test(a_fresh_hash_matches_its_password_alone),
        cmocka_unit_test(a_text_that_is_no_hash_matches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

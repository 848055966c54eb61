// jwt_test.c - HS256 tokens: RFC 7515's own example, claims, forgeries.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "common/crypto/base64.h"
#include "common/crypto/jwt.h"

#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define SECRET "0123456789abcdef"

// Signs the two objects under SECRET.
static const char *
make(const char *header, const char *claims)
{
    static char text[2 * SL_JWT_TEXT_MAX];
    char part[2 * SL_JWT_TEXT_MAX];
    uint8_t mac[SL_SHA256_LEN];
    sl_base64_encode(sl_str(header), part);
    size_t len = (size_t)snprintf(text, sizeof(text), "%s.", part);
    sl_base64_encode(sl_str(claims), text + len);
    struct sl_hmac *hmac = sl_hmac_new(SL_STR(SECRET));
    sl_hmac_sign(hmac, sl_str(text), mac);
    sl_hmac_free(&hmac);
    len = strlen(text);
    text[len] = '.';
    sl_base64_encode((struct sl_str){(char *)mac, sizeof(mac)}, text + len + 1);
    return text;
}

static bool
is_signed_by(const struct sl_jwt *jwt, const char *secret)
{
    struct sl_hmac *hmac = sl_hmac_new(sl_str(secret));
    bool is = sl_jwt_verify(jwt, hmac);
    sl_hmac_free(&hmac);
    return is;
}

// RFC 7515, appendix A.1: its key is given in base64url, its claims have an `iss`.
static void
the_example_of_the_rfc_verifies(void **state)
{
    (void)state;
    static const char text[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
                               "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGx"
                               "lLmNvbS9pc19yb290Ijp0cnVlfQ."
                               "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    static const char key[] =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcg"
        "UuTwjAzZr1Z9CAow";
    char secret[128];
    size_t len = 0;
    struct sl_jwt jwt;
    assert_true(sl_base64_decode(SL_STR(key), secret, sizeof(secret), &len));
    assert_true(sl_jwt_parse(SL_STR(text), &jwt));
    assert_string_equal(jwt.key, "joe");
    struct sl_hmac *hmac = sl_hmac_new((struct sl_str){secret, len});
    assert_true(sl_jwt_verify(&jwt, hmac));
    sl_hmac_free(&hmac);
    assert_true(sl_jwt_is_timely(&jwt, 1300819379999, 1000));
    assert_false(sl_jwt_is_timely(&jwt, 1300819380000, 1000));
}

static void
claims_are_read(void **state)
{
    (void)state;
    struct sl_jwt jwt;
    assert_true(
        sl_jwt_parse(sl_str(make(HEADER, "{\"appId\":\"k\",\"iss\":\"i\",\"iat\":7}")), &jwt));
    assert_string_equal(jwt.key, "k");
    assert_int_equal(jwt.at_ms, 7000);
    assert_true(is_signed_by(&jwt, SECRET));
    assert_false(is_signed_by(&jwt, "another"));
    assert_true(sl_jwt_parse(
        sl_str(make(HEADER, "{\"iss\":\"i\",\"timestamp\":\"1700000000123\"}")), &jwt));
    assert_string_equal(jwt.key, "i");
    assert_int_equal(jwt.at_ms, 1700000000123);
    assert_true(sl_jwt_parse(sl_str(make(HEADER, "{\"iss\":\"i\",\"iat\":1.5,\"nbf\":2}")), &jwt));
    assert_int_equal(jwt.at_ms, 1000);
    assert_int_equal(jwt.not_before_ms, 2000);
}

static void
time_bounds_hold_in_both_directions(void **state)
{
    (void)state;
    struct sl_jwt jwt;
    assert_true(sl_jwt_parse(sl_str(make(HEADER, "{\"iss\":\"i\",\"timestamp\":10000}")), &jwt));
    assert_true(sl_jwt_is_timely(&jwt, 15000, 5000));
    assert_false(sl_jwt_is_timely(&jwt, 15001, 5000));
    assert_true(sl_jwt_is_timely(&jwt, 5000, 5000));
    assert_false(sl_jwt_is_timely(&jwt, 4999, 5000));
    assert_true(sl_jwt_parse(sl_str(make(HEADER, "{\"iss\":\"i\",\"nbf\":10}")), &jwt));
    assert_false(sl_jwt_is_timely(&jwt, 9999, 5000));
    assert_true(sl_jwt_is_timely(&jwt, 10000, 5000));
}

static void
what_is_no_hs256_token_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header, *claims;
    } cases[] = {
        {"{\"alg\":\"none\"}", "{\"iss\":\"i\"}"},
        {"{\"alg\":\"HS512\"}", "{\"iss\":\"i\"}"},
        {"{\"alg\":[\"HS256\"]}", "{\"iss\":\"i\"}"},
        {"{\"alg\":\"HS256\",\"crit\":[\"b64\"]}", "{\"iss\":\"i\"}"},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", "{\"iss\":\"i\"}"},
        {"[]", "{\"iss\":\"i\"}"},
        {HEADER, "{}"},
        {HEADER, "{\"iss\":\"\"}"},
        {HEADER, "{\"iss\":7}"},
        {HEADER, "{\"appId\":7,\"iss\":\"i\"}"},
        {HEADER, "{\"iss\":\"i\",\"exp\":\"soon\"}"},
        {HEADER, "{\"iss\":\"i\",\"exp\":-1}"},
        {HEADER, "{\"iss\":\"i\",\"iat\":9223372036854775807}"},
        {HEADER, "{\"iss\":\"i\",\"iat\":1e300}"},
        {HEADER, "{\"iss\":\"i\",\"iat\":true}"},
        {HEADER, "not json"},
    };
    struct sl_jwt jwt;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        assert_false(sl_jwt_parse(sl_str(make(cases[i].header, cases[i].claims)), &jwt));
    }
}

static void
a_long_key_and_a_long_text_are_refused(void **state)
{
    (void)state;
    static char claims[SL_JWT_TEXT_MAX];
    char key[SL_JWT_KEY_SIZE + 1];
    struct sl_jwt jwt;
    memset(key, 'k', sizeof(key));
    key[SL_JWT_KEY_SIZE] = '\0';
    snprintf(claims, sizeof(claims), "{\"iss\":\"%s\"}", key);
    assert_false(sl_jwt_parse(sl_str(make(HEADER, claims)), &jwt));
    key[SL_JWT_KEY_SIZE - 1] = '\0';
    snprintf(claims, sizeof(claims), "{\"iss\":\"%s\"}", key);
    assert_true(sl_jwt_parse(sl_str(make(HEADER, claims)), &jwt));
    snprintf(claims, sizeof(claims), "{\"iss\":\"i\",\"x\":\"%03500d\"}", 0);
    assert_false(sl_jwt_parse(sl_str(make(HEADER, claims)), &jwt));
}

static void
no_changed_character_verifies(void **state)
{
    (void)state;
    char text[512];
    snprintf(text, sizeof(text), "%s", make(HEADER, "{\"iss\":\"joe\",\"iat\":1700000000}"));
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        char kept = text[i];
        struct sl_jwt jwt;
        text[i] = kept == 'A' ? 'B' : 'A';
        assert_false(sl_jwt_parse((struct sl_str){text, len}, &jwt) && is_signed_by(&jwt, SECRET));
        text[i] = kept;
        assert_false(sl_jwt_parse((struct sl_str){text, i}, &jwt));
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_rfc_verifies),
        cmocka_unit_test(claims_are_read),
        cmocka_unit_test(time_bounds_hold_in_both_directions),
        cmocka_unit_test(what_is_no_hs256_token_is_refused),
        cmocka_unit_test(a_long_key_and_a_long_text_are_refused),
        cmocka_unit_test(no_changed_character_verifies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

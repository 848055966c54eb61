// sign_test.c - SDK-HMAC-SHA256: the published vectors, what signers do differently, forgeries.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "common/crypto/sign.h"
#include "tests/unit/crypto/arena.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// One request under test; headers end in a NULL name.
struct sample {
    const char *method;
    const char *path;
    const char *query;
    const char *body; // NULL: not known
    const char *headers[8][2];
};

static const struct sample vector_a = {
    "GET",
    "/resources",
    "size=1",
    "",
    {{"Host", "service.endpoint.myhuaweicloud.com"}, {"X-Sdk-Date", "20200608T023900Z"}},
};
static const struct sample vector_b = {
    "POST",
    "/resources",
    "size=1",
    "{\"name\":\"test\",\"id\":1}",
    {{"Host", "service.endpoint.myhuaweicloud.com"}, {"X-Sdk-Date", "20200608T023900Z"}},
};
static const struct sample vector_c = {
    "POST",
    "/v1/a%20b/%E4%B8%AD",
    "a=&k=x%20y&k=%2F",
    "{\"n\":1}",
    {{"Host", "api.example.com"},
     {"Content-Type", "application/json"},
     {"X-Sdk-Date", "20240102T030405Z"}},
};

static struct sl_sign_request
make_request(const struct sample *sample)
{
    struct sl_sign_header *headers = sl_arena_array(arena, 8, sizeof(*headers));
    size_t count = 0;
    while (count < 8 && sample->headers[count][0] != NULL) {
        headers[count].name = sl_str(sample->headers[count][0]);
        headers[count].value = sl_str(sample->headers[count][1]);
        count++;
    }
    struct sl_sign_request request = {
        .method = sl_str(sample->method),
        .raw_path = sl_str(sample->path),
        .raw_query = sl_str(sample->query),
        .headers = headers,
        .header_count = count,
    };
    if (sample->body != NULL) {
        char *hash = sl_arena_alloc(arena, SL_SHA256_HEX);
        sl_sha256_hex(sl_str(sample->body), hash);
        request.body_hash = sl_str(hash);
    }
    return request;
}

// Signs with all headers; answers the Authorization value.
static const char *
sign(const struct sample *sample, const char *access, const char *secret)
{
    struct sl_error err;
    const char *authorization = NULL;
    struct sl_sign_request request = make_request(sample);
    SL_AUTO(sl_hmac) key = sl_hmac_new(sl_str(secret));
    assert_int_equal(sl_sign_make(arena, &request, sl_str(access), key, &authorization, &err), 0);
    return authorization;
}

static enum sl_sign_result
verify(const struct sample *sample, const char *authorization, const char *secret)
{
    struct sl_sign_parts parts;
    struct sl_sign_request request = make_request(sample);
    SL_AUTO(sl_hmac) key = sl_hmac_new(sl_str(secret));
    assert_int_equal(sl_sign_parse(sl_str(authorization), &parts), SL_SIGN_OK);
    return sl_sign_verify(arena, &request, &parts, key, NULL);
}

static void
vectors_a_and_b_of_the_sdk_come_out(void **state)
{
    (void)state;
    assert_string_equal(sign(&vector_a, "AccessKey", "SecretKey"),
                        "SDK-HMAC-SHA256 Access=AccessKey, SignedHeaders=host;x-sdk-date, "
                        "Signature="
                        "cfb4171acec81de07d50e53d57eb77edd537414d66ddb1d7d780f128e12cd842");
    assert_string_equal(sign(&vector_b, "AccessKey", "SecretKey"),
                        "SDK-HMAC-SHA256 Access=AccessKey, SignedHeaders=host;x-sdk-date, "
                        "Signature="
                        "436b1ac0a1ae03705934bb70ef2f2e09f7bfed2117d731a38235053199323a1f");
}

static void
vector_c_comes_out_with_its_canonical_request(void **state)
{
    (void)state;
    struct sl_sign_request request = make_request(&vector_c);
    const char *canonical =
        sl_sign_canonical(arena, &request, SL_STR("content-type;host;x-sdk-date"));
    assert_non_null(canonical);
    assert_non_null(strstr(canonical, "POST\n/v1/a%20b/%E4%B8%AD/\na=&k=%2F&k=x%20y\n"));
    char hash[SL_SHA256_HEX];
    sl_sha256_hex(sl_str(canonical), hash);
    assert_string_equal(hash, "ad4316b98d0c82841006308cc4e25317ef3f55c2f50588c8d5b4283763e4d153");
    const char *authorization = sign(&vector_c, "AppKey0001", "0123456789abcdefghijABCDEFGHIJ");
    assert_non_null(strstr(authorization, "Signature=9b6d5fb1447ebdf6d56a0c7ba38a25dcf4052c53ca7be0"
                                          "d4537b12556076e070"));
}

static void
what_was_signed_verifies_and_another_secret_does_not(void **state)
{
    (void)state;
    const char *authorization = sign(&vector_c, "k", "secret");
    assert_int_equal(verify(&vector_c, authorization, "secret"), SL_SIGN_OK);
    assert_int_equal(verify(&vector_c, authorization, "Secret"), SL_SIGN_MISMATCH);
}

static void
a_change_of_any_signed_part_is_a_mismatch(void **state)
{
    (void)state;
    const char *authorization = sign(&vector_c, "k", "secret");
    struct sample changed[5] = {vector_c, vector_c, vector_c, vector_c, vector_c};
    changed[0].method = "PUT";
    changed[1].path = "/v1/a%20b/%E4%B8%AE";
    changed[2].query = "a=&k=x%20y&k=%2f0";
    changed[3].body = "{\"n\":2}";
    changed[4].headers[1][1] = "text/plain";
    for (size_t i = 0; i < SL_COUNT(changed); i++) {
        assert_int_equal(verify(&changed[i], authorization, "secret"), SL_SIGN_MISMATCH);
    }
    // Equivalent spellings are the same request.
    struct sample same = vector_c;
    same.path = "/v1/a%20b/%e4%b8%ad/";
    same.query = "k=%2f&k=x%20y&a";
    assert_int_equal(verify(&same, authorization, "secret"), SL_SIGN_OK);
}

static void
a_mismatch_shows_the_canonical_request(void **state)
{
    (void)state;
    const char *canonical = NULL;
    struct sl_sign_parts parts;
    struct sl_sign_request request = make_request(&vector_a);
    const char *authorization = sign(&vector_a, "k", "secret");
    SL_AUTO(sl_hmac) key = sl_hmac_new(SL_STR("other"));
    assert_int_equal(sl_sign_parse(sl_str(authorization), &parts), SL_SIGN_OK);
    assert_int_equal(sl_sign_verify(arena, &request, &parts, key, &canonical), SL_SIGN_MISMATCH);
    assert_string_equal(canonical, "GET\n/resources/\nsize=1\n"
                                   "host:service.endpoint.myhuaweicloud.com\n"
                                   "x-sdk-date:20200608T023900Z\n\nhost;x-sdk-date\n" EMPTY);
}

static void
a_plus_in_the_query_may_mean_itself_or_a_blank(void **state)
{
    (void)state;
    struct sample literal = vector_a;
    struct sample blank = vector_a;
    struct sample wire = vector_a;
    literal.query = "q=a%2Bb";
    blank.query = "q=a%20b";
    wire.query = "q=a+b";
    assert_int_equal(verify(&wire, sign(&literal, "k", "s"), "s"), SL_SIGN_OK);
    assert_int_equal(verify(&wire, sign(&blank, "k", "s"), "s"), SL_SIGN_OK);
}

static void
parameters_may_be_sorted_before_or_after_encoding(void **state)
{
    (void)state;
    // '{' sorts after 'z', its encoding "%7B" before it.
    struct sample sample = vector_a;
    sample.query = "%7B=1&z=2";
    struct sl_sign_request request = make_request(&sample);
    const char *canonical = sl_sign_canonical(arena, &request, SL_STR("host;x-sdk-date"));
    assert_non_null(strstr(canonical, "\nz=2&%7B=1\n"));
    // A signer that sorts encoded names: its signature is made by hand over its own text.
    const char *theirs = "GET\n/resources/\n%7B=1&z=2\n"
                         "host:service.endpoint.myhuaweicloud.com\n"
                         "x-sdk-date:20200608T023900Z\n\nhost;x-sdk-date\n" EMPTY;
    char hash[SL_SHA256_HEX];
    char hex[SL_SHA256_HEX];
    uint8_t mac[SL_SHA256_LEN];
    sl_sha256_hex(sl_str(theirs), hash);
    const char *text = sl_arena_printf(arena, "SDK-HMAC-SHA256\n20200608T023900Z\n%s", hash);
    SL_AUTO(sl_hmac) key = sl_hmac_new(SL_STR("s"));
    sl_hmac_sign(key, sl_str(text), mac);
    sl_hex_encode(mac, sizeof(mac), hex);
    const char *authorization = sl_arena_printf(
        arena, "SDK-HMAC-SHA256 Access=k,SignedHeaders=host;x-sdk-date,   Signature=%s", hex);
    assert_int_equal(verify(&sample, authorization, "s"), SL_SIGN_OK);
}

static void
the_header_stands_for_the_body_but_never_against_it(void **state)
{
    (void)state;
    struct sample sample = vector_b;
    sample.headers[2][0] = "X-Sdk-Content-Sha256";
    sample.headers[2][1] = "UNSIGNED-PAYLOAD";
    assert_int_equal(verify(&sample, sign(&sample, "k", "s"), "s"), SL_SIGN_OK);
    // A digest of another body, correctly signed, is refused once the body is known.
    sample.headers[2][1] = EMPTY;
    struct sample streamed = sample;
    streamed.body = NULL;
    const char *authorization = sign(&streamed, "k", "s");
    assert_int_equal(verify(&streamed, authorization, "s"), SL_SIGN_OK);
    assert_int_equal(verify(&sample, authorization, "s"), SL_SIGN_MISMATCH);
}

static void
an_empty_body_may_be_signed_as_such_beside_the_header(void **state)
{
    (void)state;
    struct sample with = vector_a;
    with.headers[2][0] = "X-Sdk-Content-Sha256";
    with.headers[2][1] = "UNSIGNED-PAYLOAD";
    // vector_a's headers are signed with the hash of nothing; the third header goes unsigned.
    assert_int_equal(verify(&with, sign(&vector_a, "k", "s"), "s"), SL_SIGN_OK);
}

static void
repeated_headers_are_joined_by_commas(void **state)
{
    (void)state;
    struct sample joined = vector_a;
    struct sample twice = vector_a;
    joined.headers[2][0] = "X-Tag";
    joined.headers[2][1] = "  one,two ";
    twice.headers[2][0] = "X-Tag";
    twice.headers[2][1] = "one";
    twice.headers[3][0] = "x-tag";
    twice.headers[3][1] = "two\t";
    assert_int_equal(verify(&twice, sign(&joined, "k", "s"), "s"), SL_SIGN_OK);
    assert_int_equal(verify(&joined, sign(&twice, "k", "s"), "s"), SL_SIGN_OK);
}

static void
headers_that_are_no_signature_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum sl_sign_result result;
    } rows[] = {
        {"SDK-HMAC-SHA256 Access=k, SignedHeaders=host;x-sdk-date, Signature=aa", SL_SIGN_OK},
        {"SDK-HMAC-SHA256 Access=k,SignedHeaders=a,Signature=b", SL_SIGN_OK},
        {"", SL_SIGN_ALGORITHM},
        {"Basic QTpC", SL_SIGN_ALGORITHM},
        {"V11-HMAC-SHA256 Access=k, SignedHeaders=a, Signature=b", SL_SIGN_ALGORITHM},
        {"SDK-HMAC-SHA256", SL_SIGN_EMPTY},
        {"SDK-HMAC-SHA256 Access=, SignedHeaders=a, Signature=b", SL_SIGN_EMPTY},
        {"SDK-HMAC-SHA256 SignedHeaders=a, Signature=b", SL_SIGN_EMPTY},
        {"SDK-HMAC-SHA256 Access=k, Signature=b", SL_SIGN_HEADERS},
        {"SDK-HMAC-SHA256 Access=k, SignedHeaders=a", SL_SIGN_ALGORITHM},
        {"SDK-HMAC-SHA256 Access=k, Access=l, SignedHeaders=a, Signature=b", SL_SIGN_ALGORITHM},
        {"SDK-HMAC-SHA256 Access=k, SignedHeaders=a, Signature=b, X=y", SL_SIGN_ALGORITHM},
    };
    struct sl_sign_parts parts;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        assert_int_equal(sl_sign_parse(sl_str(rows[i].text), &parts), rows[i].result);
    }
}

static void
dates_are_of_the_one_form_and_exist(void **state)
{
    (void)state;
    int64_t at_ms = 0;
    assert_true(sl_sign_date(SL_STR("20240102T030405Z"), &at_ms));
    assert_true(at_ms == INT64_C(1704164645000));
    assert_true(sl_sign_date(SL_STR("20000229T000000Z"), &at_ms));
    assert_true(at_ms == INT64_C(951782400000));
    static const char *const bad[] = {"",
                                      "20240102T030405",
                                      "20230229T000000Z",
                                      "20241301T000000Z",
                                      "20240100T000000Z",
                                      "20240102 030405Z",
                                      "20240102T240000Z",
                                      "2024010aT030405Z",
                                      "20240102T030405Z0"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        assert_false(sl_sign_date(sl_str(bad[i]), &at_ms));
    }
}

static enum sl_sign_result
precheck(const struct sample *sample, const char *signed_headers, int64_t now_ms)
{
    struct sl_sign_request request = make_request(sample);
    struct sl_sign_parts parts = {.signed_headers = sl_str(signed_headers)};
    return sl_sign_precheck(&request, &parts, now_ms);
}

static void
fifteen_minutes_either_way_pass_and_no_more(void **state)
{
    (void)state;
    int64_t at_ms = 0;
    const char *names = "host;x-sdk-date";
    assert_true(sl_sign_date(SL_STR("20200608T023900Z"), &at_ms));
    assert_int_equal(precheck(&vector_a, names, at_ms), SL_SIGN_OK);
    assert_int_equal(precheck(&vector_a, names, at_ms + SL_SIGN_SKEW_MS), SL_SIGN_OK);
    assert_int_equal(precheck(&vector_a, names, at_ms - SL_SIGN_SKEW_MS), SL_SIGN_OK);
    assert_int_equal(precheck(&vector_a, names, at_ms + SL_SIGN_SKEW_MS + 1), SL_SIGN_EXPIRED);
    assert_int_equal(precheck(&vector_a, names, at_ms - SL_SIGN_SKEW_MS - 1), SL_SIGN_EXPIRED);
}

static void
signed_headers_must_name_host_and_date_and_be_there(void **state)
{
    (void)state;
    int64_t at_ms = 0;
    assert_true(sl_sign_date(SL_STR("20200608T023900Z"), &at_ms));
    assert_int_equal(precheck(&vector_a, "host", at_ms), SL_SIGN_HEADERS);
    assert_int_equal(precheck(&vector_a, "x-sdk-date", at_ms), SL_SIGN_HEADERS);
    assert_int_equal(precheck(&vector_a, "absent;host;x-sdk-date", at_ms), SL_SIGN_HEADERS);
    assert_int_equal(precheck(&vector_a, "host;;x-sdk-date", at_ms), SL_SIGN_HEADERS);
    struct sample undated = vector_a;
    undated.headers[1][0] = NULL;
    assert_int_equal(precheck(&undated, "host", at_ms), SL_SIGN_DATE);
    struct sample misdated = vector_a;
    misdated.headers[1][1] = "yesterday";
    assert_int_equal(precheck(&misdated, "host;x-sdk-date", at_ms), SL_SIGN_DATE);
    char names[400] = "host;x-sdk-date";
    for (size_t i = 0; i < SL_SIGN_HEADERS_MAX; i++) {
        strncat(names, ";host", sizeof(names) - strlen(names) - 1);
    }
    assert_int_equal(precheck(&vector_a, names, at_ms), SL_SIGN_HEADERS);
}

static void
the_host_of_a_request_to_an_address_need_not_be_signed(void **state)
{
    (void)state;
    int64_t at_ms = 0;
    struct sl_sign_request request = make_request(&vector_a);
    struct sl_sign_parts parts = {.signed_headers = SL_STR("x-sdk-date")};
    request.by_address = true;
    assert_true(sl_sign_date(SL_STR("20200608T023900Z"), &at_ms));
    assert_int_equal(sl_sign_precheck(&request, &parts, at_ms), SL_SIGN_OK);
    parts.signed_headers = SL_STR("host");
    assert_int_equal(sl_sign_precheck(&request, &parts, at_ms), SL_SIGN_HEADERS);
}

static void
a_request_without_host_or_date_cannot_be_signed(void **state)
{
    (void)state;
    struct sl_error err;
    const char *authorization = NULL;
    struct sample samples[2] = {vector_a, vector_a};
    samples[0].headers[1][0] = "X-Other";
    samples[1].headers[2][0] = "X-Tag "; // no name: its blank would be lost on the way
    samples[1].headers[2][1] = "x";
    SL_AUTO(sl_hmac) key = sl_hmac_new(SL_STR("s"));
    for (size_t i = 0; i < SL_COUNT(samples); i++) {
        struct sl_sign_request request = make_request(&samples[i]);
        assert_int_equal(sl_sign_make(arena, &request, SL_STR("k"), key, &authorization, &err), -1);
        assert_int_equal(err.code, SL_E_SIGN_REQUEST);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_a_and_b_of_the_sdk_come_out),
        cmocka_unit_test(vector_c_comes_out_with_its_canonical_request),
        cmocka_unit_test(what_was_signed_verifies_and_another_secret_does_not),
        cmocka_unit_test(a_change_of_any_signed_part_is_a_mismatch),
        cmocka_unit_test(a_mismatch_shows_the_canonical_request),
        cmocka_unit_test(a_plus_in_the_query_may_mean_itself_or_a_blank),
        cmocka_unit_test(parameters_may_be_sorted_before_or_after_encoding),
        cmocka_unit_test(the_header_stands_for_the_body_but_never_against_it),
        cmocka_unit_test(an_empty_body_may_be_signed_as_such_beside_the_header),
        cmocka_unit_test(repeated_headers_are_joined_by_commas),
        cmocka_unit_test(headers_that_are_no_signature_are_told_apart),
        cmocka_unit_test(dates_are_of_the_one_form_and_exist),
        cmocka_unit_test(fifteen_minutes_either_way_pass_and_no_more),
        cmocka_unit_test(signed_headers_must_name_host_and_date_and_be_there),
        cmocka_unit_test(the_host_of_a_request_to_an_address_need_not_be_signed),
        cmocka_unit_test(a_request_without_host_or_date_cannot_be_signed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

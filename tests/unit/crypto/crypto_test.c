// crypto_test.c - digests, HMAC, comparisons, base64url.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <string.h>

#include "common/crypto/base64.h"
#include "common/crypto/crypto.h"

static void
sha256_of_abc_is_the_standards(void **state)
{
    (void)state;
    char hex[SL_SHA256_HEX];
    sl_sha256_hex(SL_STR("abc"), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void
a_running_digest_equals_the_whole(void **state)
{
    (void)state;
    uint8_t whole[SL_SHA256_LEN];
    uint8_t parts[SL_SHA256_LEN];
    struct sl_sha256_ctx *ctx = sl_sha256_new();
    sl_sha256_update(ctx, SL_STR("forgotten"));
    sl_sha256_reset(ctx);
    sl_sha256_update(ctx, SL_STR("ab"));
    sl_sha256_update(ctx, SL_STR(""));
    sl_sha256_update(ctx, SL_STR("c"));
    sl_sha256_final(ctx, parts);
    sl_sha256_free(&ctx);
    assert_null(ctx);
    sl_sha256(SL_STR("abc"), whole);
    assert_memory_equal(whole, parts, sizeof(whole));
}

// The padding of the last block is our own: OpenSSL's judges it at every length about blocks' ends.
static void
sha256_in_one_piece_is_the_one_in_pieces(void **state)
{
    (void)state;
    char message[4 * 64 + 1];
    uint8_t whole[SL_SHA256_LEN];
    uint8_t parts[SL_SHA256_LEN];
    memset(message, 'm', sizeof(message));
    for (size_t len = 0; len <= sizeof(message); len++) {
        message[len > 0 ? len - 1 : 0] = (char)len;
        struct sl_sha256_ctx *ctx = sl_sha256_new();
        sl_sha256_update(ctx, (struct sl_str){message, len / 2});
        sl_sha256_update(ctx, (struct sl_str){message + len / 2, len - len / 2});
        sl_sha256_final(ctx, parts);
        sl_sha256_free(&ctx);
        sl_sha256((struct sl_str){message, len}, whole);
        assert_memory_equal(whole, parts, sizeof(whole));
    }
}

// RFC 2104, from a digest of ours that knows nothing of kept states.
static void
hmac_is_that_of_the_definition_at_every_length(void **state)
{
    (void)state;
    char inner[64 + 140];
    char outer[64 + SL_SHA256_LEN];
    uint8_t expected[SL_SHA256_LEN];
    uint8_t mac[SL_SHA256_LEN];
    SL_AUTO(sl_hmac) hmac = sl_hmac_new(SL_STR("key"));
    memset(inner, 0x36, 64);
    memset(outer, 0x5c, 64);
    for (size_t i = 0; i < 3; i++) {
        inner[i] = (char)(0x36 ^ "key"[i]);
        outer[i] = (char)(0x5c ^ "key"[i]);
    }
    for (size_t len = 0; len <= sizeof(inner) - 64; len++) {
        memset(inner + 64, (int)len, len);
        sl_sha256((struct sl_str){inner, 64 + len}, (uint8_t *)outer + 64);
        sl_sha256((struct sl_str){outer, sizeof(outer)}, expected);
        sl_hmac_sign(hmac, (struct sl_str){inner + 64, len}, mac);
        assert_memory_equal(mac, expected, sizeof(mac));
    }
}

struct vector {
    const char *key;     // hex
    const char *message; // hex
    const char *mac;     // hex
};

// RFC 4231, test cases 1, 2, 3, 6.
static const struct vector hmac_vectors[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
     "dddddddddddddddd",
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {NULL, // 131 bytes of aa
     "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048"
     "617368204b6579204669727374",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
};

static void
hmac_gives_the_vectors_of_rfc_4231(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT(hmac_vectors); i++) {
        const struct vector *vector = &hmac_vectors[i];
        char key[131];
        char message[128];
        size_t key_len = sizeof(key);
        memset(key, 0xaa, sizeof(key));
        if (vector->key != NULL) {
            key_len = strlen(vector->key) / 2;
            assert_true(sl_hex_decode(sl_str(vector->key), key, key_len));
        }
        size_t len = strlen(vector->message) / 2;
        assert_true(sl_hex_decode(sl_str(vector->message), message, len));
        SL_AUTO(sl_hmac) hmac = sl_hmac_new((struct sl_str){key, key_len});
        for (int twice = 0; twice < 2; twice++) { // the kept states are not used up
            uint8_t mac[SL_SHA256_LEN];
            char hex[SL_SHA256_HEX];
            sl_hmac_sign(hmac, (struct sl_str){message, len}, mac);
            sl_hex_encode(mac, sizeof(mac), hex);
            assert_string_equal(hex, vector->mac);
        }
    }
}

static void
comparison_tells_length_and_every_byte(void **state)
{
    (void)state;
    assert_true(sl_crypto_equal(SL_STR("same"), SL_STR("same")));
    assert_true(sl_crypto_equal(SL_STR(""), (struct sl_str){NULL, 0}));
    assert_false(sl_crypto_equal(SL_STR("same"), SL_STR("samE")));
    assert_false(sl_crypto_equal(SL_STR("same"), SL_STR("sam")));
    for (size_t len = 1; len <= 33; len++) {
        char a[33] = {0};
        char b[33] = {0};
        assert_true(sl_crypto_equal((struct sl_str){a, len}, (struct sl_str){b, len}));
        for (size_t bit = 0; bit < 8 * len; bit++) {
            b[bit / 8] = (char)(1U << bit % 8);
            assert_false(sl_crypto_equal((struct sl_str){a, len}, (struct sl_str){b, len}));
            b[bit / 8] = 0;
        }
    }
}

static void
ids_are_32_hex_digits_and_differ(void **state)
{
    (void)state;
    char a[33];
    char b[33];
    sl_random_id(a);
    sl_random_id(b);
    assert_int_equal(strlen(a), 32);
    assert_int_equal(strspn(a, "0123456789abcdef"), 32);
    assert_string_not_equal(a, b);
}

static void
random_bytes_fill_all_of_a_long_buffer_and_no_more(void **state)
{
    (void)state;
    static uint8_t bytes[100002];
    bytes[0] = 0x5a;
    bytes[sizeof(bytes) - 1] = 0xa5;
    sl_random(bytes + 1, sizeof(bytes) - 2);
    assert_int_equal(bytes[0], 0x5a);
    assert_int_equal(bytes[sizeof(bytes) - 1], 0xa5);
    // Of so many random bytes no sixteen in a row are zero.
    for (size_t i = 1; i + 16 < sizeof(bytes); i++) {
        assert_memory_not_equal(bytes + i, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    }
    sl_random(bytes, 0);
    assert_int_equal(bytes[0], 0x5a);
}

static void
base64url_survives_the_round_trip_at_every_length(void **state)
{
    (void)state;
    char bytes[40];
    char text[SL_BASE64_LEN(sizeof(bytes)) + 1];
    char back[sizeof(bytes)];
    sl_random(bytes, sizeof(bytes));
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        size_t got = 99;
        sl_base64_encode((struct sl_str){bytes, len}, text);
        assert_int_equal(strlen(text), SL_BASE64_LEN(len));
        assert_true(sl_base64_decode(sl_str(text), back, sizeof(back), &got));
        assert_int_equal(got, len);
        assert_memory_equal(bytes, back, len);
    }
}

static void
base64url_refuses_a_second_spelling(void **state)
{
    (void)state;
    char out[8];
    size_t len = 0;
    assert_true(sl_base64_decode(sl_str("_-8"), out, sizeof(out), &len));
    assert_int_equal(len, 2);
    assert_false(sl_base64_decode(sl_str("_-9"), out, sizeof(out), &len)); // spare bits set
    assert_false(sl_base64_decode(sl_str("_-8="), out, sizeof(out), &len));
    assert_false(sl_base64_decode(sl_str("/+8"), out, sizeof(out), &len));
    assert_false(sl_base64_decode(sl_str("AAAAA"), out, sizeof(out), &len));
    assert_false(sl_base64_decode(sl_str("AAAAAAAAAAAA"), out, sizeof(out), &len)); // too long
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_of_abc_is_the_standards),
        cmocka_unit_test(a_running_digest_equals_the_whole),
        cmocka_unit_test(sha256_in_one_piece_is_the_one_in_pieces),
        cmocka_unit_test(hmac_gives_the_vectors_of_rfc_4231),
        cmocka_unit_test(hmac_is_that_of_the_definition_at_every_length),
        cmocka_unit_test(comparison_tells_length_and_every_byte),
        cmocka_unit_test(ids_are_32_hex_digits_and_differ),
        cmocka_unit_test(random_bytes_fill_all_of_a_long_buffer_and_no_more),
        cmocka_unit_test(base64url_survives_the_round_trip_at_every_length),
        cmocka_unit_test(base64url_refuses_a_second_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

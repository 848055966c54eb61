// backend_test.c - what proves a gateway to its backends: AES-CFB, RSA, and the text that other
// algorithms sign.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "common/crypto/cfb.h"
#include "common/crypto/rsa.h"
#include "common/crypto/sign.h"
#include "tests/unit/crypto/arena.h"

#define TEXT_LEN 64 // bytes of the vectors

// NIST SP 800-38A, F.3.13 and F.3.17: CFB128 under 128 and 256 bits.
static const char iv_hex[] = "000102030405060708090a0b0c0d0e0f";
static const char text_hex[] = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                               "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
static const struct {
    const char *key, *sealed;
} vectors[] = {
    {"2b7e151628aed2a6abf7158809cf4f3c",
     "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"
     "26751f67a3cbb140b1808cf187a4f4dfc04b05357c5d1c0eeac4c66f9ff7f2e6"},
    {"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
     "dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407b"
     "df10132415e54b92a13ed0a8267ae2f975a385741ab9cef82031623d55b1e471"},
};

static struct sl_str
bytes_of(const char *hex)
{
    size_t len = strlen(hex) / 2;
    uint8_t *bytes = sl_arena_alloc(arena, len);
    assert_true(sl_hex_decode(sl_str(hex), bytes, len));
    return (struct sl_str){(const char *)bytes, len};
}

static void
cfb_makes_the_published_texts_again_and_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT(vectors); i++) {
        struct sl_cfb *cfb = sl_cfb_new(bytes_of(vectors[i].key), bytes_of(iv_hex));
        assert_non_null(cfb);
        for (int again = 0; again < 3; again++) {
            uint8_t sealed[TEXT_LEN];
            assert_true(sl_cfb_encrypt(cfb, bytes_of(text_hex), sealed));
            assert_memory_equal(sealed, bytes_of(vectors[i].sealed).ptr, TEXT_LEN);
            // A text that ends within a block leaves nothing behind.
            assert_true(sl_cfb_encrypt(cfb, (struct sl_str){bytes_of(text_hex).ptr, 5}, sealed));
            assert_memory_equal(sealed, bytes_of(vectors[i].sealed).ptr, 5);
        }
        sl_cfb_free(&cfb);
        assert_null(cfb);
        sl_cfb_free(&cfb);
    }
}

static void
cfb_takes_no_other_lengths(void **state)
{
    (void)state;
    assert_null(sl_cfb_new(SL_STR("fifteen bytes.."), SL_STR("0123456789abcdef")));
    assert_null(sl_cfb_new(SL_STR("0123456789abcdef01234567"), SL_STR("0123456789abcdef")));
    assert_null(sl_cfb_new(SL_STR("0123456789abcdef"), SL_STR("0123456789abcde")));
    assert_null(sl_cfb_new(SL_STR(""), SL_STR("")));
}

// Whether the PEM's key says that the signature is over the text.
static bool
verifies(const char *pem, struct sl_str text, const uint8_t *signature, size_t len)
{
    BIO *from = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PUBKEY(from, NULL, NULL, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_non_null(key);
    bool holds = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
                 EVP_DigestVerify(ctx, signature, len, (const uint8_t *)text.ptr, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    BIO_free(from);
    return holds;
}

static void
a_pair_signs_what_its_public_half_verifies(void **state)
{
    (void)state;
    uint8_t digest[SL_SHA256_LEN];
    uint8_t signature[SL_RSA_SIZE];
    size_t len = 0;
    const char *text = sl_rsa_generate(arena);
    assert_non_null(text);
    assert_true(strlen(text) <= 2048); // what the document lets a secret be
    struct sl_rsa *rsa = sl_rsa_new(sl_str(text));
    assert_non_null(rsa);
    for (int again = 0; again < 2; again++) {
        sl_sha256(SL_STR("signed"), digest);
        assert_true(sl_rsa_sign(rsa, digest, signature, &len));
        assert_int_equal(len, SL_RSA_BITS / 8);
        assert_true(verifies(sl_rsa_public(rsa), SL_STR("signed"), signature, len));
        assert_false(verifies(sl_rsa_public(rsa), SL_STR("another"), signature, len));
    }
    sl_rsa_free(&rsa);
    assert_null(rsa);
    // Without the padding of base64 it is the same key.
    const char *end = strchr(text, '=');
    struct sl_str bare = {text, end == NULL ? strlen(text) : (size_t)(end - text)};
    rsa = sl_rsa_new(bare);
    assert_non_null(rsa);
    sl_rsa_free(&rsa);
}

static void
what_is_no_private_key_is_none(void **state)
{
    (void)state;
    char large[5000];
    memset(large, 'A', sizeof(large));
    const char *text = sl_rsa_generate(arena);
    assert_null(sl_rsa_new((struct sl_str){text, strlen(text) / 2}));
    assert_null(sl_rsa_new(SL_STR("")));
    assert_null(sl_rsa_new(SL_STR("=")));
    assert_null(sl_rsa_new(SL_STR("a")));
    assert_null(sl_rsa_new(SL_STR("====")));
    assert_null(sl_rsa_new(SL_STR("not base64!!")));
    assert_null(sl_rsa_new((struct sl_str){large, sizeof(large)}));
    assert_null(sl_rsa_new((struct sl_str){large, 1024}));
}

static void
another_algorithm_signs_the_documented_text(void **state)
{
    (void)state;
    const struct sl_sign_header headers[] = {
        {SL_STR("host"), SL_STR("service.endpoint.myhuaweicloud.com")},
        {SL_STR("x-sdk-date"), SL_STR("20200608T023900Z")}};
    struct sl_sign_request request = {.method = SL_STR("GET"),
                                      .raw_path = SL_STR("/resources"),
                                      .raw_query = SL_STR("size=1"),
                                      .headers = headers,
                                      .header_count = SL_COUNT(headers)};
    struct sl_str names = SL_STR("host;x-sdk-date");
    char text[SL_SIGN_TEXT_MAX];
    char hash[SL_SHA256_HEX];
    size_t len = 0;
    assert_true(sl_sign_text(arena, &request, names, SL_STR("SDK-RSA-SHA256"), text, &len));
    sl_sha256_hex(sl_str(sl_sign_canonical(arena, &request, names)), hash);
    const char *wanted = sl_arena_printf(arena, "SDK-RSA-SHA256\n20200608T023900Z\n%s", hash);
    assert_int_equal(len, strlen(wanted));
    assert_memory_equal(text, wanted, len);
    assert_false(sl_sign_text(arena, &request, SL_STR("host;x-other"), SL_STR("A"), text, &len));
    memset(hash, 'a', sizeof(hash));
    assert_false(sl_sign_text(arena, &request, names, (struct sl_str){hash, 64}, text, &len));
    request.header_count = 1;
    assert_false(sl_sign_text(arena, &request, SL_STR("host"), SL_STR("A"), text, &len));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cfb_makes_the_published_texts_again_and_again),
        cmocka_unit_test(cfb_takes_no_other_lengths),
        cmocka_unit_test(a_pair_signs_what_its_public_half_verifies),
        cmocka_unit_test(what_is_no_private_key_is_none),
        cmocka_unit_test(another_algorithm_signs_the_documented_text),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

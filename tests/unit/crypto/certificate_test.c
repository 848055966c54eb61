// certificate_test.c - chains, keys and authorities that hold, and each way in which they do not.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/certificate.h"

#include "common/base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define DAY_S 86400

// A certificate and its key, and both as PEM.
struct made {
    X509 *certificate;
    EVP_PKEY *key;
    char *pem, *key_pem, *locked_pem; // locked: under a password
};

static struct made top, middle, leaf, expired, stranger;

static char *
text_of(BIO *bio)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    char *text = strndup(bytes, (size_t)len);
    BIO_free(bio);
    return text;
}

static void
write_texts(struct made *made)
{
    unsigned char password[] = "secret";
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, made->certificate);
    made->pem = text_of(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, made->key, NULL, NULL, 0, NULL, NULL);
    made->key_pem = text_of(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, made->key, EVP_aes_128_cbc(), password, sizeof(password) - 1,
                             NULL, NULL);
    made->locked_pem = text_of(bio);
}

// Issues a certificate that ends in `days`; `signer` NULL: it signs itself.
static struct made
issue(const char *name, const struct made *signer, int days)
{
    struct made made = {X509_new(), EVP_EC_gen("P-256"), NULL, NULL, NULL};
    X509_NAME *subject = X509_get_subject_name(made.certificate);
    X509_set_version(made.certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), (long)strlen(name));
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), -3L * DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), (long)days * DAY_S);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made.certificate,
                         signer == NULL ? subject : X509_get_subject_name(signer->certificate));
    X509_set_pubkey(made.certificate, made.key);
    assert_true(X509_sign(made.certificate, signer == NULL ? made.key : signer->key, EVP_sha256()) >
                0);
    write_texts(&made);
    return made;
}

static void
discard(struct made *made)
{
    X509_free(made->certificate);
    EVP_PKEY_free(made->key);
    free(made->pem);
    free(made->key_pem);
    free(made->locked_pem);
}

static int
setup(void **state)
{
    (void)state;
    top = issue("top", NULL, 2);
    middle = issue("middle", &top, 2);
    leaf = issue("leaf", &middle, 2);
    expired = issue("expired", &middle, -1);
    stranger = issue("stranger", NULL, 2);
    return 0;
}

static int
teardown(void **state)
{
    struct made *all[] = {&top, &middle, &leaf, &expired, &stranger};
    (void)state;
    for (size_t i = 0; i < SL_COUNT(all); i++) {
        discard(all[i]);
    }
    return 0;
}

// Checks the chain of three texts (NULL: fewer) with a key; answers the row, SL_E_INTERNAL for
// none.
static enum sl_code
check(const char *first, const char *second, const char *third, const char *key)
{
    struct sl_error err = {.code = SL_E_INTERNAL};
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    const char *chain = sl_arena_printf(arena, "%s%s%s", first, second == NULL ? "" : second,
                                        third == NULL ? "" : third);
    int rc = sl_certificate_check(sl_str(chain), sl_str(key), &err);
    assert_true((rc == 0) == (err.code == SL_E_INTERNAL));
    return err.code;
}

static void
a_certificate_holds_alone_or_with_those_that_signed_it(void **state)
{
    (void)state;
    assert_int_equal(check(leaf.pem, NULL, NULL, leaf.key_pem), SL_E_INTERNAL);
    assert_int_equal(check(leaf.pem, middle.pem, NULL, leaf.key_pem), SL_E_INTERNAL);
    assert_int_equal(check(leaf.pem, middle.pem, top.pem, leaf.key_pem), SL_E_INTERNAL);
    assert_int_equal(check(stranger.pem, NULL, NULL, stranger.key_pem), SL_E_INTERNAL);
    assert_int_equal(check("words before\n", leaf.pem, "\n", leaf.key_pem), SL_E_INTERNAL);
}

static void
a_key_belongs_to_the_first_certificate(void **state)
{
    (void)state;
    assert_int_equal(check(leaf.pem, NULL, NULL, middle.key_pem), SL_E_CERT_MISMATCH);
    assert_int_equal(check(middle.pem, leaf.pem, NULL, leaf.key_pem), SL_E_CERT_MISMATCH);
}

static void
a_chain_is_in_order(void **state)
{
    (void)state;
    assert_int_equal(check(leaf.pem, top.pem, NULL, leaf.key_pem), SL_E_CERT_CHAIN);
    assert_int_equal(check(leaf.pem, top.pem, middle.pem, leaf.key_pem), SL_E_CERT_CHAIN);
    assert_int_equal(check(leaf.pem, stranger.pem, NULL, leaf.key_pem), SL_E_CERT_CHAIN);
    assert_int_equal(check(leaf.pem, leaf.pem, NULL, leaf.key_pem), SL_E_CERT_CHAIN);
}

static void
a_namesake_signed_nothing(void **state)
{
    (void)state;
    struct made namesake = issue("middle", &top, 2);
    assert_int_equal(check(leaf.pem, namesake.pem, NULL, leaf.key_pem), SL_E_CERT_CHAIN);
    discard(&namesake);
}

static void
what_has_ended_is_refused(void **state)
{
    (void)state;
    struct made old_middle = issue("middle", &top, -1);
    struct made young = issue("young", &old_middle, 2);
    assert_int_equal(check(expired.pem, NULL, NULL, expired.key_pem), SL_E_CERT_EXPIRED);
    assert_int_equal(check(young.pem, old_middle.pem, NULL, young.key_pem), SL_E_CERT_EXPIRED);
    discard(&old_middle);
    discard(&young);
}

static void
what_is_no_certificate_or_no_key_is_refused(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    const char *cut = sl_arena_dupn(arena, middle.pem, strlen(middle.pem) / 2);
    const char *broken = sl_arena_printf(arena, "%.60s!!%s", leaf.pem, leaf.pem + 62);
    assert_int_equal(check("", NULL, NULL, leaf.key_pem), SL_E_CERT_INVALID);
    assert_int_equal(check("text", NULL, NULL, leaf.key_pem), SL_E_CERT_INVALID);
    assert_int_equal(check(leaf.key_pem, NULL, NULL, leaf.key_pem), SL_E_CERT_INVALID);
    assert_int_equal(check(leaf.pem, cut, NULL, leaf.key_pem), SL_E_CERT_INVALID);
    assert_int_equal(check(broken, NULL, NULL, leaf.key_pem), SL_E_CERT_INVALID);
    assert_int_equal(check(leaf.pem, NULL, NULL, ""), SL_E_CERT_INVALID);
    assert_int_equal(check(leaf.pem, NULL, NULL, leaf.pem), SL_E_CERT_INVALID);
    assert_int_equal(check(leaf.pem, NULL, NULL, leaf.locked_pem), SL_E_CERT_KEY_LOCKED);
    assert_int_equal(check("text", NULL, NULL, leaf.locked_pem), SL_E_CERT_INVALID);
}

static void
authorities_are_certificates_that_have_not_ended(void **state)
{
    struct sl_error err;
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    const char *two = sl_arena_printf(arena, "%s%s", stranger.pem, top.pem);
    const char *one_old = sl_arena_printf(arena, "%s%s", top.pem, expired.pem);
    assert_int_equal(sl_certificate_check_ca(sl_str(two), &err), 0);
    assert_int_equal(sl_certificate_check_ca(sl_str(one_old), &err), -1);
    assert_int_equal(err.code, SL_E_CERT_EXPIRED);
    assert_int_equal(sl_certificate_check_ca(sl_str(top.key_pem), &err), -1);
    assert_int_equal(err.code, SL_E_CERT_INVALID);
}

// The facts of a certificate of this key that names these hosts ("DNS:a"; NULL: none), signed by
// itself; NULL with the row in *ret_code.
static json_t *
facts_of(EVP_PKEY *key, const char *hosts, enum sl_code *ret_code)
{
    struct made made = {X509_new(), key, NULL, NULL, NULL};
    struct sl_error err = {.code = SL_E_OK};
    X509_NAME *subject = X509_get_subject_name(made.certificate);
    X509_set_version(made.certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), 13010);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), DAY_S);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)"n", -1, -1, 0);
    X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const unsigned char *)"o", -1, -1, 0);
    X509_set_issuer_name(made.certificate, subject);
    X509_set_pubkey(made.certificate, key);
    if (hosts != NULL) {
        X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, hosts);
        X509_add_ext(made.certificate, names, -1);
        X509_EXTENSION_free(names);
    }
    assert_true(X509_sign(made.certificate, key, EVP_sha256()) > 0);
    write_texts(&made);
    json_t *facts = sl_certificate_facts(sl_str(made.pem), &err);
    *ret_code = err.code;
    discard(&made);
    return facts;
}

static const char *
fact(const json_t *facts, const char *name)
{
    const json_t *value = json_object_get(facts, name);
    return json_string_value(json_is_array(value) ? json_array_get(value, 0) : value);
}

static void
a_certificate_says_whose_it_is_and_for_which_hosts(void **state)
{
    enum sl_code code;
    (void)state;
    json_t *facts = facts_of(EVP_RSA_gen(2048), "DNS:A.b,IP:10.0.0.1,IP:::1,email:x@y", &code);
    assert_non_null(facts);
    const json_t *hosts = json_object_get(facts, "san");
    assert_int_equal(json_array_size(hosts), 3);
    assert_string_equal(json_string_value(json_array_get(hosts, 0)), "a.b");
    assert_string_equal(json_string_value(json_array_get(hosts, 1)), "10.0.0.1");
    assert_string_equal(json_string_value(json_array_get(hosts, 2)), "::1");
    assert_string_equal(fact(facts, "common_name"), "n");
    assert_string_equal(fact(facts, "organization"), "o");
    assert_string_equal(fact(facts, "issuer"), "o");
    assert_null(fact(facts, "country"));
    assert_string_equal(fact(facts, "serial_number"), "13010");
    assert_string_equal(fact(facts, "signature_algorithm"), "SHA256-RSA");
    assert_string_equal(fact(facts, "algorithm"), "RSA");
    assert_int_equal(strlen(fact(facts, "not_after")), strlen("2026-01-31T08:44:02Z"));
    json_decref(facts);
    facts = facts_of(EVP_EC_gen("P-384"), "DNS:a.b", &code);
    assert_string_equal(fact(facts, "signature_algorithm"), "ECDSA-SHA256");
    assert_string_equal(fact(facts, "algorithm"), "ECC");
    json_decref(facts);
}

static void
what_handshakes_cannot_show_is_refused(void **state)
{
    struct sl_error err;
    enum sl_code code;
    (void)state;
    assert_null(facts_of(EVP_EC_gen("P-256"), NULL, &code));
    assert_int_equal(code, SL_E_CERT_NO_SAN);
    assert_null(facts_of(EVP_RSA_gen(1024), "DNS:a.b", &code));
    assert_int_equal(code, SL_E_CERT_INVALID);
    assert_null(facts_of(EVP_EC_gen("secp256k1"), "DNS:a.b", &code));
    assert_int_equal(code, SL_E_CERT_INVALID);
    assert_null(sl_certificate_facts(SL_STR("text"), &err));
    assert_int_equal(err.code, SL_E_CERT_INVALID);
}

static void
der_is_what_pem_held(void **state)
{
    struct sl_error err;
    struct sl_str *list = NULL;
    struct sl_str key = {NULL, 0};
    size_t count = 0;
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    const char *chain = sl_arena_printf(arena, "%s%s", leaf.pem, middle.pem);
    assert_int_equal(sl_certificate_der(arena, sl_str(chain), &list, &count, &err), 0);
    assert_int_equal(count, 2);
    const unsigned char *at = (const unsigned char *)list[1].ptr;
    X509 *read = d2i_X509(NULL, &at, (long)list[1].len);
    assert_int_equal(X509_cmp(read, middle.certificate), 0);
    X509_free(read);
    assert_int_equal(sl_certificate_key_der(arena, sl_str(leaf.key_pem), &key, &err), 0);
    at = (const unsigned char *)key.ptr;
    EVP_PKEY *opened = d2i_AutoPrivateKey(NULL, &at, (long)key.len);
    assert_int_equal(EVP_PKEY_eq(opened, leaf.key), 1);
    EVP_PKEY_free(opened);
    assert_int_equal(sl_certificate_der(arena, SL_STR("text"), &list, &count, &err), -1);
    assert_int_equal(err.code, SL_E_CERT_INVALID);
    assert_int_equal(sl_certificate_key_der(arena, sl_str(leaf.locked_pem), &key, &err), -1);
    assert_int_equal(err.code, SL_E_CERT_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_holds_alone_or_with_those_that_signed_it),
        cmocka_unit_test(a_key_belongs_to_the_first_certificate),
        cmocka_unit_test(a_chain_is_in_order),
        cmocka_unit_test(a_namesake_signed_nothing),
        cmocka_unit_test(what_has_ended_is_refused),
        cmocka_unit_test(what_is_no_certificate_or_no_key_is_refused),
        cmocka_unit_test(authorities_are_certificates_that_have_not_ended),
        cmocka_unit_test(a_certificate_says_whose_it_is_and_for_which_hosts),
        cmocka_unit_test(what_handshakes_cannot_show_is_refused),
        cmocka_unit_test(der_is_what_pem_held),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

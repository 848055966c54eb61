// certificate_bytes_test.c - certificates that are cut, altered, huge or odd: refused, or read as
// what JSON can hold.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/certificate.h"

#include "common/base/arena.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define DAY_S     86400
#define DER_MAX   4096
#define TEXT_MAX  (4 * DER_MAX)
#define MANY      500
#define MIB       ((size_t)1 << 20)
#define END_LINE  "-----END CERTIFICATE-----\n"
#define HEAD_LINE "-----BEGIN CERTIFICATE-----\n"

static EVP_PKEY *key; // of all certificates here

static int
setup(void **state)
{
    (void)state;
    key = EVP_EC_gen("P-256");
    return key != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    return 0;
}

// A certificate of nobody, for no host, not yet signed.
static X509 *
begin(void)
{
    X509 *made = X509_new();
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), 0);
    X509_gmtime_adj(X509_getm_notAfter(made), DAY_S);
    X509_set_pubkey(made, key);
    return made;
}

static void
add_names(X509 *made, const char *names)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    assert_non_null(extension);
    X509_add_ext(made, extension, -1);
    X509_EXTENSION_free(extension);
}

// Adds one name of these very bytes.
static void
add_name(X509 *made, int kind, const char *bytes, int len)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value =
        ASN1_STRING_type_new(kind == GEN_DNS ? V_ASN1_IA5STRING : V_ASN1_OCTET_STRING);
    ASN1_STRING_set(value, bytes, len);
    GENERAL_NAME_set0_value(name, kind, value);
    sk_GENERAL_NAME_push(names, name);
    assert_int_equal(X509_add1_ext_i2d(made, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND), 1);
    GENERAL_NAMES_free(names);
}

// Signs and forgets it; its DER in `der`.
static size_t
end(X509 *made, unsigned char der[static DER_MAX])
{
    unsigned char *at = der;
    assert_true(X509_sign(made, key, EVP_sha256()) > 0);
    int len = i2d_X509(made, NULL);
    assert_in_range(len, 1, DER_MAX);
    assert_int_equal(i2d_X509(made, &at), len);
    X509_free(made);
    return (size_t)len;
}

static struct sl_str
pem_of(const unsigned char *der, size_t len, char text[static TEXT_MAX])
{
    char body[TEXT_MAX - sizeof(HEAD_LINE) - sizeof(END_LINE)];
    EVP_EncodeBlock((unsigned char *)body, der, (int)len);
    memcpy(text, HEAD_LINE, sizeof(HEAD_LINE));
    size_t at = strlen(text);
    for (size_t i = 0, total = strlen(body); i < total; i++) {
        text[at++] = body[i];
        if (i % 64 == 63) {
            text[at++] = '\n';
        }
    }
    text[at++] = '\n';
    memcpy(text + at, END_LINE, sizeof(END_LINE));
    return sl_str(text);
}

// Reads a text in every way; what is accepted as one is as the others, and fit for JSON.
static json_t *
read_all(struct sl_str pem, enum sl_code *ret_code)
{
    struct sl_error err = {.code = SL_E_OK};
    struct sl_error other;
    struct sl_str *list = NULL;
    struct sl_str none = {NULL, 0};
    size_t count = 0;
    SL_AUTO(sl_arena) arena = sl_arena_new(MIB);
    json_t *facts = sl_certificate_facts(pem, &err);
    int der = sl_certificate_der(arena, pem, &list, &count, &other);
    *ret_code = err.code;
    assert_true(sl_certificate_check_ca(pem, &other) == 0 || other.code == SL_E_CERT_INVALID ||
                other.code == SL_E_CERT_EXPIRED);
    assert_int_equal(sl_certificate_key_der(arena, pem, &none, &other), -1);
    assert_int_equal(sl_certificate_check(pem, pem, &other), -1);
    if (facts != NULL) {
        char *text = json_dumps(facts, JSON_COMPACT);
        json_t *again = json_loads(text, 0, NULL);
        assert_true(der == 0 && count > 0 && json_equal(facts, again));
        assert_null(strstr(text, "\\u0000"));
        json_decref(again);
        free(text);
    }
    return facts;
}

static enum sl_code
code_of(struct sl_str pem)
{
    enum sl_code code;
    json_decref(read_all(pem, &code));
    return code;
}

static enum sl_code
code_of_certificate(X509 *made)
{
    unsigned char der[DER_MAX];
    char text[TEXT_MAX];
    return code_of(pem_of(der, end(made, der), text));
}

static size_t
usual(unsigned char der[static DER_MAX])
{
    X509 *made = begin();
    X509_NAME *subject = X509_get_subject_name(made);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)"\xc3\xa9", -1,
                               -1, 0);
    X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const unsigned char *)"o", -1, -1, 0);
    X509_set_issuer_name(made, subject);
    add_names(made, "DNS:a.b,IP:10.0.0.1,IP:::1,email:x@y,URI:http://z/");
    return end(made, der);
}

static void
a_certificate_cut_anywhere_is_none(void **state)
{
    unsigned char der[DER_MAX];
    char text[TEXT_MAX];
    (void)state;
    size_t len = usual(der);
    assert_int_equal(code_of(pem_of(der, len, text)), SL_E_OK);
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(code_of(pem_of(der, cut, text)), SL_E_CERT_INVALID);
    }
}

static void
a_text_cut_anywhere_is_none_and_nothing_beyond_it_is_read(void **state)
{
    unsigned char der[DER_MAX];
    char text[TEXT_MAX];
    (void)state;
    struct sl_str pem = pem_of(der, usual(der), text);
    size_t whole = pem.len - 1; // the last line may lack its end
    for (size_t cut = 0; cut < whole; cut += 3) {
        char *exact = malloc(cut + 1);
        memcpy(exact, pem.ptr, cut);
        assert_int_equal(code_of((struct sl_str){exact, cut}), SL_E_CERT_INVALID);
        free(exact);
    }
}

static void
a_certificate_altered_anywhere_is_read_or_refused(void **state)
{
    static const unsigned char masks[] = {0x01, 0xff};
    unsigned char der[DER_MAX];
    char text[TEXT_MAX];
    size_t read = 0;
    (void)state;
    size_t len = usual(der);
    for (size_t at = 0; at < len * SL_COUNT(masks); at++) {
        der[at / SL_COUNT(masks)] ^= masks[at % SL_COUNT(masks)];
        enum sl_code code = code_of(pem_of(der, len, text));
        assert_true(code == SL_E_OK || code == SL_E_CERT_INVALID || code == SL_E_CERT_NO_SAN);
        read += code == SL_E_OK;
        der[at / SL_COUNT(masks)] ^= masks[at % SL_COUNT(masks)];
    }
    assert_in_range(read, 1, len * SL_COUNT(masks) - 1); // the signature is nobody's business here
}

static void
versions_that_there_are_not_are_refused(void **state)
{
    static const long versions[] = {LONG_MAX, 3, 255, INT_MAX, -1, LONG_MIN + 1};
    (void)state;
    for (size_t i = 0; i < SL_COUNT(versions); i++) {
        X509 *made = begin();
        add_names(made, "DNS:a.b");
        X509_set_version(made, versions[i]);
        assert_int_equal(code_of_certificate(made), SL_E_CERT_INVALID);
    }
}

static void
hosts_that_none_can_ask_for_are_no_hosts(void **state)
{
    static const struct {
        int kind;
        const char *bytes;
        int len;
    } names[] = {
        {GEN_DNS, "", 0},           {GEN_DNS, "a.b\0.c", 6},  {GEN_DNS, "\0", 1},
        {GEN_IPADD, "", 0},         {GEN_IPADD, "\1\2\3", 3}, {GEN_IPADD, "\1\2\3\4\5", 5},
        {GEN_IPADD, "12345678", 8}, {GEN_EMAIL, "x@y", 3},
    };
    (void)state;
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        X509 *made = begin();
        add_name(made, names[i].kind, names[i].bytes, names[i].len);
        assert_int_equal(code_of_certificate(made), SL_E_CERT_NO_SAN);
    }
}

static void
texts_that_json_cannot_hold_are_left_out(void **state)
{
    unsigned char der[DER_MAX];
    char text[TEXT_MAX];
    enum sl_code code;
    (void)state;
    X509 *made = begin();
    X509_NAME *subject = X509_get_subject_name(made);
    X509_NAME_add_entry_by_txt(subject, "CN", V_ASN1_BMPSTRING, (const unsigned char *)"\0\0", 2,
                               -1, 0);
    X509_NAME_add_entry_by_txt(subject, "OU", V_ASN1_UTF8STRING, (const unsigned char *)"a\0b", 3,
                               -1, 0);
    X509_NAME_add_entry_by_txt(subject, "L", V_ASN1_UTF8STRING, (const unsigned char *)"l", 1, -1,
                               0);
    add_names(made, "DNS:a.b");
    json_t *facts = read_all(pem_of(der, end(made, der), text), &code);
    assert_int_equal(code, SL_E_OK);
    assert_string_equal(json_string_value(json_object_get(facts, "common_name")), "");
    assert_int_equal(json_array_size(json_object_get(facts, "organizational_unit")), 0);
    assert_int_equal(json_array_size(json_object_get(facts, "locality")), 1);
    json_decref(facts);
}

static void
long_texts_end(void **state)
{
    unsigned char der[DER_MAX];
    char text[TEXT_MAX];
    (void)state;
    struct sl_str one = pem_of(der, usual(der), text);
    char *many = malloc(one.len * MANY + MIB);
    for (size_t i = 0; i < MANY; i++) {
        memcpy(many + i * one.len, one.ptr, one.len);
    }
    assert_int_equal(code_of((struct sl_str){many, one.len * MANY}), SL_E_OK);
    // A certificate, and then what never ends.
    memset(many + one.len, 'A', MIB);
    memcpy(many + one.len, HEAD_LINE, strlen(HEAD_LINE));
    assert_int_equal(code_of((struct sl_str){many, one.len + MIB}), SL_E_CERT_INVALID);
    memset(many, '-', MIB);
    assert_int_equal(code_of((struct sl_str){many, MIB}), SL_E_CERT_INVALID);
    free(many);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_cut_anywhere_is_none),
        cmocka_unit_test(a_text_cut_anywhere_is_none_and_nothing_beyond_it_is_read),
        cmocka_unit_test(a_certificate_altered_anywhere_is_read_or_refused),
        cmocka_unit_test(versions_that_there_are_not_are_refused),
        cmocka_unit_test(hosts_that_none_can_ask_for_are_no_hosts),
        cmocka_unit_test(texts_that_json_cannot_hold_are_left_out),
        cmocka_unit_test(long_texts_end),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

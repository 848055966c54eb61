// certificate_facts.c - what a certificate says, and its DER.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/certificate.h"

#include "common/crypto/certificate_parse.h"

#include <arpa/inet.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#define RSA_BITS_MIN  2048 // what TLS libraries take at their usual level of security
#define ALGORITHM_MAX 64   // of a signature algorithm's name
#define VERSION_MAX   2    // as it is encoded: the third

// The lists of texts that a subject has.
static const struct name_list {
    const char *field; // as the API has it
    int nid;           //
} name_lists[] = {
    {"organization", NID_organizationName}, {"organizational_unit", NID_organizationalUnitName},
    {"locality", NID_localityName},         {"state", NID_stateOrProvinceName},
    {"country", NID_countryName},
};

// As JSON; NULL where it is no text that JSON and PostgreSQL can both hold.
static json_t *
text_of(const ASN1_STRING *string)
{
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, string);
    json_t *text = NULL;
    if (len >= 0 && memchr(utf8, '\0', (size_t)len) == NULL) {
        text = json_stringn((const char *)utf8, (size_t)len);
    }
    OPENSSL_free(utf8);
    return text;
}

static json_t *
texts_of(const X509_NAME *name, int nid)
{
    json_t *list = json_array();
    int at = -1;
    while ((at = X509_NAME_get_index_by_NID(name, nid, at)) >= 0) {
        json_array_append_new(list,
                              text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at))));
    }
    return list;
}

static json_t *
common_name_of(const X509_NAME *name)
{
    json_t *list = texts_of(name, NID_commonName);
    json_t *first = json_incref(json_array_get(list, 0));
    json_decref(list);
    return first != NULL ? first : json_string("");
}

// Who issued it: the organisation, or where there is none the name.
static json_t *
issuer_of(const X509 *certificate)
{
    const X509_NAME *name = X509_get_issuer_name(certificate);
    json_t *list = texts_of(name, NID_organizationName);
    if (json_array_size(list) == 0) {
        json_array_append_new(list, common_name_of(name));
    }
    return list;
}

static json_t *
host_of(const GENERAL_NAME *general)
{
    char text[INET6_ADDRSTRLEN] = "";
    int kind = 0;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(general, &kind);
    if (kind == GEN_DNS && ASN1_STRING_length(value) > 0) {
        json_t *name = text_of(value);
        char *lower = name != NULL ? strdup(json_string_value(name)) : NULL;
        for (char *c = lower; c != NULL && *c != '\0'; c++) {
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
        }
        json_decref(name);
        name = json_string(lower);
        free(lower);
        return name;
    }
    if (kind == GEN_IPADD) {
        int family = ASN1_STRING_length(value) == sizeof(struct in_addr) ? AF_INET : AF_INET6;
        bool whole = family == AF_INET || ASN1_STRING_length(value) == sizeof(struct in6_addr);
        if (whole && inet_ntop(family, ASN1_STRING_get0_data(value), text, sizeof(text)) != NULL) {
            return json_string(text);
        }
    }
    return NULL;
}

// The hosts it is for; empty where it names none.
static json_t *
hosts_of(const X509 *certificate)
{
    json_t *list = json_array();
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        json_array_append_new(list, host_of(sk_GENERAL_NAME_value(names, i)));
    }
    GENERAL_NAMES_free(names);
    return list;
}

static json_t *
time_of(const ASN1_TIME *at)
{
    struct tm when;
    char text[32] = "";
    if (ASN1_TIME_to_tm(at, &when) == 1) {
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &when);
    }
    return json_string(text);
}

static json_t *
serial_of(const X509 *certificate)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *digits = number != NULL ? BN_bn2dec(number) : NULL;
    json_t *text = json_string(digits != NULL ? digits : "");
    OPENSSL_free(digits);
    BN_free(number);
    return text;
}

// "SHA256-RSA", "ECDSA-SHA256".
static json_t *
signature_of(X509 *certificate)
{
    char text[ALGORITHM_MAX];
    int digest = NID_undef;
    int key = NID_undef;
    if (X509_get_signature_info(certificate, &digest, &key, NULL, NULL) != 1) {
        return json_string("");
    }
    const char *hash = OBJ_nid2sn(digest);
    if (key == NID_X9_62_id_ecPublicKey) {
        snprintf(text, sizeof(text), "ECDSA-%s", hash);
    } else if (key == NID_rsaEncryption || key == NID_rsassaPss) {
        snprintf(text, sizeof(text), "%s-%s", hash, key == NID_rsassaPss ? "RSAPSS" : "RSA");
    } else {
        snprintf(text, sizeof(text), "%s", OBJ_nid2sn(key));
    }
    return json_string(text);
}

// What handshakes can prove it with; NULL: nothing.
static const char *
algorithm_of(X509 *certificate)
{
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    char curve[ALGORITHM_MAX] = "";
    if (key == NULL) {
        return NULL;
    }
    if (EVP_PKEY_is_a(key, "RSA") == 1) {
        return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN ? "RSA" : NULL;
    }
    if (EVP_PKEY_is_a(key, "EC") != 1 ||
        EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) != 1) {
        return NULL;
    }
    return strcmp(curve, SN_X9_62_prime256v1) == 0 || strcmp(curve, SN_secp384r1) == 0 ||
                   strcmp(curve, SN_secp521r1) == 0
               ? "ECC"
               : NULL;
}

// Any number can stand there.
static bool
has_version(const X509 *certificate)
{
    long version = X509_get_version(certificate);
    return version >= 0 && version <= VERSION_MAX;
}

static json_t *
facts_of(X509 *certificate)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    json_t *facts = json_object();
    json_object_set_new(facts, "common_name", common_name_of(subject));
    for (size_t i = 0; i < SL_COUNT(name_lists); i++) {
        json_object_set_new(facts, name_lists[i].field, texts_of(subject, name_lists[i].nid));
    }
    json_object_set_new(facts, "san", hosts_of(certificate));
    json_object_set_new(facts, "version", json_integer(X509_get_version(certificate) + 1));
    json_object_set_new(facts, "not_before", time_of(X509_get0_notBefore(certificate)));
    json_object_set_new(facts, "not_after", time_of(X509_get0_notAfter(certificate)));
    json_object_set_new(facts, "serial_number", serial_of(certificate));
    json_object_set_new(facts, "issuer", issuer_of(certificate));
    json_object_set_new(facts, "signature_algorithm", signature_of(certificate));
    return facts;
}

json_t *
sl_certificate_facts(struct sl_str chain_pem, struct sl_error *err)
{
    AUTO_CHAIN chain = certificate_parse_chain(chain_pem);
    X509 *first = chain != NULL ? sk_X509_value(chain, 0) : NULL;
    const char *algorithm = first != NULL && has_version(first) ? algorithm_of(first) : NULL;
    if (algorithm == NULL) {
        (void)!sl_fail(err, SL_E_CERT_INVALID);
        return NULL;
    }
    json_t *facts = facts_of(first);
    ERR_clear_error();
    if (json_object_set_new(facts, "algorithm", json_string(algorithm)) != 0) {
        (void)!sl_fail(err, SL_E_INTERNAL);
        json_decref(facts);
        return NULL;
    }
    if (json_array_size(json_object_get(facts, "san")) == 0) {
        (void)!sl_fail(err, SL_E_CERT_NO_SAN);
        json_decref(facts);
        return NULL;
    }
    return facts;
}

// A copy of what OpenSSL wrote, which is released; ptr NULL: it wrote nothing, or memory is out.
static struct sl_str
keep_der(struct sl_arena *arena, unsigned char *der, int len)
{
    struct sl_str kept = {NULL, 0};
    if (len > 0) {
        kept = (struct sl_str){sl_arena_dupn(arena, (const char *)der, (size_t)len), (size_t)len};
        OPENSSL_cleanse(der, (size_t)len);
    }
    OPENSSL_free(der);
    ERR_clear_error();
    return kept;
}

int
sl_certificate_der(struct sl_arena *arena, struct sl_str chain_pem, struct sl_str **ret_list,
                   size_t *ret_count, struct sl_error *err)
{
    AUTO_CHAIN chain = certificate_parse_chain(chain_pem);
    size_t count = chain != NULL ? (size_t)sk_X509_num(chain) : 0;
    struct sl_str *list = sl_arena_array(arena, count + 1, sizeof(*list));
    if (count == 0 || list == NULL) {
        return sl_fail(err, SL_E_CERT_INVALID);
    }
    for (size_t i = 0; i < count; i++) {
        unsigned char *der = NULL;
        int len = i2d_X509(sk_X509_value(chain, (int)i), &der);
        list[i] = keep_der(arena, der, len);
        if (list[i].ptr == NULL) {
            return sl_fail(err, SL_E_CERT_INVALID);
        }
    }
    *ret_list = list;
    *ret_count = count;
    return 0;
}

int
sl_certificate_key_der(struct sl_arena *arena, struct sl_str key_pem, struct sl_str *ret_der,
                       struct sl_error *err)
{
    bool locked = false;
    unsigned char *der = NULL;
    AUTO_PKEY key = certificate_parse_key(key_pem, &locked);
    PKCS8_PRIV_KEY_INFO *info = key != NULL ? EVP_PKEY2PKCS8(key) : NULL;
    int len = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : 0;
    PKCS8_PRIV_KEY_INFO_free(info);
    struct sl_str kept = keep_der(arena, der, len);
    if (kept.ptr == NULL) {
        return sl_fail(err, SL_E_CERT_INVALID);
    }
    *ret_der = kept;
    return 0;
}

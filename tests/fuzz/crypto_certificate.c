// crypto_certificate.c - fuzzes what operators bring for handshakes: certificates and their keys.
//
// An input is a PEM text. What is accepted as a certificate names a host and says what JSON holds;
// its DER, written as PEM anew, says the same.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/arena.h"
#include "common/crypto/certificate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#define MEMORY ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
same_of_der(const json_t *facts, struct sl_str der)
{
    struct sl_error err;
    char *text = NULL;
    const unsigned char *at = (const unsigned char *)der.ptr;
    X509 *read = d2i_X509(NULL, &at, (long)der.len);
    BIO *bio = BIO_new(BIO_s_mem());
    assert(read != NULL && bio != NULL && PEM_write_bio_X509(bio, read) == 1);
    long len = BIO_get_mem_data(bio, &text);
    json_t *again = sl_certificate_facts((struct sl_str){text, (size_t)len}, &err);
    assert(json_equal(facts, again));
    json_decref(again);
    BIO_free(bio);
    X509_free(read);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct sl_str pem = {(const char *)bytes, len};
    struct sl_str *list = NULL;
    struct sl_str key = {NULL, 0};
    struct sl_error err;
    size_t count = 0;
    SL_AUTO(sl_arena) arena = sl_arena_new(MEMORY);
    assert(arena != NULL);
    bool holds = sl_certificate_check_ca(pem, &err) == 0;
    bool has_key = sl_certificate_key_der(arena, pem, &key, &err) == 0;
    assert(!has_key || key.len > 0);
    json_t *facts = sl_certificate_facts(pem, &err);
    int rc = sl_certificate_der(arena, pem, &list, &count, &err);
    assert(!holds || rc == 0 || err.code == SL_E_CERT_INVALID);
    if (facts != NULL && rc == 0) {
        assert(count > 0 && json_array_size(json_object_get(facts, "san")) > 0);
        same_of_der(facts, list[0]);
    }
    json_decref(facts);
    return 0;
}

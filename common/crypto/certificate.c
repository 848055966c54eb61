// certificate.c - see certificate.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/certificate.h"

#include "common/crypto/certificate_parse.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <limits.h>

void
certificate_chain_drop(STACK_OF(X509) * *chain)
{
    sk_X509_pop_free(*chain, X509_free);
}

void
certificate_pkey_drop(EVP_PKEY **pkey)
{
    EVP_PKEY_free(*pkey);
}

static void
bio_drop(BIO **bio)
{
    BIO_free(*bio);
}

#define AUTO_BIO __attribute__((cleanup(bio_drop))) BIO *

// OpenSSL would else ask at the terminal. `data`: a bool that tells whether it asked; may be NULL.
static int
no_password(char *buffer, int size, int writing, void *data)
{
    bool *asked = data;
    (void)buffer;
    (void)size;
    (void)writing;
    if (asked != NULL) {
        *asked = true;
    }
    return -1;
}

static BIO *
reader_of(struct sl_str pem)
{
    return pem.len > INT_MAX ? NULL : BIO_new_mem_buf(pem.ptr, (int)pem.len);
}

STACK_OF(X509) * certificate_parse_chain(struct sl_str pem)
{
    AUTO_BIO bio = reader_of(pem);
    AUTO_CHAIN chain = sk_X509_new_null();
    X509 *next = NULL;
    while (bio != NULL && chain != NULL &&
           (next = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        if (sk_X509_push(chain, next) == 0) {
            X509_free(next);
            return NULL;
        }
    }
    unsigned long last = ERR_peek_last_error();
    ERR_clear_error();
    // The end of the text is an error of its own kind; any other is a broken certificate.
    bool ended = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (chain == NULL || sk_X509_num(chain) == 0 || !ended) {
        return NULL;
    }
    STACK_OF(X509) *taken = chain;
    chain = NULL;
    return taken;
}

EVP_PKEY *
certificate_parse_key(struct sl_str pem, bool *ret_locked)
{
    AUTO_BIO bio = reader_of(pem);
    *ret_locked = false;
    EVP_PKEY *key =
        bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_password, ret_locked);
    ERR_clear_error();
    return key;
}

static int
check_times(const STACK_OF(X509) * chain, struct sl_error *err)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        const X509 *one = sk_X509_value(chain, i);
        if (X509_cmp_current_time(X509_get0_notAfter(one)) <= 0) {
            return sl_fail(err, SL_E_CERT_EXPIRED);
        }
    }
    return 0;
}

static int
check_order(const STACK_OF(X509) * chain, struct sl_error *err)
{
    for (int i = 1; i < sk_X509_num(chain); i++) {
        X509 *signer = sk_X509_value(chain, i);
        X509 *one = sk_X509_value(chain, i - 1);
        EVP_PKEY *key = X509_get0_pubkey(signer);
        if (key == NULL || X509_check_issued(signer, one) != X509_V_OK ||
            X509_verify(one, key) != 1) {
            ERR_clear_error();
            return sl_fail(err, SL_E_CERT_CHAIN);
        }
    }
    return 0;
}

int
sl_certificate_check(struct sl_str chain_pem, struct sl_str key_pem, struct sl_error *err)
{
    AUTO_CHAIN chain = certificate_parse_chain(chain_pem);
    bool locked = false;
    AUTO_PKEY key = certificate_parse_key(key_pem, &locked);
    if (chain != NULL && locked) {
        return sl_fail(err, SL_E_CERT_KEY_LOCKED);
    }
    if (chain == NULL || key == NULL) {
        return sl_fail(err, SL_E_CERT_INVALID);
    }
    if (X509_check_private_key(sk_X509_value(chain, 0), key) != 1) {
        ERR_clear_error();
        return sl_fail(err, SL_E_CERT_MISMATCH);
    }
    return check_times(chain, err) != 0 ? -1 : check_order(chain, err);
}

int
sl_certificate_check_ca(struct sl_str authorities, struct sl_error *err)
{
    AUTO_CHAIN chain = certificate_parse_chain(authorities);
    return chain == NULL ? sl_fail(err, SL_E_CERT_INVALID) : check_times(chain, err);
}

// rsa.c - see rsa.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/rsa.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 4096 // characters of a key's text
#define DER_MAX  (TEXT_MAX / 4 * 3)

struct sl_rsa {
    EVP_PKEY *key;
    EVP_PKEY_CTX *signer; // padding and digest are set
    char public_key[SL_RSA_PEM_MAX];
};

// Decodes base64, padded or not. 0 when the text is none.
static size_t
decode(struct sl_str text, uint8_t ret_der[DER_MAX])
{
    char padded[TEXT_MAX];
    size_t end = text.len;
    while (end > 0 && text.len - end < 2 && text.ptr[end - 1] == '=') {
        end--;
    }
    size_t len = (end + 3) / 4 * 4;
    if (end == 0 || end % 4 == 1 || len > sizeof(padded)) {
        return 0;
    }
    memcpy(padded, text.ptr, end);
    memset(padded + end, '=', len - end);
    int got = EVP_DecodeBlock(ret_der, (const uint8_t *)padded, (int)len);
    OPENSSL_cleanse(padded, sizeof(padded));
    return got < 0 ? 0 : (size_t)got - (len - end);
}

static EVP_PKEY *
read_key(struct sl_str text)
{
    uint8_t der[DER_MAX];
    const uint8_t *at = der;
    size_t len = decode(text, der);
    EVP_PKEY *key = len == 0 ? NULL : d2i_AutoPrivateKey(NULL, &at, (long)len);
    OPENSSL_cleanse(der, sizeof(der));
    return key;
}

static bool
write_public(struct sl_rsa *rsa)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *pem = NULL;
    bool written = memory != NULL && PEM_write_bio_PUBKEY(memory, rsa->key) == 1;
    long len = written ? BIO_get_mem_data(memory, &pem) : 0;
    written = written && len > 0 && (size_t)len < sizeof(rsa->public_key);
    if (written) {
        memcpy(rsa->public_key, pem, (size_t)len);
        rsa->public_key[len] = '\0';
    }
    BIO_free(memory);
    return written;
}

static bool
prepare(struct sl_rsa *rsa)
{
    if (rsa->key == NULL || EVP_PKEY_get_base_id(rsa->key) != EVP_PKEY_RSA ||
        EVP_PKEY_get_bits(rsa->key) < SL_RSA_BITS || EVP_PKEY_get_size(rsa->key) > SL_RSA_SIZE) {
        return false;
    }
    rsa->signer = EVP_PKEY_CTX_new_from_pkey(NULL, rsa->key, NULL);
    return rsa->signer != NULL && EVP_PKEY_sign_init(rsa->signer) == 1 &&
           EVP_PKEY_CTX_set_rsa_padding(rsa->signer, RSA_PKCS1_PADDING) == 1 &&
           EVP_PKEY_CTX_set_signature_md(rsa->signer, EVP_sha256()) == 1 && write_public(rsa);
}

struct sl_rsa *
sl_rsa_new(struct sl_str text)
{
    struct sl_rsa *rsa = calloc(1, sizeof(*rsa));
    if (rsa == NULL) {
        return NULL;
    }
    rsa->key = read_key(text);
    if (!prepare(rsa)) {
        sl_rsa_free(&rsa);
    }
    return rsa;
}

void
sl_rsa_free(struct sl_rsa **rsa)
{
    if (rsa != NULL && *rsa != NULL) {
        EVP_PKEY_CTX_free((*rsa)->signer);
        EVP_PKEY_free((*rsa)->key);
        free(*rsa);
        *rsa = NULL;
    }
}

const char *
sl_rsa_public(const struct sl_rsa *rsa)
{
    return rsa->public_key;
}

bool
sl_rsa_sign(struct sl_rsa *rsa, const uint8_t digest[SL_SHA256_LEN],
            uint8_t ret_signature[SL_RSA_SIZE], size_t *ret_len)
{
    size_t len = SL_RSA_SIZE;
    bool signs = EVP_PKEY_sign(rsa->signer, ret_signature, &len, digest, SL_SHA256_LEN) == 1;
    *ret_len = signs ? len : 0;
    return signs;
}

const char *
sl_rsa_generate(struct sl_arena *arena)
{
    EVP_PKEY *key = EVP_RSA_gen(SL_RSA_BITS);
    PKCS8_PRIV_KEY_INFO *plain = key == NULL ? NULL : EVP_PKEY2PKCS8(key);
    uint8_t *der = NULL;
    int len = plain == NULL ? -1 : i2d_PKCS8_PRIV_KEY_INFO(plain, &der);
    char *text = len <= 0 ? NULL : sl_arena_alloc(arena, ((size_t)len + 2) / 3 * 4 + 1);
    if (text != NULL) {
        (void)EVP_EncodeBlock((uint8_t *)text, der, len);
    }
    OPENSSL_clear_free(der, len > 0 ? (size_t)len : 0);
    PKCS8_PRIV_KEY_INFO_free(plain);
    EVP_PKEY_free(key);
    return text;
}

// cfb.c - see cfb.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/cfb.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define KEY_128 16 // bytes
#define KEY_256 32

struct sl_cfb {
    EVP_CIPHER_CTX *ctx; // knows key and vector; each text begins with the vector again
};

static const EVP_CIPHER *
cipher_of(size_t key_len)
{
    return key_len == KEY_128   ? EVP_aes_128_cfb128()
           : key_len == KEY_256 ? EVP_aes_256_cfb128()
                                : NULL;
}

struct sl_cfb *
sl_cfb_new(struct sl_str key, struct sl_str iv)
{
    const EVP_CIPHER *cipher = cipher_of(key.len);
    if (cipher == NULL || iv.len != SL_CFB_IV_LEN) {
        return NULL;
    }
    struct sl_cfb *cfb = calloc(1, sizeof(*cfb));
    if (cfb == NULL) {
        return NULL;
    }
    cfb->ctx = EVP_CIPHER_CTX_new();
    if (cfb->ctx == NULL || EVP_EncryptInit_ex(cfb->ctx, cipher, NULL, (const uint8_t *)key.ptr,
                                               (const uint8_t *)iv.ptr) != 1) {
        sl_cfb_free(&cfb);
    }
    return cfb;
}

void
sl_cfb_free(struct sl_cfb **cfb)
{
    if (cfb != NULL && *cfb != NULL) {
        EVP_CIPHER_CTX_free((*cfb)->ctx); // which wipes the key
        free(*cfb);
        *cfb = NULL;
    }
}

bool
sl_cfb_encrypt(struct sl_cfb *cfb, struct sl_str text, uint8_t *ret_bytes)
{
    int len = 0;
    return text.len <= INT_MAX &&
           EVP_EncryptInit_ex(cfb->ctx, NULL, NULL, NULL, NULL) == 1 && // the vector again
           EVP_EncryptUpdate(cfb->ctx, ret_bytes, &len, (const uint8_t *)text.ptr, (int)text.len) ==
               1 &&
           (size_t)len == text.len;
}

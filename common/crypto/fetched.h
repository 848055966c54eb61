// fetched.h - algorithms that OpenSSL looked up once; for the files of this room only.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_FETCHED_H
#define SL_CRYPTO_FETCHED_H

#include <openssl/evp.h>

// AES-256-GCM; never NULL, lives as long as the process.
const EVP_CIPHER *fetched_cipher(void);

#endif

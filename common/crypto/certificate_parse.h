// certificate_parse.h - PEM to OpenSSL's objects, for the files that check and read certificates.
//
// Errors of OpenSSL are taken off its queue; what is answered belongs to the caller.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_CERTIFICATE_PARSE_H
#define SL_CRYPTO_CERTIFICATE_PARSE_H

#include "common/base/str.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

// Release what a variable holds when it goes out of scope.
void certificate_chain_drop(STACK_OF(X509) * *chain);
void certificate_pkey_drop(EVP_PKEY **pkey);

#define AUTO_CHAIN __attribute__((cleanup(certificate_chain_drop))) STACK_OF(X509) *
#define AUTO_PKEY  __attribute__((cleanup(certificate_pkey_drop))) EVP_PKEY *

// All certificates of a PEM text, in order; NULL when there is none, or one is broken.
STACK_OF(X509) * certificate_parse_chain(struct sl_str pem);

// The private key of a PEM text. NULL when it is none, or one under a password: then *ret_locked.
EVP_PKEY *certificate_parse_key(struct sl_str pem, bool *ret_locked);

#endif

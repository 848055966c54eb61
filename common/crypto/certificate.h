// certificate.h - certificates that operators bring, checked before anybody relies on them.
//
// PEM in, nothing out: whoever uses them parses them anew. Thread-safe; a key that is itself
// encrypted is no key here, as nobody is there to ask for its password.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_CERTIFICATE_H
#define SL_CRYPTO_CERTIFICATE_H

#include "common/base/error.h"
#include "common/base/str.h"

// Checks a chain (the certificate itself first, then each that signed the one before it) and its
// private key. Refuses CERT_INVALID (no certificate, no key, or nothing of the kind),
// CERT_KEY_LOCKED (the key is under a password), CERT_MISMATCH (not this certificate's key),
// CERT_EXPIRED (any of the chain, at this moment), CERT_CHAIN (one did not sign the one before it).
int sl_certificate_check(struct sl_str chain, struct sl_str key,
                         struct sl_error *err) SL_MUST_CHECK;

// Checks one or more certificates of authorities. Refuses CERT_INVALID, CERT_EXPIRED.
int sl_certificate_check_ca(struct sl_str authorities, struct sl_error *err) SL_MUST_CHECK;

#endif

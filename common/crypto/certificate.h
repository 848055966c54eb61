// certificate.h - certificates that operators bring, checked before anybody relies on them.
//
// PEM in; out comes what it says, or DER for whoever serves it. Thread-safe; a key that is itself
// encrypted is no key here, as nobody is there to ask for its password.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_CERTIFICATE_H
#define SL_CRYPTO_CERTIFICATE_H

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"

#include <jansson.h>

// Checks a chain (the certificate itself first, then each that signed the one before it) and its
// private key. Refuses CERT_INVALID (no certificate, no key, or nothing of the kind),
// CERT_KEY_LOCKED (the key is under a password), CERT_MISMATCH (not this certificate's key),
// CERT_EXPIRED (any of the chain, at this moment), CERT_CHAIN (one did not sign the one before it).
int sl_certificate_check(struct sl_str chain, struct sl_str key,
                         struct sl_error *err) SL_MUST_CHECK;

// Checks one or more certificates of authorities. Refuses CERT_INVALID, CERT_EXPIRED.
int sl_certificate_check_ca(struct sl_str authorities, struct sl_error *err) SL_MUST_CHECK;

// What the first certificate of a chain says, as the API shows it: common_name, san (lower case),
// version, organization, organizational_unit, locality, state, country, not_before, not_after,
// serial_number (decimal), issuer, signature_algorithm ("SHA256-RSA"); and `algorithm`, what its
// key is: RSA or ECC. A new reference; NULL: CERT_INVALID (no certificate, one of a version that
// there is not, or a key that handshakes do not take: neither RSA of 2048 bits or more nor one of
// the curves P-256, P-384, P-521), CERT_NO_SAN (it names no host), INTERNAL.
json_t *sl_certificate_facts(struct sl_str chain, struct sl_error *err) SL_MUST_CHECK;

// The certificates of a PEM text in DER, in order; memory of the arena. Refuses CERT_INVALID.
int sl_certificate_der(struct sl_arena *arena, struct sl_str chain, struct sl_str **ret_list,
                       size_t *ret_count, struct sl_error *err) SL_MUST_CHECK;

// The private key of a PEM text as PKCS #8 in DER; memory of the arena. Refuses CERT_INVALID.
int sl_certificate_key_der(struct sl_arena *arena, struct sl_str key, struct sl_str *ret_der,
                           struct sl_error *err) SL_MUST_CHECK;

#endif

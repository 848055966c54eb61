// sign.h - SDK-HMAC-SHA256, signer and verifier: used by front, module and tools alike.
//
// runtime.md section 5.2 is the reference; its vectors are this file's unit test. No I/O, no
// clock: the caller passes the time. The caller owns all memory.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_SIGN_H
#define SL_CRYPTO_SIGN_H

#include "common/base/arena.h"
#include "common/crypto/crypto.h"

#define SL_SIGN_HEADERS_MAX 64               // names in SignedHeaders
#define SL_SIGN_SKEW_MS     (15 * 60 * 1000) // either direction; exactly this passes

struct sl_sign_header {
    struct sl_str name;  // as received; compared without case
    struct sl_str value; // blanks at its ends do not count; several of one name are joined by ','
};

// The request as it came (or goes out).
struct sl_sign_request {
    struct sl_str method;
    struct sl_str raw_path;  // before '?', percent-encoded as on the wire
    struct sl_str raw_query; // after '?', may be empty
    const struct sl_sign_header *headers;
    size_t header_count;
    struct sl_str body_hash; // lower-case hex SHA-256 of the body; empty: the body is not known and
                             // X-Sdk-Content-Sha256 stands for it (absent: taken as empty body)
    bool by_address;         // it was sent to an address: its host need not be signed
};

// The parts of "SDK-HMAC-SHA256 Access=…, SignedHeaders=…, Signature=…"; views into the header.
struct sl_sign_parts {
    struct sl_str access;
    struct sl_str signed_headers;
    struct sl_str signature;
};

enum sl_sign_result {
    SL_SIGN_OK,
    SL_SIGN_ALGORITHM, // another algorithm, or not of the form
    SL_SIGN_EMPTY,     // Access or Credential is empty
    SL_SIGN_HEADERS,   // SignedHeaders lacks host or x-sdk-date, names an absent header, or is bad
    SL_SIGN_DATE,      // X-Sdk-Date absent or malformed
    SL_SIGN_EXPIRED,   // further than SL_SIGN_SKEW_MS from now
    SL_SIGN_MISMATCH,  // signature differs
};

// Parses an Authorization value.
enum sl_sign_result sl_sign_parse(struct sl_str authorization, struct sl_sign_parts *ret_parts);

// Parses X-Sdk-Date (20240102T030405Z) into ms since the epoch; false when malformed.
bool sl_sign_date(struct sl_str text, int64_t *ret_at_ms);

// Checks date and SignedHeaders against `now_ms`: what can be judged before a key is known.
enum sl_sign_result sl_sign_precheck(const struct sl_sign_request *request,
                                     const struct sl_sign_parts *parts, int64_t now_ms);

// Verifies under the key (an HMAC over the app's secret). Tries the documented alternatives ('+',
// sort order, empty body). On mismatch *ret_canonical (may be NULL) is the canonical request, from
// the arena, newlines as they are.
enum sl_sign_result sl_sign_verify(struct sl_arena *arena, const struct sl_sign_request *request,
                                   const struct sl_sign_parts *parts, const struct sl_hmac *key,
                                   const char **ret_canonical);

// Builds the canonical request over the ';'-joined lower-case names. NULL when the arena is full or
// a named header is absent.
const char *sl_sign_canonical(struct sl_arena *arena, const struct sl_sign_request *request,
                              struct sl_str signed_headers);

// What a signature of another algorithm covers: the name of the algorithm, X-Sdk-Date, and the hash
// of the canonical request, a line each.
#define SL_SIGN_TEXT_MAX 128 // bytes
// Writes it, as it is documented, over the ';'-joined lower-case names in the order given. False
// when the algorithm's name is too long, X-Sdk-Date has no date's length, a named header is absent
// or the arena is full.
bool sl_sign_text(struct sl_arena *arena, const struct sl_sign_request *request,
                  struct sl_str signed_headers, struct sl_str algorithm,
                  char ret_text[SL_SIGN_TEXT_MAX], size_t *ret_len);

// Signs: *ret_authorization is the header's value, from the arena. `request` must hold host and
// x-sdk-date among its headers; all headers given are signed. Refuses (SIGN_REQUEST) more than
// SL_SIGN_HEADERS_MAX headers, a name that is none, a missing host or date.
int sl_sign_make(struct sl_arena *arena, const struct sl_sign_request *request,
                 struct sl_str access, const struct sl_hmac *key, const char **ret_authorization,
                 struct sl_error *err) SL_MUST_CHECK;

#endif

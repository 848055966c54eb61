// sign.c - see sign.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/crypto/canonical.h"

#define ALGORITHM     "SDK-HMAC-SHA256"
#define EMPTY_HASH    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIGNATURE_HEX (2 * SL_SHA256_LEN)
#define DATE_LEN      16 // 20240102T030405Z

static const struct sl_str date_header = {"x-sdk-date", 10};
static const struct sl_str host_header = {"host", 4};
static const struct sl_str hash_header = {"x-sdk-content-sha256", 20};

enum sl_sign_result
sl_sign_parse(struct sl_str authorization, struct sl_sign_parts *ret_parts)
{
    struct sl_str rest = sl_str_trim(authorization);
    struct sl_sign_parts parts = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    if (!sl_str_equal(sl_str_split(&rest, ' '), SL_STR(ALGORITHM))) {
        return SL_SIGN_ALGORITHM;
    }
    while (rest.ptr != NULL) {
        struct sl_str value = sl_str_trim(sl_str_split(&rest, ','));
        struct sl_str name = sl_str_split(&value, '=');
        struct sl_str *part = sl_str_equal(name, SL_STR("Access"))          ? &parts.access
                              : sl_str_equal(name, SL_STR("SignedHeaders")) ? &parts.signed_headers
                              : sl_str_equal(name, SL_STR("Signature"))     ? &parts.signature
                                                                            : NULL;
        if (part == NULL || part->ptr != NULL) {
            return SL_SIGN_ALGORITHM; // a foreign item, or the same one twice
        }
        *part = value.ptr != NULL ? value : SL_STR("");
    }
    if (parts.access.len == 0) {
        return SL_SIGN_EMPTY;
    }
    if (parts.signed_headers.len == 0) {
        return SL_SIGN_HEADERS;
    }
    if (parts.signature.len == 0) {
        return SL_SIGN_ALGORITHM;
    }
    *ret_parts = parts;
    return SL_SIGN_OK;
}

// The number that two digits make; *bad is not 0 once one is none.
static inline int
two_digits(const char *at, unsigned *bad)
{
    unsigned high = (unsigned char)at[0] - (unsigned)'0';
    unsigned low = (unsigned char)at[1] - (unsigned)'0';
    *bad |= (high > 9) | (low > 9);
    return (int)(high * 10 + low);
}

// Days from 1970-01-01 to a date of the Gregorian calendar; years begin in March, so that the leap
// day is the last of its year.
static int64_t
days_from_date(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year;
    int m = month <= 2 ? month + 9 : month - 3;
    int64_t leap_days = y / 4 - y / 100 + y / 400;
    return (int64_t)y * 365 + leap_days + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int
days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

bool
sl_sign_date(struct sl_str text, int64_t *ret_at_ms)
{
    unsigned bad = 0;
    if (text.len != DATE_LEN || text.ptr[8] != 'T' || text.ptr[15] != 'Z') {
        return false;
    }
    int century = two_digits(text.ptr, &bad);
    int year = century * 100 + two_digits(text.ptr + 2, &bad);
    int month = two_digits(text.ptr + 4, &bad);
    int day = two_digits(text.ptr + 6, &bad);
    int hour = two_digits(text.ptr + 9, &bad);
    int minute = two_digits(text.ptr + 11, &bad);
    int second = two_digits(text.ptr + 13, &bad);
    if (bad != 0) {
        return false;
    }
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
        hour > 23 || minute > 59 || second > 59) {
        return false;
    }
    int64_t days = days_from_date(year, month, day);
    *ret_at_ms = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000;
    return true;
}

enum sl_sign_result
sl_sign_precheck(const struct sl_sign_request *request, const struct sl_sign_parts *parts,
                 int64_t now_ms)
{
    bool has_host = request->by_address;
    bool has_date = false;
    size_t names = 0;
    struct sl_str rest = parts->signed_headers;
    while (rest.ptr != NULL) {
        struct sl_str name = sl_str_split(&rest, ';');
        if (name.len == 0 || ++names > SL_SIGN_HEADERS_MAX ||
            canonical_header(request, name).ptr == NULL) {
            return SL_SIGN_HEADERS;
        }
        has_host = has_host || sl_str_equal_nocase(name, host_header);
        has_date = has_date || sl_str_equal_nocase(name, date_header);
    }
    if (!has_date && canonical_header(request, date_header).ptr == NULL) {
        return SL_SIGN_DATE;
    }
    if (!has_host || !has_date) {
        return SL_SIGN_HEADERS;
    }
    int64_t at_ms = 0;
    if (!sl_sign_date(canonical_header(request, date_header), &at_ms)) {
        return SL_SIGN_DATE;
    }
    int64_t skew_ms = now_ms - at_ms;
    return skew_ms > SL_SIGN_SKEW_MS || skew_ms < -SL_SIGN_SKEW_MS ? SL_SIGN_EXPIRED : SL_SIGN_OK;
}

// What the last line may be: the header's word, or the hash of the body. A digest in the header
// that is not the body's is no candidate, whatever the signature says.
static size_t
payloads(const struct sl_sign_request *request, struct sl_str ret_payloads[2])
{
    struct sl_str header = canonical_header(request, hash_header);
    struct sl_str body = request->body_hash.len > 0 ? request->body_hash : SL_STR(EMPTY_HASH);
    if (header.ptr == NULL) {
        ret_payloads[0] = body;
        return 1;
    }
    size_t count = 0;
    uint8_t digest[SL_SHA256_LEN];
    bool is_digest = sl_hex_decode(header, digest, sizeof(digest));
    if (request->body_hash.len == 0 || !is_digest || sl_str_equal_nocase(header, body)) {
        ret_payloads[count++] = header;
    }
    // Some signers use the hash of nothing for an empty body although they send the header.
    if (sl_str_equal(request->body_hash, SL_STR(EMPTY_HASH)) && !sl_str_equal(header, body)) {
        ret_payloads[count++] = body;
    }
    return count;
}

// What is signed: algorithm, date (DATE_LEN bytes) and the hash of the canonical request. Answers
// its length.
static size_t
write_text(struct sl_str algorithm, struct sl_str date, struct sl_str canonical,
           char ret_text[SL_SIGN_TEXT_MAX])
{
    char hash[SL_SHA256_HEX];
    sl_sha256_hex(canonical, hash);
    char *out = ret_text;
    memcpy(out, algorithm.ptr, algorithm.len);
    out += algorithm.len;
    *out++ = '\n';
    memcpy(out, date.ptr, DATE_LEN);
    out += DATE_LEN;
    *out++ = '\n';
    memcpy(out, hash, SIGNATURE_HEX);
    return (size_t)(out + SIGNATURE_HEX - ret_text);
}

// The signature of a canonical request, as hex.
static void
sign_text(struct sl_str date, struct sl_str canonical, const struct sl_hmac *key,
          char ret_hex[SIGNATURE_HEX + 1])
{
    char text[SL_SIGN_TEXT_MAX];
    uint8_t mac[SL_SHA256_LEN];
    size_t len = write_text(SL_STR(ALGORITHM), date, canonical, text);
    sl_hmac_sign(key, (struct sl_str){text, len}, mac);
    sl_hex_encode(mac, sizeof(mac), ret_hex);
}

// What verifying needs at every try.
struct trial {
    struct sl_arena *arena;
    const struct sl_sign_request *request;
    const struct sl_sign_parts *parts;
    const struct sl_hmac *key;
    struct sl_str date;    // X-Sdk-Date
    const char *canonical; // of the first try
};

static bool
matches(struct trial *trial, const struct canonical_variant *variant)
{
    struct sl_str canonical;
    if (!canonical_build(trial->arena, trial->request, trial->parts->signed_headers, variant,
                         &canonical)) {
        return false;
    }
    if (trial->canonical == NULL) {
        trial->canonical = canonical.ptr;
    }
    char signature[SIGNATURE_HEX + 1];
    sign_text(trial->date, canonical, trial->key, signature);
    return sl_crypto_equal((struct sl_str){signature, SIGNATURE_HEX}, trial->parts->signature);
}

// Tries what signers do differently with the query; only where it makes a difference.
static bool
matches_some(struct trial *trial, struct sl_str payload)
{
    struct sl_str query = trial->request->raw_query;
    bool has_plus = query.len > 0 && memchr(query.ptr, '+', query.len) != NULL;
    bool has_order = query.len > 0 && memchr(query.ptr, '&', query.len) != NULL;
    int plus_forms = has_plus ? 2 : 1;
    int sort_forms = has_order ? 2 : 1;
    for (int plus = 0; plus < plus_forms; plus++) {
        for (int sort = 0; sort < sort_forms; sort++) {
            struct canonical_variant variant = {
                .plus_is_space = plus != 0, .sort_by_encoded = sort != 0, .payload = payload};
            if (matches(trial, &variant)) {
                return true;
            }
        }
    }
    return false;
}

enum sl_sign_result
sl_sign_verify(struct sl_arena *arena, const struct sl_sign_request *request,
               const struct sl_sign_parts *parts, const struct sl_hmac *key,
               const char **ret_canonical)
{
    struct trial trial = {.arena = arena, .request = request, .parts = parts, .key = key};
    trial.date = canonical_header(request, date_header);
    if (trial.date.len != DATE_LEN) {
        return SL_SIGN_DATE;
    }
    struct sl_str candidates[2] = {{NULL, 0}, {NULL, 0}};
    size_t count = payloads(request, candidates);
    for (size_t i = 0; i < count; i++) {
        if (matches_some(&trial, candidates[i])) {
            return SL_SIGN_OK;
        }
    }
    if (ret_canonical != NULL) {
        *ret_canonical = trial.canonical != NULL ? trial.canonical : "";
    }
    return SL_SIGN_MISMATCH;
}

// The documented form, with its length: a header may hold a zero byte.
static bool
build_documented(struct sl_arena *arena, const struct sl_sign_request *request,
                 struct sl_str signed_headers, struct sl_str *ret_text)
{
    struct sl_str candidates[2] = {{NULL, 0}, {NULL, 0}};
    struct canonical_variant variant = {false, false, SL_STR("")};
    if (payloads(request, candidates) > 0) {
        variant.payload = candidates[0];
    }
    return canonical_build(arena, request, signed_headers, &variant, ret_text);
}

const char *
sl_sign_canonical(struct sl_arena *arena, const struct sl_sign_request *request,
                  struct sl_str signed_headers)
{
    struct sl_str text;
    return build_documented(arena, request, signed_headers, &text) ? text.ptr : NULL;
}

bool
sl_sign_text(struct sl_arena *arena, const struct sl_sign_request *request,
             struct sl_str signed_headers, struct sl_str algorithm, char ret_text[SL_SIGN_TEXT_MAX],
             size_t *ret_len)
{
    struct sl_str date = canonical_header(request, date_header);
    struct sl_str canonical;
    if (algorithm.len + DATE_LEN + SIGNATURE_HEX + 2 > SL_SIGN_TEXT_MAX || date.len != DATE_LEN ||
        !build_documented(arena, request, signed_headers, &canonical)) {
        return false;
    }
    *ret_len = write_text(algorithm, date, canonical, ret_text);
    return true;
}

static int
by_name(const void *a, const void *b)
{
    const struct sl_str *left = *(const struct sl_str *const *)a;
    const struct sl_str *right = *(const struct sl_str *const *)b;
    size_t len = left->len < right->len ? left->len : right->len;
    int order = strncasecmp(left->ptr, right->ptr, len);
    return order != 0 ? order : (left->len > right->len) - (left->len < right->len);
}

// A header's name as RFC 9110 has it: nothing in it can be taken for a separator.
static bool
is_name(struct sl_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool other = (c >= '0' && c <= '9') || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
        if (!letter && !other) {
            return false;
        }
    }
    return name.len > 0;
}

// The ';'-joined, sorted, lower-case names of all headers, each once; NULL when there are too many,
// one is no name, or memory is out.
static const char *
join_names(struct sl_arena *arena, const struct sl_sign_request *request)
{
    const struct sl_str *names[SL_SIGN_HEADERS_MAX];
    size_t bytes = 1;
    if (request->header_count == 0 || request->header_count > SL_SIGN_HEADERS_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < request->header_count; i++) {
        names[i] = &request->headers[i].name;
        if (!is_name(*names[i])) {
            return NULL;
        }
        bytes += names[i]->len + 1;
    }
    qsort(names, request->header_count, sizeof(names[0]), by_name);
    char *text = sl_arena_alloc(arena, bytes);
    if (text == NULL) {
        return NULL;
    }
    char *out = text;
    for (size_t i = 0; i < request->header_count; i++) {
        if (i > 0 && sl_str_equal_nocase(*names[i], *names[i - 1])) {
            continue;
        }
        if (out != text) {
            *out++ = ';';
        }
        for (size_t c = 0; c < names[i]->len; c++) {
            char byte = names[i]->ptr[c];
            *out++ = byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
        }
    }
    return text;
}

int
sl_sign_make(struct sl_arena *arena, const struct sl_sign_request *request, struct sl_str access,
             const struct sl_hmac *key, const char **ret_authorization, struct sl_error *err)
{
    struct sl_str date = canonical_header(request, date_header);
    const char *names = join_names(arena, request);
    int64_t at_ms = 0;
    if (names == NULL || canonical_header(request, host_header).ptr == NULL ||
        !sl_sign_date(date, &at_ms)) {
        return sl_fail(err, SL_E_SIGN_REQUEST);
    }
    struct sl_str canonical;
    if (!build_documented(arena, request, sl_str(names), &canonical)) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    char signature[SIGNATURE_HEX + 1];
    sign_text(date, canonical, key, signature);
    *ret_authorization =
        sl_arena_printf(arena, ALGORITHM " Access=%.*s, SignedHeaders=%s, Signature=%s",
                        SL_STR_FMT(access), names, signature);
    return sl_arena_check(arena, err);
}
